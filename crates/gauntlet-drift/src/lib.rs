//! Distances between distributions, two-sample tests and stream detectors: plain numbers in, plain numbers out. Leaves out
//! where the numbers come from and what to do about them.
//!
//! Samples are slices of `f64`. Functions that say *sorted* want ascending order by [`f64::total_cmp`] without NaN; `reference`
//! is the trusted sample and comes first, `current` the one under test.

#![forbid(unsafe_code)]

pub mod bins;
mod chi2;
mod classifier;
mod distance;
mod kolmogorov;
mod ks;
mod matrix;
mod mmd;
mod monitor;
mod multiple;
mod quantile;
mod random;
pub mod stream;
mod wasserstein;

pub use bins::{Bins, CategoryBins, OTHER};
pub use chi2::{ChiSquare, chi_square, chi_square_limit, chi_square_pooled};
pub use classifier::{AUC_FOLDS, DomainAuc, domain_auc};
pub use distance::{Distances, SHARE_FLOOR, distances};
pub use kolmogorov::kolmogorov_sf;
pub use ks::{KsTest, ks_p, ks_p_exact, ks_statistic, ks_test};
pub use matrix::{Matrix, MatrixError};
pub use mmd::{MMD_SHUFFLES, Mmd, mmd};
pub use monitor::{Monitor, MonitorError};
pub use multiple::{benjamini_hochberg, psi_limit};
pub use quantile::{clean_sorted, quantile};
pub use wasserstein::{clip, std_population, wasserstein, wasserstein_normed};
