//! Gate: source code, notebooks and secrets.
