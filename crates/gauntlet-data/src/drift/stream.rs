//! Stream detectors over the items of a column, in the order of the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use gauntlet_core::SkipCode;
use gauntlet_drift::stream::{
    Adwin, AdwinParameters, Ddm, DdmParameters, Detector, HddmA, HddmParameters, HddmW, Kswin, KswinParameters,
    PageHinkley, PageHinkleyParameters, ParameterError, Signal,
};
use serde::{Deserialize, Serialize};

use super::cells::numbers;
use super::columns::Unread;
use crate::facts::{StreamChangeFact, StreamFact};
use crate::table::{Scan, Table};

/// Groups that have a detector of their own.
const MAX_GROUPS: usize = 10_000;
/// Changes that are kept.
const MAX_CHANGES: usize = 100_000;

/// A detector by name, with its parameters; those that are not set have the usual values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamConfig {
    /// `adwin`, `page-hinkley`, `kswin`, `ddm`, `hddm-a` or `hddm-w`.
    pub detector: String,
    /// Column of the items.
    pub column: String,
    /// Column that tells streams apart; each has its own detector and its own count.
    #[serde(default)]
    pub group: Option<String>,
    /// Items are divided by this first.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Parameters by name: `delta`, `threshold`, `alpha`, `window`, `recent`, `warm`, `drift`, `warning`, `lambda`, `clock`,
    /// `min-instances`, `two-sided`, `river` (each a number; 0 and 1 for no and yes).
    #[serde(default)]
    pub parameters: BTreeMap<String, f64>,
}

/// Detectors by name.
pub const DETECTORS: [&str; 6] = ["adwin", "page-hinkley", "kswin", "ddm", "hddm-a", "hddm-w"];

/// Why there is no detector.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// Unknown detector.
    #[error("detector `{0}` is not known; detectors are adwin, page-hinkley, kswin, ddm, hddm-a, hddm-w")]
    Detector(String),
    /// A parameter that this detector does not have.
    #[error("{detector} has no parameter `{name}`; it has {known}")]
    Unknown {
        /// The detector.
        detector: String,
        /// The parameter.
        name: String,
        /// Its parameters.
        known: String,
    },
    /// A parameter that makes no sense.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

impl StreamConfig {
    /// The detector, having seen nothing.
    ///
    /// # Errors
    /// When the name or a parameter is not known, or a value makes no sense.
    pub fn build(&self) -> Result<Detector, StreamError> {
        let known: &[&str] = match self.detector.as_str() {
            "adwin" => &["delta", "clock", "river"],
            "page-hinkley" => &["threshold", "delta", "alpha", "min-instances"],
            "kswin" => &["alpha", "window", "recent"],
            "ddm" => &["warm", "warning", "drift"],
            "hddm-a" => &["drift", "warning", "two-sided"],
            "hddm-w" => &["drift", "warning", "lambda", "two-sided"],
            other => return Err(StreamError::Detector(other.chars().take(40).collect())),
        };
        if let Some(name) = self.parameters.keys().find(|name| !known.contains(&name.as_str())) {
            let (detector, name) = (self.detector.clone(), name.chars().take(40).collect());
            return Err(StreamError::Unknown { detector, name, known: known.join(", ") });
        }
        let number = |name: &str, usual: f64| self.parameters.get(name).copied().unwrap_or(usual);
        // Negative and fractional counts become ones that the detector refuses, or whole.
        let count = |name: &str, usual: u64| number(name, usual as f64).clamp(0.0, 1e15) as u64;
        let flag = |name: &str, usual: bool| number(name, f64::from(u8::from(usual))) != 0.0;
        Ok(match self.detector.as_str() {
            "adwin" => {
                let usual = AdwinParameters::default();
                Detector::Adwin(Adwin::new(AdwinParameters {
                    delta: number("delta", usual.delta),
                    clock: count("clock", usual.clock),
                    river: flag("river", usual.river),
                    ..usual
                })?)
            }
            "page-hinkley" => {
                let usual = PageHinkleyParameters::default();
                Detector::PageHinkley(PageHinkley::new(PageHinkleyParameters {
                    min_instances: count("min-instances", usual.min_instances),
                    delta: number("delta", usual.delta),
                    threshold: number("threshold", usual.threshold),
                    alpha: number("alpha", usual.alpha),
                })?)
            }
            "kswin" => {
                let usual = KswinParameters::default();
                Detector::Kswin(Kswin::new(KswinParameters {
                    window: count("window", usual.window as u64) as usize,
                    recent: count("recent", usual.recent as u64) as usize,
                    alpha: number("alpha", usual.alpha),
                })?)
            }
            "ddm" => {
                let usual = DdmParameters::default();
                Detector::Ddm(Ddm::new(DdmParameters {
                    warm: count("warm", usual.warm),
                    warning: number("warning", usual.warning),
                    drift: number("drift", usual.drift),
                })?)
            }
            _ => {
                let usual = HddmParameters::default();
                let parameters = HddmParameters {
                    drift: number("drift", usual.drift),
                    warning: number("warning", usual.warning),
                    lambda: number("lambda", usual.lambda),
                    two_sided: flag("two-sided", usual.two_sided),
                };
                if self.detector == "hddm-a" {
                    Detector::HddmA(HddmA::new(parameters)?)
                } else {
                    Detector::HddmW(HddmW::new(parameters)?)
                }
            }
        })
    }
}

/// One stream while it is read.
struct Stream {
    detector: Detector,
    items: u64,
}

/// Feeds a column to detectors, one for each group.
pub(super) fn detect(
    table: &Arc<Table>,
    config: &StreamConfig,
) -> Result<(StreamFact, Vec<StreamChangeFact>), Vec<Unread>> {
    let wrong = |code, what: String| vec![Unread { path: String::new(), code, what }];
    let fresh = config.build().map_err(|error| wrong(SkipCode::Malformed, error.to_string()))?;
    let find = |name: &String| {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        table.column(name).ok_or_else(|| {
            let hint = gauntlet_core::nearest(name, names.iter().copied());
            let hint = hint.map(|n| format!(", did you mean `{n}`?")).unwrap_or_default();
            wrong(SkipCode::Malformed, format!("there is no column `{name}`{hint}"))
        })
    };
    let mut columns = vec![find(&config.column)?];
    if let Some(group) = &config.group {
        columns.push(find(group)?);
    }
    let scale = config.scale.unwrap_or(1.0);
    if !(scale.is_finite() && scale > 0.0) {
        return Err(wrong(SkipCode::Malformed, format!("scale is {scale}; it has to be above 0")));
    }
    let mut streams: BTreeMap<Option<String>, Stream> = BTreeMap::new();
    let mut fact = StreamFact {
        column: config.column.clone(),
        detector: config.detector.clone(),
        items: 0,
        groups: 0,
        without_number: 0,
        outside: 0,
        warnings: 0,
    };
    let mut changes = Vec::new();
    let mut stop: Option<(SkipCode, String)> = None;
    let pass = Scan::new(Arc::clone(table), columns.clone());
    pass.for_each(&mut |batch: RecordBatch| {
        if stop.is_some() {
            return;
        }
        let typed = table.columns.get(columns.first().copied().unwrap_or(0)).is_some_and(|c| c.typed.is_some());
        let values = items(batch.column(1), fact.items);
        let groups = columns.get(1).map(|_| batch.column(2 + usize::from(typed)));
        let values = match values {
            Ok(values) => values,
            Err(what) => {
                stop = Some((SkipCode::Malformed, format!("column `{}`: {what}", config.column)));
                return;
            }
        };
        for (row, value) in values.into_iter().enumerate() {
            let group = groups.map(|groups| match groups.as_string_opt::<i32>() {
                Some(texts) if texts.is_valid(row) => texts.value(row).to_owned(),
                Some(_) => String::new(),
                None => array_value_to_string(groups, row).unwrap_or_default(),
            });
            if !streams.contains_key(&group) && streams.len() >= MAX_GROUPS {
                stop = Some((SkipCode::Limit, format!("more than {MAX_GROUPS} groups")));
                return;
            }
            let stream = streams.entry(group.clone()).or_insert_with(|| Stream { detector: fresh.clone(), items: 0 });
            let index = stream.items;
            stream.items += 1;
            fact.items += 1;
            let Some(x) = value.filter(|x| x.is_finite()) else {
                fact.without_number += 1;
                continue;
            };
            let x = x / scale;
            fact.outside += u64::from(stream.detector.unit_interval() && !(0.0..=1.0).contains(&x));
            match stream.detector.update(x) {
                Signal::None => {}
                Signal::Warning => fact.warnings += 1,
                Signal::Drift if changes.len() >= MAX_CHANGES => {
                    stop = Some((SkipCode::Limit, format!("more than {MAX_CHANGES} changes")));
                    return;
                }
                Signal::Drift => changes.push(StreamChangeFact { column: config.column.clone(), group, index }),
            }
        }
    });
    fact.groups = streams.len() as u64;
    let (_, problems) = pass.finish();
    let mut unread: Vec<Unread> =
        problems.into_iter().map(|p| Unread { path: p.path, code: p.code, what: p.what }).collect();
    unread.extend(stop.map(|(code, what)| Unread { path: String::new(), code, what }));
    if unread.is_empty() { Ok((fact, changes)) } else { Err(unread) }
}

/// Items of a column; texts of a file without types are read as numbers, or as truth values.
fn items(array: &ArrayRef, before: u64) -> Result<Vec<Option<f64>>, String> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return texts
            .iter()
            .enumerate()
            .map(|(row, text)| match text.map(str::trim) {
                None | Some("") => Ok(None),
                Some("true" | "True") => Ok(Some(1.0)),
                Some("false" | "False") => Ok(Some(0.0)),
                Some(text) => text.parse().map(Some).map_err(|_| format!("row {}: no number", before + row as u64)),
            })
            .collect();
    }
    if *array.data_type() == DataType::Boolean {
        return Ok(array.as_boolean().iter().map(|b| b.map(|b| f64::from(u8::from(b)))).collect());
    }
    numbers(array).map(|numbers| numbers.iter().collect()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_are_built_by_name_and_mistakes_are_told() {
        let config = |detector: &str, parameters: &[(&str, f64)]| StreamConfig {
            detector: detector.into(),
            column: "x".into(),
            group: None,
            scale: None,
            parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
        };
        for detector in DETECTORS {
            assert!(config(detector, &[]).build().is_ok(), "{detector}");
        }
        assert!(config("eddm", &[]).build().unwrap_err().to_string().contains("detectors are adwin"));
        let error = config("kswin", &[("threshold", 1.0)]).build().unwrap_err().to_string();
        assert_eq!(error, "kswin has no parameter `threshold`; it has alpha, window, recent");
        let error = config("adwin", &[("delta", 2.0)]).build().unwrap_err().to_string();
        assert_eq!(error, "delta is 2; it has to be above 0 and below 1");
        assert!(config("kswin", &[("window", -3.0)]).build().is_err());
    }
}
