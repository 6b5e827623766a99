//! Bytes as a list of digests, in all its forms: what is taken has safe, different names.
#![no_main]

use std::collections::BTreeSet;

use gauntlet_trust::oms::DigestList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for list in [DigestList::parse(data), DigestList::parse_dvc(data)].into_iter().flatten() {
        let names: Vec<&str> = list.iter().map(|(name, _)| name).collect();
        assert!(!names.is_empty() && names.iter().collect::<BTreeSet<_>>().len() == names.len());
        assert!(
            names
                .iter()
                .all(|name| !name.starts_with('/') && name.split('/').all(|part| !matches!(part, "" | "." | "..")))
        );
    }
});
