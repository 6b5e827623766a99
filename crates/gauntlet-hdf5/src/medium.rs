//! The file under one superblock: addresses, budgets, who owns which bytes, and what was wrong.

use std::collections::HashMap;

use gauntlet_limits::{Budget, Limit, ReadAt};

use crate::bytes::Bytes;
use crate::checksum::lookup3;
use crate::error::{Problem, ProblemKind, Stop};

/// Problems that are kept.
const PROBLEMS: usize = 1000;
/// Bytes of metadata that cost one step.
const BYTES_A_STEP: u64 = 8;

/// Objects of one global heap collection: index, address, length.
pub(crate) type Collection = Vec<(u32, u64, u64)>;

pub(crate) struct Medium<'a> {
    pub source: &'a dyn ReadAt,
    pub budget: &'a Budget,
    /// Where addresses count from.
    pub base: u64,
    /// Bytes of an address.
    pub offset_size: usize,
    /// Bytes of a length.
    pub length_size: usize,
    /// Absolute ranges that belong to something: start, length.
    pub owned: Vec<(u64, u64)>,
    /// Everything that owns bytes was found and noted.
    pub mapped: bool,
    pub problems: Vec<Problem>,
    pub more_problems: u64,
    /// Path of the object being read.
    pub object: String,
    /// Bytes of values kept so far.
    held: u64,
    pub collections: HashMap<u64, Collection>,
    collected: u64,
}

impl<'a> Medium<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt, budget: &'a Budget, base: u64) -> Self {
        Self {
            source,
            budget,
            base,
            offset_size: 8,
            length_size: 8,
            owned: Vec::new(),
            mapped: true,
            problems: Vec::new(),
            more_problems: 0,
            object: String::new(),
            held: 0,
            collections: HashMap::new(),
            collected: 0,
        }
    }

    /// Reads `len` bytes at `address` and notes that they are owned.
    pub(crate) fn block(&mut self, address: u64, len: u64, what: &'static str) -> Result<Vec<u8>, Stop> {
        let bytes = self.peek(address, len, what)?;
        self.own(address, len);
        Ok(bytes)
    }

    /// Reads without owning.
    pub(crate) fn peek(&mut self, address: u64, len: u64, what: &'static str) -> Result<Vec<u8>, Stop> {
        let start = self.absolute(address);
        let end = start.and_then(|start| start.checked_add(len)).filter(|end| *end <= self.source.size());
        let (Some(start), Some(_)) = (start, end) else {
            return Err(Stop::bad(
                ProblemKind::Truncated,
                format!("{what} of {len} bytes at address {address} leaves the file"),
            ));
        };
        self.budget.steps(1 + len / BYTES_A_STEP)?;
        let limits = self.budget.limits();
        limits.check(Limit::HeaderBytes, len)?;
        self.source.read_block(start, len, limits).map_err(Stop::Io)
    }

    /// A structure whose last four bytes are the checksum of the others.
    pub(crate) fn checked(&mut self, address: u64, len: u64, what: &'static str) -> Result<Vec<u8>, Stop> {
        let bytes = self.block(address, len, what)?;
        self.verify(&bytes, address, what);
        Ok(bytes)
    }

    pub(crate) fn verify(&mut self, bytes: &[u8], address: u64, what: &'static str) {
        let Some((body, stated)) = bytes.len().checked_sub(4).and_then(|at| bytes.split_at_checked(at)) else { return };
        if stated != lookup3(body).to_le_bytes() {
            self.problem(ProblemKind::Checksum, Some(address), format!("the checksum of {what} is wrong"));
        }
    }

    pub(crate) fn absolute(&self, address: u64) -> Option<u64> {
        self.base.checked_add(address)
    }

    pub(crate) fn own(&mut self, address: u64, len: u64) {
        let Some(start) = self.absolute(address) else { return };
        if self.owned.len() as u64 >= self.budget.limits().nodes {
            self.merge_owned();
        }
        if self.owned.len() as u64 >= self.budget.limits().nodes {
            self.mapped = false;
        } else if len > 0 {
            self.owned.push((start, len));
        }
    }

    /// Sorts the owned ranges and joins those that touch.
    pub(crate) fn merge_owned(&mut self) {
        self.owned.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (start, len) in self.owned.drain(..) {
            match merged.last_mut() {
                Some((first, all)) if start <= first.saturating_add(*all) => {
                    *all = (*all).max(start.saturating_add(len).saturating_sub(*first));
                }
                _ => merged.push((start, len)),
            }
        }
        self.owned = merged;
    }

    /// Whether `len` more bytes of values may be kept.
    pub(crate) fn hold(&mut self, len: u64) -> Result<(), Stop> {
        self.held = self.held.saturating_add(len);
        if self.held > self.budget.limits().header_bytes {
            return Err(Stop::bad(ProblemKind::Limit, "the values of this file are more than limit `header_bytes`"));
        }
        Ok(())
    }

    /// Whether a list of open nodes may grow on.
    pub(crate) fn room(&self, open: usize) -> Result<(), Stop> {
        self.budget.limits().check(Limit::Nodes, open as u64).map_err(Stop::Limit)
    }

    /// Whether `len` further objects of a collection may be kept; forgets all others when not.
    pub(crate) fn collect(&mut self, len: u64) {
        self.collected = self.collected.saturating_add(len);
        if self.collected > self.budget.limits().nodes {
            self.collections.clear();
            self.collected = len;
        }
    }

    pub(crate) fn problem(&mut self, kind: ProblemKind, address: Option<u64>, what: impl Into<String>) {
        if self.problems.len() >= PROBLEMS {
            self.more_problems += 1;
            return;
        }
        let offset = address.and_then(|address| self.absolute(address));
        self.problems.push(Problem { kind, object: self.object.clone(), offset, what: what.into() });
    }

    /// Notes what is bad about one structure; gives back what stops everything.
    pub(crate) fn note<T>(&mut self, address: Option<u64>, result: Result<T, Stop>) -> Result<Option<T>, Stop> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Bad(kind, what)) => {
                // What could not be read owns bytes that are not known.
                self.mapped = false;
                self.problem(kind, address, what);
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// An address; `None` when it is undefined (all bits set).
    pub(crate) fn address(&self, bytes: &mut Bytes<'_>) -> Result<Option<u64>, Stop> {
        let value = bytes.uint(self.offset_size)?;
        let undefined = if self.offset_size >= 8 { u64::MAX } else { (1 << (8 * self.offset_size)) - 1 };
        Ok((value != undefined).then_some(value))
    }

    /// An address that has to be there.
    pub(crate) fn defined(&self, bytes: &mut Bytes<'_>, what: &str) -> Result<u64, Stop> {
        self.address(bytes)?.ok_or_else(|| Stop::malformed(format!("{what} has no address")))
    }

    pub(crate) fn length(&self, bytes: &mut Bytes<'_>) -> Result<u64, Stop> {
        bytes.uint(self.length_size)
    }
}
