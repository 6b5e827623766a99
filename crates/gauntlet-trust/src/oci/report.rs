//! What was found about a layout as reports of the checks `trust/package` and `trust/image`.

use gauntlet_core::{
    CheckInfo, Coverage, Digest, Draft, Input, Location, Report, RuleInfo, Severity, SkipCode, Stage, Subject, seal,
};

use super::verify::{Judged, is_open};
use crate::oms::ReasonCode;

/// Whether an OCI layout holds what it refers to, and nothing else.
pub static PACKAGE: CheckInfo = CheckInfo {
    id: "trust/package",
    version: 1,
    stage: Stage::Package,
    title: "Is every blob of the package the one that is referred to?",
    rules: &PACKAGE_RULES,
    page: include_str!("../../../../docs/src/checks/trust-package.md"),
};

/// Whether a trusted key signed an image.
pub static IMAGE: CheckInfo = CheckInfo {
    id: "trust/image",
    version: 1,
    stage: Stage::Deploy,
    title: "Is the image one that a trusted key signed?",
    rules: &IMAGE_RULES,
    page: include_str!("../../../../docs/src/checks/trust-image.md"),
};

const fn rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    references: &'static [&'static str],
) -> RuleInfo {
    RuleInfo { id, severity, title, fix, references, since: "0.1.0", renamed_from: &[], retired: None }
}

static PACKAGE_RULES: [RuleInfo; 8] = [
    rule(
        "trust/package/digest-mismatch",
        Severity::Critical,
        "a blob is not the one that its digest names",
        "Do not use the package. Fetch it again; if it stays so, ask where it was made.",
        &["CWE-354", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/package/missing-file",
        Severity::High,
        "something that is referred to is not there",
        "Fetch the whole package, with its referrers.",
        &["CWE-345", "OWASP ML06:2023"],
    ),
    rule(
        "trust/package/unexpected-file",
        Severity::High,
        "something is there that nothing refers to",
        "Remove it, or package the model anew: what nothing refers to was looked at by nobody.",
        &["CWE-345", "OWASP ML06:2023"],
    ),
    rule(
        "trust/package/malformed",
        Severity::High,
        "a manifest or index breaks its format",
        "Have the package made anew; two tools may see two packages in this one.",
        &["CWE-20", "CWE-436"],
    ),
    rule(
        "trust/package/duplicate",
        Severity::High,
        "two layers have the same path",
        "Have the package made anew: which file is unpacked depends on the tool.",
        &["CWE-694"],
    ),
    rule(
        "trust/package/unsafe-path",
        Severity::High,
        "the path of a layer leads out of the model",
        "Do not unpack it. Ask how such a path came into a package.",
        &["CWE-22", "OWASP ML06:2023"],
    ),
    rule(
        "trust/package/symlink",
        Severity::High,
        "a link inside the layout",
        "Copy the layout without links: they lead to bytes that are not in the package.",
        &["CWE-59"],
    ),
    rule(
        "trust/package/notice",
        Severity::Info,
        "something unusual that changes nothing",
        "Nothing needs to be done; have a look.",
        &[],
    ),
];

static IMAGE_RULES: [RuleInfo; 3] = [
    rule(
        "trust/image/unsigned",
        Severity::High,
        "the layout holds no signature of the image",
        "Copy the image together with its signature, or have it signed.",
        &["CWE-347", "OWASP CICD-SEC-9"],
    ),
    rule(
        "trust/image/bad-signature",
        Severity::Critical,
        "no signature of the image is by a trusted key",
        "Do not run the image. Ask who built it, and trust another key only over another channel.",
        &["CWE-347", "OWASP CICD-SEC-9", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/image/notice",
        Severity::Info,
        "something unusual that changes nothing",
        "Nothing needs to be done; have a look.",
        &[],
    ),
];

impl Judged {
    /// The report under `check`, which is [`PACKAGE`] or [`IMAGE`].
    #[must_use]
    pub fn report(&self, check: &CheckInfo, subject: Subject, inputs: Vec<Input>, config_digest: Digest) -> Report {
        let mut coverage = Coverage { looked_at: self.files as u64, ..Coverage::default() };
        let mut drafts = Vec::new();
        for reason in &self.reasons {
            // An image without signatures misses no file.
            let name = match reason.code {
                ReasonCode::MissingFile if check.id == IMAGE.id => "unsigned",
                code => code.as_str(),
            };
            match check.rule(name).filter(|_| !is_open(reason.code)) {
                Some(rule) => {
                    let location = Location { path: reason.path.clone(), ..Location::default() };
                    drafts.push(Draft::new(rule, location, &reason.message));
                }
                None => {
                    let code = match reason.code {
                        ReasonCode::Limit => SkipCode::Limit,
                        ReasonCode::Unsupported => SkipCode::Unsupported,
                        _ => SkipCode::Unreadable,
                    };
                    coverage.skip(reason.path.clone().unwrap_or_default(), None, code, &reason.message);
                }
            }
        }
        for unsigned in &self.unsigned {
            coverage.skip(&unsigned.path, None, SkipCode::Excluded, "nothing refers to it: that is allowed");
        }
        if let Some(rule) = check.rule("notice") {
            drafts.extend(self.warnings.iter().map(|text| Draft::new(rule, Location::default(), text)));
        }
        Report {
            check: check.id.to_owned(),
            check_version: check.version,
            config_digest,
            subject,
            inputs,
            verdict: self.verdict,
            findings: seal(drafts),
            metrics: Vec::new(),
            coverage,
            figures: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::valid_rule_id;

    use super::*;

    #[test]
    fn every_rule_is_valid_and_has_a_section_in_the_manual() {
        for check in [&PACKAGE, &IMAGE] {
            for rule in check.rules {
                assert!(valid_rule_id(rule.id), "{}", rule.id);
                let name = rule.id.rsplit('/').next().unwrap();
                assert!(check.page.contains(&format!("\n## {name}\n")), "{} has no section", rule.id);
            }
            assert_eq!(check.page.lines().filter(|line| line.starts_with("## ")).count(), check.rules.len());
        }
    }
}
