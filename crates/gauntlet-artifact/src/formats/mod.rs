//! Readers of formats that need no crate of their own.

pub(crate) mod gguf;
pub(crate) mod json;
pub(crate) mod npy;
pub(crate) mod safetensors;
