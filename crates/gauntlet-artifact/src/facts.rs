//! The types of facts that this gate stores.

use gauntlet_archive::{Conflict, Container, EntryKind, EntryProblem, NameProblem};
use gauntlet_core::Fact;
use serde::{Deserialize, Serialize};

use crate::extract::{Claim, Format};
use crate::formats::boosting::BoostingFacts;
use crate::formats::coreml::CoremlFacts;
use crate::formats::gguf::GgufFacts;
use crate::formats::java::JavaFacts;
use crate::formats::json::TagFact;
use crate::formats::keras::KerasFacts;
use crate::formats::msgpack::MsgpackFacts;
use crate::formats::mxnet::MxnetFacts;
use crate::formats::npy::NpyFacts;
use crate::formats::openvino::OpenvinoFacts;
use crate::formats::paddle::PaddleFacts;
use crate::formats::pmml::PmmlFacts;
use crate::formats::rdata::RFacts;
use crate::formats::safetensors::SafetensorsFacts;
use crate::formats::tensor::{Stats, TensorRow};
use crate::formats::tensorflow::TensorflowFacts;
use crate::formats::tflite::TfliteFacts;
use crate::formats::torch7::Torch7Facts;
use crate::formats::torchscript::ScriptFacts;

/// What a file or member is, by content, and what its name claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFact {
    /// Every format that the content can be read as; empty when none is known.
    pub formats: Vec<Format>,
    /// What the name claims.
    pub claim: Claim,
    /// Size in bytes, when known without reading all.
    pub size: Option<u64>,
    /// A pickle was recognised only by running it, not by its first bytes.
    pub weak_pickle: bool,
    /// The format that the ending promises, when the content is another one that has a reader.
    #[serde(default)]
    pub promised: Option<String>,
    /// Where another file begins behind bytes of another kind.
    #[serde(default)]
    pub hidden: Option<u64>,
}

impl Fact for FileFact {
    const KIND: &'static str = "artifact-file";
}

/// What was seen in a pickle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PickleFact {
    /// The machine's facts.
    #[serde(flatten)]
    pub pickle: gauntlet_pickle::PickleFacts,
    /// The bytes in front of it are those of an `.npy` file with object elements.
    pub in_npy: bool,
    /// The name, or the first bytes, promise a pickle, so that an error in it is one of the file.
    pub announced: bool,
    /// Python source that calls of the pickle run.
    #[serde(default)]
    pub graphs: Vec<GraphCode>,
}

/// Source text from which a call makes a graph module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GraphCode {
    /// Index of the stream that makes the call.
    pub stream: u32,
    /// Offset of the opcode that makes it.
    pub offset: u64,
    /// What the text says; none when it is not known or could not be read.
    pub code: Option<gauntlet_python::Straight>,
}

impl Fact for PickleFact {
    const KIND: &'static str = "pickle";
}

/// A safetensors header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SafetensorsFact(pub SafetensorsFacts);

impl Fact for SafetensorsFact {
    const KIND: &'static str = "safetensors";
}

/// An ONNX model, or why a file that claims to be one is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnnxFact {
    /// What was read.
    Model {
        /// The reader's facts; values of metadata are masked.
        facts: Box<gauntlet_onnx::OnnxFacts>,
        /// Keys of metadata whose values read as code or as a template that reaches into Python.
        code_metadata: Vec<String>,
    },
    /// The wire format is broken.
    Broken {
        /// Where and what.
        message: String,
    },
}

impl Fact for OnnxFact {
    const KIND: &'static str = "onnx";
}

/// Tensors of an ONNX model that lie behind the end of the file which should hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExternalRangeFact {
    /// The file, from the root of the subject.
    pub file: String,
    /// The tensor that reaches furthest.
    pub tensor: String,
    /// First byte behind it.
    pub end: u64,
    /// Bytes of the file.
    pub size: u64,
    /// How many such tensors there are.
    pub tensors: u64,
}

impl Fact for ExternalRangeFact {
    const KIND: &'static str = "onnx-external-range";
}

/// A GGUF header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct GgufFact(pub GgufFacts);

impl Fact for GgufFact {
    const KIND: &'static str = "gguf";
}

/// A TensorFlow Lite model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TfliteFact(pub TfliteFacts);

impl Fact for TfliteFact {
    const KIND: &'static str = "tflite";
}

/// A boosted-tree model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BoostingFact(pub BoostingFacts);

impl Fact for BoostingFact {
    const KIND: &'static str = "boosting";
}

/// Attributes, datasets and links of one HDF5 file that are kept.
pub(crate) const HDF5_ENTRIES: usize = 5000;

/// An HDF5 file. Values of attributes are not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hdf5Fact {
    /// Its structure.
    #[serde(flatten)]
    pub hdf5: gauntlet_hdf5::Hdf5Facts,
    /// The bytes behind its end are not all zero.
    #[serde(rename = "tail_not_zero")]
    pub tail: bool,
    /// The bytes in front of it are not all zero.
    #[serde(rename = "block_not_zero")]
    pub block: bool,
    /// Entries beyond those kept.
    pub more: u64,
}

impl Fact for Hdf5Fact {
    const KIND: &'static str = "hdf5";
}

/// A Keras configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KerasFact(pub KerasFacts);

impl Fact for KerasFact {
    const KIND: &'static str = "keras";
}

/// A MessagePack document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MsgpackFact(pub MsgpackFacts);

impl Fact for MsgpackFact {
    const KIND: &'static str = "msgpack";
}

/// A skops schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SkopsFact {
    /// Everything in it that names a type.
    pub nodes: Vec<SkopsNode>,
    /// Nodes beyond those kept.
    pub more: u64,
    /// Keys that occur twice in one object.
    pub duplicates: Vec<String>,
}

/// A node of a skops schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SkopsNode {
    /// Where in the document it is.
    pub place: String,
    /// What rebuilds it.
    pub loader: String,
    /// Declared module and class.
    pub module: String,
    pub class: String,
    /// The function or method that the content names.
    pub function: Option<String>,
    /// The module of that function.
    pub module_path: Option<String>,
    /// Module and class of the object that a method is taken from.
    pub owner: Option<(String, String)>,
}

impl Fact for SkopsFact {
    const KIND: &'static str = "skops";
}

/// A Core ML model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CoremlFact(pub CoremlFacts);

impl Fact for CoremlFact {
    const KIND: &'static str = "coreml";
}

/// An MXNet symbol or list of arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MxnetFact(pub MxnetFacts);

impl Fact for MxnetFact {
    const KIND: &'static str = "mxnet";
}

/// A Paddle program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PaddleFact(pub PaddleFacts);

impl Fact for PaddleFact {
    const KIND: &'static str = "paddle";
}

/// A TensorFlow.js document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TfjsFact {
    /// `layers-model` or `graph-model`.
    pub format: String,
    /// The program that wrote it.
    pub writer: String,
    /// Files of the manifest of weights.
    pub paths: Vec<String>,
    /// Keys that occur twice in one object.
    pub duplicates: Vec<String>,
    /// Paths that were not kept, or are no texts.
    pub more: u64,
}

impl Fact for TfjsFact {
    const KIND: &'static str = "tfjs";
}

/// A TensorFlow graph, or what lies beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TensorflowFact(pub TensorflowFacts);

impl Fact for TensorflowFact {
    const KIND: &'static str = "tensorflow";
}

/// A Jinja template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TemplateFact {
    /// It comes with a language model, which renders it with nothing but messages and tools.
    pub chat: bool,
    /// What rendering it would reach.
    #[serde(flatten)]
    pub facts: gauntlet_template::TemplateFacts,
}

impl Fact for TemplateFact {
    const KIND: &'static str = "template";
}

/// The settings of one document of a Hugging Face folder that name code or places.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HfFact {
    /// Name of the document, without its folder.
    pub document: String,
    /// In the order of the document.
    pub settings: Vec<HfSetting>,
    /// Settings beyond those kept.
    pub more: u64,
    /// Keys that occur twice in one object.
    pub duplicates: Vec<String>,
}

impl Fact for HfFact {
    const KIND: &'static str = "huggingface";
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HfSetting {
    /// Dotted place in the document.
    pub place: String,
    /// What the value is for.
    pub kind: HfKind,
    /// The value, cut; masked when it reads as code.
    pub value: String,
}

/// What a setting's value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HfKind {
    /// Code that is loaded: `module.Class`, or `repository--module.Class`.
    CustomCode,
    /// `trust_remote_code` is on.
    TrustRemoteCode,
    /// The type of a sentence-transformers module.
    ModuleType,
    /// A class that is looked up in the loader's library.
    Class,
    /// A module that is imported.
    Import,
    /// The library of a pipeline's part.
    Library,
    /// Library and class of a pipeline's part.
    LibraryClass,
    /// A file or folder that belongs to the model: a shard, a module's folder.
    Part,
    /// A file beside the document.
    File,
    /// Where something is loaded from.
    Source,
    /// The value is a Python expression.
    Expression,
    /// The value is a sentence that mentions code.
    Mention,
    /// The value should be a text and is none.
    NoText,
}

/// What the configuration of a model says about its architecture. None of it is acted on; it describes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelConfigFact {
    /// `model_type`, or the class of a pipeline.
    pub family: Option<String>,
    /// `architectures`.
    pub architectures: Vec<String>,
    /// `transformers_version` and the like.
    pub producer: Option<String>,
    /// `quantization_config`: method and bits.
    pub quantisation: Option<String>,
    /// Numbers and words that describe the size, such as `hidden_size`.
    pub figures: std::collections::BTreeMap<String, String>,
}

impl Fact for ModelConfigFact {
    const KIND: &'static str = "model-config";
}

/// The files of a folder that has such settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HfFolderFact {
    /// Weights and code, relative to the folder.
    pub files: Vec<String>,
    /// There are more.
    pub cut: bool,
}

impl Fact for HfFolderFact {
    const KIND: &'static str = "huggingface-folder";
}

/// A file of TorchScript code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ScriptFact(pub ScriptFacts);

impl Fact for ScriptFact {
    const KIND: &'static str = "torchscript";
}

/// The graph of an exported PyTorch program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GraphFact {
    /// What nodes call, and how many do.
    pub targets: std::collections::BTreeMap<String, u64>,
}

impl Fact for GraphFact {
    const KIND: &'static str = "torch-graph";
}

/// A Python module inside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CodeFact {
    /// Qualified names of everything imported.
    pub imports: Vec<String>,
    /// Every call in the order of the text.
    pub calls: Vec<CodeCall>,
    /// Calls beyond those kept.
    pub more: u64,
}

/// A call in a Python module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CodeCall {
    /// Qualified names that the callee may stand for.
    pub names: Vec<String>,
    /// From 1.
    pub line: u64,
    /// Importing the module runs it.
    pub at_import: bool,
    /// The callee is looked up by a name that is data.
    pub looked_up: bool,
    /// What is given; texts only where the call is dangerous.
    pub arguments: Vec<String>,
    /// Names of the calls that the arguments are made of.
    pub made_of: Vec<String>,
    /// Functions that are given to the callee, which may call them.
    #[serde(default)]
    pub passed: Vec<String>,
    /// A path outside of the model that is opened.
    #[serde(default)]
    pub opens: Option<String>,
}

impl Fact for CodeFact {
    const KIND: &'static str = "code";
}

/// Configuration that names code or paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfigurationFact {
    pub settings: Vec<Setting>,
    /// YAML tags that are not of the core schema.
    pub tags: Vec<TagFact>,
    /// Settings beyond those kept.
    pub more: u64,
}

/// A setting that a loader acts on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// Where in the document.
    pub place: String,
    pub kind: SettingKind,
    pub value: String,
}

/// What a loader does with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SettingKind {
    /// Imports and calls it.
    Target,
    /// Imports it.
    Module,
    /// Opens it below the model's folder.
    Path,
    /// Opens a file named so.
    Digest,
    /// Opens it when the model is made or trained, not when it is loaded.
    LaterPath,
    /// Loads it as machine code.
    Library,
    /// Installs packages from there.
    Source,
    /// Calls the function that a package registered under this name.
    Registered,
    /// Imports a module of this name from wherever modules are found.
    Imported,
    /// Runs it, wherever the path says it once was: a file of this name in the model's folder.
    Code,
}

impl Fact for ConfigurationFact {
    const KIND: &'static str = "configuration";
}

/// The tensors of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TensorsFact {
    pub tensors: Vec<TensorFact>,
    /// Tensors beyond those kept.
    pub more: u64,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TensorFact {
    #[serde(flatten)]
    pub row: TensorRow,
    /// What its numbers are; absent when they were not looked at.
    pub stats: Option<Stats>,
    /// It begins like a program, an archive or a pickle.
    pub file: bool,
}

impl Fact for TensorsFact {
    const KIND: &'static str = "tensors";
}

/// A NumPy array file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NpyFact(pub NpyFacts);

/// An `.npy` header that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NpyBroken {
    /// What is wrong.
    pub message: String,
}

impl Fact for NpyBroken {
    const KIND: &'static str = "npy-broken";
}

impl Fact for NpyFact {
    const KIND: &'static str = "npy";
}

/// A PMML document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PmmlFact(pub PmmlFacts);

impl Fact for PmmlFact {
    const KIND: &'static str = "pmml";
}

/// An OpenVINO description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OpenvinoFact(pub OpenvinoFacts);

impl Fact for OpenvinoFact {
    const KIND: &'static str = "openvino";
}

/// What an R file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RFact(pub RFacts);

impl Fact for RFact {
    const KIND: &'static str = "r-data";
}

/// What a Torch7 file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Torch7Fact(pub Torch7Facts);

impl Fact for Torch7Fact {
    const KIND: &'static str = "torch7";
}

/// Classes of a Java object stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct JavaFact(pub JavaFacts);

impl Fact for JavaFact {
    const KIND: &'static str = "java-objects";
}

/// Entries of each list of an [`ArchiveFact`].
pub(crate) const ENTRIES: usize = 1000;

/// A container and what its readings disagree about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArchiveFact {
    /// `zip`, `tar` or `7z`.
    pub container: String,
    /// Members.
    pub members: u64,
    /// The container was found behind or inside bytes of another format.
    pub hidden: bool,
    /// Tools of that format append such a container: labels behind a TensorFlow Lite model.
    #[serde(default)]
    pub attached: bool,
    /// Zip conflicts, with the member's name.
    pub conflicts: Vec<NamedConflict>,
    /// Conflicts beyond those kept.
    pub more_conflicts: u64,
    /// Entries that are remarkable: of tar and 7z, and links of zip.
    #[serde(default)]
    pub entries: Vec<EntryFact>,
    /// Members whose content does not have the stated checksum.
    pub wrong_checksums: Vec<String>,
    /// Members that expand more than a hundredfold to at least 10 MB: name, compressed and expanded bytes.
    pub expanding: Vec<(String, u64, u64)>,
    /// Members whose compressed content ends before the member: name, bytes behind its end.
    #[serde(default)]
    pub slack: Vec<(String, u64)>,
    /// Where, in a tar, bytes begin that are no entry and no padding.
    #[serde(default)]
    pub rest: Option<u64>,
}

impl ArchiveFact {
    /// Keeps `entry`, or counts it when there are many.
    pub(crate) fn push_entry(&mut self, entry: EntryFact) {
        if self.entries.len() < ENTRIES {
            self.entries.push(entry);
        } else {
            self.more_conflicts += 1;
        }
    }
}

impl Fact for ArchiveFact {
    const KIND: &'static str = "archive";
}

/// A conflict and the member that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NamedConflict {
    /// Printable name; absent for the archive as a whole.
    pub name: Option<String>,
    /// The conflict.
    #[serde(flatten)]
    pub conflict: Conflict,
}

/// A remarkable entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryFact {
    /// Printable name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Printable link target.
    pub link: Option<String>,
    /// What is remarkable.
    pub problems: Vec<EntryProblem>,
}

/// What stands around the members of a compressed stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamFact {
    /// Which compression.
    pub container: Container,
    /// Members or frames.
    pub members: u64,
    /// The end was reached; without it nothing is known of what follows.
    pub complete: bool,
    /// Where, in the compressed bytes, something begins that is no member.
    pub trailing: Option<u64>,
    /// Bytes of each skippable frame.
    pub skipped: Vec<u64>,
    /// Printable file names in gzip headers, and what is wrong with them.
    pub names: Vec<(String, Vec<NameProblem>)>,
    /// Bytes of comments and extra fields in gzip headers.
    pub label_bytes: u64,
}

impl Fact for StreamFact {
    const KIND: &'static str = "compressed-stream";
}

/// Whether unpacking by this name may write outside the target folder.
pub(crate) fn leaves_folder(problem: EntryProblem) -> bool {
    matches!(problem, EntryProblem::Name(NameProblem::Absolute | NameProblem::Drive | NameProblem::Parent))
}
