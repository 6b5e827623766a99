//! Torch7, binary and text.

use gauntlet_core::SkipCode;

use super::{Head, Reader};
use crate::checks::TORCH7;
use crate::extract::{Content, Place, Walk};
use crate::facts::Torch7Fact;
use crate::formats::torch7::{self, Torch7Error};

/// Lua Torch cannot be had any more, so what it writes was never compared.
const UNPROVEN: &str = "Torch7 is recognised and searched; its reader was never held against a file of Lua Torch";

/// Searches Torch7.
pub(crate) struct Torch7;

impl Reader for Torch7 {
    fn format(&self) -> &'static str {
        "Torch7"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["t7", "th7"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        torch7::looks_like(head.prefix, self.endings().contains(&head.ending().as_str()))
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let ascii = content.prefix(1).is_ok_and(|prefix| prefix.bytes.first().is_some_and(u8::is_ascii_digit));
        let mut stream = match content.open() {
            Ok(stream) => stream,
            Err(error) => return walk.failed(TORCH7, place, &error),
        };
        let (facts, done) = torch7::read(&mut *stream, ascii, walk.budget);
        let end = facts.end;
        walk.facts.push(TORCH7, place.location.clone(), &Torch7Fact(facts));
        match done {
            Ok(()) => {
                walk.skip(TORCH7, place, SkipCode::Unsupported, UNPROVEN);
                walk.behind(content, end, place);
            }
            Err(Torch7Error::Io(error)) => walk.io_failed(TORCH7, place, &error),
            Err(Torch7Error::Limit(hit)) => walk.limit(TORCH7, place, hit),
            Err(error @ Torch7Error::Malformed { .. }) => {
                walk.skip(TORCH7, place, SkipCode::Malformed, error.to_string());
            }
            Err(error @ Torch7Error::Class(_)) => walk.skip(TORCH7, place, SkipCode::Unsupported, error.to_string()),
        }
    }
}
