//! A transparency log as Rekor 1 is one: it takes DSSE envelopes whose signature holds, and answers with promise and proof.

use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::tlog::note;
use gauntlet_trust::tlog::tree::{Hash, HashReader, inclusion_proof, leaf_hash, node_hash, root};
use gauntlet_trust::x509::Certificate;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::Answer;
use super::{Fault, decode, encode, valid_for};

pub(crate) struct Log {
    name: String,
    key: SigningKey,
    leaves: Vec<Hash>,
    fault: Fault,
}

impl HashReader for Log {
    type Error = std::convert::Infallible;

    fn subtree(&self, height: u8, index: u64) -> Result<Hash, Self::Error> {
        if height == 0 {
            return Ok(self.leaves[index as usize]);
        }
        let Ok(left) = self.subtree(height - 1, index * 2);
        let Ok(right) = self.subtree(height - 1, index * 2 + 1);
        Ok(node_hash(&left, &right))
    }
}

impl Log {
    /// Others have signed before.
    pub(crate) fn new(name: &str, fault: Fault) -> Self {
        let leaves = (0..5u8).map(|n| leaf_hash(&[n])).collect();
        Self { name: name.to_owned(), key: SigningKey::generate(KeyKind::P256).unwrap(), leaves, fault }
    }

    pub(crate) fn add(&mut self, body: &[u8]) -> Answer {
        let proposed: Value = serde_json::from_slice(body).unwrap_or_default();
        match self.body(&proposed) {
            Some(body) => Answer::ok(201, self.append(&body)),
            None => Answer::refused(400, "the envelope is not signed by its verifier"),
        }
    }

    /// The canonical body of a proposed entry, once its signature holds.
    fn body(&self, proposed: &Value) -> Option<Vec<u8>> {
        (proposed["kind"] == "dsse" && proposed["apiVersion"] == "0.0.1").then_some(())?;
        let content = &proposed["spec"]["proposedContent"];
        let text = content["envelope"].as_str()?;
        let verifier = content["verifiers"][0].as_str()?;
        let envelope = Envelope::parse(text.as_bytes()).ok()?;
        let certificates = Certificate::all_from_pem(&decode(verifier)?).ok()?;
        let key = certificates.first()?.public_key().ok()?;
        let signature = envelope.signature_by(&key)?;
        let payload = match self.fault {
            Fault::OtherEntry => b"other".to_vec(),
            _ => envelope.unverified_payload().to_vec(),
        };
        let hash = |bytes: &[u8]| json!({ "algorithm": "sha256", "value": hex::encode(Sha256::digest(bytes)) });
        // The members of a map of serde_json are sorted, which is what canonical JSON asks for.
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(text.as_bytes()),
                "payloadHash": hash(&payload),
                "signatures": [{ "signature": encode(&signature.bytes), "verifier": verifier }],
            },
        });
        Some(body.to_string().into_bytes())
    }

    fn append(&mut self, body: &[u8]) -> Value {
        self.leaves.push(leaf_hash(body));
        let size = self.leaves.len() as u64;
        let index = size - 1;
        let Ok(root) = root(size, self);
        let Ok(Ok(proof)) = inclusion_proof(index, size, self) else { unreachable!("the index is in the tree") };
        let text = format!("{} - 1\n{size}\n{}\n", self.name, root.to_base64());
        let id: [u8; 4] = self.id()[..4].try_into().unwrap();
        let mut checkpoint = note::Note::new(text.clone()).unwrap();
        checkpoint.add(note::Signature { name: self.name.clone(), id, bytes: self.key.sign(text.as_bytes()).unwrap() });

        let time = jiff::Timestamp::now().as_second();
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":{index}}}"#,
            encode(body),
            hex::encode(self.id())
        );
        let other = SigningKey::generate(KeyKind::P256).unwrap();
        let key = if self.fault == Fault::OtherPromise { &other } else { &self.key };
        json!({
            hex::encode(leaf_hash(body).as_bytes()): {
                "body": encode(body),
                "integratedTime": time,
                "logID": hex::encode(self.id()),
                "logIndex": index,
                "verification": {
                    "inclusionProof": {
                        "checkpoint": checkpoint.to_string(),
                        "hashes": proof.iter().map(|hash| hex::encode(hash.as_bytes())).collect::<Vec<_>>(),
                        "logIndex": index,
                        "rootHash": hex::encode(root.as_bytes()),
                        "treeSize": size,
                    },
                    "signedEntryTimestamp": encode(&key.sign(promised.as_bytes()).unwrap()),
                },
            }
        })
    }

    fn id(&self) -> Vec<u8> {
        Sha256::digest(self.key.verifying_key().spki_der()).to_vec()
    }

    pub(crate) fn trusted(&self) -> Value {
        json!({
            "baseUrl": format!("http://{}", self.name),
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": encode(self.key.verifying_key().spki_der()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": valid_for(),
            },
            "logId": { "keyId": encode(&self.id()) },
        })
    }
}
