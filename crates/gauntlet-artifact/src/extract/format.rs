//! What a file is by its content, and what its name claims.

use gauntlet_archive::{Container, sniff};
use gauntlet_pickle::{Sniff, looks_like_pickle};
use serde::{Deserialize, Serialize};

use crate::formats::{npy, safetensors};
use crate::readers::{Head, READERS};

/// Bytes looked at to recognise a format.
pub(crate) const PREFIX: usize = 64 << 10;

/// Compiled Java, the kind of an [`Format::Executable`] that is an open question wherever it stands.
pub(super) const JAVA_CLASS: &str = "Java class";

/// A format by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "format", content = "name")]
pub(crate) enum Format {
    /// Python's pickle.
    Pickle,
    /// safetensors.
    Safetensors,
    /// ONNX.
    Onnx,
    /// `.npy`.
    Npy,
    /// A container or compressed stream.
    Container(Container),
    /// joblib's compression before 0.10: a length as text, then zlib.
    JoblibOld,
    /// A model format with a native reader, or a family of documents.
    Read(String),
    /// A model format without a reader.
    Model(String),
    /// Machine code or a script.
    Executable(String),
    /// A picture, document or other harmless kind.
    Other(String),
}

impl Format {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Pickle => "pickle".to_owned(),
            Self::Safetensors => "safetensors".to_owned(),
            Self::Onnx => "ONNX".to_owned(),
            Self::Npy => "npy".to_owned(),
            Self::Container(container) => container.to_string(),
            Self::JoblibOld => "joblib (old zlib form)".to_owned(),
            Self::Read(name) | Self::Model(name) | Self::Executable(name) | Self::Other(name) => name.clone(),
        }
    }
}

/// What a name's ending claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Claim {
    /// A pickle, compressed or not.
    Pickle,
    /// A PyTorch file: zip, tar or pickles.
    Torch,
    /// safetensors.
    Safetensors,
    /// ONNX.
    Onnx,
    /// A NumPy array.
    Npy,
    /// A zip by its kind (`.zip`, `.npz`, `.keras`).
    Zip,
    /// Another archive or compressed stream.
    Archive,
    /// A model in a format without a reader.
    Model,
    /// Weights of no certain format (`.bin`, `.weights`).
    Weights,
    /// Data of any kind (`.dat`), which may be text.
    Data,
    /// Something that no loader of models opens: text, pictures, code.
    Foreign,
    /// Nothing.
    Nothing,
}

impl Claim {
    /// Judged by the last ending, in lower case.
    pub(crate) fn of(name: &str) -> Self {
        let base = name.rsplit(['/', '\\', '!']).next().unwrap_or(name);
        let Some((stem, ending)) = base.rsplit_once('.') else { return Self::Nothing };
        // PyTorch's own examples call what `torch.save` writes `.pth.tar`.
        if ending.eq_ignore_ascii_case("tar") && Self::of(stem) == Self::Torch {
            return Self::Torch;
        }
        match ending.to_ascii_lowercase().as_str() {
            "pkl" | "pickle" | "joblib" | "dill" | "cloudpickle" | "pdparams" | "pdopt" => Self::Pickle,
            "pt" | "pth" | "ckpt" | "ptl" | "pt2" => Self::Torch,
            "safetensors" => Self::Safetensors,
            "onnx" => Self::Onnx,
            "npy" => Self::Npy,
            "zip" | "npz" | "keras" | "skops" | "mar" | "whl" | "jar" | "war" | "ear" => Self::Zip,
            "tar" | "gz" | "tgz" | "bz2" | "tbz" | "tbz2" | "xz" | "txz" | "lzma" | "z" | "zst" | "zstd" | "tzst"
            | "lz4" | "7z" | "rar" | "nemo" | "cab" | "ar" | "deb" | "rpm" | "cpio" | "iso" | "dmg" | "arj" | "lzh"
            | "lha" | "br" | "squashfs" | "xar" | "wim" => Self::Archive,
            "h5" | "hdf5" | "hdf" | "pb" | "tflite" | "gguf" | "ggml" | "ggla" | "mlmodel" | "mlpackage" | "engine"
            | "trt" | "plan" | "pdmodel" | "pdiparams" | "params" | "caffemodel" | "cntk" | "rknn" | "mnn" | "cbm"
            | "ubj" | "pmml" | "rds" | "rda" | "rdata" | "t7" | "pte" | "ort" | "msgpack" | "llamafile" | "bmodel"
            | "tnn" | "dlc" | "orbax" => Self::Model,
            "bin" | "weights" | "model" | "mdl" | "npk" => Self::Weights,
            "dat" | "data" => Self::Data,
            "txt" | "md" | "json" | "jsonl" | "yaml" | "yml" | "toml" | "ini" | "cfg" | "csv" | "tsv" | "xml"
            | "html" | "log" | "png" | "jpg" | "jpeg" | "gif" | "webp" | "svg" | "pdf" | "wav" | "mp3" | "mp4"
            | "parquet" | "arrow" | "py" | "ipynb" | "rst" | "lock" => Self::Foreign,
            _ => Self::Nothing,
        }
    }

    /// Whether a name promises a model, be it a container with a model in it (`.keras`, `.npz`, `.mar`).
    pub(crate) fn promises_model(name: &str) -> bool {
        let packed = ["keras", "npz", "skops", "mar", "nemo", "dlc", "task", "lite"];
        Self::of(name).is_model() || packed.contains(&crate::readers::ending(name).as_str())
    }

    /// A model loader would open a file of this name.
    pub(crate) fn is_model(self) -> bool {
        !matches!(self, Self::Foreign | Self::Nothing | Self::Zip | Self::Archive)
    }

    /// Whether content of this format is what the name promises.
    pub(crate) fn accepts(self, format: &Format) -> bool {
        use Container::{Bzip2, Gzip, Lz4, Lzma, Tar, Xz, Zip, Zlib, Zstd};
        match self {
            Self::Pickle => matches!(
                format,
                Format::Pickle
                    | Format::Npy
                    | Format::JoblibOld
                    | Format::Container(Zip | Gzip | Zlib | Bzip2 | Xz | Lzma | Lz4 | Zstd)
            ),
            Self::Torch => matches!(format, Format::Pickle | Format::Container(Zip | Tar)),
            Self::Safetensors => *format == Format::Safetensors,
            Self::Onnx => *format == Format::Onnx,
            Self::Npy => *format == Format::Npy,
            Self::Zip => {
                *format == Format::Container(Zip)
                    || matches!(format, Format::Model(name) | Format::Read(name) if name == "HDF5")
            }
            Self::Archive => matches!(format, Format::Container(_)),
            Self::Model => matches!(
                format,
                Format::Read(_)
                    | Format::Model(_)
                    | Format::Other(_)
                    | Format::Container(Gzip | Zip | Tar | Zlib | Bzip2 | Xz)
            ),
            Self::Weights | Self::Data | Self::Nothing => !matches!(format, Format::Executable(_)),
            Self::Foreign => *format != Format::Pickle,
        }
    }
}

/// What content can be read as.
pub(crate) fn detect(head: &Head<'_>, claim: Claim) -> (Vec<Format>, Option<Sniff>) {
    let prefix = head.prefix;
    let mut formats = Vec::new();
    if safetensors::looks_like(prefix, head.size.unwrap_or(u64::MAX)) {
        formats.push(Format::Safetensors);
    }
    if let Some(container) = sniff(prefix) {
        formats.push(Format::Container(container));
    }
    if prefix.starts_with(b"ZF0x") {
        formats.push(Format::JoblibOld);
    }
    if prefix.starts_with(npy::MAGIC) {
        formats.push(Format::Npy);
    }
    if gauntlet_onnx::looks_like_model(prefix) {
        formats.push(Format::Onnx);
    }
    let pickle = looks_like_pickle(prefix, head.complete);
    if pickle.is_some() {
        formats.push(Format::Pickle);
    }
    let read = READERS.iter().filter(|reader| reader.recognises(head));
    formats.extend(read.map(|reader| Format::Read(reader.format().to_owned())));
    // What has a reader is recognised by it alone.
    let by_magic = by_magic(prefix).filter(|format| READERS.iter().all(|reader| reader.format() != format.name()));
    formats.extend(by_magic);
    // A broken file is read as what it claims to be, so that it can be said what is broken.
    if formats.is_empty() && !prefix.is_empty() {
        match claim {
            Claim::Safetensors => formats.push(Format::Safetensors),
            Claim::Onnx => formats.push(Format::Onnx),
            Claim::Npy => formats.push(Format::Npy),
            _ => formats.extend(promised(head)),
        }
    }
    // XML of no known root is broken, when the name promises a format that is XML.
    if matches!(formats.as_slice(), [Format::Other(name)] if name == "XML") {
        formats.extend(promised(head));
    }
    (formats, pickle)
}

/// The format that the name promises, when it is the only one that does.
fn promised(head: &Head<'_>) -> Option<Format> {
    let ending = head.ending();
    let mut promised = promised_by(&ending);
    let first = promised.next()?;
    promised.next().is_none().then(|| Format::Read(first.to_owned()))
}

/// Formats with a reader that an ending promises.
pub(crate) fn promised_by(ending: &str) -> impl Iterator<Item = &'static str> {
    READERS.iter().filter(move |reader| reader.endings().contains(&ending)).map(|reader| reader.format())
}

/// Begins like a JSON object or list.
pub(crate) fn begins_like_json(prefix: &[u8]) -> bool {
    let text = prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix);
    let mut bytes = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (Some(b'{'), Some(second)) => matches!(second, b'"' | b'}'),
        (Some(b'['), Some(second)) => {
            matches!(second, b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
        }
        _ => false,
    }
}

/// The format that a signature names, containers and pickles aside.
pub(crate) fn by_magic(prefix: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| prefix.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| prefix.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    // HDF5 allows a user block of 512 bytes or a power of two above before its signature.
    if [0, 512, 1024, 2048, 4096, 8192, 16384, 32768].iter().any(|offset| at(*offset, b"\x89HDF\r\n\x1a\n")) {
        return Some(Format::Model("HDF5".to_owned()));
    }
    let model = [
        (0, &b"GGUF"[..], "GGUF"),
        (0, b"ggjt", "GGML"),
        (0, b"lmgg", "GGML"),
        (4, b"TFL3", "TFLite"),
        (4, b"ET12", "ExecuTorch"),
        (0, b"ftrt", "TensorRT"),
        (0, b"CBM1", "CatBoost"),
        (0, b"X\n\0\0\0", "R data"),
        (0, b"RDX", "R data"),
        (4, b"ORTM", "ONNX Runtime"),
    ];
    if let Some((.., name)) = model.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return Some(Format::Model((*name).to_owned()));
    }
    if starts(b"\x7fELF") {
        return Some(Format::Executable("ELF".to_owned()));
    }
    if starts(b"MZqFpD='") {
        return Some(Format::Executable("llamafile".to_owned()));
    }
    if starts(b"MZ") && is_pe(prefix) {
        return Some(Format::Executable("PE".to_owned()));
    }
    // Universal Mach-O begins alike; its number of architectures is below the lowest version of a class.
    if starts(b"\xca\xfe\xba\xbe") && prefix.get(6..8).is_some_and(|version| version[0] == 0 && version[1] >= 45) {
        return Some(Format::Executable(JAVA_CLASS.to_owned()));
    }
    if [0xfeed_face_u32, 0xfeed_facf, 0xcafe_babe].iter().any(|m| starts(&m.to_be_bytes()) || starts(&m.to_le_bytes()))
        && prefix.len() > 28
    {
        return Some(Format::Executable("Mach-O".to_owned()));
    }
    if prefix.strip_prefix(b"#!").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"/")) {
        return Some(Format::Executable("script".to_owned()));
    }
    let other: [(&[u8], &str); 6] = [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF8", "GIF"),
        (b"%PDF-", "PDF"),
        (b"PAR1", "Parquet"),
        (b"<?xml", "XML"),
    ];
    other.iter().find(|(magic, _)| starts(magic)).map(|(_, name)| Format::Other((*name).to_owned()))
}

/// The DOS header points to a PE signature, or there is too little to tell.
pub(super) fn is_pe(prefix: &[u8]) -> bool {
    let Some(raw) = prefix.get(60..64).and_then(|raw| raw.first_chunk::<4>()) else { return false };
    let offset = usize::try_from(u32::from_le_bytes(*raw)).unwrap_or(usize::MAX);
    prefix.get(offset..).is_some_and(|rest| rest.starts_with(b"PE\0\0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_claim_by_their_last_ending() {
        assert_eq!(Claim::of("a/b.tar.gz"), Claim::Archive);
        assert_eq!(Claim::of("model.PKL"), Claim::Pickle);
        assert_eq!(Claim::of("model_best.pth.tar"), Claim::Torch);
        assert_eq!(Claim::of("dir.pkl/README"), Claim::Nothing);
        assert_eq!(Claim::of("zip!archive/data.pkl"), Claim::Pickle);
    }

    #[test]
    fn content_decides() {
        let of = |bytes: &[u8], claim| {
            let size = Some(bytes.len() as u64);
            detect(&Head { prefix: bytes, complete: true, size, name: "" }, claim).0
        };
        assert_eq!(of(b"\x80\x02N.", Claim::Safetensors), [Format::Pickle]);
        assert_eq!(of(b"\x7fELF\x02", Claim::Weights), [Format::Executable("ELF".into())]);
        assert_eq!(of(b"hello", Claim::Foreign), []);
        assert_eq!(of(b"hello", Claim::Onnx), [Format::Onnx]);
        assert_eq!(of(b"", Claim::Onnx), []);
    }
}
