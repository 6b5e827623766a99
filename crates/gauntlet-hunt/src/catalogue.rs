//! Which facts there are, and which of them may be believed: those whose digest stands in a signed statement that the
//! ledger holds. Folders of facts without evidence are taken only where the user names them.

mod evidence;
mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gauntlet_core::{Digest, Gate, SubjectKind};
use gauntlet_ledger::Ledger;
use gauntlet_trust::keys::VerifyingKey;
use rayon::prelude::*;
use serde::Serialize;

use crate::HuntError;
use crate::stored::{Form, Stored};

/// Largest file of facts that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Where facts come from.
pub enum Source<'a> {
    /// A project's state folder.
    Project(Project<'a>),
    /// A folder that `gauntlet scan --facts` wrote. Nothing vouches for it.
    Folder(PathBuf),
}

/// A project's facts with their evidence.
pub struct Project<'a> {
    /// The project's folder, as the user gave it.
    pub name: String,
    /// Folder of its facts.
    pub facts: PathBuf,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Keys whose signatures count.
    pub keys: &'a [VerifyingKey],
}

/// Hears how far a hunt is.
pub trait Listen: Sync {
    /// So many bytes more are done.
    fn done(&self, bytes: u64);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Listen for Silent {
    fn done(&self, _bytes: u64) {}
}

/// Facts of one subject that can be asked.
#[derive(Clone, Debug)]
pub struct Held {
    /// Folder of the project, or of the facts.
    pub project: String,
    /// Primary digest of the subject, in hex.
    pub subject: String,
    /// Its name.
    pub name: String,
    /// What kind of thing it is, when that is known.
    pub kind: Option<SubjectKind>,
    /// SHA-256 of the file of facts, in hex.
    pub facts: String,
    /// Where the file lies.
    pub path: PathBuf,
    /// How it is written.
    pub form: Form,
    /// Signed evidence binds it.
    pub admitted: bool,
    /// First and last entry of the ledger about it.
    pub entries: Option<((u64, String), (u64, String))>,
    /// Who extracted it, in which version.
    pub extractor: (String, u32),
    /// The gate that it belongs to, when there is one in this program.
    pub gate: Option<usize>,
    /// Digests of the configurations that its reports state.
    pub(crate) configs: BTreeSet<Digest>,
}

/// One signed report.
#[derive(Clone, Debug)]
pub struct ReportEntry {
    /// Folder of the project.
    pub project: String,
    /// Primary digest of the subject, in hex.
    pub subject: String,
    /// Its name.
    pub name: String,
    /// Which check.
    pub check: String,
    /// In which version.
    pub check_version: u64,
    /// Its verdict.
    pub verdict: String,
    /// Everything was looked at.
    pub complete: bool,
    /// Findings that count.
    pub findings: u64,
    /// Entry of the ledger.
    pub index: u64,
    /// Its time.
    pub time: String,
    /// Key id of the signer.
    pub key: String,
    /// Nobody vouches for the key.
    pub local: bool,
    /// SHA-256 of the envelope.
    pub envelope: String,
    /// SHA-256 of the facts.
    pub facts: Option<String>,
    pub(crate) config: Option<Digest>,
}

/// Something that cannot be asked, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unanswered {
    /// Folder of the project, or of the facts.
    pub project: String,
    /// Name of the subject; empty when it is not known.
    pub name: String,
    /// Its primary digest, in hex; empty when it is not known.
    pub subject: String,
    /// SHA-256 of the file of facts.
    pub facts: Option<String>,
    /// Entry of the ledger that speaks of it.
    pub ledger_index: Option<u64>,
    /// Why, in words.
    pub why: String,
    #[serde(skip)]
    pub(crate) gate: Option<usize>,
}

/// All facts, believed or not.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// What can be asked, in the order of project, name and entry.
    pub held: Vec<Held>,
    /// What cannot be.
    pub unanswered: Vec<Unanswered>,
    /// Signed reports.
    pub reports: Vec<ReportEntry>,
    /// Files of facts in a project that no evidence names. They are not asked.
    pub not_admitted: Vec<PathBuf>,
    /// Facts in place of which later ones of the same subject were asked.
    pub superseded: u64,
}

impl Catalogue {
    /// Reads the ledgers and the heads of all files of facts: signatures and digests are checked here, and again when
    /// facts are read.
    ///
    /// # Errors
    /// When a ledger or folder as a whole cannot be read.
    pub fn read(sources: &[Source<'_>], gates: &[&'static Gate], listen: &dyn Listen) -> Result<Self, HuntError> {
        let mut all = Self::default();
        for source in sources {
            let mut one = match source {
                Source::Project(project) => evidence::read(project, gates)?,
                Source::Folder(folder) => folder::read(folder)?,
            };
            one.inspect(gates, listen);
            one.supersede(gates);
            all.held.append(&mut one.held);
            all.unanswered.append(&mut one.unanswered);
            all.reports.append(&mut one.reports);
            all.not_admitted.append(&mut one.not_admitted);
            all.superseded += one.superseded;
        }
        all.held.sort_by(|a, b| {
            (&a.project, &a.name, &a.entries, &a.facts).cmp(&(&b.project, &b.name, &b.entries, &b.facts))
        });
        all.unanswered.sort();
        Ok(all)
    }

    /// Reads each file's head. What cannot be read, or is of another subject, is unanswered.
    fn inspect(&mut self, gates: &[&'static Gate], listen: &dyn Listen) {
        let held = std::mem::take(&mut self.held);
        let looked: Vec<Result<Held, Box<Unanswered>>> =
            held.into_par_iter().map(|held| inspect(held, gates, listen)).collect();
        for one in looked {
            match one {
                Ok(held) => self.held.push(held),
                Err(why) => self.unanswered.push(*why),
            }
        }
    }

    /// Facts that are gone or too old do not matter where later facts of the same bytes are there.
    fn supersede(&mut self, gates: &[&'static Gate]) {
        let mut latest: BTreeMap<(String, usize), Option<u64>> = BTreeMap::new();
        for held in self.held.iter().filter(|held| held.current(gates)) {
            let Some(gate) = held.gate else { continue };
            let index = held.entries.as_ref().map(|(_, (index, _))| *index);
            let known = latest.entry((held.subject.clone(), gate)).or_insert(index);
            *known = (*known).max(index);
        }
        let later = |subject: &str, gate: Option<usize>, index: Option<u64>| {
            gate.and_then(|gate| latest.get(&(subject.to_owned(), gate))).is_some_and(|known| *known >= index)
        };
        let before = self.held.len() + self.unanswered.len();
        self.held.retain(|held| {
            let index = held.entries.as_ref().map(|(_, (index, _))| *index);
            held.current(gates) || !later(&held.subject, held.gate, index)
        });
        self.unanswered.retain(|one| !later(&one.subject, one.gate, one.ledger_index));
        self.superseded += (before - self.held.len() - self.unanswered.len()) as u64;
    }
}

impl Held {
    /// Whether the extractor of today would write the same facts.
    pub(crate) fn current(&self, gates: &[&'static Gate]) -> bool {
        self.gate.and_then(|gate| gates.get(gate)).is_some_and(|gate| gate.extractor.version() == self.extractor.1)
    }

    /// Why rules of today cannot be asked, when they cannot.
    pub(crate) fn too_old(&self, gates: &[&'static Gate]) -> Option<Box<Unanswered>> {
        let (name, version) = &self.extractor;
        match self.gate.and_then(|gate| gates.get(gate)) {
            None => {
                Some(self.unanswered(format!("its facts are of extractor `{name}`, which this program does not have")))
            }
            Some(gate) if gate.extractor.version() != *version => Some(self.unanswered(format!(
                "its facts were extracted by `{name}` {version}, this program has {}: run it again over the files",
                gate.extractor.version()
            ))),
            Some(_) => None,
        }
    }

    /// Reads the facts, after their digest.
    pub(crate) fn load(&self) -> Result<Stored, Box<Unanswered>> {
        let bytes = self.bytes()?;
        let stored = Stored::read(bytes, self.form)
            .map_err(|error| self.unanswered(format!("{} cannot be read: {error}", self.path.display())))?;
        Ok(stored)
    }

    pub(crate) fn unanswered(&self, why: String) -> Box<Unanswered> {
        Box::new(Unanswered {
            project: self.project.clone(),
            name: self.name.clone(),
            subject: self.subject.clone(),
            facts: Some(self.facts.clone()),
            ledger_index: self.entries.as_ref().map(|(_, (index, _))| *index),
            why,
            gate: self.gate,
        })
    }

    fn bytes(&self) -> Result<Vec<u8>, Box<Unanswered>> {
        let shown = self.path.display();
        let bytes = read_file(&self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.unanswered(format!("its facts are gone: {shown} is not there")),
            _ => self.unanswered(format!("{shown} cannot be read: {error}")),
        })?;
        let found = Digest::sha256(&bytes);
        if found.hex() != self.facts {
            return Err(self.unanswered(format!("{shown} was changed: its digest is {found}")));
        }
        Ok(bytes)
    }
}

fn inspect(mut held: Held, gates: &[&'static Gate], listen: &dyn Listen) -> Result<Held, Box<Unanswered>> {
    let bytes = held.bytes()?;
    listen.done(bytes.len() as u64);
    let (extractor, version, subject) = Stored::read_header(bytes, held.form)
        .map_err(|error| held.unanswered(format!("{} cannot be read: {error}", held.path.display())))?;
    if let Some(subject) = subject {
        if subject.digest.primary().is_none_or(|digest| digest.hex() != held.subject) {
            return Err(held.unanswered(format!("{} holds facts of another subject", held.path.display())));
        }
        held.kind = Some(subject.kind);
        if held.name.is_empty() {
            held.name = subject.name;
        }
    }
    let gate = gates.iter().position(|gate| gate.extractor.name() == extractor);
    if held.admitted && held.gate.is_some() && held.gate != gate {
        return Err(held.unanswered(format!("{} holds facts of another gate than its evidence", held.path.display())));
    }
    (held.gate, held.extractor) = (gate, (extractor, version));
    Ok(held)
}

/// A regular file's bytes, up to the limit.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}
