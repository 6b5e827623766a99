//! Signers with certificates: an identity counts with its issuer, under an authority of the policy, at a proven time.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

use super::*;

const PIPELINE: &str = "https://ci.example/acme/churn/release";
const ISSUER: &str = "https://token.example";

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Authority {
    /// A key whose certificate names an identity, and holds for December 2025 unless `long`.
    fn leaf(&self, identity: &str, oidc: Option<&[u8]>, long: bool) -> (SigningKey, Vec<u8>) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(identity.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = date_time_ymd(2025, 12, 1);
        params.not_after = if long { date_time_ymd(2030, 1, 1) } else { date_time_ymd(2025, 12, 31) };
        if let Some(der) = oidc {
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], der.to_vec())];
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (SigningKey::from_pem(&key.serialize_pem(), None).unwrap(), certificate.der().to_vec())
    }
}

fn utf8(text: &str) -> Vec<u8> {
    [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn policy(world: &World, authority: &Authority, issuer: &str, more: &str) -> TrustPolicy {
    let pem = authority.pem.trim_end().replace('\n', "\n      ");
    world.policy(&format!(
        "identities: [{{id: ci, identity: '{PIPELINE}', issuer: '{issuer}'}}]\n\
         authorities:\n  - name: corp\n    certificates: |\n      {pem}\n{more}"
    ))
}

fn judged(world: &World, policy: &TrustPolicy, leaf: &(SigningKey, Vec<u8>), cosigned: &[(usize, &str)]) -> Judgement {
    let mut bundle = world.bundle(&[report("PASSED", &[&leaf.0])], cosigned);
    bundle.certificates.insert(leaf.1.clone());
    judge(&bundle, &asked(policy, None))
}

#[test]
fn an_identity_counts_with_its_issuer_only() {
    let (world, corp, other) = (World::new(), authority(), authority());
    let own = policy(&world, &corp, "corp", "");
    let oidc = policy(&world, &corp, ISSUER, "");
    let refused = ["evidence-refused", "nothing-accepted", "threshold", "unknown-signer"];
    let by_authority = judged(&world, &own, &corp.leaf(PIPELINE, None, true), &[]);
    expect(&by_authority, Verdict::Pass, &[]);
    assert_eq!(by_authority.items[0].signers[0].person.as_deref(), Some("ci"));
    expect(&judged(&world, &oidc, &corp.leaf(PIPELINE, Some(&utf8(ISSUER)), true), &[]), Verdict::Pass, &[]);
    for (policy, leaf) in [
        (&own, corp.leaf("https://ci.example/acme/churn", None, true)),
        (&own, corp.leaf(PIPELINE, Some(&utf8(ISSUER)), true)),
        (&oidc, corp.leaf(PIPELINE, None, true)),
        (&oidc, corp.leaf(PIPELINE, Some(&utf8("https://token.example.evil")), true)),
        // An issuer that cannot be read must not leave the authority standing in for it.
        (&own, corp.leaf(PIPELINE, Some(b"\x0c\x7fshort"), true)),
    ] {
        expect(&judged(&world, policy, &leaf, &[]), Verdict::Fail, &refused);
    }
    let stranger = judged(&world, &own, &other.leaf(PIPELINE, None, true), &[]);
    expect(&stranger, Verdict::Fail, &[&refused[..], &["certificate-refused"]].concat());
    // Without its certificate the key is nobody's.
    let leaf = corp.leaf(PIPELINE, None, true);
    let bare = judge(&world.bundle(&[report("PASSED", &[&leaf.0])], &[]), &asked(&own, None));
    expect(&bare, Verdict::Fail, &["evidence-refused", "nothing-accepted", "unknown-signer"]);
}

#[test]
fn a_short_lived_certificate_needs_proof_of_the_time() {
    let (world, corp) = (World::new(), authority());
    let refused = ["certificate-refused", "evidence-refused", "nothing-accepted", "threshold", "unknown-signer"];
    let leaf = corp.leaf(PIPELINE, None, false);
    let plain = policy(&world, &corp, "corp", "");
    expect(&judged(&world, &plain, &leaf, &[]), Verdict::Fail, &refused);
    let witnessed = policy(&world, &corp, "corp", &world.witnessed(2));
    expect(&judged(&world, &witnessed, &leaf, &[(0, "2025-12-10"), (1, "2025-12-11")]), Verdict::Pass, &[]);
    expect(&judged(&world, &witnessed, &leaf, &[(0, "2025-12-10"), (1, "2026-01-02")]), Verdict::Fail, &refused);
    expect(&judged(&world, &witnessed, &leaf, &[(0, "2025-11-01"), (1, "2025-11-01")]), Verdict::Fail, &refused);
    // A time stamp by nobody who is trusted proves nothing, and says so.
    let mut bundle = world.bundle(&[report("PASSED", &[&leaf.0])], &[]);
    bundle.certificates.insert(leaf.1.clone());
    let envelope = *bundle.envelopes.keys().next().unwrap();
    let of = crate::bundle::TimestampOf { envelope, signature: 0, number: 0 };
    bundle.timestamps.insert(of, b"no token".to_vec());
    let judgement = judge(&bundle, &asked(&plain, None));
    expect(&judgement, Verdict::Fail, &[&refused[..], &["time-stamp-refused"]].concat());
}
