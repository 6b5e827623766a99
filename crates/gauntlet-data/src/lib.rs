//! Gate: dataset manifests, contracts and personal data.
