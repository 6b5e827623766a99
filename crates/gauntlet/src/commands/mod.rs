//! One file a command.

pub(crate) mod attest;
pub(crate) mod bom;
pub(crate) mod card;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod hunt;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod package;
pub(crate) mod policy;
pub(crate) mod policy_bundle;
pub(crate) mod revoke;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod sign;
pub(crate) mod sign_given;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod verify_evidence;
pub(crate) mod verify_place;
