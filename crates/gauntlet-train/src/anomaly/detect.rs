//! What counts as an anomaly of a series, by medians, which a single odd value does not move.

use serde::{Deserialize, Serialize};

use super::Series;

/// Values that a new one is compared with.
const WINDOW: usize = 20;
/// Fewer values tell nothing about what is usual.
const LEAST: usize = 10;
/// Median absolute deviations beyond which a value is a jump.
const DEVIATIONS: f64 = 10.0;
/// A jump is also at least this much above the usual.
const JUMP: f64 = 1.5;
/// A loss that ends at this multiple of its best has diverged.
const DIVERGED: f64 = 2.0;
/// Fall of an agreement, which is a share.
const DROP: f64 = 0.1;

/// The kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyKind {
    /// A value is no finite number.
    NotANumber,
    /// A loss ends above where it began, or far above its best.
    Divergence,
    /// A loss is suddenly far above the values before it.
    LossJump,
    /// An agreement of labels is well below its best.
    AgreementDrop,
}

/// Something odd about a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What kind.
    pub kind: AnomalyKind,
    /// The metric's name.
    pub metric: String,
    /// The step at which it showed.
    pub step: f64,
    /// What was seen, in numbers.
    pub message: String,
}

/// What is wrong with the newest value of a series.
pub(super) fn newest(name: &str, series: &Series) -> Option<Anomaly> {
    let (&(step, value), before) = series.values.split_last()?;
    let say = |kind, message| Some(Anomaly { kind, metric: name.to_owned(), step, message });
    if !value.is_finite() {
        return say(AnomalyKind::NotANumber, format!("{name} is {value} at step {step}"));
    }
    let recent = finite(before.get(before.len().saturating_sub(WINDOW)..).unwrap_or_default());
    if is_loss(name) && recent.len() >= LEAST {
        let usual = median(recent.clone())?;
        let spread = median(recent.iter().map(|v| (v - usual).abs()).collect())?;
        if value > usual + DEVIATIONS * spread && value - usual > (JUMP - 1.0) * usual.abs() {
            let message = format!("{name} jumps to {value:.6} at step {step}, after a usual {usual:.6}");
            return say(AnomalyKind::LossJump, message);
        }
    }
    if is_agreement(name) && before.len() + 1 >= LEAST {
        let all = finite(&series.values);
        let best = all.windows(3).filter_map(|w| median(w.to_vec())).fold(f64::NEG_INFINITY, f64::max);
        let now = median(all.get(all.len().saturating_sub(3)..)?.to_vec())?;
        if best.is_finite() && now < best - DROP {
            let message = format!("{name} fell from {best:.4} to {now:.4} at step {step}");
            return say(AnomalyKind::AgreementDrop, message);
        }
    }
    None
}

/// What only the whole series shows.
pub(super) fn ended(name: &str, series: &Series) -> Option<Anomaly> {
    let values = finite(&series.values);
    if !is_loss(name) || values.len() < LEAST {
        return None;
    }
    let edge = (values.len() / 10).max(3);
    let first = median(values.get(..edge)?.to_vec())?;
    let last = median(values.get(values.len() - edge..)?.to_vec())?;
    let best = values.windows(edge).filter_map(|w| median(w.to_vec())).fold(f64::INFINITY, f64::min);
    let worse = last > first && last - best > (DIVERGED - 1.0) * best.abs();
    let far = best > 0.0 && last > best * DIVERGED * 2.0;
    (worse || far).then(|| Anomaly {
        kind: AnomalyKind::Divergence,
        metric: name.to_owned(),
        step: series.values.last().map_or(0.0, |(step, _)| *step),
        message: format!("{name} began at {first:.6}, was {best:.6} at best and ends at {last:.6}"),
    })
}

fn is_loss(name: &str) -> bool {
    name.to_ascii_lowercase().contains("loss")
}

fn is_agreement(name: &str) -> bool {
    name.to_ascii_lowercase().contains("agreement")
}

fn finite(values: &[(f64, f64)]) -> Vec<f64> {
    values.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*values.get(middle - 1)?, upper)) }
}
