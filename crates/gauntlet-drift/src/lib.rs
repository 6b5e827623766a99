//! Distances between distributions, two-sample tests and stream detectors.

#![forbid(unsafe_code)]
