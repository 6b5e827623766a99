//! C2SP signed notes: text, keys and signatures. Ed25519 (0x01) signs; Ed25519 and cosignature/v1 (0x04) verify.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature as Ed25519Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Largest note that is read, in bytes.
pub const MAX_NOTE: usize = 1 << 20;

/// Most signature lines in one note; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

const SIGNATURE_PREFIX: &str = "\u{2014} ";
const ED25519: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;

/// Why a note, a key or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`] bytes or more signature lines than [`MAX_SIGNATURES`].
    #[error("the note is too large: at most {MAX_NOTE} bytes and {MAX_SIGNATURES} signatures are read")]
    TooLarge,
    /// Not UTF-8, or a control character other than LF.
    #[error("the note holds bytes that are not UTF-8, or control characters")]
    Characters,
    /// No text, no empty line before the signatures, no signature, or no final LF.
    #[error("the note has no text, or no signatures after an empty line")]
    Shape,
    /// A signature line that does not follow the specification.
    #[error("signature line {line} is malformed")]
    SignatureLine {
        /// Number of the line among the signature lines, from 1.
        line: usize,
    },
    /// A signature under a known key does not verify.
    #[error("the signature of {name} does not verify")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// No signature is by a known key.
    #[error("no signature is by a known key")]
    NoKnownKey,
    /// A signature by a key that is not among those that have to be known.
    #[error("a signature line is by no known key")]
    UnknownSignature,
    /// Two of the given keys have the same name and id.
    #[error("two known keys share the name {name} and the id")]
    AmbiguousKey {
        /// Name of the keys.
        name: String,
    },
    /// A verifier key that does not follow the specification or has an unknown type.
    #[error("the verifier key is malformed or of an unknown type")]
    Key,
    /// A key name that is empty or holds white space, control characters or `+`.
    #[error("a key name must not be empty nor hold white space, control characters or '+'")]
    KeyName,
}

/// What the signatures of a key mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Type 0x01: Ed25519 over the text of the note.
    Ed25519,
    /// Type 0x04: cosignature/v1, Ed25519 over the time and a checkpoint.
    Cosignature,
}

/// A named public key. Its text form (vkey) is `name+hex id+base64(type | public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

/// A named private key that signs notes.
pub struct SignerKey {
    name: String,
    key: SigningKey,
}

/// One signature line: who says to have signed, and the bytes; nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Key id, a hint beside the name.
    pub id: [u8; 4],
    /// The signature bytes after the key id.
    pub bytes: Vec<u8>,
}

/// A note that was cut into text and signatures; nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key under which it verifies.
    pub key: VerifierKey,
    /// When the witness signed, in Unix seconds; only for cosignatures.
    pub time: Option<u64>,
}

impl Note {
    /// Cuts a note into its text and its signature lines.
    ///
    /// # Errors
    /// When it does not follow the specification.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        if whole.chars().any(|character| character != '\n' && character.is_control()) {
            return Err(NoteError::Characters);
        }
        let split = whole.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, lines) = (&whole[..=split], &whole[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        let mut signatures = Vec::new();
        for (index, line) in lines.split('\n').enumerate() {
            if index == MAX_SIGNATURES {
                return Err(NoteError::TooLarge);
            }
            signatures.push(Signature::parse(line).ok_or(NoteError::SignatureLine { line: index + 1 })?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Makes a note with no signature yet.
    ///
    /// # Errors
    /// When the text does not end in LF or holds control characters.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if text.chars().any(|character| character != '\n' && character.is_control()) {
            return Err(NoteError::Characters);
        }
        if !text.ends_with('\n') {
            return Err(NoteError::Shape);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Adds a signature by this key.
    pub fn sign(&mut self, key: &SignerKey) {
        self.signatures.push(key.sign(&self.text));
    }

    /// Adds a signature made elsewhere, such as a witness's line; it is not checked here.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// Checks every signature by a known key. Unknown (name, id) pairs are passed over; a known one that fails refuses the
    /// note. The result holds each key at most once, in the order of the lines, and is never empty.
    ///
    /// # Errors
    /// When a known signature fails, or none is known.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        let mut verified: Vec<Verified> = Vec::new();
        for signature in &self.signatures {
            let mut known = keys.iter().filter(|key| key.name == signature.name && key.id() == signature.id);
            let Some(key) = known.next() else { continue };
            if known.any(|other| other != key) {
                return Err(NoteError::AmbiguousKey { name: signature.name.clone() });
            }
            let time = key.check(&self.text, &signature.bytes)?;
            if !verified.iter().any(|earlier| earlier.key == *key) {
                verified.push(Verified { key: key.clone(), time });
            }
        }
        if verified.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(verified) }
    }

    /// The signed text, with its final LF.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

impl Signature {
    /// Reads one signature line without its LF; `None` when it is malformed.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let bytes = STANDARD.decode(base64).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !bytes.is_empty()).then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base64 = STANDARD.encode([&self.id[..], &self.bytes].concat());
        write!(formatter, "{SIGNATURE_PREFIX}{} {base64}", self.name)
    }
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// When the name cannot stand in a note.
    pub fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::KeyName);
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// Reads the text form (vkey).
    ///
    /// # Errors
    /// When it is malformed, of another type than 0x01 and 0x04, has an id that is not its own, or a weak key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(base64)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let bytes = STANDARD.decode(base64).map_err(|_| NoteError::Key)?;
        let (kind, key) = bytes.split_first().ok_or(NoteError::Key)?;
        let kind = match *kind {
            ED25519 => KeyKind::Ed25519,
            COSIGNATURE => KeyKind::Cosignature,
            _ => return Err(NoteError::Key),
        };
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok()).ok_or(NoteError::Key)?;
        let key = Self::new(name, kind, key)?;
        if key.key.is_weak() || hex::encode(key.id()) != id {
            return Err(NoteError::Key);
        }
        Ok(key)
    }

    /// The name, for a log key the origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures mean.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key id: the first 4 bytes of `SHA-256(name | LF | type | public key)`.
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n']);
        hasher.update(self.material());
        let hash = hasher.finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Type and public key, as hashed and printed.
    fn material(&self) -> [u8; 33] {
        let mut material = [0; 33];
        material[0] = match self.kind {
            KeyKind::Ed25519 => ED25519,
            KeyKind::Cosignature => COSIGNATURE,
        };
        material[1..].copy_from_slice(self.key.as_bytes());
        material
    }

    /// Checks the bytes of a signature over the text; gives the time of a cosignature.
    fn check(&self, text: &str, bytes: &[u8]) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::BadSignature { name: self.name.clone() };
        let (time, bytes) = match self.kind {
            KeyKind::Ed25519 => (None, bytes),
            KeyKind::Cosignature => {
                let (time, rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
                (Some(u64::from_be_bytes(*time)), rest)
            }
        };
        let signature = Ed25519Signature::from_slice(bytes).map_err(|_| bad())?;
        let signed = time.map_or_else(|| text.to_owned(), |time| cosigned(time, text));
        self.key.verify_strict(signed.as_bytes(), &signature).map_err(|_| bad())?;
        Ok(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(self.material()))
    }
}

impl SignerKey {
    /// Names a private key.
    ///
    /// # Errors
    /// When the name cannot stand in a note.
    pub fn new(name: &str, key: SigningKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::KeyName);
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// Reads an Ed25519 private key in PKCS#8 PEM, not encrypted, and names it.
    ///
    /// # Errors
    /// When it is another key or the name cannot stand in a note.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, NoteError> {
        Self::new(name, SigningKey::from_pkcs8_pem(pem).map_err(|_| NoteError::Key)?)
    }

    /// The public key under which this key's plain signatures verify.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), kind: KeyKind::Ed25519, key: self.key.verifying_key() }
    }

    /// The public key under which this key's cosignatures verify.
    pub fn cosignature_verifier(&self) -> VerifierKey {
        VerifierKey { kind: KeyKind::Cosignature, ..self.verifier() }
    }

    /// Signs a text as type 0x01.
    pub fn sign(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        Signature { name: self.name.clone(), id: self.verifier().id(), bytes }
    }

    /// Cosigns the text of a checkpoint as a witness would, at a time in Unix seconds.
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        let signature = self.key.sign(cosigned(time, text).as_bytes());
        let bytes = [&time.to_be_bytes()[..], &signature.to_bytes()].concat();
        Signature { name: self.name.clone(), id: self.cosignature_verifier().id(), bytes }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the private bytes.
        formatter.debug_struct("SignerKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether a name can stand in a note: something, and no white space, control characters or `+`.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|character| character.is_whitespace() || character.is_control() || character == '+')
}

fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str, seed: u8) -> SignerKey {
        SignerKey::new(name, SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    fn note(text: &str, keys: &[&SignerKey]) -> Note {
        let mut note = Note::new(text.to_owned()).unwrap();
        for key in keys {
            note.sign(key);
        }
        note
    }

    #[test]
    fn notes_and_keys_round_trip() {
        let key = signer("example.org/log", 1);
        let made = note("one\n\ntwo\n", &[&key, &signer("other", 2)]);
        let read = Note::parse(made.to_string().as_bytes()).unwrap();
        assert_eq!(read, made);
        let verifier = VerifierKey::parse(&key.verifier().to_string()).unwrap();
        assert_eq!(read.verify(std::slice::from_ref(&verifier)).unwrap(), [Verified { key: verifier, time: None }]);
    }

    #[test]
    fn the_reference_accepts_our_notes_and_we_accept_its() {
        let key = signer("example.org/log", 1);
        let text = note("text\n", &[&key]).to_string();
        let theirs = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
        let verifier = signed_note::StandardVerifier::new(&key.verifier().to_string()).unwrap();
        let (known, unknown) = theirs.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!((known.len(), unknown.len()), (1, 0));

        let (skey, vkey) = signed_note::generate_key(&mut rand_core::OsRng, "example.org/other");
        let mut made = signed_note::Note::new(b"hello\n", &[]).unwrap();
        made.add_sigs(&[&signed_note::StandardSigner::new(&skey).unwrap()]).unwrap();
        let read = Note::parse(&made.to_bytes()).unwrap();
        read.verify(&[VerifierKey::parse(&vkey).unwrap()]).unwrap();
    }

    #[test]
    fn cosignatures_carry_their_time() {
        let witness = signer("witness.example/w1", 3);
        let mut made = note("log\n1\n\n", &[&signer("log", 1)]);
        made.add(witness.cosign(made.text(), 77));
        let verified = made.verify(&[witness.cosignature_verifier()]).unwrap();
        assert_eq!(verified[0].time, Some(77));
        // The same key as a plain one has another id, so the line is unknown to it.
        assert_eq!(made.verify(&[witness.verifier()]), Err(NoteError::NoKnownKey));
    }

    #[test]
    fn a_known_signature_that_fails_refuses_the_note() {
        let (good, bad) = (signer("good", 1), signer("bad", 2));
        let mut made = note("text\n", &[&good]);
        made.add(bad.sign("another text\n"));
        let keys = [good.verifier(), bad.verifier()];
        assert_eq!(made.verify(&keys), Err(NoteError::BadSignature { name: "bad".into() }));
        assert_eq!(made.verify(&keys[..1]).unwrap().len(), 1);
    }

    #[test]
    fn the_same_key_twice_counts_once() {
        let key = signer("log", 1);
        let made = note("text\n", &[&key, &key]);
        assert_eq!(made.verify(&[key.verifier(), key.verifier()]).unwrap().len(), 1);
    }

    #[test]
    fn refuses_malformed_notes() {
        let good = note("text\n", &[&signer("log", 1)]).to_string();
        for (broken, error) in [
            (String::new(), NoteError::Shape),
            ("text\n\n".into(), NoteError::Shape),
            (good.trim_end().to_owned(), NoteError::Shape),
            (good.replace("text\n", ""), NoteError::Shape),
            (good.replace("text", "te\rxt"), NoteError::Characters),
            (good.replace('\u{2014}', "-"), NoteError::SignatureLine { line: 1 }),
            (good.replace("log ", "l+g "), NoteError::SignatureLine { line: 1 }),
            (good.replace("==\n", "\n").replace("=\n", "\n"), NoteError::SignatureLine { line: 1 }),
            (format!("{good}\n"), NoteError::Shape),
        ] {
            assert_eq!(Note::parse(broken.as_bytes()), Err(error), "{broken:?}");
        }
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::Characters));
        let line = good.lines().last().unwrap();
        let many = format!("{good}{}", format!("{line}\n").repeat(MAX_SIGNATURES));
        assert_eq!(Note::parse(many.as_bytes()), Err(NoteError::TooLarge));
    }

    #[test]
    fn refuses_malformed_keys() {
        let good = signer("log", 1).verifier().to_string();
        for broken in
            ["", "log", "log+00000000", &good.replace("log", "log2"), &good[..good.len() - 4], &good.to_uppercase()]
        {
            assert!(VerifierKey::parse(broken).is_err(), "{broken}");
        }
        assert_eq!(SignerKey::new("a b", SigningKey::from_bytes(&[1; 32])).err(), Some(NoteError::KeyName));
    }
}
