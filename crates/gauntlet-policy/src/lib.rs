//! Rego evaluation, policy packs, decisions.
