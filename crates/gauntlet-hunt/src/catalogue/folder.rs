//! A folder of facts: `<subject>/<sha256>.parquet`, and `.json` of the first releases.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{Catalogue, Held, Unanswered};
use crate::HuntError;
use crate::stored::Form;

/// A file that is named as facts are.
pub(super) struct File {
    pub(super) path: PathBuf,
    subject: String,
    facts: String,
    form: Form,
}

/// Everything in the folder, admitted by nobody.
pub(super) fn read(folder: &Path) -> Result<Catalogue, HuntError> {
    let project = folder.display().to_string();
    let (files, foreign) = files(folder)?;
    let held = files.into_iter().map(|file| Held {
        project: project.clone(),
        subject: file.subject,
        name: String::new(),
        kind: None,
        facts: file.facts,
        path: file.path,
        form: file.form,
        admitted: false,
        entries: None,
        extractor: (String::new(), 0),
        gate: None,
        configs: BTreeSet::new(),
    });
    let unanswered = foreign.into_iter().map(|path| Unanswered {
        project: project.clone(),
        name: String::new(),
        subject: String::new(),
        facts: None,
        ledger_index: None,
        why: format!("{} is not named as facts are", path.display()),
        gate: None,
    });
    Ok(Catalogue { held: held.collect(), unanswered: unanswered.collect(), ..Catalogue::default() })
}

/// The folder's files of facts in a stable order, and what else lies there. A missing folder is an error.
pub(super) fn files(folder: &Path) -> Result<(Vec<File>, Vec<PathBuf>), HuntError> {
    let (mut files, mut foreign) = (Vec::new(), Vec::new());
    for subject in entries(folder)? {
        let name = file_name(&subject);
        if !subject.is_dir() || !is_name(&name) {
            foreign.push(subject);
            continue;
        }
        for path in entries(&subject)? {
            let file = file_name(&path);
            let form = match file.split_once('.') {
                Some((facts, "parquet")) if is_name(facts) => Some((facts.to_owned(), Form::Parquet)),
                Some((facts, "json")) if is_name(facts) => Some((facts.to_owned(), Form::Json)),
                _ => None,
            };
            match form {
                Some((facts, form)) => files.push(File { path, subject: name.clone(), facts, form }),
                None => foreign.push(path),
            }
        }
    }
    Ok((files, foreign))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, HuntError> {
    let io = |source: io::Error| HuntError::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        paths.push(entry.map_err(io)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    (32..=128).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
