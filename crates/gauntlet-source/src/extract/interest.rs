//! Which calls are kept as facts, and which of their constants.
//!
//! Keeping every call would make the facts larger than the code. Kept are calls into modules that run, load, fetch or
//! send, calls by verbs that do so in any module, and calls that hand such a function on.

use gauntlet_patterns::{Families, Scanner};
use gauntlet_python::{Invocation, Value};

use crate::sinks;

/// Modules of which every call is kept.
const MODULES: &[&str] = &[
    "pickle",
    "cPickle",
    "_pickle",
    "pickle5",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "ruamel",
    "jsonpickle",
    "skops",
    "subprocess",
    "importlib",
    "runpy",
    "code",
    "ctypes",
    "ssl",
    "socket",
    "zmq",
    "tempfile",
    "tarfile",
    "zipfile",
    "shutil",
    "paramiko",
    "mlflow",
    "huggingface_hub",
    "requests",
    "httpx",
    "urllib",
    "urllib3",
    "aiohttp",
];

/// First words of functions that are kept whatever their module.
const VERBS: &[&str] = &[
    "load",
    "unpickle",
    "deserial",
    "restore",
    "from_",
    "read_",
    "recv",
    "open",
    "download",
    "pull",
    "snapshot",
    "enable_unsafe",
    "add_safe",
    "safe_globals",
    "import_",
    "exec",
    "eval",
    "compile",
    "system",
    "popen",
    "spawn",
    "run",
    "decode",
    "hf_hub",
    "model_from",
];

/// Builtins that are kept.
const BUILTINS: &[&str] =
    &["eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "input", "breakpoint"];

/// Longest text that is kept.
const TEXT: usize = 64;

/// The call as a fact, when it is of interest.
pub(crate) fn keep(mut call: Invocation, scanner: &Scanner) -> Option<Invocation> {
    let named = call.names.iter().any(|n| is_of_interest(n));
    let handed = || {
        call.arguments
            .iter()
            .chain(call.keywords.iter().map(|(_, v)| v))
            .any(|v| matches!(v, Value::Name(n) if is_of_interest(n)))
    };
    if !named && !handed() {
        return None;
    }
    redact(&mut call, scanner);
    Some(call)
}

fn is_of_interest(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    if let Some(builtin) = name.strip_prefix("builtins.") {
        return BUILTINS.contains(&builtin);
    }
    if name.starts_with('?') {
        return sinks::deserialization().is_some_and(|s| s.has_method(last));
    }
    let root = name.split('.').next().unwrap_or(name);
    MODULES.contains(&root)
        || VERBS.iter().any(|v| last.starts_with(v))
        || matches!(last, "PackageImporter" | "Unpickler")
}

fn redact(call: &mut Invocation, scanner: &Scanner) {
    call.arguments.iter_mut().for_each(|v| redact_value(v, scanner));
    call.keywords.iter_mut().for_each(|(_, v)| redact_value(v, scanner));
    if let Some(receiver) = &mut call.receiver {
        redact(receiver, scanner);
    }
}

/// Values nest as far as `gauntlet-python` describes them, a few levels.
fn redact_value(value: &mut Value, scanner: &Scanner) {
    match value {
        Value::Str(text)
            if !is_plain(text)
                || !scanner
                    .scan(text.as_bytes(), Families::ALL, gauntlet_patterns::Dialect::Prose)
                    .matches
                    .is_empty() =>
        {
            *value = Value::Unknown;
        }
        Value::List(all) => all.iter_mut().for_each(|v| redact_value(v, scanner)),
        Value::Dict(items) => items.iter_mut().for_each(|(_, v)| redact_value(v, scanner)),
        Value::Call(call) => redact(call, scanner),
        // A number may be a telephone or account number.
        Value::Int(n) if n.unsigned_abs() > 1_000_000 => *value = Value::Unknown,
        _ => {}
    }
}

/// Whether text is a word, a mode, a path or a name: short, no blanks, few digits in each part.
fn is_plain(text: &str) -> bool {
    let sign = |b: u8| matches!(b, b'_' | b'.' | b'/' | b':' | b'-' | b'+');
    text.len() <= TEXT
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || sign(b))
        && text
            .split(|c: char| c.is_ascii() && sign(c as u8))
            .all(|part| part.bytes().filter(u8::is_ascii_digit).count() <= 3 && part.len() <= 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_kept() {
        for text in ["rb", "safe", "models/net.pt", "latin1", "acme/llm-7b", "", "main"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["hunter2 is it", "q7Jd0sPzm4TqRx81", "+44 7911 123456", &"a".repeat(30), "ana@acme.dev"] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn dull_calls_are_left_out() {
        for name in ["torch.nn.Linear", "builtins.len", "?.append", "math.sqrt"] {
            assert!(!is_of_interest(name), "{name}");
        }
        for name in ["torch.load", "builtins.eval", "?.recv_pyobj", "pickle.dumps", "ruamel.yaml.YAML().load"] {
            assert!(is_of_interest(name), "{name}");
        }
    }
}
