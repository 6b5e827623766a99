//! The fingerprint that the manifest declares, held against that of the table.

use gauntlet_core::{Facts, SkipCode};
use gauntlet_sketch::ContentHash;

use super::super::{facts_of, grouped};
use super::{Manifested, given};
use crate::facts::profile::FingerprintFact;

const RULE: &str = "fingerprint-mismatch";

impl Manifested<'_> {
    pub(super) fn fingerprint(&mut self, facts: &Facts) {
        let Some(declared) = &self.manifest.fingerprint else { return };
        let content = given(declared.content_hash.as_deref());
        let sketch = given(declared.sketch_sha256.as_deref());
        if content.is_none() && sketch.is_none() {
            return;
        }
        let Some((_, fact)) = facts_of::<FingerprintFact>(facts, self.out).into_iter().next() else {
            let what = "the table was not read, so its fingerprint is unknown";
            self.out.coverage.skip("", None, SkipCode::Unreadable, what);
            return;
        };
        if !fact.complete {
            let what = "the table was not read to its end, so its fingerprint is unknown";
            self.out.coverage.skip("", None, SkipCode::Unreadable, what);
            return;
        }
        if let Some(content) = content.filter(|content| *content != fact.content_hash) {
            let message = match (content.parse::<ContentHash>(), fact.content_hash.parse::<ContentHash>()) {
                (Err(error), _) => format!("`{}` {error}", content.chars().take(80).collect::<String>()),
                (Ok(declared), Ok(seen)) if declared.rows != seen.rows => format!(
                    "the manifest describes {} rows, the table has {}",
                    grouped(declared.rows),
                    grouped(seen.rows)
                ),
                (Ok(declared), Ok(seen)) if declared.schema != seen.schema => {
                    "names or types of columns are not those the manifest describes".to_owned()
                }
                _ => format!("the values are not those the manifest describes: the table is {}", fact.content_hash),
            };
            self.add(RULE, "fingerprint.content_hash", message);
        }
        if let Some(sketch) = sketch.filter(|sketch| !sketch.eq_ignore_ascii_case(&fact.sketch_sha256)) {
            let message = format!(
                "the profile that the manifest describes has the SHA-256 {}…, that of the table {}",
                sketch.chars().take(12).collect::<String>(),
                fact.sketch_sha256
            );
            self.add(RULE, "fingerprint.sketch_sha256", message);
        }
    }
}
