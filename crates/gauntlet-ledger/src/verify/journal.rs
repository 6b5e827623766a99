//! What made the entries durable: the frames of a journal, or the commits of a ledger in an object store.

use std::path::Path;

use crate::checkpoint::SignedCheckpoint;
use crate::error::Error;
use crate::frontier::Frontier;
use crate::journal::{Journal, Tail};
use crate::log::commit::Commit;
use crate::log::remote::read_commit;
use crate::log::state::JOURNAL;
use crate::log::view::Tiles;
use crate::verify::{Problem, Verifier};

impl Verifier {
    /// Reads all frames, checks each signature, and keeps the entries and the roots to be met.
    pub(super) fn read_journal(&mut self) {
        let path = self.tiles.file_path(JOURNAL);
        if let Err(error) = self.read_frames(&path) {
            let problem = match error {
                Error::Checkpoint { source, .. } => Problem::Checkpoint(source),
                Error::Damaged { problem, .. } => Problem::Journal(problem),
                other => Problem::Unreadable(other.to_string()),
            };
            self.report(path, problem);
        }
    }

    fn read_frames(&mut self, path: &Path) -> Result<(), Error> {
        let refuse = |source| Error::Checkpoint { path: path.to_owned(), source };
        let mut journal = Journal::open(path, false, 0)?;
        let base = SignedCheckpoint::open(journal.base.as_bytes(), &self.key, &[]).map_err(refuse)?;
        self.base = base.checkpoint.size;
        let mut next = self.base;
        self.meet(path.to_owned(), base);
        while let Some(frame) = journal.next()? {
            let signed = SignedCheckpoint::open(frame.checkpoint.as_bytes(), &self.key, &[]).map_err(refuse)?;
            let end = next + frame.entries.len() as u64;
            if frame.start != next || signed.checkpoint.size != end {
                return Err(Error::damaged(path, format!("the frame after entry {next} does not go on from there")));
            }
            self.journal.extend((next..).zip(frame.entries));
            self.meet(path.to_owned(), signed);
            next = end;
        }
        if let Some(published) = self.published.filter(|published| *published > next) {
            self.report(path.to_owned(), Problem::JournalShort { published, found: next });
        }
        if journal.tail()? == Tail::Noise {
            return Err(Error::damaged(path, "there are bytes behind the last frame that no append wrote"));
        }
        Ok(())
    }

    /// Follows the commits from the first one on. Each has to go on where the one before ended; the root that each is signed over is
    /// met when the tree is derived.
    pub(super) fn read_commits(&mut self, names: &[String]) -> Result<(), Error> {
        let Tiles::Objects(objects) = &self.tiles else { return Ok(()) };
        let objects = objects.clone();
        let (mut next, mut fence, mut known) = (0, 0, 0usize);
        let mut frontier = Frontier::default();
        loop {
            let path = objects.path(&Commit::name(next));
            let commit = match read_commit(&objects, next, &self.key) {
                Ok(Some(commit)) => commit,
                Ok(None) => break,
                Err(Error::Damaged { problem, .. }) => {
                    self.report(path, Problem::Commit(problem));
                    break;
                }
                Err(error) => return Err(error),
            };
            if let Err(error) = commit.apply(&mut frontier, &mut Vec::new()) {
                self.report(path, Problem::Commit(error.to_string()));
                break;
            }
            if commit.fence < fence {
                let problem = format!("its fence {} is below the fence {fence} before it", commit.fence);
                self.report(path.clone(), Problem::Commit(problem));
            }
            fence = commit.fence;
            self.expected.entry(commit.size).or_default().push((path, commit.root));
            if self.published.is_none_or(|published| commit.size > published) {
                self.journal.extend((commit.start..).zip(commit.entries));
            }
            (next, known) = (commit.size, known + 1);
        }
        self.durable = next;
        if let Some(published) = self.published.filter(|published| *published > next) {
            let path = objects.path(&Commit::name(next));
            self.report(path, Problem::JournalShort { published, found: next });
        }
        let stray = names.iter().filter(|name| name.starts_with("journal/")).count();
        if stray > known {
            let problem = format!("{} objects are no commit of this log", stray - known);
            self.report(objects.path("journal"), Problem::Commit(problem));
        }
        Ok(())
    }
}
