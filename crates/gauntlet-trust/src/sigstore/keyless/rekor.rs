//! Writing the signature into Rekor (version 1), and its answer as the bundle has it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{KeylessError, Place};
use crate::base64;
use crate::dsse::Envelope;
use crate::sigstore::body::{self, By, Signed, What};
use crate::sigstore::bundle::LogEntry;
use crate::strict_json::{self, Bounds};
use crate::tlog::tree::{Hash, leaf_hash, verify_inclusion};
use crate::x509::Certificate;

/// Logs `envelope`, and gives back the entry of a `tlogEntries`. That the answer is about this envelope and that its proof
/// holds is checked here; whether the log is one to trust is for the trusted root to say.
pub(super) fn log(place: &Place, envelope: &Envelope, certificate: &Certificate) -> Result<Value, KeylessError> {
    let mut raw = envelope.raw();
    raw.clear_key_ids();
    let text = serde_json::to_string(&raw).map_err(|e| KeylessError::Sign(e.to_string()))?;
    let verifier = base64::encode(certificate.to_pem().as_bytes());
    let proposed = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": { "proposedContent": { "envelope": text, "verifiers": [verifier] } },
    });
    let place = place.join("api/v1/log/entries");
    let answer = place.post(proposed.to_string().into_bytes())?;
    let answer: BTreeMap<String, Entry> =
        strict_json::from_slice(&answer, &Bounds::DOCUMENT).map_err(|e| place.odd(e.to_string()))?;
    let mut entries = answer.into_values();
    let (Some(entry), None) = (entries.next(), entries.next()) else { return Err(place.odd("not one entry")) };
    entry.check(envelope, certificate).map_err(|what| place.odd(what))?;
    entry.write().ok_or_else(|| place.odd("a log id that is not hexadecimal"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    inclusion_proof: Proof,
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

impl Entry {
    fn check(&self, envelope: &Envelope, certificate: &Certificate) -> Result<(), String> {
        let body = base64::decode(&self.body).map_err(|_| "a body that is not base64")?;
        let proof = &self.verification.inclusion_proof;
        let hash = |text: &String| Hash::from_hex(text).ok_or("a hash that is not hexadecimal");
        let hashes = proof.hashes.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        verify_inclusion(&leaf_hash(&body), proof.log_index, proof.tree_size, &hashes, &hash(&proof.root_hash)?)
            .map_err(|e| e.to_string())?;
        let entry = LogEntry {
            index: self.log_index,
            log_id: Vec::new(),
            kind: "dsse".to_owned(),
            version: "0.0.1".to_owned(),
            integrated_time: None,
            promise: None,
            proof: None,
            body,
        };
        let signature = envelope.signatures().first().map(|one| one.bytes.as_slice()).unwrap_or_default();
        let signed = Signed { signature, by: By::Certificate(certificate), what: What::Envelope(envelope) };
        body::check(&entry, &signed).map_err(|failure| failure.message)
    }

    fn write(&self) -> Option<Value> {
        let proof = &self.verification.inclusion_proof;
        let base64_of = |text: &String| hex::decode(text).ok().map(|bytes| base64::encode(&bytes));
        let hashes = proof.hashes.iter().map(base64_of).collect::<Option<Vec<_>>>()?;
        Some(json!({
            "canonicalizedBody": self.body,
            "inclusionPromise": { "signedEntryTimestamp": self.verification.signed_entry_timestamp },
            "inclusionProof": {
                "checkpoint": { "envelope": proof.checkpoint },
                "hashes": hashes,
                "logIndex": proof.log_index.to_string(),
                "rootHash": base64_of(&proof.root_hash)?,
                "treeSize": proof.tree_size.to_string(),
            },
            "integratedTime": self.integrated_time.to_string(),
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "logId": { "keyId": base64_of(&self.log_id)? },
            "logIndex": self.log_index.to_string(),
        }))
    }
}
