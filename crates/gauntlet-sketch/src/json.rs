//! The canonical form that is signed: only what does not depend on the order of rows, parts and merges.

use std::collections::BTreeMap;

use serde_json::{Number, Value as Json};

use crate::column::{Body, ColumnSketch};
use crate::profile::Profile;
use crate::value::Value;

type Object = BTreeMap<&'static str, Json>;

impl Profile {
    /// Canonical JSON: members sorted by name, no white space, floats in their shortest form that reads back to the same
    /// number, whole numbers above 2^53 as texts. Columns are sorted by name: their order is no part of the content.
    /// Frequent values, patterns and quantile sketches are left out where they are estimates, and so is the stored type:
    /// the type family counts.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let mut columns: Vec<_> = self.columns.iter().collect();
        columns.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let columns: Vec<Json> = columns.iter().map(|c| object(column(&c.name, &c.sketch))).collect();
        let mut all = Object::new();
        all.insert("columns", Json::Array(columns));
        all.insert("content_hash", self.content.to_string().into());
        all.insert("rows", count(self.content.rows));
        all.insert("version", 1.into());
        object(all).to_string()
    }
}

fn column(name: &str, sketch: &ColumnSketch) -> Object {
    let mut out = Object::new();
    out.insert("name", name.into());
    out.insert("type", sketch.kind.as_str().into());
    out.insert("rows", count(sketch.rows));
    out.insert("nulls", count(sketch.nulls));
    if sketch.invalid > 0 {
        out.insert("invalid", count(sketch.invalid));
    }
    match &sketch.body {
        Body::Exact(exact) => {
            // By hash: texts may be cut, so values alone do not order them.
            let entry = |(entry, n): (&crate::exact::Entry, u64)| {
                Json::Array(vec![hex(entry.hash.0).into(), value(&entry.value), count(n)])
            };
            out.insert("counts", exact.by_hash().map(entry).collect());
        }
        Body::Full(full) => {
            let registers: String = full.distinct.registers().iter().map(|r| format!("{r:02x}")).collect();
            out.insert("hll", registers.into());
            let bucket = |(index, n): (i64, u64)| Json::Array(vec![index.into(), count(n)]);
            let buckets: Vec<Json> = full.histogram.buckets().map(bucket).collect();
            if !buckets.is_empty() {
                out.insert("histogram", buckets.into());
            }
            let numbers = [
                ("nan", full.nan),
                ("negative_infinity", full.infinite[0]),
                ("positive_infinity", full.infinite[1]),
                ("zero", full.zero),
                ("negative", full.negative),
            ];
            for (name, n) in numbers.into_iter().filter(|_| sketch.kind.is_numeric()) {
                out.insert(name, count(n));
            }
            if let Some((low, high)) = &full.range {
                out.insert("min", value(low));
                out.insert("max", value(high));
            }
            if full.text.count > 0 {
                let named = full.text.named().into_iter().map(|(name, n)| (name, count(n))).collect();
                out.insert("text", object(named));
            }
        }
    }
    if let Some(moments) = sketch.moments() {
        let numbers = [
            ("count", count(moments.count)),
            ("mean", float(moments.mean)),
            ("m2", float(moments.m2)),
            ("m3", float(moments.m3)),
            ("m4", float(moments.m4)),
        ];
        out.insert("moments", object(numbers.into_iter().collect()));
    }
    out
}

/// As JSON's value type, whose maps keep the order in which members come in or sort them: both is the order of names.
fn object(members: Object) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Readers of JSON keep 53 bits of a number.
fn count(n: u64) -> Json {
    if n < 1 << 53 { n.into() } else { n.to_string().into() }
}

fn float(x: f64) -> Json {
    Number::from_f64(x).map_or_else(|| x.to_string().into(), Json::Number)
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn value(value: &Value) -> Json {
    match value {
        Value::Int(whole) => match i64::try_from(*whole) {
            Ok(n) if n.unsigned_abs() < 1 << 53 => n.into(),
            _ => whole.to_string().into(),
        },
        Value::Float(x) => float(*x),
        Value::Bool(flag) => (*flag).into(),
        other => other.label().into(),
    }
}
