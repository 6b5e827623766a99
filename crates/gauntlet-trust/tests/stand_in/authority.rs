//! A certificate authority as Fulcio is one: certificates of ten minutes for an identity, seen by a certificate log first.

use der::{Decode as _, DecodePem as _, Encode as _};
use gauntlet_trust::keys::{KeyKind, SigningKey, VerifyingKey};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::request::CertReq;

use super::{Fault, decode, encode, valid_for};

/// So many minutes from now.
macro_rules! from_now {
    ($minutes:expr) => {
        rcgen::date_time_ymd(1970, 1, 1)
            + std::time::Duration::from_secs((jiff::Timestamp::now().as_second() + seconds($minutes)).unsigned_abs())
    };
}

fn seconds(minutes: i64) -> i64 {
    60 * minutes
}

pub(crate) struct Authority {
    root: Vec<u8>,
    intermediate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    log: SigningKey,
    fault: Fault,
}

impl Authority {
    pub(crate) fn new(fault: Fault) -> Self {
        let params = |name: &str, below| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "stand-in");
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.use_authority_key_identifier_extension = true;
            (params.not_before, params.not_after) = (from_now!(-525_600), from_now!(5_256_000));
            params
        };
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_params = params("stand-in root", 1);
        let root = root_params.self_signed(&root_key).unwrap();
        let mut between = params("stand-in intermediate", 0);
        between.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let intermediate = between.signed_by(&key, &Issuer::new(root_params, root_key)).unwrap();
        Self {
            root: root.der().to_vec(),
            intermediate: intermediate.der().to_vec(),
            issuer: Issuer::new(between, key),
            log: SigningKey::generate(KeyKind::P256).unwrap(),
            fault,
        }
    }

    /// The chain in PEM, leaf first, when `request` (base64 of PEM) is signed by the key that it names.
    pub(crate) fn issue(&self, request: &str, subject: &str, issuer: &str) -> Option<Vec<String>> {
        let pem = decode(request)?;
        let request = CertReq::from_pem(&pem).ok()?;
        let spki = request.info.public_key.to_der().ok()?;
        let key = VerifyingKey::from_spki_der(&spki).ok()?;
        key.verify(&request.info.to_der().ok()?, request.signature.as_bytes()?).then_some(())?;
        let key = match self.fault {
            Fault::OtherKey => SigningKey::generate(KeyKind::P256).ok()?.verifying_key().clone(),
            _ => key,
        };
        let key = SubjectPublicKeyInfo::from_der(key.spki_der()).ok()?;

        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(
            &Sha256::digest(&spki)[..16].iter().map(|b| b & 0x7f | 1).collect::<Vec<_>>(),
        ));
        (params.not_before, params.not_after) = (from_now!(-1), from_now!(9));
        params.subject_alt_names = vec![match subject.contains("://") {
            true => SanType::URI(subject.try_into().ok()?),
            false => SanType::Rfc822Name(subject.try_into().ok()?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        let utf8 = der::asn1::Utf8StringRef::new(issuer).ok()?.to_der().ok()?;
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], issuer.as_bytes().to_vec()),
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], utf8),
        ];
        if self.fault != Fault::NoCertificateLog {
            let before = params.signed_by(&key, &self.issuer).ok()?;
            let list = self.seen(before.der());
            params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], list));
        }
        let leaf = params.signed_by(&key, &self.issuer).ok()?;
        Some(vec![leaf.pem(), pem_of(&self.intermediate), pem_of(&self.root)])
    }

    /// The log's time stamp over a certificate that has none yet (RFC 6962, section 3.2), as the extension holds it.
    fn seen(&self, certificate: &[u8]) -> Vec<u8> {
        let certificate = x509_cert::Certificate::from_der(certificate).unwrap();
        let tbs = certificate.tbs_certificate.to_der().unwrap();
        let issuer = x509_cert::Certificate::from_der(&self.intermediate).unwrap();
        let issuer = issuer.tbs_certificate.subject_public_key_info.to_der().unwrap();
        let time = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap().to_be_bytes();
        let mut signed = vec![0, 0];
        signed.extend(time);
        signed.extend([0, 1]);
        signed.extend(Sha256::digest(issuer));
        signed.extend(&u32::try_from(tbs.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(tbs);
        signed.extend([0, 0]);
        let signature = self.log.sign(&signed).unwrap();

        let mut sct = vec![0];
        sct.extend(self.log_id());
        sct.extend(time);
        sct.extend([0, 0, 4, 3]);
        sct.extend(u16::try_from(signature.len()).unwrap().to_be_bytes());
        sct.extend(signature);
        let mut list = u16::try_from(sct.len() + 2).unwrap().to_be_bytes().to_vec();
        list.extend(u16::try_from(sct.len()).unwrap().to_be_bytes());
        list.extend(sct);
        der::asn1::OctetString::new(list).unwrap().to_der().unwrap()
    }

    fn log_id(&self) -> Vec<u8> {
        Sha256::digest(self.log.verifying_key().spki_der()).to_vec()
    }

    pub(crate) fn trusted(&self) -> Value {
        json!({
            "subject": { "organization": "stand-in", "commonName": "stand-in root" },
            "uri": "http://127.0.0.1",
            "certChain": { "certificates": [{ "rawBytes": encode(&self.intermediate) }, { "rawBytes": encode(&self.root) }] },
            "validFor": valid_for(),
        })
    }

    pub(crate) fn trusted_log(&self) -> Value {
        json!({
            "baseUrl": "http://127.0.0.1",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": encode(self.log.verifying_key().spki_der()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": valid_for(),
            },
            "logId": { "keyId": encode(&self.log_id()) },
        })
    }
}

fn pem_of(der: &[u8]) -> String {
    gauntlet_trust::x509::Certificate::from_der(der).unwrap().to_pem()
}
