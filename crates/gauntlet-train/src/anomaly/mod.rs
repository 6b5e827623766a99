//! Watches numbers while a command trains: no numbers, divergence, sudden jumps, falling agreement of labels.

mod detect;
mod lines;
mod mlflow;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use detect::{Anomaly, AnomalyKind};
pub use lines::Pattern;
pub use mlflow::mlflow_metrics;

/// Values of one series that are kept; a run that logs more keeps the newest.
const MAX_VALUES: usize = 100_000;
/// Series that are kept.
const MAX_SERIES: usize = 1_000;

/// One metric over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Step and value, in the order in which they came.
    pub values: Vec<(f64, f64)>,
}

/// All metrics of a run, looked at as they come.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    series: BTreeMap<String, Series>,
    found: Vec<Anomaly>,
    dropped: u64,
}

impl Monitor {
    /// Takes a value; gives what is wrong with it. The same kind of anomaly is told once a series.
    pub fn push(&mut self, name: &str, step: Option<f64>, value: f64) -> Option<&Anomaly> {
        if !self.series.contains_key(name) && self.series.len() >= MAX_SERIES {
            self.dropped += 1;
            return None;
        }
        let series = self.series.entry(name.to_owned()).or_default();
        if series.values.len() >= MAX_VALUES {
            self.dropped += 1;
            series.values.drain(..MAX_VALUES / 2);
        }
        #[expect(clippy::cast_precision_loss, reason = "fewer values than 2^52")]
        let step = step.unwrap_or(series.values.len() as f64);
        series.values.push((step, value));
        let anomaly = detect::newest(name, series)?;
        if self.found.iter().any(|a| a.kind == anomaly.kind && a.metric == anomaly.metric) {
            return None;
        }
        self.found.push(anomaly);
        self.found.last()
    }

    /// Takes a line of output.
    pub fn line(&mut self, pattern: &Pattern, line: &str) -> Option<&Anomaly> {
        let before = self.found.len();
        for (name, value) in pattern.values(line) {
            self.push(&name, None, value);
        }
        self.found.get(before)
    }

    /// All that was found, with what only the end shows.
    #[must_use]
    pub fn anomalies(&self) -> Vec<Anomaly> {
        let mut all = self.found.clone();
        for (name, series) in &self.series {
            all.extend(
                detect::ended(name, series).filter(|a| !all.iter().any(|b| b.kind == a.kind && b.metric == a.metric)),
            );
        }
        all
    }

    /// The metrics.
    #[must_use]
    pub fn series(&self) -> &BTreeMap<String, Series> {
        &self.series
    }

    /// Values that were not kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(name: &str, values: impl IntoIterator<Item = f64>) -> Vec<AnomalyKind> {
        let mut monitor = Monitor::default();
        for value in values {
            monitor.push(name, None, value);
        }
        monitor.anomalies().into_iter().map(|a| a.kind).collect()
    }

    /// Falls like a real one, with a little noise that is the same each time.
    fn falling(n: u32) -> impl Iterator<Item = f64> + Clone {
        (0..n).map(|i| 2.0 * (-f64::from(i) / 40.0).exp() + 0.3 + 0.02 * f64::from((i * 7919) % 13) / 13.0)
    }

    #[test]
    fn ordinary_training_is_silent() {
        assert!(kinds("loss", falling(200)).is_empty());
        assert!(kinds("loss", [0.7, 0.69, 0.68]).is_empty());
        assert!(kinds("accuracy", (0..50).map(|i| f64::from(i) / 50.0)).is_empty());
        assert!(kinds("lr", [0.1, 0.1, 100.0, 0.1]).is_empty());
        // Noise around a level that does not fall any more.
        assert!(kinds("val_loss", (0..200).map(|i| 0.5 + 0.05 * f64::from((i * 7919) % 17) / 17.0)).is_empty());
    }

    #[test]
    fn what_is_no_number_is_told_for_every_metric() {
        assert_eq!(kinds("lr", [0.1, f64::NAN, f64::NAN]), [AnomalyKind::NotANumber]);
        assert_eq!(kinds("loss", [0.1, f64::INFINITY]), [AnomalyKind::NotANumber]);
    }

    #[test]
    fn a_jump_is_told_when_it_comes() {
        let mut monitor = Monitor::default();
        for value in falling(100) {
            assert_eq!(monitor.push("train_loss", None, value), None);
        }
        assert_eq!(monitor.push("train_loss", None, 3.0).unwrap().kind, AnomalyKind::LossJump);
    }

    #[test]
    fn divergence_shows_at_the_end() {
        let rising = falling(50).chain((0..50).map(|i| 0.9 + f64::from(i) * 0.1));
        assert!(kinds("loss", rising).contains(&AnomalyKind::Divergence));
    }

    #[test]
    fn falling_agreement_is_told() {
        let agreement = (0..30).map(|_| 0.95).chain((0..10).map(|_| 0.7));
        assert_eq!(kinds("label_agreement", agreement), [AnomalyKind::AgreementDrop]);
        assert!(kinds("label_agreement", (0..30).map(|i| 0.9 + f64::from(i % 3) * 0.01)).is_empty());
    }

    #[test]
    fn lines_feed_the_monitor() {
        let mut monitor = Monitor::default();
        let pattern = Pattern::new(&[]);
        assert!(monitor.line(&pattern, "epoch 1 loss=0.5 accuracy=0.9").is_none());
        assert_eq!(monitor.line(&pattern, "epoch 2 loss=nan").unwrap().kind, AnomalyKind::NotANumber);
        assert_eq!(monitor.series().keys().collect::<Vec<_>>(), ["loss"]);
    }

    #[test]
    fn endless_logs_stay_bounded() {
        let mut monitor = Monitor::default();
        for i in 0..MAX_SERIES + 10 {
            monitor.push(&format!("m{i}"), None, 1.0);
        }
        for _ in 0..MAX_VALUES + 10 {
            monitor.push("m1", None, 1.0);
        }
        assert!(monitor.series().len() == MAX_SERIES && monitor.series()["m1"].values.len() <= MAX_VALUES);
        assert!(monitor.dropped() > 10);
    }
}
