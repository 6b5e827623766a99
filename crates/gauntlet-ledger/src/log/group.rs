//! Group commit: many threads wait, one of them commits for all.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::journal::MAX_FRAME_ENTRIES;
use crate::log::Appended;
use crate::tree::Hash;

/// How long a leader waits for those who took part in the last commit; they usually come back at once.
const GATHER: Duration = Duration::from_micros(200);

/// One entry to append.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entry: Vec<u8>,
    /// Append only when no entry names this envelope yet.
    pub(crate) unless_present: Option<Hash>,
}

/// The queue of waiting threads.
#[derive(Debug, Default)]
pub(crate) struct Group {
    queue: Mutex<Queue>,
    arrived: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Item>,
    busy: bool,
    last: usize,
}

type Outcome = Result<Appended, Arc<Error>>;

#[derive(Debug)]
struct Item {
    request: Request,
    outcome: Arc<OnceLock<Outcome>>,
}

impl Group {
    /// Hands in requests and waits until they are committed, by this thread or another. `commit` gives one outcome a request.
    pub(crate) fn submit(
        &self,
        requests: Vec<Request>,
        commit: impl Fn(&[&Request]) -> Result<Vec<Appended>, Error>,
    ) -> Result<Vec<Appended>, Error> {
        let outcomes: Vec<Arc<OnceLock<Outcome>>> = requests.iter().map(|_| Arc::default()).collect();
        let mut queue = self.lock();
        let items = requests.into_iter().zip(&outcomes);
        queue.waiting.extend(items.map(|(request, outcome)| Item { request, outcome: Arc::clone(outcome) }));
        self.arrived.notify_one();
        while outcomes.iter().any(|outcome| outcome.get().is_none()) {
            if queue.busy {
                queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.busy = true;
            queue = self.gather(queue);
            let batch = take_batch(&mut queue.waiting);
            queue.last = batch.len();
            drop(queue);
            let turn = Turn { group: self, batch };
            turn.run(&commit);
            drop(turn);
            queue = self.lock();
        }
        drop(queue);
        let taken = outcomes.iter().map(|outcome| match outcome.get() {
            Some(Ok(appended)) => Ok(*appended),
            Some(Err(error)) => Err(Error::Append(Arc::clone(error))),
            None => Err(Error::Poisoned),
        });
        taken.collect()
    }

    fn gather<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let start = Instant::now();
        while queue.waiting.len() < queue.last {
            let left = GATHER.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            queue = self.arrived.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leader's turn. However it ends, everybody in the batch gets an outcome and another thread can lead.
struct Turn<'a> {
    group: &'a Group,
    batch: Vec<Item>,
}

impl Turn<'_> {
    fn run(&self, commit: impl Fn(&[&Request]) -> Result<Vec<Appended>, Error>) {
        let requests: Vec<&Request> = self.batch.iter().map(|item| &item.request).collect();
        match commit(&requests) {
            Ok(appended) => {
                for (item, appended) in self.batch.iter().zip(appended) {
                    let _ = item.outcome.set(Ok(appended));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for item in &self.batch {
                    let _ = item.outcome.set(Err(Arc::clone(&error)));
                }
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for item in &self.batch {
            // Does nothing where there is an outcome.
            item.outcome.get_or_init(|| Err(Arc::new(Error::Poisoned)));
        }
        self.group.lock().busy = false;
        self.group.done.notify_all();
    }
}

/// As many requests as fit in one frame, at least one.
fn take_batch(waiting: &mut Vec<Item>) -> Vec<Item> {
    let mut bytes = 0;
    let count = waiting
        .iter()
        .take_while(|item| {
            bytes += item.request.entry.len() + 2;
            bytes <= MAX_FRAME_ENTRIES
        })
        .count();
    waiting.drain(..count.max(1).min(waiting.len())).collect()
}
