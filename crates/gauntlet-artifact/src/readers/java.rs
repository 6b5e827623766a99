//! Java serialization: recognised, its class names as facts, its values not followed.

use gauntlet_core::SkipCode;

use super::{Head, Reader};
use crate::checks::JAVA;
use crate::extract::{Content, Place, Walk};
use crate::facts::JavaFact;
use crate::formats::java;

/// Recognises Java serialization.
pub(crate) struct Java;

impl Reader for Java {
    fn format(&self) -> &'static str {
        "Java serialization"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.prefix.starts_with(java::MAGIC)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let mut bytes = Vec::new();
        let limit = walk.budget.limits().header_bytes;
        let opened = content.open().map(|stream| std::io::Read::take(stream, limit));
        match opened.map(|mut stream| std::io::Read::read_to_end(&mut stream, &mut bytes)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => walk.io_failed(JAVA, place, &error),
            Err(error) => walk.failed(JAVA, place, &error),
        }
        walk.facts.push(JAVA, place.location.clone(), &JavaFact(java::read(&bytes)));
        walk.skip(JAVA, place, SkipCode::Unsupported, "Java objects are recognised by their classes, not followed");
    }
}
