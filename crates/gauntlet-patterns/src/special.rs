//! Secrets that have structure instead of a prefix: PEM keys, JWTs, addresses with a password, pairs, login commands.

use std::ops::{Not, Range};

use crate::alphabet::{ALNUM, Alphabet, BASE64, DIGIT, HEX, LETTER, UPPER, URLSAFE};
use crate::checks::{classes, decode_base64, entropy, find, is_jwt, is_key_body, is_placeholder};
use crate::kinds::{Confidence, Match, Proof};
use crate::scanner::{Exhausted, Steps, secret};

/// A keyword and what to do at it.
pub(crate) struct Special {
    pub(crate) keyword: &'static str,
    look: fn(Place<'_>) -> Option<Match>,
    /// The most bytes that `look` reads; charged for each hit that gets past the keyword itself.
    reach: usize,
}

/// A keyword hit.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

pub(crate) const SPECIALS: &[Special] = &[
    Special { keyword: "eyJ", look: jwt, reach: 64 },
    Special { keyword: "PRIVATE KEY", look: pem, reach: 64 },
    Special { keyword: "://", look: url_password, reach: 48 },
    Special { keyword: ":AA", look: telegram, reach: 36 },
    Special { keyword: "AccountKey=", look: azure, reach: 88 },
    Special { keyword: "SharedAccessKey=", look: azure, reach: 88 },
    Special { keyword: "wandb", look: wandb_login, reach: 64 },
    Special { keyword: "username", look: kaggle, reach: 160 },
    Special { keyword: "\"auth\"", look: docker_auth, reach: 64 },
    Special { keyword: "Bearer ", look: bearer, reach: 64 },
    Special { keyword: "Basic ", look: basic, reach: 64 },
];

/// Looks at one hit.
pub(crate) fn examine(
    special: &Special,
    text: &[u8],
    start: usize,
    end: usize,
    steps: &mut Steps,
) -> Result<Option<Match>, Exhausted> {
    let found = (special.look)(Place { text, start, end });
    // A match is not found again inside itself, so only its length counts.
    let cost = found.as_ref().map_or(special.reach.min(text.len() - start), |m| m.range.len());
    if steps.take(cost) { Ok(found) } else { Err(Exhausted) }
}

const JWT: Alphabet = URLSAFE.and(Alphabet::of(b"."));

fn jwt(p: Place<'_>) -> Option<Match> {
    let exact = p.text[p.start..].starts_with(b"eyJ")
        && !(p.start > 0 && JWT.has(p.text[p.start - 1]) && !after_escape(p.text, p.start));
    // A first look at the header keeps ordinary base64 cheap.
    let header = URLSAFE.run(p.text.get(p.end..)?, 256);
    if !exact || p.text.get(p.end + header..)?.starts_with(b".eyJ").not() {
        return None;
    }
    let range = p.start..p.start + JWT.run(&p.text[p.start..], 8192);
    is_jwt(&p.text[range.clone()])
        .then(|| secret("jwt", "Signed JSON Web Token", range, Confidence::High, Proof::Structure))
}

/// Whether the byte before `start` is the letter of an escape such as `\n`.
fn after_escape(text: &[u8], start: usize) -> bool {
    start >= 2 && text[start - 2] == b'\\' && matches!(text[start - 1], b'n' | b't' | b'r')
}

/// `BEGIN ... PRIVATE KEY` with a body that starts like a key. The body may be written with `\n` escapes, in quotes, or
/// behind comment signs, and may hold PEM headers (RFC 1421).
fn pem(p: Place<'_>) -> Option<Match> {
    const TITLE: Alphabet = UPPER.and(DIGIT).and(Alphabet::of(b" "));
    let words = TITLE.run_back(&p.text[..p.start], 24);
    let begin = (p.start - words).checked_sub(5)?;
    // `words` starts with BEGIN because blanks and capitals both belong to TITLE.
    if !p.text[begin..].starts_with(b"-----BEGIN ")
        || !p.text[p.end..].starts_with(b"-----") && !p.text[p.end..].starts_with(b" BLOCK-----")
    {
        return None;
    }
    let from = p.end + if p.text[p.end..].starts_with(b"-----") { 5 } else { 11 };
    let encrypted = find(&p.text[begin..p.start], b"ENCRYPTED").is_some()
        || find(&p.text[from..p.text.len().min(from + 40)], b"ENCRYPTED").is_some();
    let (body, end) = pem_body(p.text, from);
    if body.len() < 40 || !is_key_body(&body) || is_placeholder(&body[..40]) {
        return None;
    }
    let confidence = if encrypted { Confidence::Medium } else { Confidence::High };
    let title = if encrypted { "Encrypted private key" } else { "Private key" };
    Some(secret("private-key", title, begin..end, confidence, Proof::Structure))
}

/// The first base64 of a PEM body, and where the block ends. Stops at the dash of the end line (or of the next block).
fn pem_body(text: &[u8], from: usize) -> (Vec<u8>, usize) {
    let (mut body, mut at, mut line_start) = (Vec::new(), from, true);
    while let Some(&b) = text.get(at) {
        let rest = &text[at..];
        if b == b'-' {
            let end_line = rest
                .starts_with(b"-----END ")
                .then(|| 9 + rest[9..].iter().take(64).take_while(|&&b| b != b'-').count() + 5);
            return (body, (at + end_line.unwrap_or(0)).min(text.len()));
        }
        if rest.starts_with(b"\\n") || rest.starts_with(b"\\r") {
            at += 2;
            line_start = true;
        } else if line_start
            && (rest.starts_with(b"Proc-Type:")
                || rest.starts_with(b"DEK-Info:")
                || rest.starts_with(b"Version:")
                || rest.starts_with(b"Comment:"))
        {
            at += rest.iter().take(200).take_while(|&&b| b != b'\n' && b != b'\\').count();
        } else if BASE64.has(b) {
            if body.len() < 64 {
                body.push(b);
            }
            at += 1;
            line_start = false;
        } else if matches!(b, b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'' | b'#' | b',' | b'\\' | b'|') {
            line_start |= b == b'\n';
            at += 1;
        } else {
            break;
        }
    }
    (body, at)
}

/// `scheme://user:password@host`. Defaults of a developer's own machine and placeholders are left out.
fn url_password(p: Place<'_>) -> Option<Match> {
    const SCHEME: Alphabet = ALNUM.and(Alphabet::of(b"+.-"));
    const STOP: Alphabet = Alphabet::of(b" \t\r\n\"'`<>\\|,;()[]/?#");
    if SCHEME.run_back(&p.text[..p.start], 24) == 0 {
        return None;
    }
    let rest = &p.text[p.end..];
    let length = rest.iter().take(320).take_while(|&&b| !STOP.has(b)).count();
    let authority = &rest[..length];
    let at = authority.iter().rposition(|&b| b == b'@')?;
    let colon = authority[..at].iter().position(|&b| b == b':')?;
    let (user, password, host) = (&authority[..colon], &authority[colon + 1..at], &authority[at + 1..]);
    let variable = password.iter().any(|b| matches!(b, b'{' | b'}' | b'$' | b'*'))
        || password.starts_with(b"%") && !password.get(1..3).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
    if password.len() < 4
        || host.is_empty()
        || variable
        || is_placeholder(password)
        || is_sample_password(user, password)
    {
        return None;
    }
    // A bare name is a neighbour in a compose file or the developer's own machine.
    let local = [&b"127."[..], b"0.0.0.0", b"example.", b"localhost"].iter().any(|h| host.starts_with(h))
        || find(host, b".").is_none();
    let strong = password.len() >= 8 && classes(password) >= 2 && entropy(password) >= 2.75;
    let confidence = match (strong, local) {
        (true, false) => Confidence::High,
        (true, true) | (false, false) => Confidence::Medium,
        (false, true) => return None,
    };
    let start = p.end + colon + 1;
    Some(secret(
        "url-password",
        "Password inside an address",
        start..start + password.len(),
        confidence,
        Proof::Context,
    ))
}

/// Passwords that documentation shows.
fn is_sample_password(user: &[u8], password: &[u8]) -> bool {
    const SAMPLES: &[&str] = &[
        "password", "passwd", "pass", "secret", "admin", "root", "user", "guest", "postgres", "test", "1234", "12345",
        "123456", "token", "pwd", "hunter2",
    ];
    let lower = password.to_ascii_lowercase();
    user.eq_ignore_ascii_case(password) || SAMPLES.iter().any(|s| lower == s.as_bytes())
}

/// `1234567890:AA...`: a Telegram bot token.
fn telegram(p: Place<'_>) -> Option<Match> {
    let digits = DIGIT.run_back(&p.text[..p.start], 11);
    let exact = p.text[p.start..].starts_with(b":AA");
    let body = URLSAFE.run(&p.text[p.end..], 34);
    let start = p.start - digits;
    let bounded = start == 0 || !ALNUM.has(p.text[start - 1]);
    let token = p.end..p.end + body;
    (exact && matches!(digits, 8..=10) && body == 33 && bounded && entropy(&p.text[token.clone()]) >= 3.5)
        .then(|| secret("chat-token", "Telegram bot token", start..token.end, Confidence::High, Proof::Shape))
}

/// Keys of Azure connection strings: 64 or 32 bytes in base64.
fn azure(p: Place<'_>) -> Option<Match> {
    let length = BASE64.run(&p.text[p.end..], 89);
    let value = &p.text[p.end..p.end + length];
    let whole = matches!(length, 88 | 44) && value.ends_with(b"=") && !is_placeholder(value) && entropy(value) >= 3.5;
    whole.then(|| {
        secret("azure-key", "Azure connection string key", p.end..p.end + length, Confidence::High, Proof::Structure)
    })
}

/// `wandb login KEY`, `wandb.login(key="KEY")`: forty hexadecimal digits behind a login.
fn wandb_login(p: Place<'_>) -> Option<Match> {
    const BETWEEN: Alphabet = LETTER.and(Alphabet::of(b" \t.(=-_\"'\\"));
    let window = &p.text[p.end..p.text.len().min(p.end + 48)];
    let login = find(window, b"login")?;
    // Letters a to f belong to both, so the key is found by its length from the first digit run of forty.
    let gap = BETWEEN.run(window, window.len()).max(login + 5);
    let tail = p.end + gap;
    let back = HEX.run_back(&p.text[..tail], 40);
    let start = (tail - back).max(p.end + login + 5);
    let bounded = start > 0 && !ALNUM.has(p.text[start - 1]);
    let clean = p.text[p.end..start].iter().all(|&b| BETWEEN.has(b));
    (bounded && clean && HEX.run(&p.text[start..], 41) == 40).then(|| {
        secret("ml-platform-key", "Weights & Biases API key", start..start + 40, Confidence::High, Proof::Context)
    })
}

/// kaggle.json: a `username` and a `key` of 32 hexadecimal digits in one object.
fn kaggle(p: Place<'_>) -> Option<Match> {
    let from = p.start.saturating_sub(80);
    let window = &p.text[from..p.text.len().min(p.end + 120)];
    let key =
        [&b"\"key\""[..], b"\\\"key\\\"", b"'key'"].iter().find_map(|k| find(window, k).map(|at| at + k.len()))?;
    const SIGNS: Alphabet = Alphabet::of(b" \t\r\n:\"'\\");
    let start = key + SIGNS.run(&window[key..], 8);
    (HEX.run(&window[start..], 33) == 32).then(|| {
        secret("ml-platform-key", "Kaggle API key", from + start..from + start + 32, Confidence::High, Proof::Pairing)
    })
}

/// `"auth": "dXNlcjpwYXNz"` of a Docker configuration: base64 of `user:password`.
fn docker_auth(p: Place<'_>) -> Option<Match> {
    const SIGNS: Alphabet = Alphabet::of(b" \t\r\n:\"");
    let start = p.end + SIGNS.run(&p.text[p.end..], 8);
    credentials(p.text, start, "Registry login in base64")
}

/// `Authorization: Basic dXNlcjpwYXNz`.
fn basic(p: Place<'_>) -> Option<Match> {
    credentials(p.text, p.end, "Basic authentication in base64")
}

fn credentials(text: &[u8], start: usize, title: &str) -> Option<Match> {
    let length = BASE64.run(text.get(start..)?, 256);
    let decoded = decode_base64(&text[start..start + length], 256);
    let colon = decoded.iter().position(|&b| b == b':')?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let printable = decoded.iter().all(|b| b.is_ascii_graphic());
    (length >= 12
        && printable
        && !user.is_empty()
        && password.len() >= 4
        && !is_placeholder(&decoded)
        && !is_sample_password(user, password))
    .then(|| secret("service-token", title, start..start + length, Confidence::High, Proof::Structure))
}

/// `Bearer` with an opaque token. JWTs and tokens of known issuers win over this by their own rules.
fn bearer(p: Place<'_>) -> Option<Match> {
    const TOKEN: Alphabet = URLSAFE.and(Alphabet::of(b".~+/="));
    let length = TOKEN.run(&p.text[p.end..], 512);
    let value = &p.text[p.end..p.end + length];
    let opaque = length >= 24
        && classes(value) >= 2
        && entropy(value) >= 3.6
        && value.iter().filter(|&&b| DIGIT.has(b)).count() >= 3
        && !is_placeholder(value);
    opaque.then(|| secret("generic-secret", "Bearer token", p.end..p.end + length, Confidence::Medium, Proof::Context))
}

/// Secret access keys that stand near an access key id: forty characters of base64, mixed, in quotes or alone.
pub(crate) fn pair_aws(text: &[u8], found: &mut Vec<Match>) {
    const WINDOW: usize = 200;
    let ids: Vec<Range<usize>> =
        found.iter().filter(|m| m.title == "AWS access key id").map(|m| m.range.clone()).collect();
    let mut done = 0;
    for id in ids {
        let from = id.start.saturating_sub(WINDOW).max(done);
        let to = text.len().min(id.end + WINDOW);
        let mut at = from;
        while at < to {
            let run = BASE64.run(&text[at..to], WINDOW);
            let value = &text[at..at + run];
            let mixed = classes(value) >= 3 && entropy(value) >= 4.2 && value.iter().any(|&b| DIGIT.has(b));
            if run == 40 && mixed && !is_placeholder(value) {
                found.push(secret("aws-key", "AWS secret access key", at..at + run, Confidence::High, Proof::Pairing));
            }
            at += run.max(1);
        }
        // Ids in a flood share their windows, so each byte is read once.
        done = done.max(to);
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::{Dialect, Families};
    use crate::scanner::Scanner;

    fn kinds(text: &str) -> Vec<String> {
        let scan = Scanner::new().unwrap().scan(text.as_bytes(), Families::SECRETS, Dialect::Config);
        scan.matches.into_iter().map(|m| m.kind).collect()
    }

    fn pem(label: &str, join: &str) -> String {
        let dashes = "-".repeat(5);
        let body = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "Zk3v9QpLr8sTn2WxYb7Hc5JdEf1Gm4Ka"].concat();
        [format!("{dashes}BEGIN {label}{dashes}"), body.clone(), body, format!("{dashes}END {label}{dashes}")]
            .join(join)
    }

    #[test]
    fn private_keys_are_found_in_every_wrapping_and_public_ones_are_not() {
        let private = ["PRIVATE", "KEY"].join(" ");
        for join in ["\n", "\\n", "\r\n", "\",\n  \""] {
            assert_eq!(kinds(&pem(&private, join)), ["private-key"], "{join:?}");
        }
        assert_eq!(kinds(&pem(&format!("RSA {private}"), "\n")), ["private-key"]);
        assert_eq!(kinds(&pem(&format!("PGP {private} BLOCK"), "\n\n")), ["private-key"]);
        assert!(kinds(&pem("PUBLIC KEY", "\n")).is_empty());
        assert!(kinds(&format!("looks for -----BEGIN {private}----- in files")).is_empty());
    }

    #[test]
    fn addresses_with_a_password_are_found_unless_they_are_samples() {
        let word = ["Zk3v9Qp", "Lr8sTn2"].concat();
        assert_eq!(kinds(&format!("db: postgresql://trainer:{word}@db.acme.dev:5432/f")), ["url-password"]);
        assert_eq!(kinds(&format!("--index-url https://acme:{word}@pypi.acme.dev/simple")), ["url-password"]);
        for text in [
            "postgresql://user:password@localhost:5432/dev",
            "redis://redis.acme.dev:6379/0",
            "https://${USER}:${PASS}@host/x",
            "https://u:{password}@host/x",
            "see https://acme.dev/a:b@c",
            "postgres://postgres:postgres@db:5432/x",
        ] {
            assert!(kinds(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn tokens_with_structure_are_decoded() {
        let part = |s: &str| data_encoding(s.as_bytes());
        let jwt = format!(
            "{}.{}.{}",
            part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
            part("{\"sub\":\"812\",\"scope\":\"push\"}"),
            "Zk3v9QpLr8sTn2WxYb7Hc5JdEf1Gm4Ka"
        );
        assert_eq!(kinds(&format!("curl -H \"Authorization: Bearer {jwt}\"")), ["jwt"]);
        assert_eq!(
            kinds(&format!("{{\"auths\":{{\"h\":{{\"auth\":\"{}\"}}}}}}", part("robot:Zk3v9QpL"))),
            ["service-token"]
        );
        assert!(kinds(&format!("{{\"auth\":\"{}\"}}", part("no colon in here"))).is_empty());
        let not_json = format!("{}.{}.{}", "eyJ".repeat(8), "eyJ".repeat(8), "a1".repeat(20));
        assert!(kinds(&not_json).is_empty());
    }

    #[test]
    fn pairs_and_logins_are_found() {
        let hex = "7c9d4b1e0f".repeat(4);
        assert_eq!(kinds(&format!("!wandb login {hex}")), ["ml-platform-key"]);
        assert_eq!(kinds(&format!("wandb.login(key=\"{hex}\")")), ["ml-platform-key"]);
        assert!(kinds(&format!("wandb: commit {hex}")).is_empty());
        assert_eq!(kinds(&format!("{{\"username\":\"bot\",\"key\":\"{}\"}}", &hex[..32])), ["ml-platform-key"]);
        let id = ["AK", "IA", "QYLPMN5HFIQ7ZKRT"].concat();
        let key = ["Zk3v9QpLr8sTn2WxYb7H", "c5JdEf1Gm4Ka+oXu6/yi"].concat();
        assert_eq!(kinds(&format!("client('{id}', '{key}')")), ["aws-key", "aws-key"]);
        assert!(kinds(&format!("client('{key}')")).is_empty());
    }

    /// Base64 without padding, written apart from the decoder under test.
    fn data_encoding(bytes: &[u8]) -> String {
        const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let mut word = [0u8; 4];
            word[1..=chunk.len()].copy_from_slice(chunk);
            let word = u32::from_be_bytes(word);
            (0..=chunk.len()).for_each(|i| out.push(char::from(SET[(word >> (18 - 6 * i) & 63) as usize])));
        }
        out
    }
}
