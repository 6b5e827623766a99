//! Literals assigned to a name that means a secret: `db_password = "..."`, `"api_key": "..."`, `WANDB_API_KEY=...`.
//!
//! By hand, not by regular expression: the name must end in the keyword, the value must be a literal in the dialect at
//! hand, and must look like a secret rather than a word, a path, a reference, a digest or a placeholder.

use std::ops::Range;

use crate::alphabet::{ALNUM, Alphabet, BASE64, DIGIT, LETTER, LOWER, NAME, UPPER, URLSAFE, WORD};
use crate::checks::{classes, entropy, find, is_digest_like, is_placeholder, is_uuid};
use crate::kinds::{Confidence, Dialect, Match, Proof};
use crate::scanner::{Exhausted, Steps, secret};

/// What names that mean a secret end in, in lower case. The first [`PASSWORDS`] are chosen by people, so shorter
/// values count; the last one is weak and asks for more.
pub(crate) const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "_pass", // people choose these
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "access-key",
    "secret_key",
    "secretkey",
    "secret-key",
    "private_key",
    "auth_key",
    "authkey",
    "encryption_key",
    "signing_key",
    "account_key",
    "accountkey",
    "credential",
    "credentials",
    "_auth",
    "_key",
];
const PASSWORDS: usize = 5;

/// Names that end in a keyword and yet hold no secret: markers of tokenizers, cursors of lists, halves of a pair that
/// may be seen. Compared without separators, so `next_token` and `nextToken` are one.
const HARMLESS: &[&str] = &[
    "padtoken",
    "eostoken",
    "bostoken",
    "unktoken",
    "clstoken",
    "septoken",
    "masktoken",
    "specialtoken",
    "imagetoken",
    "starttoken",
    "endtoken",
    "stoptoken",
    "nexttoken",
    "pagetoken",
    "paginationtoken",
    "continuationtoken",
    "forwardtoken",
    "backwardtoken",
    "sequencetoken",
    "changetoken",
    "updatetoken",
    "requesttoken",
    "clienttoken",
    "idempotencytoken",
    "inputtoken",
    "outputtoken",
    "synctoken",
    "locktoken",
    "publickey",
    "primarykey",
    "foreignkey",
    "partitionkey",
    "sortkey",
    "cachekey",
    "publishablekey",
];

/// Parts of a name that say that the value is a digest or an address.
const DIGEST_NAMES: &[&str] = &[
    "hash",
    "sha1",
    "sha256",
    "sha512",
    "digest",
    "md5",
    "checksum",
    "fingerprint",
    "integrity",
    "revision",
    "commit",
];

/// Issuers known by the name of the variable, for kind and title.
const ISSUERS: &[(&str, &str, &str)] = &[
    ("wandb", "ml-platform-key", "Weights & Biases API key"),
    ("cohere", "ml-platform-key", "Cohere API key"),
    ("mistral", "ml-platform-key", "Mistral API key"),
    ("pinecone", "ml-platform-key", "Pinecone API key"),
    ("comet", "ml-platform-key", "Comet API key"),
    ("neptune", "ml-platform-key", "Neptune API token"),
    ("kaggle", "ml-platform-key", "Kaggle API key"),
    ("together", "ml-platform-key", "Together API key"),
    ("clearml", "ml-platform-key", "ClearML key"),
    ("mlflow", "ml-platform-key", "MLflow credential"),
    ("databricks", "ml-platform-key", "Databricks token"),
    ("replicate", "ml-platform-key", "Replicate API token"),
    ("qdrant", "ml-platform-key", "Qdrant API key"),
    ("weaviate", "ml-platform-key", "Weaviate API key"),
    ("huggingface", "huggingface-token", "Hugging Face token"),
    ("openai", "openai-key", "OpenAI API key"),
    ("anthropic", "anthropic-key", "Anthropic API key"),
    ("accountkey", "azure-key", "Azure storage key"),
    ("account_key", "azure-key", "Azure storage key"),
    ("sharedaccesskey", "azure-key", "Azure shared access key"),
    ("azure", "azure-key", "Azure key"),
];

/// How often the judgement goes over a value, for its cost in steps.
const PASSES: usize = 6;

/// Longest name and longest value that are looked at.
const NAME_MOST: usize = 80;
const VALUE_MOST: usize = 512;

/// The secret assigned to the name that ends in keyword number `keyword`, found at `hit`.
pub(crate) fn examine(
    keyword: usize,
    text: &[u8],
    hit: Range<usize>,
    dialect: Dialect,
    steps: &mut Steps,
) -> Result<Option<Match>, Exhausted> {
    // The name must end here; most hits are the middle of a word and cost nothing.
    if text.get(hit.end).is_some_and(|&b| WORD.has(b)) {
        return Ok(None);
    }
    let start = hit.start - NAME.run_back(&text[..hit.start], NAME_MOST);
    // `AWS::IAM::AccessKey` names a type.
    if start > 0 && text[start - 1] == b':' {
        return Ok(None);
    }
    let name = text[start..hit.end].to_ascii_lowercase();
    let found = literal(text, start, hit.end, dialect);
    let cost =
        name.len() + found.as_ref().map_or(8, |value| PASSES * value.range.len() + (value.range.start - hit.end));
    if !steps.take(cost) {
        return Err(Exhausted);
    }
    Ok(found.and_then(|value| judge(keyword, &name, text, value.range)))
}

/// A literal on the right side of an assignment.
struct Literal {
    range: Range<usize>,
}

/// The literal that is assigned to the name at `start..end`.
fn literal(text: &[u8], start: usize, end: usize, dialect: Dialect) -> Option<Literal> {
    let mut at = end;
    let quoted_name = skip_quote(text, &mut at);
    if quoted_name {
        skip_spaces(text, &mut at);
        if text.get(at) == Some(&b']') {
            at += 1;
        }
    }
    let before_spaces = at;
    skip_spaces(text, &mut at);
    let spaced = at > before_spaces;
    let operator = *text.get(at)?;
    match operator {
        b'=' if matches!(text.get(at + 1), Some(b'=' | b'~')) => return None,
        b'=' | b':' => at += 1,
        // `setdefault("KEY", "value")`; names in a list are no pairs.
        b',' if quoted_name && start >= 2 && text[start - 2] == b'(' => at += 1,
        _ if spaced && takes_word(text, start) => return word(text, at),
        _ => return None,
    }
    if operator == b':' {
        match text.get(at) {
            Some(b'=') => at += 1,
            Some(b':' | b'/') => return None,
            _ => {}
        }
        skip_annotation(text, &mut at);
    } else if text.get(at) == Some(&b'>') {
        at += 1;
    }
    let before_spaces = at;
    skip_spaces(text, &mut at);
    let gap = at > before_spaces;
    skip_string_prefix(text, &mut at);
    if let Some(value) = quoted(text, at) {
        return Some(value);
    }
    let bare = match dialect {
        Dialect::Code => false,
        Dialect::Config => true,
        Dialect::Prose => (operator == b':' && gap) || (operator == b'=' && !spaced && !gap),
    };
    bare.then(|| word(text, at)).flatten()
}

/// Whether a bare word may follow the name: a flag of a command (`--password x`), or a line of a netrc file.
fn takes_word(text: &[u8], start: usize) -> bool {
    if text[start..].starts_with(b"--") {
        return true;
    }
    let line = &text[start.saturating_sub(160)..start];
    let line = line.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    find(line, b"login ").is_some() && (find(line, b"machine ").is_some() || find(line, b"default ").is_some())
}

fn skip_spaces(text: &[u8], at: &mut usize) {
    const SPACE: Alphabet = Alphabet::of(b" \t");
    *at += SPACE.run(&text[(*at).min(text.len())..], 64);
}

/// Steps over a quotation mark, which may be escaped (JSON in JSON, notebooks).
fn skip_quote(text: &[u8], at: &mut usize) -> bool {
    let escaped = usize::from(text.get(*at) == Some(&b'\\'));
    let is_quote = matches!(text.get(*at + escaped), Some(b'"' | b'\''));
    if is_quote {
        *at += escaped + 1;
    }
    is_quote
}

/// Steps over `str =` in `name: str = "value"`.
fn skip_annotation(text: &[u8], at: &mut usize) {
    const TYPE: Alphabet = ALNUM.and(Alphabet::of(b"_[]. |,"));
    let run = TYPE.run(&text[*at..], 48);
    if run > 0 && text.get(*at + run) == Some(&b'=') && text.get(*at + run + 1) != Some(&b'=') {
        *at += run + 1;
    }
}

/// Steps over `r`, `b`, `u`, `f` before a quotation mark.
fn skip_string_prefix(text: &[u8], at: &mut usize) {
    const PREFIX: Alphabet = Alphabet::of(b"rRbBuUfF");
    let run = PREFIX.run(&text[(*at).min(text.len())..], 2);
    if matches!(text.get(*at + run), Some(b'"' | b'\'')) {
        *at += run;
    }
}

/// The literal between the quotation marks that open at `at`; on one line, at most [`VALUE_MOST`] bytes.
fn quoted(text: &[u8], at: usize) -> Option<Literal> {
    let escaped = text.get(at) == Some(&b'\\');
    let mark_at = at + usize::from(escaped);
    let mark = *text.get(mark_at).filter(|&&b| matches!(b, b'"' | b'\'' | b'`'))?;
    let mut start = mark_at + 1;
    if !escaped && text.get(start..start + 2) == Some(&[mark, mark][..]) {
        start += 2;
    }
    let body = text.get(start..)?;
    let stop = body.iter().take(VALUE_MOST + 1).position(|&b| b == mark || b == b'\n')?;
    let end = start + stop - usize::from(escaped && stop > 0 && body[stop - 1] == b'\\');
    (body[stop] == mark).then_some(Literal { range: start..end })
}

/// The bare word at `at`, up to a blank, quotation mark, comma or semicolon.
fn word(text: &[u8], at: usize) -> Option<Literal> {
    const STOP: Alphabet = Alphabet::of(b" \t\r\n\"'`,;\\");
    let rest = text.get(at..)?;
    let length = rest.iter().take(VALUE_MOST).take_while(|&&b| !STOP.has(b)).count();
    // Calls, subscripts and expressions are no literals.
    let body = &rest[..length];
    let expression = body.iter().any(|b| matches!(b, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'|'))
        || matches!(body.first(), Some(b'$' | b'-' | b'*' | b'&'));
    (length > 0 && !expression).then_some(Literal { range: at..at + length })
}

fn is_harmless(name: &[u8]) -> bool {
    let solid: Vec<u8> = name.iter().copied().filter(|&b| ALNUM.has(b)).collect();
    HARMLESS.iter().any(|h| solid.ends_with(h.as_bytes()))
}

/// Whether the value is a secret, given its name.
fn judge(keyword: usize, name: &[u8], text: &[u8], range: Range<usize>) -> Option<Match> {
    let value = &text[range.clone()];
    let named = |needles: &[&str]| needles.iter().any(|n| find(name, n.as_bytes()).is_some());
    if value.len() < 8 || is_harmless(name) || named(DIGEST_NAMES) {
        return None;
    }
    if is_reference(value) || is_placeholder(value) || is_wordy(value) || is_template(value) {
        return None;
    }
    // Issuers do not mint brackets; regular expressions and grammars have them.
    const BRACKETS: Alphabet = Alphabet::of(b"[](){}|\\^");
    if keyword >= PASSWORDS && value.iter().any(|&b| BRACKETS.has(b)) {
        return None;
    }
    let aws = name.ends_with(b"secret_access_key")
        || name.ends_with(b"secretaccesskey")
        || (named(&["aws"]) && named(&["secret"]));
    if aws && value.len() == 40 && value.iter().all(|&b| BASE64.has(b)) {
        return Some(secret("aws-key", "AWS secret access key", range, Confidence::High, Proof::Context));
    }
    let (bits, kinds) = (entropy(value), classes(value));
    let confidence = if keyword < PASSWORDS {
        let strong = kinds >= 3 && bits >= 2.8;
        let plain = kinds >= 2 && value.len() >= 12 && bits >= 3.2;
        if strong && value.len() >= 12 { Confidence::High } else { (strong || plain).then_some(Confidence::Medium)? }
    } else if is_uuid(value) {
        Confidence::Low
    } else if is_digest_like(value) {
        // Many issuers mint hexadecimal keys; a digest under a name that says key is the rarer case.
        Confidence::Medium
    } else if keyword + 1 == NAMES.len() {
        (value.len() >= 24 && kinds >= 3 && bits >= 4.0 && value.iter().all(|&b| URLSAFE.has(b) || BASE64.has(b)))
            .then_some(Confidence::Low)?
    } else if value.len() >= 20 && bits >= 3.5 && kinds >= 2 {
        Confidence::High
    } else {
        (value.len() >= 12 && bits >= 3.2 && kinds >= 2).then_some(Confidence::Medium)?
    };
    let issuer = ISSUERS.iter().find(|(needle, ..)| named(&[needle]));
    let (kind, title) =
        issuer.map_or(("generic-secret", "Literal assigned to a secret's name"), |&(_, kind, title)| (kind, title));
    Some(secret(kind, title, range, confidence, Proof::Context))
}

/// Whether something is to be filled in: `{name}`.
fn is_template(value: &[u8]) -> bool {
    let open = value.iter().position(|&b| b == b'{');
    open.is_some_and(|at| value[at..].contains(&b'}'))
}

/// Whether the value says where a secret is, rather than being one: addresses, paths, resource names, lookups.
fn is_reference(value: &[u8]) -> bool {
    const STARTS: &[&str] = &[
        "/",
        "./",
        "../",
        "~",
        "$",
        "%",
        "@",
        "arn:",
        "env:",
        "vault:",
        "ref+",
        "secretref",
        "file:",
        "projects/",
        "os.",
        "ssh-",
    ];
    let lower = value.to_ascii_lowercase();
    let path = find(value, b"/").is_some() && value.split(|&b| b == b'/').all(|part| is_wordy(part) || part.len() < 4);
    STARTS.iter().any(|s| lower.starts_with(s.as_bytes()))
        || find(value, b"://").is_some()
        || value.iter().any(|b| b.is_ascii_whitespace())
        || path
        || value[0] & 0x80 != 0
}

/// Whether the value is made of words: letters with separators, digits only as short groups between them.
fn is_wordy(value: &[u8]) -> bool {
    const SEPARATORS: Alphabet = Alphabet::of(b"-_.:/ |,");
    let digits = value.iter().filter(|&&b| DIGIT.has(b)).count();
    let simple = value.iter().all(|&b| ALNUM.has(b) || SEPARATORS.has(b));
    let separated = value.iter().any(|&b| SEPARATORS.has(b));
    if !simple {
        return value.iter().all(|&b| !ALNUM.has(b))
            || (digits == 0
                && value.iter().filter(|&&b| LETTER.has(b)).count() * 10 >= value.len() * 9
                && entropy(value) < 3.4);
    }
    if digits == 0 {
        let mixed = value.iter().any(|&b| UPPER.has(b)) && value.iter().any(|&b| LOWER.has(b));
        // `ExclusiveStartBackupArn` has a capital for each word, random letters have one for each two.
        let capitals = value.iter().filter(|&&b| UPPER.has(b)).count();
        return separated || !mixed || value.len() < 20 || entropy(value) < 4.0 || capitals * 10 < value.len() * 3;
    }
    // `bert-base-v2`, `node_7_primary`: each part is a word, or a word with up to three digits behind it.
    separated
        && value.split(|&b| SEPARATORS.has(b)).all(|part| {
            let letters = LETTER.run(part, part.len());
            let one_case = part[..letters].iter().all(|&b| LOWER.has(b))
                || part[1.min(letters)..letters].iter().all(|&b| LOWER.has(b))
                || part[..letters].iter().all(|&b| UPPER.has(b));
            one_case && part.len() - letters <= 3 && part[letters..].iter().all(|&b| DIGIT.has(b))
        })
}

#[cfg(test)]
mod tests {
    use crate::kinds::{Confidence, Dialect, Families};
    use crate::scanner::Scanner;

    // Made of random words of no issuer, so that nothing here looks minted.
    fn value() -> String {
        ["q7Jd", "0sPz", "m4Tq", "Rx81", "LwBn"].concat()
    }

    fn found(text: &str, dialect: Dialect) -> Vec<String> {
        let scan = Scanner::new().unwrap().scan(text.as_bytes(), Families::SECRETS, dialect);
        scan.matches.iter().map(|m| text[m.range.clone()].to_owned()).collect()
    }

    #[test]
    fn quoted_literals_are_found_in_every_spelling() {
        let v = value();
        for text in [
            format!("db_password = \"{v}\""),
            format!("db_password: str = '{v}'"),
            format!("os.environ[\"MY_API_KEY\"] = \"{v}\""),
            format!("os.environ.setdefault('MY_API_KEY', '{v}')"),
            format!("{{\"client_secret\": \"{v}\"}}"),
            format!("\"login(api_key=\\\"{v}\\\")\\n\""),
            format!("connect(password=b'{v}')"),
            format!("secret_token := `{v}`"),
        ] {
            assert_eq!(found(&text, Dialect::Code), std::slice::from_ref(&v), "{text}");
        }
    }

    #[test]
    fn bare_values_count_only_where_they_are_literals() {
        let v = value();
        for text in [
            format!("DB_PASSWORD={v}"),
            format!("api_key: {v}"),
            format!("machine h login a password {v}"),
            format!("tool --token {v}"),
        ] {
            assert_eq!(found(&text, Dialect::Config), std::slice::from_ref(&v), "{text}");
        }
        assert!(found(&format!("password = {v}"), Dialect::Code).is_empty());
        assert!(found("password=get_password(x1)", Dialect::Config).is_empty());
        assert!(found("the password: never share it", Dialect::Prose).is_empty());
    }

    #[test]
    fn words_references_and_digests_stay_silent() {
        for text in [
            "pad_token = \"<|endoftext|>\"",
            "api_key_header = \"X-API-Key\"",
            "token = \"hf-internal-testing/tiny-random-Llama\"",
            "client_secret = \"projects/acme/secrets/wandb/versions/latest\"",
            "token_url = \"https://auth.example.org/oauth2/token\"",
            "password = \"changeme-please-now1\"",
            "password = os.getenv(\"DB_PASSWORD\", \"\")",
            "token = \"<YOUR_TOKEN>\"",
            "if password == \"q7Jd0sPzm4TqRx\": pass",
            "access_token = \"access_token_v2\"",
            "\"NextToken\": \"eyJOZXh0VG9rZW4iOiBudWxsLCAi\"",
            "\"output_token\": \"ExclusiveStartBackupArn\"",
            "\"AWS::IAM::AccessKey\": \"62d91b17309e76c8\"",
            "names = ['gss_krb5_token', 'gss_krb5_rfc1964_keydata']",
            "TOKEN = r\"[!#$%&'*+.^_`|~0-9A-Za-z]{1,}\"",
            "share_token = f\"share-{portfolio_id}-{org_type}\"",
            "checksum_token = \"0123456789abcdef0123456789abcdef\"",
        ] {
            assert_eq!(found(text, Dialect::Code), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_issuer_is_read_from_the_name() {
        let text = format!("WANDB_API_KEY = \"{}\"", "7c9d4b1e0f".repeat(4));
        let scan = Scanner::new().unwrap().scan(text.as_bytes(), Families::SECRETS, Dialect::Code);
        assert_eq!(scan.matches[0].title, "Weights & Biases API key");
        assert_eq!(scan.matches[0].confidence, Confidence::Medium);
    }
}
