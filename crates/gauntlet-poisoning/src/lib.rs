//! Label errors, outliers, backdoor triggers and duplicates in tables and embeddings.
//!
//! Everything here is a function of its arguments: seeds are given, sums have one order, and threads only share out whole
//! rows. Nothing here reads files or knows what the numbers mean.

#![forbid(unsafe_code)]

mod clusters;
mod confident;
mod error;
mod flow;
mod folds;
mod forest;
mod hash;
mod knn;
mod labels;
mod leak;
mod learner;
mod mahalanobis;
mod matrix;
mod minhash;
mod patch;
mod principal;
mod probabilities;
mod random;
mod shift;
mod spectral;
pub mod stats;
mod tails;
mod trigger;

pub use clusters::{Clusters, MINORITY, SILHOUETTE, clusters};
pub use confident::{ConfidentJoint, confident_joint, label_issues, thresholds};
pub use error::Error;
pub use flow::{Flow, OneWay, flow};
pub use forest::isolation_forest;
pub use hash::{hash64, hash128};
pub use knn::{Neighbours, neighbours};
pub use labels::{LabelErrors, LabelOptions, Learner, label_errors};
pub use leak::{column_auc, told};
pub use learner::{CrossValidated, cross_validate};
pub use mahalanobis::{MAX_COLUMNS, mahalanobis};
pub use matrix::{Matrix, Scale};
pub use minhash::{Signature, Signer, keys};
pub use patch::{Patch, patches};
pub use principal::{Principal, principal};
pub use probabilities::Probabilities;
pub use shift::{Shift, Shifted, shifts};
pub use spectral::spectral_scores;
pub use tails::{Tail, copod, ecod, tail};
pub use trigger::{Items, Trigger, TriggerOptions, spike_rate, surprise, triggers};
