//! Bytes as an OCI index or manifest, and as the digest of a blob: one document is one of the two kinds.
#![no_main]

use gauntlet_trust::oci::{BlobDigest, ManifestKind, parse_manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = parse_manifest(data) {
        match manifest.kind {
            ManifestKind::Index => assert!(manifest.layers.is_empty() && manifest.config.is_none()),
            ManifestKind::Image => assert!(manifest.manifests.is_empty() && manifest.config.is_some()),
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(digest) = text.parse::<BlobDigest>()
    {
        assert_eq!(digest.to_string(), text, "a digest has one spelling");
    }
});
