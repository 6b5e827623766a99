//! A whole file: stacked pickles, the bytes between and behind them, pickles inside calls, PyTorch's old layout.

use gauntlet_limits::{Budget, Cursor, LimitHit, Stream};

use crate::facts::{ForeignBytes, Gap, List, Origin, PickleFacts, SourceText, StreamEnd};
use crate::input::{Input, Short, WINDOW};
use crate::machine::{Machine, NestedJob, Outcome, Registry};
use crate::sniff;
use crate::torch;
use crate::value::Value;

/// How far and how deep to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pickles inside calls inside pickles.
    pub nested_depth: u32,
    /// Bytes of one gap that are searched for the start of another pickle.
    pub search_bytes: u64,
    /// Opcodes that trial runs of all searches together may cost.
    pub search_steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { nested_depth: 6, search_bytes: 64 << 20, search_steps: 16_000_000 }
    }
}

/// Interprets everything from the stream's position to its end. Never fails: what could not be read is in the facts.
#[must_use]
pub fn interpret(stream: &mut dyn Stream, budget: &Budget, options: &Options) -> PickleFacts {
    let mut walk = Walk {
        budget,
        options,
        registry: Registry::default(),
        facts: PickleFacts::default(),
        searched: 0,
        within: None,
    };
    let mut jobs = walk.file(stream, None);
    // A queue, not a recursion: each job knows its own depth.
    let mut next = 0;
    while next < jobs.len() && walk.facts.limit.is_none() {
        let (parent, depth, job) = &mut jobs[next];
        next += 1;
        let (parent, depth) = (*parent, *depth);
        if depth > options.nested_depth || next > NESTED {
            if let Some(stream) = walk.facts.streams.get_mut(parent as usize)
                && !stream.truncated.contains(&List::Nested)
            {
                stream.truncated.push(List::Nested);
            }
            continue;
        }
        let bytes = std::mem::take(&mut job.bytes);
        if walk.facts.foreign.len() < FOREIGN && sniff::looks_like_pickle(&bytes, job.complete).is_none() {
            let literal_at = job.literal_at.filter(|_| depth == 1);
            walk.facts.foreign.push(ForeignBytes { literal_at, len: job.len, bytes: bytes.clone() });
        }
        let origin = Origin::Nested {
            parent,
            via: job.via.clone(),
            offset: job.offset,
            depth,
            complete: job.complete,
            literal_at: job.literal_at,
            len: job.len,
        };
        let more = walk.file(&mut Cursor::new(&bytes, 0), Some((origin, depth)));
        jobs.extend(more);
    }
    walk.facts
}

/// [`interpret`] over bytes in memory with default limits: the entry for fuzzing.
#[must_use]
pub fn interpret_bytes(bytes: &[u8], budget: &Budget) -> PickleFacts {
    let bytes = bytes.to_vec();
    interpret(&mut Cursor::new(&bytes, 0), budget, &Options::default())
}

/// Streams of one file.
const STREAMS: usize = 16_384;
/// Streams that import nothing are listed up to here.
const PLAIN_STREAMS: usize = 256;
const GAPS: usize = 1024;
/// Byte strings of one file that are loaded and are no pickles.
const FOREIGN: usize = 32;
/// Nested pickles of one file, all depths together.
const NESTED: usize = 2048;

struct Walk<'a> {
    budget: &'a Budget,
    options: &'a Options,
    registry: Registry,
    facts: PickleFacts,
    searched: u64,
    /// Index of the first stream of the nested bytes being read.
    within: Option<u32>,
}

type Job = (u32, u32, NestedJob);

/// Where the next stream is.
enum Next {
    Here(Origin),
    End,
}

impl Walk<'_> {
    /// All streams of one input. Returns the nested pickles found in them.
    fn file(&mut self, stream: &mut dyn Stream, nested: Option<(Origin, u32)>) -> Vec<Job> {
        let mut input = Input::new(stream);
        let mut jobs = Vec::new();
        let depth = nested.as_ref().map_or(0, |(_, depth)| *depth);
        self.within = nested.is_some().then_some(self.facts.streams.len() as u32);
        let mut origin = nested.map_or(Origin::First, |(origin, _)| origin);
        let mut legacy = torch::Walk::default();
        match input.peek(1) {
            Ok([]) | Err(Short::End) => return jobs,
            Err(Short::Failed(error)) => {
                self.failed(&error);
                return jobs;
            }
            _ => {}
        }
        loop {
            let outcome = Machine::new(&mut input, self.budget, &mut self.registry).run(origin);
            let stopped = outcome.facts.end == StreamEnd::Stop;
            if let StreamEnd::Limit { hit } = outcome.facts.end {
                self.facts.limit = Some(hit);
            }
            let outcome = self.note(outcome, depth, &mut jobs, &mut legacy);
            if self.facts.limit.is_some() || self.facts.io_error.is_some() {
                break;
            }
            if stopped && legacy.wants_storages() {
                let place = self.facts.streams.len();
                if let Err(Short::Failed(error)) =
                    legacy.skip_storages(&mut input, &outcome, &self.facts.streams[..place])
                {
                    self.failed(&error);
                    break;
                }
            }
            match self.next(&mut input, stopped) {
                Ok(Next::Here(found)) => origin = found,
                Ok(Next::End) => break,
                Err(Short::Failed(error)) => {
                    self.failed(&error);
                    break;
                }
                Err(Short::End | Short::LongLine) => break,
            }
        }
        if depth == 0 {
            self.facts.torch_legacy = legacy.finish();
        }
        jobs
    }

    /// Keeps the facts of a stream; gives the outcome back without them.
    fn note(
        &mut self,
        outcome: Outcome,
        depth: u32,
        jobs: &mut Vec<Job>,
        legacy: &mut torch::Walk,
    ) -> (Option<Value>, crate::value::Heap) {
        let Outcome { mut facts, nested, sources, io_error, result, heap, .. } = outcome;
        facts.within = self.within;
        if io_error.is_some() {
            self.facts.io_error = io_error;
        }
        // The first stream of nested bytes stays listed, since `within` of others names it.
        let plain = !matches!(facts.origin, Origin::Nested { .. })
            && facts.imports.is_empty()
            && facts.extensions.is_empty()
            && facts.end == StreamEnd::Stop;
        if plain && self.facts.streams.len() >= PLAIN_STREAMS {
            self.facts.streams_unlisted += 1;
            legacy.leave();
        } else if self.facts.streams.len() >= STREAMS {
            self.facts.truncated = true;
            legacy.leave();
        } else {
            let index = self.facts.streams.len() as u32;
            jobs.extend(nested.into_iter().map(|job| (index, depth + 1, job)));
            let sources = sources.into_iter().map(|(offset, text)| SourceText { stream: index, offset, text });
            self.facts.sources.extend(sources);
            legacy.stream(index, &facts, result, &heap);
            self.facts.streams.push(facts);
        }
        (result, heap)
    }

    fn failed(&mut self, error: &std::io::Error) {
        match LimitHit::in_io(error) {
            Some(hit) => self.facts.limit = Some(hit),
            None => self.facts.io_error = Some(error.to_string()),
        }
    }

    /// Looks for the next stream; what lies before it becomes a gap.
    fn next(&mut self, input: &mut Input<'_>, after_stop: bool) -> Result<Next, Short> {
        let start = input.position();
        let mut zero = true;
        loop {
            let here = input.position();
            let ahead = input.peek(WINDOW)?;
            if ahead.is_empty() {
                let searched = here - start;
                self.gap(start, searched, searched, zero);
                return Ok(Next::End);
            }
            let complete = ahead.len() < WINDOW;
            // A candidate needs room behind it to show what it is, except at the end.
            let usable = if complete { ahead.len() } else { WINDOW / 2 };
            let mut found = None;
            for at in 0..usable {
                let byte = ahead[at];
                if may_start(byte) {
                    // Only what follows a STOP at once may be a pickle that merely looks like one.
                    let at_once = after_stop && at == 0 && here == start;
                    let (plausible, cost) = sniff::starts_here(&ahead[at..], complete, at_once);
                    self.searched += 1 + cost;
                    if plausible {
                        found = Some(at);
                        break;
                    }
                    if self.searched > self.options.search_steps {
                        found = Some(usize::MAX);
                        break;
                    }
                }
                zero &= byte == 0;
            }
            match found {
                Some(usize::MAX) => break,
                Some(at) => {
                    input.consume(at);
                    let len = input.position() - start;
                    self.gap(start, len, len, zero);
                    let stacked = len == 0 && after_stop;
                    return Ok(Next::Here(if stacked { Origin::Stacked } else { Origin::Searched }));
                }
                None => input.consume(usable),
            }
            if input.position() - start >= self.options.search_bytes {
                break;
            }
        }
        let searched = input.position() - start;
        let rest = input.skip_up_to(u64::MAX)?;
        self.gap(start, searched + rest, searched, zero);
        Ok(Next::End)
    }

    fn gap(&mut self, offset: u64, len: u64, searched: u64, zero: bool) {
        if len == 0 {
            return;
        }
        if self.facts.gaps.len() >= GAPS {
            self.facts.truncated = true;
            return;
        }
        self.facts.gaps.push(Gap { offset, within: self.within, len, searched, zero });
    }
}

/// Opcodes with which a stream that imports something can start.
fn may_start(byte: u8) -> bool {
    crate::opcode::opcode(byte).is_some_and(|op| match op.effect {
        crate::opcode::Effect::Fixed(takes, _) => takes == 0,
        crate::opcode::Effect::Mark => true,
        _ => false,
    })
}
