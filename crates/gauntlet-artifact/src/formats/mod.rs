//! Readers of formats that need no crate of their own.

pub(crate) mod boosting;
pub(crate) mod coreml;
pub(crate) mod flatbuffer;
pub(crate) mod gguf;
pub(crate) mod ini;
pub(crate) mod java;
pub(crate) mod json;
pub(crate) mod keras;
pub(crate) mod lenient;
pub(crate) mod location;
pub(crate) mod msgpack;
pub(crate) mod mxnet;
pub(crate) mod openvino;
pub(crate) mod paddle;
pub(crate) mod pbtxt;
pub(crate) mod pmml;
pub(crate) mod protobuf;
pub(crate) mod rdata;
pub(crate) mod safetensors;
pub(crate) mod tensor;
pub(crate) mod tensorflow;
pub(crate) mod text;
pub(crate) mod tflite;
pub(crate) mod torch7;
pub(crate) mod torchscript;
pub(crate) mod xml;
pub(crate) mod yaml;

pub(crate) use gauntlet_npy as npy;
