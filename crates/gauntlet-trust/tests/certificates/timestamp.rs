//! Time stamps: those that OpenSSL made, and those of an authority that errs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use gauntlet_trust::timestamp::{self, Authorities, Request, TimeStampError};
use gauntlet_trust::x509::read_certificates;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};

use crate::pki::{Authority, TIME_STAMPING, purposes};
use crate::tsa::{Tsa, Twist};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/timestamp")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn trusted(names: &[&str]) -> Authorities {
    let all = names.iter().flat_map(|name| read_certificates(&folder().join(name)).unwrap());
    Authorities::new(all.collect()).unwrap()
}

#[test]
fn what_openssl_stamps_holds_under_its_authority_only() {
    let message = read("message.bin");
    for (name, authority) in [("p256", "tsa-p256"), ("rsa", "tsa-rsa"), ("p384", "tsa-p384")] {
        let token = read(&format!("{name}.tsr"));
        let stamp =
            timestamp::verify(&token, &message, &trusted(&["root.pem"])).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(stamp.authority.contains(&format!("CN={authority}")), "{stamp:?}");
        assert_eq!(stamp.time.to_string().get(..11), Some("2026-11-21T"));
        assert_eq!(stamp.policy, "1.2.3.4.1");
        assert_eq!(stamp.time.subsec_nanosecond() != 0, name == "rsa", "milliseconds are kept");
        assert!(matches!(
            timestamp::verify(&token, b"else", &trusted(&["root.pem"])),
            Err(TimeStampError::OtherMessage)
        ));
        let strangers = Authority::root("strangers", |_| {});
        let strangers = Authorities::new(vec![strangers.certificate.clone()]).unwrap();
        assert!(matches!(timestamp::verify(&token, &message, &strangers), Err(TimeStampError::Chain(_))));
    }
    let bare = read("bare.tsr");
    assert!(matches!(timestamp::verify(&bare, &message, &trusted(&["root.pem"])), Err(TimeStampError::NoCertificate)));
    timestamp::verify(&bare, &message, &trusted(&["root.pem", "tsa-p256.pem"])).unwrap();
    let refused = timestamp::verify(&read("refused.tsr"), &message, &trusted(&["root.pem"])).unwrap_err();
    assert!(matches!(&refused, TimeStampError::Refused(why) if why.contains("algorithm")), "{refused}");
}

#[test]
fn every_bit_of_a_genuine_stamp_that_is_signed_counts() {
    let (message, token) = (read("message.bin"), read("p256.tsr"));
    let authorities = trusted(&["root.pem"]);
    let right = timestamp::verify(&token, &message, &authorities).unwrap();
    let mut same = 0;
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 0x10;
        if let Ok(stamp) = timestamp::verify(&changed, &message, &authorities) {
            assert_eq!(stamp, right, "byte {at}");
            same += 1;
        }
    }
    // The intermediate of another unit that travels along, versions, and the list of hashes: nothing rests on them.
    assert!(same < token.len() / 2, "{same} of {} bytes do not count", token.len());
}

#[test]
fn an_authority_that_errs_is_not_believed() {
    let root = Authority::root("stamps", |_| {});
    let tsa = Tsa::new(&root);
    let authorities = Authorities::new(vec![root.certificate.clone()]).unwrap();
    let judge = |twist| timestamp::verify(&tsa.answer(b"m", "20300101000000Z", None, twist), b"m", &authorities);
    let stamp = judge(Twist::None).unwrap();
    assert_eq!(stamp.time.to_string(), "2030-01-01T00:00:00Z");
    assert_eq!((stamp.authority.as_str(), stamp.serial.as_str()), ("CN=stamper", "09"));
    judge(Twist::OldName).unwrap();
    let token = tsa.token(b"m", "20300101000000.5Z", None, Twist::None);
    assert_eq!(timestamp::verify(&token, b"m", &authorities).unwrap().time.subsec_millisecond(), 500);
    for (twist, about) in [
        (Twist::NoAttributes, "lacks signed attributes"),
        (Twist::NoContentType, "no content type"),
        (Twist::OtherContentType, "not that of a time stamp"),
        (Twist::NoDigest, "no message digest"),
        (Twist::OtherDigest, "not that of the content"),
        (Twist::NoName, "no signing certificate"),
        (Twist::OtherName, "another one"),
        (Twist::OtherOldName, "another one"),
        (Twist::TwoSigners, "exactly one signer"),
        (Twist::BadSignature, "not by the key"),
        (Twist::OtherKey, "not by the key"),
        (Twist::PlainData, "no time stamp"),
        (Twist::NoCertificates, "is not there"),
        (Twist::CriticalExtension, "critical extension"),
        (Twist::Sha1Imprint, "imprint hash 1.3.14.3.2.26"),
    ] {
        let error = judge(twist).unwrap_err().to_string();
        assert!(error.contains(about), "{twist:?}: {error}");
    }
}

#[test]
fn only_a_time_stamping_unit_that_was_valid_then_can_stamp() {
    let root = Authority::root("stamps", |_| {});
    let authorities = Authorities::new(vec![root.certificate.clone()]).unwrap();
    let judge = |tsa: &Tsa, time: &str| {
        let answer = tsa.answer(b"m", time, None, Twist::None);
        timestamp::verify(&answer, b"m", &authorities).map(drop).map_err(|e| e.to_string())
    };
    // Its certificate has ended long since; at the time of the stamp it had not.
    let (certificate, key) = root.leaf("short", |params| {
        params.custom_extensions.push(purposes(&[TIME_STAMPING], true));
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let short = Tsa::with(certificate, key);
    judge(&short, "20200601000000Z").unwrap();
    assert!(judge(&short, "20210601000000Z").unwrap_err().contains("ended on 2021-01-01"));
    assert!(judge(&short, "20190601000000Z").unwrap_err().contains("begins on 2020-01-01"));
    let (certificate, key) = root.leaf("signer", |_| {});
    assert!(judge(&Tsa::with(certificate, key), "20300101000000Z").unwrap_err().contains("timeStamping"));
    let (certificate, key) =
        root.leaf("loose", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping]);
    assert!(judge(&Tsa::with(certificate, key), "20300101000000Z").unwrap_err().contains("critical"));
    // Its certificate may come from the caller.
    let tsa = Tsa::new(&root);
    let answer = tsa.answer(b"m", "20300101000000Z", None, Twist::NoCertificates);
    let known = Authorities::new(vec![root.certificate.clone(), tsa.certificate().clone()]).unwrap();
    timestamp::verify(&answer, b"m", &known).unwrap();
    assert!(Authorities::new(vec![tsa.certificate().clone()]).is_err(), "nothing there ends a chain");
}

#[test]
fn an_answer_has_to_be_to_the_request() {
    let tsa = Tsa::new(&Authority::root("stamps", |_| {}));
    let request = Request::new(b"m").unwrap();
    assert_ne!(request.der(), Request::new(b"m").unwrap().der(), "each has a nonce of its own");
    let nonce = nonce_of(request.der());
    request.answered_by(&tsa.answer(b"m", "20300101000000Z", Some(&nonce), Twist::None), b"m").unwrap();
    let refused = |nonce: Option<&[u8]>, over: &[u8]| {
        request.answered_by(&tsa.answer(over, "20300101000000Z", nonce, Twist::None), b"m").unwrap_err()
    };
    assert!(matches!(refused(None, b"m"), TimeStampError::OtherRequest));
    assert!(matches!(refused(Some(&[1]), b"m"), TimeStampError::OtherRequest));
    assert!(matches!(refused(Some(&nonce), b"other"), TimeStampError::OtherMessage));
}

/// The 16 bytes after the tag of the last integer in a request.
fn nonce_of(request: &[u8]) -> Vec<u8> {
    let at = request.windows(2).rposition(|w| w == [0x02, 16]).unwrap();
    request[at + 2..at + 18].to_vec()
}

#[test]
fn authorities_are_asked_over_http_and_their_nonsense_is_refused() {
    let root = Authority::root("stamps", |_| {});
    let tsa = Tsa::new(&root);
    let authorities = Authorities::new(vec![root.certificate.clone()]).unwrap();
    let good = |request: &[u8]| (200, tsa.answer(b"m", "20300101000000Z", Some(&nonce_of(request)), Twist::None));
    let answer = served(good, |url| timestamp::fetch(url, b"m")).unwrap();
    timestamp::verify(&answer, b"m", &authorities).unwrap();
    type Answering<'a> = &'a (dyn Fn(&[u8]) -> (u16, Vec<u8>) + Sync);
    let refused = |answer: Answering<'_>| served(answer, |url| timestamp::fetch(url, b"m")).unwrap_err().to_string();
    assert!(refused(&|_| (500, Vec::new())).contains("status 500"));
    assert!(refused(&|_| (200, b"<html>".to_vec())).contains("not a time stamp"));
    assert!(refused(&|_| (200, vec![0x30; 200_000])).contains("more than 65536 bytes"));
    let replayed = tsa.answer(b"m", "20300101000000Z", Some(&[5; 16]), Twist::None);
    assert!(refused(&|_| (200, replayed.clone())).contains("another request"));
    assert!(timestamp::fetch("file:///etc/passwd", b"m").unwrap_err().to_string().contains("http"));
    assert!(matches!(timestamp::fetch("http://127.0.0.1:1/", b"m"), Err(TimeStampError::Network(_))));
}

/// Answers one request on a local port while `ask` runs.
fn served<T: Send>(answer: impl Fn(&[u8]) -> (u16, Vec<u8>) + Sync, ask: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stamp", listener.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some(head) = text.find("\r\n\r\n") else { continue };
                let length = text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
                let length: usize = length.parse().unwrap();
                assert!(text.contains("content-type: application/timestamp-query"));
                if request.len() >= head + 4 + length {
                    break request[head + 4..].to_vec();
                }
            };
            let (status, bytes) = answer(&body);
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            // Who reads enough hangs up.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        });
        ask(&url)
    })
}
