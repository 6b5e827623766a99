//! Authorities and certificates made while a test runs.

use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::x509::{Certificate, Roots};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};

pub(crate) fn at(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// Valid from 2020 to 2040.
pub(crate) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub(crate) certificate: Certificate,
}

fn authority_params(name: &str, tweak: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    tweak(&mut params);
    params
}

impl Authority {
    pub(crate) fn root(name: &str, tweak: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::reissued(name, KeyPair::generate().unwrap(), tweak)
    }

    /// A root with a key that is there already.
    pub(crate) fn reissued(name: &str, key: KeyPair, tweak: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = authority_params(name, tweak);
        let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
        Self { params, key, certificate }
    }

    pub(crate) fn below(&self, name: &str, tweak: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = authority_params(name, tweak);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = self.issue(&params, &key);
        Self { params, key, certificate }
    }

    /// The same key, to be put into another certificate.
    pub(crate) fn key(&self) -> KeyPair {
        KeyPair::from_pem(&self.key.serialize_pem()).unwrap()
    }

    fn issue(&self, params: &CertificateParams, key: &KeyPair) -> Certificate {
        let issuer = Issuer::from_params(&self.params, &self.key);
        Certificate::from_der(params.signed_by(key, &issuer).unwrap().der()).unwrap()
    }

    /// A certificate of an own key: digital signature, valid from 2020 to 2040, unless `tweak` says otherwise.
    pub(crate) fn leaf(&self, name: &str, tweak: impl FnOnce(&mut CertificateParams)) -> (Certificate, SigningKey) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let signing = SigningKey::from_pem(&key.serialize_pem(), None).unwrap();
        (self.certify(name, &key, tweak), signing)
    }

    /// A certificate of a key of ours, of a kind that can be certified here.
    pub(crate) fn certify_key(
        &self,
        name: &str,
        key: &SigningKey,
        tweak: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        assert!(matches!(key.kind(), KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519));
        self.certify(name, &KeyPair::from_pem(&key.to_pem(None).unwrap()).unwrap(), tweak)
    }

    fn certify(&self, name: &str, key: &KeyPair, tweak: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = named(name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        tweak(&mut params);
        self.issue(&params, key)
    }

    /// A time stamping unit: digital signature and a critical extended key usage.
    pub(crate) fn stamper(&self, name: &str) -> (Certificate, SigningKey) {
        self.leaf(name, |params| params.custom_extensions.push(purposes(&[TIME_STAMPING], true)))
    }
}

pub(crate) const TIME_STAMPING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 8];
pub(crate) const CODE_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 3];

/// An extended key usage that may be critical.
pub(crate) fn purposes(all: &[&[u64]], critical: bool) -> CustomExtension {
    let mut body = Vec::new();
    for oid in all {
        let text: Vec<String> = oid.iter().map(ToString::to_string).collect();
        let oid: der::asn1::ObjectIdentifier = text.join(".").parse().unwrap();
        body.extend(der::Encode::to_der(&oid).unwrap());
    }
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], crate::tsa::tlv(0x30, &[&body]));
    extension.set_criticality(critical);
    extension
}

pub(crate) fn code_signing(params: &mut CertificateParams) {
    params.key_usages = Vec::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
}

pub(crate) fn roots(all: &[&Authority]) -> Roots {
    Roots::new(all.iter().map(|one| one.certificate.clone()).collect()).unwrap()
}
