//! Readers of formats that need no crate of their own.

pub(crate) mod boosting;
pub(crate) mod flatbuffer;
pub(crate) mod gguf;
pub(crate) mod json;
pub(crate) mod msgpack;
pub(crate) mod npy;
pub(crate) mod pbtxt;
pub(crate) mod safetensors;
pub(crate) mod tensorflow;
pub(crate) mod tensor;
pub(crate) mod text;
pub(crate) mod tflite;
pub(crate) mod torchscript;
pub(crate) mod yaml;
