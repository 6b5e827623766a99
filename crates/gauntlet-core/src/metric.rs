//! Numbers that a check measured, and series that a report draws.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a value has to stand to its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// Equal.
    #[serde(rename = "==")]
    Equal,
}

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// What was measured, such as `null-share`.
    pub name: String,
    /// Column or slice, when it is about one.
    pub field: Option<String>,
    /// The value; `null` in JSON when it is no finite number, which misses every threshold.
    #[serde(with = "finite")]
    #[schemars(with = "Option<f64>")]
    pub value: f64,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Unit, such as `rows`, `share`, `bytes`.
    pub unit: Option<String>,
    /// What it has to reach.
    pub threshold: Option<f64>,
    /// How `value` has to stand to `threshold`.
    pub op: Option<Comparison>,
}

impl Metric {
    /// A number without interval or threshold.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self {
            name: name.into(),
            field: None,
            value,
            low: None,
            high: None,
            unit: Some(unit.to_owned()),
            threshold: None,
            op: None,
        }
    }

    /// Names the column or slice.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Sets what it has to reach.
    #[must_use]
    pub fn must(mut self, op: Comparison, threshold: f64) -> Self {
        (self.op, self.threshold) = (Some(op), Some(threshold));
        self
    }

    /// Whether a threshold is set and not met. NaN meets nothing.
    #[must_use]
    pub fn missed(&self) -> bool {
        match (self.op, self.threshold) {
            (Some(op), Some(threshold)) => !match op {
                Comparison::AtLeast => self.value >= threshold,
                Comparison::AtMost => self.value <= threshold,
                #[expect(clippy::float_cmp, reason = "an equality threshold is on counts")]
                Comparison::Equal => self.value == threshold,
            },
            _ => false,
        }
    }
}

/// A typed data series that a report draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Stable name within the check.
    pub name: String,
    /// Heading for people.
    pub title: String,
    /// What the x axis counts.
    pub x: String,
    /// What the y axis counts.
    pub y: String,
    /// How it is drawn.
    #[serde(default, skip_serializing_if = "FigureKind::is_line")]
    pub kind: FigureKind,
    /// Names of the positions 0, 1, … on the x axis, where these are no numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The lines or bars.
    pub series: Vec<Series>,
}

/// How a [`Figure`] is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FigureKind {
    /// A line a series.
    #[default]
    Line,
    /// Upright bars, series side by side: histograms.
    Bars,
    /// Lying bars with a label each, the first on top: rankings.
    Ranking,
    /// A dot for each point: maps.
    Points,
}

impl FigureKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_line(&self) -> bool {
        *self == Self::Line
    }
}

impl Figure {
    /// A figure of lines without anything in it.
    #[must_use]
    pub fn new(name: impl Into<String>, title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            x: x.into(),
            y: y.into(),
            kind: FigureKind::Line,
            labels: Vec::new(),
            series: Vec::new(),
        }
    }

    /// Sets how it is drawn.
    #[must_use]
    pub fn drawn_as(mut self, kind: FigureKind) -> Self {
        self.kind = kind;
        self
    }

    /// Names the positions 0, 1, … on the x axis.
    #[must_use]
    pub fn labelled(mut self, labels: impl IntoIterator<Item = String>) -> Self {
        self.labels = labels.into_iter().collect();
        self
    }

    /// Adds a series at the positions 0, 1, ….
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let y: Vec<f64> = values.into_iter().collect();
        let x = (0u32..).map(f64::from).take(y.len()).collect();
        self.series.push(Series { name: name.into(), x, y });
        self
    }

    /// Adds a series of points.
    #[must_use]
    pub fn with_points(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let (x, y) = points.into_iter().unzip();
        self.series.push(Series { name: name.into(), x, y });
        self
    }
}

/// One line or set of bars of a [`Figure`]; both vectors have the same length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Legend.
    pub name: String,
    /// Positions.
    pub x: Vec<f64>,
    /// Values.
    pub y: Vec<f64>,
}

/// JSON has no NaN: written as null, read back as NaN.
mod finite {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.serialize_none() }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_misses_every_threshold() {
        for op in [Comparison::AtLeast, Comparison::AtMost, Comparison::Equal] {
            assert!(Metric::new("m", f64::NAN, "share").must(op, 0.0).missed());
        }
        assert!(!Metric::new("m", 0.5, "share").must(Comparison::AtLeast, 0.5).missed());
        assert!(!Metric::new("m", f64::NAN, "share").missed());
    }
}
