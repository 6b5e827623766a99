//! What a file is, by name and by its first bytes.

use std::borrow::Cow;

use gauntlet_core::Limits;
use gauntlet_patterns::Dialect;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Python,
    Notebook,
    Text {
        dialect: Dialect,
        /// A file of pinned versions: its long random text is hashes.
        lock: bool,
    },
}

impl FileKind {
    /// By the name alone.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
        match extension {
            "py" | "pyw" | "pyi" => return Self::Python,
            "ipynb" => return Self::Notebook,
            _ => {}
        }
        let lock = LOCKS.contains(&name.as_str()) || extension == "lock";
        let config = CONFIG.contains(&extension) || CONFIG_NAMES.iter().any(|n| name.starts_with(n));
        let dialect = match extension {
            _ if config => Dialect::Config,
            e if CODE.contains(&e) => Dialect::Code,
            _ => Dialect::Prose,
        };
        Self::Text { dialect, lock }
    }

    pub(crate) fn is_python(self) -> bool {
        matches!(self, Self::Python | Self::Notebook)
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Python | Self::Notebook => Dialect::Code,
            Self::Text { dialect, .. } => dialect,
        }
    }

    /// Notebooks hold pictures, so they are documents rather than code for the limits.
    pub(crate) fn most_bytes(self, limits: &Limits) -> u64 {
        if self == Self::Notebook { limits.header_bytes } else { limits.text_bytes }
    }
}

const LOCKS: &[&str] =
    &["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum", "conda-lock.yml", "pipfile.lock"];
const CONFIG: &[&str] = &[
    "yaml",
    "yml",
    "toml",
    "ini",
    "cfg",
    "conf",
    "properties",
    "env",
    "sh",
    "bash",
    "zsh",
    "tf",
    "tfvars",
    "netrc",
    "npmrc",
    "pypirc",
];
const CONFIG_NAMES: &[&str] = &[
    ".env",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    "dockerfile",
    "containerfile",
    "makefile",
    ".bashrc",
    ".zshrc",
    ".profile",
];
const CODE: &[&str] = &[
    "js", "jsx", "ts", "tsx", "mjs", "go", "java", "rs", "c", "h", "cc", "cpp", "hpp", "cu", "rb", "php", "scala",
    "kt", "swift", "cs", "r", "jl", "lua", "dart",
];

/// Whether the first bytes are no text: a NUL that UTF-16 does not explain.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(8 << 10)];
    head.contains(&0) && !head.starts_with(b"\xFF\xFE") && !head.starts_with(b"\xFE\xFF")
}

/// Declared encodings of one byte a character that extend ASCII. Letters above it are read as Latin-1: other letters in
/// strings and comments change nothing for calls.
const SINGLE_BYTE: &[&str] = &["latin", "iso-8859", "iso8859", "cp125", "windows-125", "koi8", "mac"];

/// The text of Python source: UTF-8, or one of [`SINGLE_BYTE`] where a coding line says so (PEP 263).
pub(crate) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(Cow::Borrowed(text));
    }
    let declared = bytes.split(|&b| b == b'\n').take(2).filter(|line| line.starts_with(b"#")).any(|line| {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        let coding = line.split_once("coding").map(|(_, rest)| rest.trim_start_matches([':', '=', ' ']).to_owned());
        coding.is_some_and(|c| SINGLE_BYTE.iter().any(|name| c.starts_with(name)))
    });
    declared.then(|| Cow::Owned(bytes.iter().map(|&b| char::from(b)).collect()))
}

/// The bytes to search for patterns: UTF-16 becomes UTF-8, everything else stays.
pub(crate) fn searchable(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(bytes),
    };
    let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_how_a_file_is_read() {
        assert_eq!(FileKind::of("a/B.PY"), FileKind::Python);
        assert_eq!(FileKind::of("poetry.lock"), FileKind::Text { dialect: Dialect::Prose, lock: true });
        for config in ["Dockerfile.gpu", ".env.production", "k8s/a.yml", ".netrc"] {
            assert_eq!(FileKind::of(config).dialect(), Dialect::Config, "{config}");
        }
        assert_eq!(FileKind::of("README.md").dialect(), Dialect::Prose);
    }

    #[test]
    fn utf16_is_searched() {
        assert_eq!(&*searchable(b"\xFF\xFEa\0b\0"), b"ab");
        assert_eq!(&*searchable(b"\xFE\xFF\0a\0b"), b"ab");
        assert!(!is_binary(b"\xFF\xFEa\0b\0"));
    }
}
