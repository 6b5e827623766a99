//! `gauntlet worker`, and `--cluster` of the commands that read tables. Both need the feature `cluster`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gauntlet_data::cluster::Cluster;

use crate::exit::{Exit, UsageError};

/// Where tables are read.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Let the workers of the scheduler at this address read the table; they have to see the same files.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    cluster: Option<(String, u16)>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// How nodes know each other.
#[derive(Debug, Args)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "what a build without clusters cannot do"))]
pub(crate) struct TlsArgs {
    /// Certificate of this node of a cluster (PEM); without one, nodes speak in the clear.
    #[arg(long, value_name = "PEM", requires_all = ["tls_key", "tls_ca"])]
    tls_certificate: Option<PathBuf>,
    /// Private key of that certificate (PEM).
    #[arg(long, value_name = "PEM", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Certificate of the authority that signed those of all nodes (PEM); nodes without one of it are refused.
    #[arg(long, value_name = "PEM", requires = "tls_certificate")]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "what a build without clusters cannot do"))]
pub(crate) struct WorkerArgs {
    /// Be the scheduler: take the plans of commands and hand their parts to workers.
    #[arg(long, conflicts_with_all = ["scheduler_address", "advertise", "slots", "work_dir"])]
    scheduler: bool,
    /// Where to listen [default: 127.0.0.1:50050 for a scheduler, any free port of 127.0.0.1 for a worker].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// The scheduler to work for.
    #[arg(long, value_name = "HOST:PORT", value_parser = address, default_value = "127.0.0.1:50050")]
    scheduler_address: (String, u16),
    /// Name or address by which commands and other workers reach this one [default: that of --listen].
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Pieces of tables to read at once [default: all cores].
    #[arg(long, value_name = "N")]
    slots: Option<std::num::NonZeroUsize>,
    /// Folder for partial results until they are fetched [default: the system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
    /// What to log on stderr.
    #[arg(long, value_name = "LEVEL", default_value = "warn", value_parser = ["off", "error", "warn", "info", "debug"])]
    log: String,
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn address(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let sound = match plain {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    };
    match port.parse() {
        Ok(port) if sound && port > 0 => Ok((host.to_owned(), port)),
        _ => Err(wrong()),
    }
}

#[cfg(not(feature = "cluster"))]
mod engine {
    use super::{Arc, Cluster, ClusterArgs, Exit, UsageError, WorkerArgs};

    const MISSING: &str = "this gauntlet was built without clusters; `cargo install --path crates/gauntlet --features cluster` \
                           in its repository builds one with them";

    impl ClusterArgs {
        /// The cluster, when one was asked for.
        pub(crate) fn open(&self) -> anyhow::Result<Option<Arc<dyn Cluster>>> {
            let asked = self.cluster.is_some() || self.tls.tls_certificate.is_some();
            if asked { Err(UsageError::new(MISSING).into()) } else { Ok(None) }
        }
    }

    pub(crate) fn run(_args: &WorkerArgs) -> anyhow::Result<Exit> {
        Err(UsageError::new(MISSING).into())
    }
}

#[cfg(feature = "cluster")]
mod engine {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::num::NonZeroUsize;

    use gauntlet_cluster::{Node, NodeError, Remote, SchedulerOptions, Tls, WorkerOptions};

    use super::{Arc, Cluster, ClusterArgs, Exit, TlsArgs, UsageError, WorkerArgs};
    use crate::terminal;

    /// Where a scheduler listens unless told otherwise.
    const SCHEDULER_PORT: u16 = 50050;

    impl ClusterArgs {
        /// The cluster, when one was asked for.
        pub(crate) fn open(&self) -> anyhow::Result<Option<Arc<dyn Cluster>>> {
            let node = self.tls.node()?;
            match &self.cluster {
                Some((host, port)) => Ok(Some(Arc::new(Remote::new(node, &format!("{host}:{port}"))))),
                None if self.tls.tls_certificate.is_some() => {
                    Err(UsageError::new("--tls-certificate, --tls-key and --tls-ca are for --cluster").into())
                }
                None => Ok(None),
            }
        }
    }

    impl TlsArgs {
        fn node(&self) -> anyhow::Result<Node> {
            let tls = match (&self.tls_certificate, &self.tls_key, &self.tls_ca) {
                (Some(certificate), Some(key), Some(authority)) => {
                    Some(Tls { certificate: certificate.clone(), key: key.clone(), authority: authority.clone() })
                }
                _ => None,
            };
            Ok(Node::new(tls.as_ref()).map_err(|error| UsageError::new(error.to_string()))?)
        }
    }

    /// What the user has to change is wrong usage; everything else is not.
    fn wrong(error: NodeError) -> anyhow::Error {
        match error {
            NodeError::Options(what) => UsageError::new(what).into(),
            error => error.into(),
        }
    }

    pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<Exit> {
        let node = args.tls.node()?;
        let local = |port| args.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let log = Some(args.log.clone());
        if args.scheduler {
            let options = SchedulerOptions { listen: local(SCHEDULER_PORT), log };
            let listening = |address| terminal::note(&format!("scheduler at {address}"));
            let node = gauntlet_cluster::schedule(&node, &options, listening, gauntlet_cluster::ended());
            gauntlet_cluster::run(node).map_err(wrong)?;
        } else {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let options = WorkerOptions {
                listen: local(0),
                advertise: args.advertise.clone(),
                scheduler: args.scheduler_address.clone(),
                slots: args.slots.map_or(cores, NonZeroUsize::get),
                work_dir: args.work_dir.clone(),
                log,
            };
            let (host, port) = &options.scheduler;
            let listening = |address| terminal::note(&format!("worker at {address} for {host}:{port}"));
            gauntlet_cluster::run(gauntlet_cluster::work(&node, &options, listening)).map_err(wrong)?;
        }
        Ok(Exit::Allowed)
    }
}

pub(crate) use engine::run;

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        assert_eq!(address("s1.example:50050").unwrap(), ("s1.example".to_owned(), 50050));
        assert_eq!(address("[::1]:1").unwrap(), ("[::1]".to_owned(), 1));
        for wrong in ["", ":1", "h", "h:0", "h:99999", "::1:5", "http://h:1", "h/x:1", "[h]:1", "h:-1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
