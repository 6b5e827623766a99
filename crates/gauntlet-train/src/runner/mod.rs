//! Other things that can confine a run: the command line or manifest with the same limits. Nothing here is started.

mod engine;
mod kubernetes;

pub use engine::{Engine, engine_command};
pub use kubernetes::{KubernetesError, kubernetes_job};

#[cfg(test)]
pub(crate) use kubernetes::tests::job as kubernetes_test_job;
