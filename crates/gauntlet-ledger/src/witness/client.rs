//! Asking witnesses for cosignatures: the log's side of tlog-witness.

use std::io::Read as _;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::redirect::Policy;

use crate::checkpoint::{Checkpoint, parse_decimal};
use crate::error::Error;
use crate::log::Ledger;
use crate::note::{KeyKind, Note, Signature, VerifierKey};
use crate::tree::{Hash, consistency_proof};
use crate::witness::AddCheckpoint;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

const TIMEOUT: Duration = Duration::from_secs(20);

/// How often a witness is asked again after it said which size it knows: others may submit at the same time.
const ATTEMPTS: usize = 4;

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// It cannot be reached, or its answer cannot be read.
    #[error("the witness at {url} does not answer: {problem}")]
    Unreachable {
        /// Its URL.
        url: String,
        /// What happened.
        problem: String,
    },
    /// It knows a longer log than this one: this copy was rolled back, or another one was continued.
    #[error(
        "the witness {name} has seen {seen} entries of the log, which has {size} here: this is an old or forked copy"
    )]
    Ahead {
        /// Name of the witness.
        name: String,
        /// Entries that it has seen.
        seen: u64,
        /// Entries here.
        size: u64,
    },
    /// It holds the log for forked: the tree that it cosigned is no beginning of this one.
    #[error("the witness {name} cosigned another history of this log (status {status})")]
    Forked {
        /// Name of the witness.
        name: String,
        /// HTTP status of its answer.
        status: u16,
    },
    /// It refuses for another reason: it does not know the log or its key, say.
    #[error("the witness {name} refuses (status {status}): {reason}")]
    Refused {
        /// Name of the witness.
        name: String,
        /// HTTP status of its answer.
        status: u16,
        /// Beginning of its answer.
        reason: String,
    },
    /// Its signature does not verify under the given key.
    #[error("the witness {name} answered with no valid cosignature under its key")]
    BadSignature {
        /// Name of the witness.
        name: String,
    },
    /// The key is not that of a witness.
    #[error("{0} is no key of a witness: its type must be cosignature/v1")]
    Key(String),
    /// The ledger itself failed.
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl WitnessError {
    /// Whether this says that the ledger is not what it must be (exit status 1), and not that nothing was learnt.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::Ahead { .. } | Self::Forked { .. } => true,
            Self::Ledger(error) => error.is_verdict(),
            _ => false,
        }
    }
}

/// Asks a witness to cosign the ledger's newest checkpoint, and keeps the cosignature beside the log. Gives its time in Unix
/// seconds.
///
/// # Errors
/// When it does not cosign; what it cosigned cannot be kept.
pub fn cosign(ledger: &Ledger, url: &str, witness: &VerifierKey) -> Result<u64, WitnessError> {
    if witness.kind() != KeyKind::Cosignature {
        return Err(WitnessError::Key(witness.to_string()));
    }
    let view = ledger.snapshot();
    let (checkpoint, note) = (view.checkpoint.clone(), view.note.clone());
    let earlier = ledger.cosigned()?.filter(|signed| signed.signatures.iter().any(|found| found.key == *witness));
    let mut old = earlier.map_or(0, |signed| signed.checkpoint.size);
    for _ in 0..ATTEMPTS {
        let proof = consistency_proof(old, checkpoint.size, &*view)?.map_err(Error::from)?;
        match ask(url, witness, &checkpoint, &note, (old, proof))? {
            Told::Signed(signature, time) => {
                ledger.keep_cosignatures(&note, vec![signature], std::slice::from_ref(witness))?;
                return Ok(time);
            }
            Told::Knows(seen) if seen > checkpoint.size => {
                return Err(WitnessError::Ahead { name: witness.name().to_owned(), seen, size: checkpoint.size });
            }
            // The same size from which the proof led: its tree of that size is another one.
            Told::Knows(seen) if seen == old => {
                return Err(WitnessError::Forked { name: witness.name().to_owned(), status: 409 });
            }
            Told::Knows(seen) => old = seen,
        }
    }
    Err(unreachable(url, "it changes its mind about the size it knows"))
}

enum Told {
    Signed(Signature, u64),
    Knows(u64),
}

fn ask(
    url: &str,
    witness: &VerifierKey,
    checkpoint: &Checkpoint,
    note: &str,
    (old, proof): (u64, Vec<Hash>),
) -> Result<Told, WitnessError> {
    let request = AddCheckpoint { old, proof, checkpoint: checkpoint.clone(), note: note.to_owned() };
    // No redirect: whoever answers must be whom the configuration names.
    let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build();
    let client = client.map_err(|error| unreachable(url, error))?;
    let target = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let answer = client.post(target).body(request.to_string()).send();
    let answer = answer.map_err(|error| unreachable(url, error.without_url()))?;
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    answer.take(MAX_ANSWER).read_to_end(&mut bytes).map_err(|error| unreachable(url, error))?;
    let text = String::from_utf8(bytes).map_err(|error| unreachable(url, error))?;
    let name = || witness.name().to_owned();
    match status {
        200 => {
            let (signature, time) =
                find_signature(&text, note, witness).ok_or_else(|| WitnessError::BadSignature { name: name() })?;
            Ok(Told::Signed(signature, time))
        }
        409 => {
            let size = text.strip_suffix('\n').and_then(parse_decimal);
            size.map(Told::Knows).ok_or_else(|| unreachable(url, "it names no size"))
        }
        422 => Err(WitnessError::Forked { name: name(), status }),
        _ => {
            let reason = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
            Err(WitnessError::Refused { name: name(), status, reason: reason.escape_debug().to_string() })
        }
    }
}

/// The line of this witness that verifies over the checkpoint; lines of others are passed over.
fn find_signature(answer: &str, note: &str, witness: &VerifierKey) -> Option<(Signature, u64)> {
    let lines = answer.strip_suffix('\n')?.split('\n').map(Signature::parse).collect::<Option<Vec<_>>>()?;
    let signature = lines.into_iter().find(|line| line.name == witness.name() && line.id == witness.id())?;
    let mut alone = Note::new(Note::parse(note.as_bytes()).ok()?.text().to_owned()).ok()?;
    alone.add(signature.clone());
    let time = alone.verify(std::slice::from_ref(witness)).ok()?.first()?.time?;
    Some((signature, time))
}

fn unreachable(url: &str, problem: impl ToString) -> WitnessError {
    WitnessError::Unreachable { url: url.to_owned(), problem: problem.to_string() }
}
