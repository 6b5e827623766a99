//! Reading ONNX files without the framework.
