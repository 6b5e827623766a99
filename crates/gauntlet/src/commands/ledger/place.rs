//! Which ledger a command means: a URL on the command line, `ledger.url` of gauntlet.yaml, else the project's state folder.

use std::path::Path;

use clap::Args;
use gauntlet_core::Project;
use gauntlet_core::project::{FILE_NAME, LedgerConfig};
use gauntlet_ledger::note::VerifierKey;
use gauntlet_ledger::{Ledger, Objects, Options, Place, Verification};

use crate::commands::ledger::explain;
use crate::decide;
use crate::exit::UsageError;
use crate::state::{self, State, UserConfig};

/// Where the ledger is.
#[derive(Debug, Args)]
pub(crate) struct LedgerArg {
    /// The project's folder.
    #[arg(long, short = 'C', default_value = ".", value_name = "DIR")]
    pub(crate) dir: std::path::PathBuf,
    /// A ledger in an object store, such as `s3://bucket/prefix` [default: `ledger.url` of gauntlet.yaml, else DIR/.gauntlet].
    #[arg(long = "ledger", value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// A ledger that was found, and how it is opened.
pub(crate) struct Found {
    place: Kind,
    pub(crate) options: Options,
    /// What gauntlet.yaml says about it.
    pub(crate) config: LedgerConfig,
}

enum Kind {
    Folder(Place),
    Objects(Objects, std::path::PathBuf),
}

impl LedgerArg {
    /// Finds the ledger, without opening it.
    pub(crate) fn find(&self, user: &UserConfig) -> anyhow::Result<Found> {
        let found = find(&self.dir, self.url.as_deref(), configured(&self.dir)?, user)?;
        if let Kind::Folder(place) = &found.place
            && !place.log.is_dir()
        {
            let message = format!("there is no ledger in {}; `gauntlet run` makes one", self.dir.display());
            return Err(UsageError::new(message).into());
        }
        Ok(found)
    }
}

/// What gauntlet.yaml says about the ledger, when there is one.
pub(crate) fn configured(dir: &Path) -> anyhow::Result<LedgerConfig> {
    let file = dir.join(FILE_NAME);
    match std::fs::read(&file) {
        Ok(bytes) => {
            let project = Project::parse(&file.display().to_string(), &bytes).map_err(|errors| decide::all(&errors))?;
            Ok(project.ledger)
        }
        Err(_) => Ok(LedgerConfig::default()),
    }
}

/// The ledger of a project whose configuration is read already.
pub(crate) fn find(dir: &Path, url: Option<&str>, config: LedgerConfig, user: &UserConfig) -> anyhow::Result<Found> {
    let options = Options { origin: config.origin.as_ref().map(|origin| origin.value.clone()), ..Options::default() };
    let url = url.or_else(|| config.url.as_ref().map(|url| url.value.as_str()));
    let place = match url {
        Some(url) => {
            let objects = Objects::connect(url).map_err(|error| UsageError::new(error.to_string()))?;
            Kind::Objects(objects, user.dir().to_owned())
        }
        None => {
            let folder = State::folder(dir);
            if folder.is_dir() {
                state::check_format(&folder)?;
            }
            Kind::Folder(Place::in_state(&folder, user.dir()))
        }
    };
    Ok(Found { place, options, config })
}

impl Found {
    /// For reading.
    pub(crate) fn read(&self) -> anyhow::Result<Ledger> {
        let ledger = match &self.place {
            Kind::Folder(place) => Ledger::open_read_only(place, &self.options),
            Kind::Objects(objects, config) => Ledger::open_read_only_in(objects, config, &self.options),
        };
        ledger.map_err(explain)
    }

    /// For appending; it has to be there.
    pub(crate) fn write(&self) -> anyhow::Result<Ledger> {
        let ledger = match &self.place {
            Kind::Folder(place) => Ledger::open(place, &self.options),
            Kind::Objects(objects, config) => Ledger::open_in(objects, config, &self.options),
        };
        ledger.map_err(explain)
    }

    /// For appending; a new one is made where none is.
    pub(crate) fn write_or_create(&self) -> anyhow::Result<Ledger> {
        let ledger = match &self.place {
            Kind::Folder(place) => Ledger::open_or_create(place, &self.options),
            Kind::Objects(objects, config) => Ledger::open_or_create_in(objects, config, &self.options),
        };
        ledger.map_err(explain)
    }

    /// Derives everything again.
    pub(crate) fn verify(&self) -> anyhow::Result<Verification> {
        let verified = match &self.place {
            Kind::Folder(place) => gauntlet_ledger::verify(place, &self.options),
            Kind::Objects(objects, config) => gauntlet_ledger::verify_in(objects, config, &self.options),
        };
        verified.map_err(explain)
    }
}

/// Reads verifier keys that the user gave as text.
pub(crate) fn keys(texts: &[String]) -> anyhow::Result<Vec<VerifierKey>> {
    texts.iter().map(|text| key(text)).collect()
}

/// Reads one verifier key.
pub(crate) fn key(text: &str) -> anyhow::Result<VerifierKey> {
    VerifierKey::parse(text.trim()).map_err(|error| {
        UsageError::new(format!("`{}` is no verifier key (name+id+base64): {error}", text.trim().escape_debug())).into()
    })
}
