//! R's `.rds` and `.RData`, unpacked by the container reader when they are compressed.

use gauntlet_core::SkipCode;

use super::{Head, Reader};
use crate::checks::R;
use crate::extract::{Content, Place, Walk};
use crate::facts::RFact;
use crate::formats::rdata::{self, RError};

/// Reads R's serialization.
pub(crate) struct RData;

impl Reader for RData {
    fn format(&self) -> &'static str {
        "R data"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["rds", "rda", "rdata"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        rdata::looks_like(head.prefix)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let mut stream = match content.open() {
            Ok(stream) => stream,
            Err(error) => return walk.failed(R, place, &error),
        };
        let (facts, done) = rdata::read(&mut *stream, walk.budget);
        match done {
            Ok(()) => walk.looked_at(R),
            Err(RError::Io(error)) => walk.io_failed(R, place, &error),
            Err(RError::Limit(hit)) => walk.limit(R, place, hit),
            Err(error @ RError::Malformed { .. }) => walk.skip(R, place, SkipCode::Malformed, error.to_string()),
        }
        let end = facts.end;
        let whole = walk.facts.coverage_mut(R).skipped.iter().all(|s| s.member != place.location.member);
        walk.facts.push(R, place.location.clone(), &RFact(facts));
        if whole {
            walk.behind(content, end, place);
        }
    }
}
