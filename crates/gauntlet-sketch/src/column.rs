//! One column's summary: exact while it has few distinct values, bounded summaries after that.

use crate::codec::{DecodeError, Reader, Writer};
use crate::content::ColumnKey;
use crate::exact::Exact;
use crate::frequent::Frequent;
use crate::full::Full;
use crate::kll::Kll;
use crate::text;
use crate::value::{Kind, Value};
use crate::watch::Watch;

/// Most parts of a table whose order-dependent summaries are kept apart until the end.
pub(crate) const MAX_PARTS: usize = 1 << 16;

/// The summary of one column. See the crate's documentation for what merges how.
#[derive(Clone, Debug)]
pub struct ColumnSketch {
    pub(crate) kind: Kind,
    pub(crate) key: ColumnKey,
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    /// Cells that are no value of the column's type.
    pub(crate) invalid: u64,
    pub(crate) body: Body,
    pub(crate) watch: Option<Watch>,
    /// Accuracy of the quantile sketch, where one is asked for.
    pub(crate) kll: Option<u16>,
    /// What depends on the order of values: for the part that is being read...
    pub(crate) ordered: Ordered,
    /// ...and for those that are done, by number.
    pub(crate) closed: Vec<(u64, Ordered)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Exact(Exact),
    Full(Box<Full>),
}

/// Summaries that depend on the order of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ordered {
    pub(crate) values: Frequent,
    pub(crate) patterns: Frequent,
    pub(crate) kll: Option<Kll>,
}

/// Two sketches that summarise different things cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot merge: {0}")]
pub struct MergeError(pub(crate) &'static str);

impl ColumnSketch {
    pub(crate) fn new(name: &str, kind: Kind, kll: Option<u16>, watch: Option<Watch>) -> Self {
        Self {
            kind,
            key: ColumnKey::of(name),
            rows: 0,
            nulls: 0,
            invalid: 0,
            body: Body::Exact(Exact::default()),
            watch,
            kll: kll.filter(|_| kind.is_numeric()),
            ordered: Ordered::default(),
            closed: Vec::new(),
        }
    }

    /// Turns to bounded summaries.
    pub(crate) fn spill(&mut self) {
        let Body::Exact(exact) = &self.body else { return };
        let mut full = Box::new(Full::new(self.watch.as_ref()));
        for (entry, count) in exact.by_hash() {
            full.add(self.kind, entry, count, self.watch.as_ref(), None);
        }
        let exact = std::mem::take(match &mut self.body {
            Body::Exact(exact) => exact,
            Body::Full(_) => return,
        });
        self.body = Body::Full(full);
        self.ordered.take(self.kind, &exact, self.kll, self.key);
    }

    /// Ends the part with this number: its order-dependent summaries are set aside.
    pub(crate) fn close(&mut self, part: u64) {
        let mut ordered = std::mem::take(&mut self.ordered);
        if let Body::Exact(exact) = &mut self.body {
            exact.close();
            ordered.take(self.kind, exact, self.kll, self.key);
        }
        ordered.values.shrink();
        ordered.patterns.shrink();
        if !ordered.is_empty() {
            self.closed.push((part, ordered));
        }
    }

    /// Adds another part of the same column. Both are closed.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), MergeError> {
        if self.kind != other.kind || self.key != other.key {
            return Err(MergeError("the columns have other names or types"));
        }
        if self.watch != other.watch || self.kll != other.kll {
            return Err(MergeError("the columns were summarised with other bins or another accuracy"));
        }
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.invalid += other.invalid;
        self.closed.extend(other.closed);
        self.closed.sort_by_key(|(part, _)| *part);
        match other.body {
            Body::Exact(theirs) => self.merge_exact(&theirs),
            Body::Full(theirs) => {
                self.spill_closed();
                if let Body::Full(full) = &mut self.body {
                    full.merge(&theirs);
                }
            }
        }
        Ok(())
    }

    fn merge_exact(&mut self, theirs: &Exact) {
        for (entry, count) in theirs.by_hash() {
            match &mut self.body {
                Body::Exact(exact) => {
                    if exact.learn(None, entry.clone(), count, self.key).is_none() {
                        self.spill_closed();
                        if let Body::Full(full) = &mut self.body {
                            full.add(self.kind, entry, count, self.watch.as_ref(), None);
                        }
                    }
                }
                Body::Full(full) => full.add(self.kind, entry, count, self.watch.as_ref(), None),
            }
        }
    }

    /// As [`ColumnSketch::spill`], when the order-dependent summaries are already set aside.
    fn spill_closed(&mut self) {
        self.spill();
        self.ordered = Ordered::default();
    }

    /// Folds the order-dependent summaries of all parts, in the order of their numbers.
    pub(crate) fn fold(&mut self) {
        let mut closed = std::mem::take(&mut self.closed).into_iter().map(|(_, ordered)| ordered);
        let Some(mut all) = closed.next() else { return };
        for part in closed {
            all.merge(part);
        }
        // While every value is counted, nothing has to be estimated.
        if matches!(self.body, Body::Exact(_)) {
            (all.values, all.kll) = (Frequent::default(), None);
        }
        if !all.is_empty() {
            self.closed.push((0, all));
        }
    }

    pub(crate) fn size(&self) -> usize {
        let body = match &self.body {
            Body::Exact(exact) => exact.size(),
            Body::Full(full) => full.size(),
        };
        body + self.ordered.size() + self.closed.iter().map(|(_, ordered)| ordered.size()).sum::<usize>() + 256
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(self.kind as u8);
        out.count(self.rows);
        out.count(self.nulls);
        out.count(self.invalid);
        out.count(self.kll.unwrap_or(0).into());
        match &self.watch {
            Some(watch) => watch.write(out),
            None => out.u8(0),
        }
        match &self.body {
            Body::Exact(exact) => {
                out.u8(0);
                exact.write(self.kind, out);
            }
            Body::Full(full) => {
                out.u8(1);
                full.write(out);
            }
        }
        out.count(self.closed.len() as u64);
        for (part, ordered) in &self.closed {
            out.count(*part);
            ordered.write(out);
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>, name: &str) -> Result<Self, DecodeError> {
        let kind = Kind::from_tag(input.u8()?)?;
        let (rows, nulls, invalid) = (input.count()?, input.count()?, input.count()?);
        let kll = match input.count()? {
            0 => None,
            k => Some(u16::try_from(k).map_err(|_| DecodeError::Malformed("the accuracy is out of range"))?),
        };
        let watch = Watch::read(input)?;
        let key = ColumnKey::of(name);
        let body = match input.u8()? {
            0 => Body::Exact(Exact::read(input, kind, key)?),
            1 => Body::Full(Box::new(Full::read(input, kind, watch.as_ref())?)),
            _ => return Err(DecodeError::Malformed("an unknown kind of summary")),
        };
        let counted = match &body {
            Body::Exact(exact) => exact.iter().try_fold(0u64, |sum, (_, count)| sum.checked_add(count)),
            Body::Full(full) => Some(full.count),
        };
        let sum = counted.and_then(|n| n.checked_add(nulls)).and_then(|n| n.checked_add(invalid));
        if sum != Some(rows) {
            return Err(DecodeError::Malformed("rows, nulls and values of a column do not add up"));
        }
        let mut closed: Vec<(u64, Ordered)> = Vec::new();
        for _ in 0..input.length("parts", MAX_PARTS)? {
            let part = input.count()?;
            if closed.last().is_some_and(|(last, _)| *last > part) {
                return Err(DecodeError::Malformed("parts are out of order"));
            }
            closed.push((part, Ordered::read(input)?));
        }
        Ok(Self { kind, key, rows, nulls, invalid, body, watch, kll, ordered: Ordered::default(), closed })
    }
}

impl Ordered {
    /// Puts counted values in, by hash.
    fn take(&mut self, kind: Kind, exact: &Exact, kll: Option<u16>, key: ColumnKey) {
        for (entry, count) in exact.by_hash() {
            self.values.add(entry.hash.0, count, || entry.value.clone());
            if let (Value::Bytes(bytes, _), Kind::Text) = (&entry.value, kind) {
                let mut buffer = text::buffer();
                let n = text::pattern(bytes, &mut buffer);
                let pattern = buffer.get(..n).unwrap_or_default();
                self.patterns.add(pattern_hash(pattern), count, || Value::bytes(pattern));
            }
            if let (Some(k), Some(number)) = (kll, entry.value.number().filter(|n| n.is_finite())) {
                self.kll.get_or_insert_with(|| Kll::new(k, key.seed())).add_times(number, count);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.values.merge(&other.values);
        self.patterns.merge(&other.patterns);
        match (&mut self.kll, other.kll) {
            (Some(mine), Some(theirs)) => mine.merge(&theirs),
            (None, Some(theirs)) => self.kll = Some(theirs),
            (_, None) => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.patterns.is_empty() && self.kll.is_none()
    }

    fn size(&self) -> usize {
        self.values.size() + self.patterns.size() + self.kll.as_ref().map_or(0, Kll::size)
    }

    fn write(&self, out: &mut Writer) {
        self.values.write(out);
        self.patterns.write(out);
        out.u8(u8::from(self.kll.is_some()));
        if let Some(kll) = &self.kll {
            kll.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            values: Frequent::read(input)?,
            patterns: Frequent::read(input)?,
            kll: if input.flag()? { Some(Kll::read(input)?) } else { None },
        })
    }
}

/// The identity of a pattern.
pub(crate) fn pattern_hash(pattern: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(pattern)
}
