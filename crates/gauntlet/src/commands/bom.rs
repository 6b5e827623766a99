//! `gauntlet bom`: the bill of materials of a model, as CycloneDX or SPDX.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gauntlet_trust::bom::{Writer, cyclonedx, spdx};
use gauntlet_trust::statement::{CYCLONEDX, ResourceDescriptor, SPDX, Statement};

use crate::attestation::{self, SignerArgs};
use crate::cli::Global;
use crate::commands::run::clock;
use crate::exit::{Exit, UsageError};
use crate::gather::{GatherArgs, gather};
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::terminal;

/// Arguments of `gauntlet bom`.
#[derive(Debug, Args)]
pub(crate) struct BomArgs {
    #[command(flatten)]
    gather: GatherArgs,
    /// Which standard.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    format: BomFormat,
    /// Release of CycloneDX: 1.5, 1.6 or 1.7 [default: 1.6].
    #[arg(long, value_name = "VERSION")]
    spec: Option<cyclonedx::Version>,
    /// Write the document to a file instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign the document as evidence about the model and append it to the project's ledger.
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    signer: SignerArgs,
}

/// Which standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BomFormat {
    /// CycloneDX JSON.
    #[default]
    Cyclonedx,
    /// SPDX 3.0.1 JSON-LD.
    Spdx,
}

pub(crate) fn run(args: &BomArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    if args.spec.is_some() && args.format == BomFormat::Spdx {
        return Err(UsageError::new("--spec is a release of CycloneDX; SPDX is written as 3.0.1").into());
    }
    if args.signer.key.is_some() && !args.sign {
        return Err(UsageError::new("--key signs nothing without --sign").into());
    }
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let gathered = gather(&args.gather, now, config, &meter)?;
    meter.finish();
    let writer = Writer { tool_version: env!("CARGO_PKG_VERSION"), time: now };
    let (document, kind) = match args.format {
        BomFormat::Cyclonedx => {
            let version = args.spec.unwrap_or(cyclonedx::Version::V1_6);
            (cyclonedx::write(&gathered.facts, version, writer), CYCLONEDX)
        }
        BomFormat::Spdx => (spdx::write(&gathered.facts, writer), SPDX),
    };
    if args.sign {
        let subject = ResourceDescriptor::from(&gathered.facts.subject);
        let statement = Statement::new(vec![subject], kind, document.clone());
        let key = args.signer.signing_key(config)?;
        let project = gathered.project.as_deref().ok_or_else(|| {
            UsageError::new("there is no gauntlet.yaml at or above the model: name the ledger's folder with --project")
        })?;
        let kept = attestation::append(&statement, "attestation", &key, project, config, now)?;
        if let Some(index) = kept.index {
            terminal::note(&format!("signed as entry {index} of the ledger, envelope sha256:{}", kept.envelope));
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    terminal::deliver(&bytes, args.output.as_deref())?;
    Ok(Exit::Allowed)
}
