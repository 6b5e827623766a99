//! The single-writer lease over an object store: one object that says who writes, replaced by compare-and-swap.
//!
//! No two clocks are compared: whoever waits watches the object with its own clock, and takes the lease over when it did not change
//! for the time that its holder promised to renew it in. A holder that slept through that loses it without noticing; what it then
//! writes is fenced off by the journal, whose objects can be created only once. So the lease saves work, and the journal is what
//! makes a fork impossible.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lock::LockError;
use crate::objects::{Created, Objects, Version};

const NAME: &str = "lease";
const MAX_BYTES: u64 = 4096;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What the lease object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    /// Counts holders; never falls.
    fence: u64,
    /// Random name of the holder; absent when nobody holds it.
    holder: Option<String>,
    /// Counts renewals, so that no two contents are equal.
    renewals: u64,
    /// For how long the holder may leave the object unchanged, in milliseconds.
    ttl_ms: u64,
}

/// A lease that is held; it is given back by [`Lease::release`], or runs out.
#[derive(Debug)]
pub(crate) struct Lease {
    objects: Objects,
    version: Version,
    held: Held,
    renewed: Instant,
    timeout: Duration,
}

impl Lease {
    /// Waits for the lease, at most `timeout`; a lease that is not renewed within its own time is taken over. Its fence is above
    /// `floor`, also when the lease object was lost.
    pub(crate) fn acquire(objects: &Objects, floor: u64, ttl: Duration, timeout: Duration) -> Result<Self, Error> {
        let start = Instant::now();
        let mut holder = [0; 16];
        OsRng.fill_bytes(&mut holder);
        let holder = hex::encode(holder);
        let mut pause = FIRST_PAUSE;
        let mut watched: Option<(Version, Instant)> = None;
        loop {
            let asked = Instant::now();
            let seen = objects.get_versioned(NAME, MAX_BYTES)?;
            let Some((bytes, version)) = seen else {
                // Nobody ever wrote here. Whoever creates the object does not hold it yet: everybody then races by swapping.
                let free = Held { fence: 0, holder: None, renewals: 0, ttl_ms: 0 };
                let _: Created = objects.create(NAME, encode(&free)?)?;
                continue;
            };
            let there: Held = serde_json::from_slice(&bytes)
                .map_err(|error| Error::damaged(objects.path(NAME), format!("not a lease: {error}")))?;
            let since = match &watched {
                Some((last, since)) if *last == version => *since,
                _ => {
                    // A new holder, or the same that renewed: the wait for it begins anew.
                    watched = Some((version.clone(), asked));
                    asked
                }
            };
            let ran_out = since.elapsed() >= Duration::from_millis(there.ttl_ms);
            if there.holder.is_none() || ran_out {
                let fence = there.fence.max(floor).checked_add(1);
                let fence = fence.ok_or_else(|| Error::damaged(objects.path(NAME), "no fence is left"))?;
                let held = Held { fence, holder: Some(holder.clone()), renewals: 0, ttl_ms: ttl.as_millis() as u64 };
                let renewed = Instant::now();
                if let Some(version) = objects.swap(NAME, encode(&held)?, &version)? {
                    return Ok(Self { objects: objects.clone(), version, held, renewed, timeout });
                }
            }
            let waited = start.elapsed();
            if waited >= timeout {
                let holder =
                    there.holder.map_or_else(|| "others in turn".to_owned(), |holder| format!("writer {holder}"));
                return Err(LockError::Held { path: objects.path(NAME), holder, waited }.into());
            }
            std::thread::sleep(pause.min(timeout - waited));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Number of this holding; every later one has a larger number.
    pub(crate) fn fence(&self) -> u64 {
        self.held.fence
    }

    /// Random name of this holder.
    pub(crate) fn holder(&self) -> &str {
        self.held.holder.as_deref().unwrap_or_default()
    }

    /// Renews the lease when a third of its time is over; `false` when it ran out and is somebody else's. Writers ask before
    /// what should not happen without it.
    pub(crate) fn keep(&mut self) -> Result<bool, Error> {
        let ttl = Duration::from_millis(self.held.ttl_ms);
        if self.renewed.elapsed() < ttl / 3 {
            return Ok(true);
        }
        let renewed = Instant::now();
        let next = Held { renewals: self.held.renewals.saturating_add(1), ..self.held.clone() };
        match self.objects.swap(NAME, encode(&next)?, &self.version)? {
            Some(version) => {
                (self.version, self.held, self.renewed) = (version, next, renewed);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Takes the lease again after it was lost, waiting as long as at first.
    pub(crate) fn renew(&mut self, ttl: Duration) -> Result<(), Error> {
        *self = Self::acquire(&self.objects, self.held.fence, ttl, self.timeout)?;
        Ok(())
    }

    /// Gives the lease back. That somebody else has it by now is no error.
    pub(crate) fn release(self) -> Result<(), Error> {
        let free = Held { holder: None, ..self.held };
        self.objects.swap(NAME, encode(&free)?, &self.version).map(drop)
    }
}

fn encode(held: &Held) -> Result<Bytes, Error> {
    let bytes = serde_json::to_vec(held).map_err(|error| Error::io(NAME)(std::io::Error::other(error)))?;
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use object_store::memory::InMemory;

    use super::*;

    fn objects() -> Objects {
        Objects::new(Arc::new(InMemory::new()), "p", "memory://p").unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_holds_it_and_the_next_waits_for_the_release() {
        let objects = objects();
        let first = Lease::acquire(&objects, 0, LONG, LONG).unwrap();
        let refused = Lease::acquire(&objects, 0, LONG, Duration::from_millis(30)).unwrap_err().to_string();
        assert!(refused.contains(first.holder()), "{refused}");
        let fence = first.fence();
        first.release().unwrap();
        assert!(Lease::acquire(&objects, 0, LONG, LONG).unwrap().fence() > fence);
    }

    #[test]
    fn a_lease_that_is_not_renewed_runs_out_and_its_holder_notices() {
        let objects = objects();
        let mut sleeper = Lease::acquire(&objects, 0, Duration::from_millis(30), LONG).unwrap();
        let heir = Lease::acquire(&objects, 0, LONG, LONG).unwrap();
        assert!(heir.fence() > sleeper.fence());
        assert!(!sleeper.keep().unwrap());
        // Giving back what was lost takes nothing from the heir.
        sleeper.release().unwrap();
        assert!(Lease::acquire(&objects, 0, LONG, Duration::ZERO).is_err());
        drop(heir);
    }

    #[test]
    fn a_lease_that_is_renewed_does_not_run_out() {
        let objects = objects();
        let mut lease = Lease::acquire(&objects, 0, Duration::from_millis(300), LONG).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lease::acquire(&objects, 0, LONG, Duration::from_millis(1200)));
            while !waiting.is_finished() {
                assert!(lease.keep().unwrap());
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(waiting.join().unwrap().is_err());
        });
    }

    #[test]
    fn of_many_only_one_holds_it_at_a_time() {
        let objects = objects();
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        let lease = Lease::acquire(&objects, 0, LONG, LONG).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        lease.release().unwrap();
                    }
                });
            }
        });
    }
}
