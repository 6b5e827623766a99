//! Flax checkpoints: MessagePack with arrays in it.

use super::{Head, Reader};
use crate::checks::MSGPACK;
use crate::extract::{Content, Place, Walk};
use crate::facts::MsgpackFact;
use crate::formats::msgpack::{self, MsgpackError, Problem};
use gauntlet_core::SkipCode;
use gauntlet_limits::Window;

/// Reads Flax's MessagePack.
pub(crate) struct Flax;

impl Reader for Flax {
    fn format(&self) -> &'static str {
        "MessagePack"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["msgpack", "flax"]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // Other bytes that begin so are many; a text is none of them.
        msgpack::looks_like(head.prefix) && matches!(head.ending().as_str(), "msgpack" | "flax" | "" | "ckpt" | "bin")
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        walk.with_random(content, place, MSGPACK, |walk, source| {
            let (facts, blobs) = match msgpack::read(source, walk.budget) {
                Ok(read) => read,
                Err(MsgpackError::Io(error)) => return walk.io_failed(MSGPACK, place, &error),
                Err(MsgpackError::Limit(hit)) => return walk.limit(MSGPACK, place, hit),
            };
            let broken = facts.problems.iter().find(|problem| !matches!(problem, Problem::Array { .. }));
            match broken {
                Some(problem) => walk.skip(MSGPACK, place, SkipCode::Malformed, format!("reading ended: {problem:?}")),
                None => walk.looked_at(MSGPACK),
            }
            let tail = facts.tail;
            walk.facts.push(MSGPACK, place.location.clone(), &MsgpackFact(facts));
            for (name, offset, len) in blobs {
                walk.embedded(source, offset, len, place, &format!("<{name} at {offset}>"));
            }
            if let Some(offset) = tail {
                let rest = Window::new(source, offset, u64::MAX);
                walk.examine(&Content::Plain(&rest), &place.part(offset));
            }
        });
    }
}
