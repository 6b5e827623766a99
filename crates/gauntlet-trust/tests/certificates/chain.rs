//! Which chains hold, for what, and when.

use gauntlet_trust::x509::{AltName, Certificate, Chain, ChainError, MAX_INTERMEDIATES, Purpose, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use crate::pki::{Authority, CODE_SIGNING, TIME_STAMPING, at, code_signing, named, purposes, roots};

fn plain(_: &mut CertificateParams) {}

fn verify(leaf: &Certificate, between: &[&Authority], trusted: &Roots) -> Result<Chain, ChainError> {
    let between: Vec<Certificate> = between.iter().map(|one| one.certificate.clone()).collect();
    trusted.verify(leaf, &between, Purpose::ModelSigning, at("2030-01-01"))
}

fn untrusted(outcome: Result<Chain, ChainError>, about: &str) {
    match outcome {
        Err(ChainError::Untrusted(why)) => assert!(why.contains(about), "{why}"),
        other => panic!("{about}: {other:?}"),
    }
}

#[test]
fn chains_end_only_at_authorities_that_the_caller_names() {
    let root = Authority::root("root", plain);
    let one = root.below("one", plain);
    let two = one.below("two", plain);
    let (leaf, _) = two.leaf("leaf", plain);
    let chain = verify(&leaf, &[&one, &two], &roots(&[&root])).unwrap();
    let names: Vec<String> = chain.certificates().iter().map(Certificate::subject).collect();
    assert_eq!(names, ["CN=leaf", "CN=two", "CN=one", "CN=root"]);
    assert_eq!(chain.issuer().unwrap().subject(), "CN=two");
    verify(&leaf, &[&two, &root, &one], &roots(&[&root])).expect("in any order, with what is not needed");
    verify(&leaf, &[&two], &roots(&[&one])).expect("an intermediate that is trusted is an end");
    untrusted(verify(&leaf, &[&two], &roots(&[&root])), "no chain leads from \"CN=leaf\"");
    untrusted(verify(&leaf, &[&one, &two, &root], &Roots::default()), "no chain");
    // The same name, another key.
    let impostor = Authority::root("root", plain);
    untrusted(verify(&leaf, &[&one, &two, &root], &roots(&[&impostor])), "not signed by the issuer it names");
    let both = roots(&[&impostor, &root]);
    let chain = verify(&leaf, &[&one, &two], &both).unwrap();
    assert_eq!(chain.certificates().last(), Some(&root.certificate), "the right one of two with the same name");
}

#[test]
fn a_leaf_cannot_issue() {
    let root = Authority::root("root", plain);
    let not = root.below("not", |params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
    let (leaf, _) = not.leaf("leaf", plain);
    untrusted(verify(&leaf, &[&not], &roots(&[&root])), "no authority");
    // Trusting it by name does not make it an authority.
    untrusted(verify(&leaf, &[], &roots(&[&not])), "no authority");
    let silent = root.below("silent", |params| params.is_ca = IsCa::NoCa);
    let (leaf, _) = silent.leaf("leaf", plain);
    untrusted(verify(&leaf, &[&silent], &roots(&[&root])), "no authority");
    let other = root.below("other", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let (leaf, _) = other.leaf("leaf", plain);
    untrusted(verify(&leaf, &[&other], &roots(&[&root])), "may not sign certificates");
    untrusted(verify(&leaf, &[], &roots(&[&other])), "may not sign certificates");
}

#[test]
fn path_lengths_of_every_issuer_are_kept() {
    let limit = |n| move |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(n));
    let root = Authority::root("root", limit(1));
    let one = root.below("one", limit(0));
    let two = one.below("two", plain);
    let (fits, _) = one.leaf("fits", plain);
    verify(&fits, &[&one], &roots(&[&root])).unwrap();
    let (below, _) = two.leaf("below", plain);
    untrusted(verify(&below, &[&one, &two], &roots(&[&root])), "path length");
    // Also that of the trusted authority itself.
    let strict = Authority::root("strict", limit(0));
    let between = strict.below("between", plain);
    let (leaf, _) = between.leaf("leaf", plain);
    untrusted(verify(&leaf, &[&between], &roots(&[&strict])), "path length");
    let (direct, _) = strict.leaf("direct", plain);
    verify(&direct, &[], &roots(&[&strict])).unwrap();
}

#[test]
fn every_certificate_of_a_chain_has_to_be_valid_at_the_moment() {
    let years = |from, to| {
        move |params: &mut CertificateParams| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        }
    };
    let root = Authority::root("root", years(2020, 2036));
    let between = root.below("between", years(2020, 2034));
    let (leaf, _) = between.leaf("leaf", years(2028, 2032));
    let judge = |time: &str| {
        roots(&[&root])
            .verify(&leaf, std::slice::from_ref(&between.certificate), Purpose::ModelSigning, at(time))
            .map(drop)
    };
    judge("2028-01-01").expect("the first second counts");
    judge("2032-01-01").expect("and the last");
    assert!(matches!(judge("2027-12-31"), Err(ChainError::NotYetValid { subject, .. }) if subject == "CN=leaf"));
    assert!(matches!(judge("2032-01-02"), Err(ChainError::Expired { subject, .. }) if subject == "CN=leaf"));
    assert!(matches!(judge("1969-01-01"), Err(ChainError::Untrusted(_))));
    // An issuer, and the trusted authority.
    let (long, _) = between.leaf("long", years(2020, 2040));
    let judge = |trusted: &Authority, time: &str| {
        roots(&[trusted])
            .verify(&long, std::slice::from_ref(&between.certificate), Purpose::ModelSigning, at(time))
            .map(drop)
    };
    judge(&root, "2033-01-01").unwrap();
    assert!(matches!(judge(&root, "2035-01-01"), Err(ChainError::Expired { subject, .. }) if subject == "CN=between"));
    let (under_root, _) = root.leaf("under root", years(2020, 2040));
    let late = roots(&[&root]).verify(&under_root, &[], Purpose::ModelSigning, at("2037-01-01"));
    assert!(matches!(late, Err(ChainError::Expired { subject, .. }) if subject == "CN=root"));
    // Reissued with the same key: the certificate that is valid counts.
    let again = Authority::reissued("root", root.key(), years(2030, 2050));
    roots(&[&root, &again]).verify(&under_root, &[], Purpose::ModelSigning, at("2037-01-01")).unwrap();
    // A stranger's expired certificate is a stranger's.
    let stranger = Authority::root("stranger", plain);
    untrusted(verify(&leaf, &[&between], &roots(&[&stranger])), "no chain");
    let (expired, _) = between.leaf("expired", years(2020, 2021));
    untrusted(verify(&expired, &[&between], &roots(&[&stranger])), "no chain");
}

#[test]
fn a_key_is_good_only_for_what_it_was_issued_for() {
    let root = Authority::root("root", plain);
    let trusted = roots(&[&root]);
    let judge = |tweak: &dyn Fn(&mut CertificateParams), purpose| {
        let (leaf, _) = root.leaf("leaf", tweak);
        match trusted.verify(&leaf, &[], purpose, at("2030-01-01")) {
            Ok(_) => true,
            Err(ChainError::KeyUsage(_)) => false,
            Err(other) => panic!("{other}"),
        }
    };
    let none = |params: &mut CertificateParams| params.key_usages = Vec::new();
    let encipher = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let both = |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let web = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let odd = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    };
    use Purpose::{CodeSigning, ModelSigning, TimeStamping};
    for (tweak, model, code) in [
        (&plain as &dyn Fn(&mut CertificateParams), true, false),
        (&code_signing, true, true),
        (&both, true, true),
        (&none, false, false),
        (&encipher, false, false),
        (&web, false, false),
        (&odd, true, false),
    ] {
        assert_eq!((judge(tweak, ModelSigning), judge(tweak, CodeSigning)), (model, code));
        assert!(!judge(tweak, TimeStamping));
    }
    let stamping = |all: &'static [&[u64]], critical| {
        judge(
            &move |params: &mut CertificateParams| params.custom_extensions.push(purposes(all, critical)),
            TimeStamping,
        )
    };
    assert!(stamping(&[TIME_STAMPING], true));
    assert!(!stamping(&[TIME_STAMPING], false), "critical");
    assert!(!stamping(&[TIME_STAMPING, CODE_SIGNING], true), "and alone");
}

#[test]
fn an_authority_for_other_purposes_cannot_vouch() {
    let root = Authority::root("root", plain);
    let web = root.below("web", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let code = root.below("code", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::CodeSigning];
    });
    let any = root.below("any", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    for (authority, holds) in [(&web, false), (&code, true), (&any, true)] {
        let (leaf, _) = authority.leaf("leaf", plain);
        let outcome = verify(&leaf, &[authority], &roots(&[&root]));
        assert_eq!(outcome.is_ok(), holds, "{outcome:?}");
        assert!(holds || matches!(outcome, Err(ChainError::KeyUsage(_))));
    }
}

#[test]
fn limits_on_names_and_unknown_critical_extensions_are_kept() {
    let host = |text: &str| {
        let name = SanType::DnsName(text.try_into().unwrap());
        move |params: &mut CertificateParams| params.subject_alt_names = vec![name.clone()]
    };
    let root = Authority::root("root", plain);
    let team = root.below("team", |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("team.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let (inside, _) = team.leaf("inside", host("a.team.example"));
    let (outside, _) = team.leaf("outside", host("a.other.example"));
    verify(&inside, &[&team], &roots(&[&root])).unwrap();
    assert_eq!(inside.alt_names().unwrap(), [AltName::Dns("a.team.example".to_owned())]);
    untrusted(verify(&outside, &[&team], &roots(&[&root])), "NameConstraintViolation");
    untrusted(verify(&outside, &[], &roots(&[&team])), "NameConstraintViolation");
    let (critical, _) = root.leaf("critical", |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    untrusted(verify(&critical, &[], &roots(&[&root])), "critical extension");
}

#[test]
fn a_certificate_that_is_trusted_by_itself_needs_nobody_above() {
    let mut params = named("alone");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = rcgen::KeyPair::generate().unwrap();
    let alone = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    let trusted = Roots::new(vec![alone.clone()]).unwrap();
    let chain = trusted.verify(&alone, &[], Purpose::ModelSigning, at("2030-01-01")).unwrap();
    assert_eq!((chain.certificates().len(), chain.issuer()), (1, None));
    assert!(matches!(
        trusted.verify(&alone, &[], Purpose::ModelSigning, at("2041-01-01")),
        Err(ChainError::Expired { .. })
    ));
    assert!(matches!(
        trusted.verify(&alone, &[], Purpose::CodeSigning, at("2030-01-01")),
        Err(ChainError::KeyUsage(_))
    ));
    let root = Authority::root("root", plain);
    untrusted(verify(&alone, &[], &roots(&[&root])), "no chain");
}

#[test]
fn a_crowd_of_intermediates_costs_little() {
    let root = Authority::root("root", plain);
    let (leaf, _) = root.leaf("leaf", plain);
    let crowd: Vec<Authority> = (0..=MAX_INTERMEDIATES).map(|_| Authority::root("root", plain)).collect();
    let all: Vec<&Authority> = crowd.iter().collect();
    untrusted(verify(&leaf, &all, &roots(&[&root])), "more than 8");
    // All bear the name of the issuer that is looked for, and of their own.
    let (stray, _) = crowd[0].leaf("stray", plain);
    let other = Authority::root("other", plain);
    untrusted(verify(&stray, &all[1..], &roots(&[&other])), "MaximumPathDepthExceeded");
    // Circles of authorities that certify each other, none of them trusted.
    let (a, b) = (Authority::root("a", plain), Authority::root("b", plain));
    let cross: Vec<Authority> =
        vec![a.below("b", plain), b.below("a", plain), a.below("a", plain), b.below("b", plain)];
    let (leaf, _) = cross[0].leaf("leaf", plain);
    let all: Vec<&Authority> = cross.iter().collect();
    assert!(verify(&leaf, &all, &roots(&[&root])).is_err());
}

#[test]
fn what_a_certificate_says_can_be_asked() {
    let root = Authority::root("root", plain);
    let (leaf, key) = root.leaf("leaf", |params| {
        params.subject_alt_names = vec![
            SanType::URI("https://ci.example/run/1".try_into().unwrap()),
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
        ];
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], b"value".to_vec()));
        code_signing(params);
    });
    assert_eq!(&leaf.public_key().unwrap(), key.verifying_key());
    assert_eq!(leaf.alt_names().unwrap().len(), 2);
    let oid = "1.3.6.1.4.1.57264.1.1".parse().unwrap();
    assert_eq!(leaf.extension(oid), Some((b"value".as_slice(), false)));
    assert_eq!((leaf.issuer().as_str(), leaf.is_self_issued()), ("CN=root", false));
    assert_eq!((leaf.not_before(), leaf.not_after()), (at("2020-01-01"), at("2040-01-01")));
    let uses = leaf.uses().unwrap();
    assert!(uses.has("1.3.6.1.5.5.7.3.3") && !uses.authority && uses.digital_signature.is_none());
    let (odd, _) = root.leaf("a\n\u{1b}[31mb\u{85}", plain);
    assert_eq!(odd.subject(), "CN=a\\0a\\1b[31mb\\u{85}", "one line, whatever was put into the name");
    let pem = leaf.to_pem();
    assert_eq!(Certificate::all_from_pem(pem.as_bytes()).unwrap(), std::slice::from_ref(&leaf));
    assert_eq!(leaf.spki_der(), key.verifying_key().spki_der());
}
