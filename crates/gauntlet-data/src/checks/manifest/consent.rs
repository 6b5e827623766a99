//! Licence and consent as the manifest states them, held against the purpose and the day.

use gauntlet_core::{Coverage, Facts, Judging, Metric};
use jiff::civil::{Date, date};
use spdx::{Expression, LicenseReq};

use super::{MANIFEST, Manifested, count, given, today};

const BASES: [&str; 5] = ["consent", "contract", "legal", "public", "synthetic"];
/// Stands for a last day where there is none.
const NEVER: &str = "never";
/// What makes consent evidence invalid: findings of these rules.
const CONSENT_RULES: [&str; 8] = [
    "missing-consent",
    "purpose-not-covered",
    "license-forbids-purpose",
    "consent-expired",
    "row-without-consent",
    "row-consent-expired",
    "row-without-age-verification",
    "invalid-manifest",
];

impl Manifested<'_> {
    pub(super) fn licence(&mut self, purpose: &str) {
        let spdx = self.manifest.license.spdx.as_deref();
        let what = "the licence of the data as an SPDX expression, such as `CC-BY-4.0`";
        if !self.require("incomplete", "license.spdx", spdx, what) {
            return;
        }
        let text = spdx.unwrap_or_default().trim();
        let shown: String = text.chars().take(60).collect();
        match Expression::parse(text) {
            Err(error) => {
                let message = format!("`{shown}` is no SPDX licence expression: {}", error.reason);
                self.add("invalid-license", "license.spdx", message);
            }
            Ok(licence) if !licence.evaluate(|term| permits(term, purpose)) => {
                let message = format!("the data is used to `{purpose}`, which `{shown}` does not permit");
                self.add("license-forbids-purpose", "license.spdx", message);
            }
            Ok(_) => {}
        }
        let permitted: Vec<&str> = self.manifest.license.purposes.iter().filter_map(|p| given(Some(p))).collect();
        if !self.manifest.license.purposes.is_empty() && !permitted.contains(&purpose) {
            let listed = if permitted.is_empty() { "nothing".to_owned() } else { permitted.join(", ") };
            let message = format!("the data is used to `{purpose}`; its licence permits {listed}");
            self.add("license-forbids-purpose", "license.purposes", message);
        }
    }

    pub(super) fn consent(&mut self, purpose: &str) {
        let consent = &self.manifest.consent;
        let what = "why the data of people may be used: `consent`, `contract`, `legal`, `public` or `synthetic`";
        let basis = consent.basis.as_deref().unwrap_or_default().trim();
        let stated = self.require("missing-consent", "consent.basis", consent.basis.as_deref(), what);
        if stated && !BASES.contains(&basis) {
            let shown: String = basis.chars().take(40).collect();
            let message = format!("`{shown}` is no basis that is known: {}", BASES.join(", "));
            self.add("missing-consent", "consent.basis", message);
        }
        if !matches!(basis, "public" | "synthetic") {
            let what = "the URI of the record that proves the basis";
            self.require("missing-consent", "consent.record", consent.record.as_deref(), what);
        }
        let purposes: Vec<&str> = consent.purposes.iter().filter_map(|p| given(Some(p))).collect();
        if purposes.is_empty() {
            let what = "`consent.purposes` is not filled in: a person has to list what the data may be used for, such as `train`";
            self.add("incomplete", "consent.purposes", what);
        } else if !purposes.contains(&purpose) {
            let listed = purposes.join(", ");
            self.add(
                "purpose-not-covered",
                "consent.purposes",
                format!("the data is used to `{purpose}`; consent covers {listed}"),
            );
        }
        if consent.column.is_some() && consent.allowed.iter().all(|word| given(Some(word)).is_none()) {
            self.add("incomplete", "consent.allowed", "`consent.allowed` is not filled in: a person has to list the values of the consent column that count as consent");
        }
        if let Some(age) = &self.manifest.age_verification
            && age.minimum.is_none()
            && age.allowed.iter().all(|word| given(Some(word)).is_none())
        {
            self.add(
                "incomplete",
                "age_verification",
                "`age_verification` says neither which values are `allowed` nor a `minimum` age",
            );
        }
    }

    pub(super) fn expiry(&mut self, judging: &Judging<'_>) {
        let consent = &self.manifest.consent;
        let basis = consent.basis.as_deref().unwrap_or_default().trim();
        let Some(text) = consent.expires.as_deref() else {
            if !matches!(basis, "public" | "synthetic") && given(consent.expires_column.as_deref()).is_none() {
                let never = if basis == "consent" { "" } else { ", or `never`" };
                let what = format!(
                    "`consent.expires` is not filled in: a person has to write the last day on which the data may be used, YYYY-MM-DD{never}"
                );
                self.add("incomplete", "consent.expires", what);
            }
            return;
        };
        match given(Some(text)) {
            None => {
                let what = "`consent.expires` is not filled in: a person has to write the last day of use, or `never` where the basis is not `consent`";
                self.add("incomplete", "consent.expires", what);
            }
            Some(NEVER) if basis == "consent" => {
                let what =
                    "consent that people gave ends some day: `consent.expires` needs a day of the form YYYY-MM-DD";
                self.add("incomplete", "consent.expires", what);
            }
            Some(NEVER) => {}
            Some(day) => match day.parse::<Date>() {
                Err(_) => {
                    self.add("incomplete", "consent.expires", "`consent.expires` is no day of the form YYYY-MM-DD");
                }
                Ok(last) => {
                    self.last_day(last);
                    if last < today(judging) {
                        let message = format!("the consent ended on {last}; this evaluation is of {}", today(judging));
                        self.add("consent-expired", "consent.expires", message);
                    }
                }
            },
        }
    }

    /// The last day as a number that a policy can compare with its own clock.
    fn last_day(&mut self, last: Date) {
        if let Ok(span) = date(1970, 1, 1).until(last) {
            self.out.metrics.push(Metric::new("consent-expires", f64::from(span.get_days()), "days since 1970-01-01"));
        }
    }

    /// Whether everything that was asked about consent and licence holds, as one number for policies.
    pub(super) fn summary(&mut self, facts: &Facts) {
        let broken = self.said.iter().any(|(rule, field)| {
            let about = ["consent", "license", "age_verification"].iter().any(|part| field.starts_with(part));
            CONSENT_RULES.contains(&rule.as_str()) || rule == "incomplete" && about
        });
        // Rows that could not be read answer no question about them.
        let read = facts.coverage.get(MANIFEST).is_some_and(Coverage::complete) && self.out.coverage.complete();
        self.out.metrics.push(Metric::new("consent-valid", count(u64::from(!broken && read)), "yes or no"));
    }
}

/// Whether one licence permits a purpose, as far as its name says: non-commercial licences no commerce, licences without
/// derivatives no publication of what was made from the data. What a licence of one's own permits, `license.purposes` says.
fn permits(term: &LicenseReq, purpose: &str) -> bool {
    let Some(id) = term.license.id() else { return true };
    let part = |wanted: &str| id.name.split('-').any(|part| part == wanted);
    let words: Vec<String> = purpose.split(|c: char| !c.is_alphanumeric()).map(str::to_ascii_lowercase).collect();
    let says = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let non_commercial = words.windows(2).any(|w| w[0] == "non" && w[1] == "commercial") || says(&["noncommercial"]);
    let commerce = says(&["commercial", "commerce", "sell", "sale", "resale", "advertising", "marketing"]);
    let publishes = says(&["publish", "publication", "redistribute", "share"]);
    !(part("NC") && commerce && !non_commercial || part("ND") && publishes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_held_against_the_purpose() {
        let permitted =
            |text: &str, purpose: &str| Expression::parse(text).unwrap().evaluate(|term| permits(term, purpose));
        for (text, purpose) in [
            ("CC-BY-NC-4.0", "train"),
            ("CC-BY-NC-4.0", "non-commercial research"),
            ("CC-BY-NC-4.0 OR CC-BY-4.0", "commercial product"),
            ("CC-BY-ND-4.0", "train"),
            ("LicenseRef-own", "commercial"),
        ] {
            assert!(permitted(text, purpose), "{text} {purpose}");
        }
        for (text, purpose) in [
            ("CC-BY-NC-4.0", "commercial product"),
            ("CC-BY-NC-SA-4.0 AND MIT", "sell"),
            ("CC-BY-ND-4.0", "train and publish"),
        ] {
            assert!(!permitted(text, purpose), "{text} {purpose}");
        }
    }
}
