//! The data gate on several machines: the same plans on Apache DataFusion Ballista. Empty without the feature `cluster`.

#![forbid(unsafe_code)]

#[cfg(feature = "cluster")]
mod client;
#[cfg(feature = "cluster")]
mod codec;
#[cfg(feature = "cluster")]
mod desk;
#[cfg(feature = "cluster")]
mod error;
#[cfg(feature = "cluster")]
mod logger;
#[cfg(feature = "cluster")]
mod node;
#[cfg(feature = "cluster")]
mod process;
#[cfg(feature = "cluster")]
mod scheduler;
#[cfg(feature = "cluster")]
mod worker;

#[cfg(feature = "cluster")]
pub use {
    client::Remote,
    error::NodeError,
    node::{Node, Tls},
    process::{ended, run},
    scheduler::{SchedulerOptions, schedule},
    worker::{WorkerOptions, work},
};
