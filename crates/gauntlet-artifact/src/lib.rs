//! Gate: model files at rest.
