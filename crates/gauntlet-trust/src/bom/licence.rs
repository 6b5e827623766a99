//! Licences as model hubs write them, in SPDX's spelling.

/// SPDX identifiers that the hubs list in lower case. What is not here is written as a name, never as an identifier.
const KNOWN: &[&str] = &[
    "AFL-3.0",
    "AGPL-3.0-only",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-2.0",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-3.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-2.0",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "CDLA-Sharing-1.0",
    "ECL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "GFDL-1.3-only",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "LPPL-1.3c",
    "MIT",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "ODbL-1.0",
    "ODC-By-1.0",
    "OFL-1.1",
    "OSL-3.0",
    "PDDL-1.0",
    "PostgreSQL",
    "Unlicense",
    "WTFPL",
    "Zlib",
    "0BSD",
];

/// The hubs' own words where they differ from SPDX's by more than case.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("agpl-3.0", "AGPL-3.0-only"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("gfdl", "GFDL-1.3-only"),
    ("odc-by", "ODC-By-1.0"),
    ("odbl", "ODbL-1.0"),
    ("pddl", "PDDL-1.0"),
];

/// The SPDX identifier that a hub's word stands for, when it is one that we know.
#[must_use]
pub fn spdx_identifier(word: &str) -> Option<&'static str> {
    let known = KNOWN.iter().find(|id| id.eq_ignore_ascii_case(word)).copied();
    known.or_else(|| OTHER_WORDS.iter().find(|(other, _)| other.eq_ignore_ascii_case(word)).map(|(_, id)| *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_hub_become_identifiers_or_stay_words() {
        assert_eq!(spdx_identifier("apache-2.0"), Some("Apache-2.0"));
        assert_eq!(spdx_identifier("gpl-3.0"), Some("GPL-3.0-only"));
        assert_eq!(spdx_identifier("llama3"), None);
    }
}
