//! What is different enough to be said, and how much of it: each cause with a score that is 1 at its limit.

use gauntlet_core::Severity;
use gauntlet_drift::{MMD_SHUFFLES, benjamini_hochberg, ks_p};

use crate::checks::{grouped, percent};
use crate::facts::{ColumnDriftFact, ColumnKind, ComparisonFact, MetricFact, Role, SegmentShareFact};

/// False discovery rate over the columns.
const RATE: f64 = 0.05;
/// Limit of distances that are shares, and of distances in deviations.
const EFFECT: f64 = 0.1;
/// PSI from which a column is not just to be looked at.
const STRONG_PSI: f64 = 0.25;
/// Scores are capped here: beyond it all is "another column altogether".
const MAX_SCORE: f64 = 50.0;
/// Change of a share of nulls.
const NULLS: f64 = 0.01;
/// Share of values outside of the reference's range, or that it never had.
const RARE: f64 = 0.001;
/// Share of occurrences of words that the reference's texts never had.
const VOCABULARY: f64 = 0.05;
/// Area under the curve from which rows can be told apart.
pub(super) const AUC: f64 = 0.6;
/// Rows of a side, from which the area says anything.
const AUC_ROWS: u64 = 200;
/// Share of pictures that look like none of the reference.
const NOVEL: f64 = 0.2;
/// The least p of the kernel test: no shuffle was as far apart.
const LEAST_P: f64 = 1.000_001 / (MMD_SHUFFLES as f64 + 1.0);
/// Bins that a message names.
const NAMED: usize = 3;

/// One thing that is different.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    /// Last part of the rule's id.
    pub(super) rule: &'static str,
    pub(super) column: Option<String>,
    pub(super) segment: Option<String>,
    /// 1 at the limit.
    pub(super) score: f64,
    pub(super) severity: Option<Severity>,
    pub(super) message: String,
    /// Whether it makes the batch as a whole a drifted one.
    pub(super) counts: bool,
}

/// All causes, largest first.
pub(super) fn causes(
    comparison: &ComparisonFact,
    columns: &[ColumnDriftFact],
    shares: &[SegmentShareFact],
) -> Vec<Cause> {
    let mut out = schema(comparison);
    // One family of tests for the whole table, another for the segments.
    for segments in [false, true] {
        let judged: Vec<&ColumnDriftFact> =
            columns.iter().filter(|c| c.role != Role::Identifier && c.segment.is_some() == segments).collect();
        let p: Vec<f64> = judged.iter().map(|c| p_value(c)).collect();
        for (column, discovered) in judged.into_iter().zip(benjamini_hochberg(&p, RATE)) {
            let before = out.len();
            if let (true, Some(cause)) = (discovered, moved(column)) {
                out.push(cause);
            }
            out.extend(nulls(column));
            out.extend(values(column));
            let by: Vec<&SegmentShareFact> =
                shares.iter().filter(|share| column.segment.is_none() && share.column == column.column).collect();
            for cause in out.iter_mut().skip(before) {
                cause.counts &= !segments;
                cause.segment.clone_from(&column.segment);
                if let Some(segment) = &column.segment {
                    cause.message = format!("in {segment}: {}", cause.message);
                }
                if cause.rule.ends_with("-drift")
                    && let Some(text) = segments_of(&by)
                {
                    cause.message.push_str(&text);
                }
            }
        }
    }
    out.extend(table(comparison, &out));
    out.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.column, a.rule).cmp(&(&b.column, b.rule))));
    out
}

/// How sure it is that a column has moved. Without a test, whatever is over its limit is.
fn p_value(column: &ColumnDriftFact) -> f64 {
    let (n, m) = column.values;
    let number = |name: &str| column.number(name);
    match column.kind {
        // From sketches: of the least that the distance can be.
        ColumnKind::Number => number("ks_p").or_else(|| column.at_least("ks").map(|d| ks_p(d, n, m))),
        ColumnKind::Category => number("chi2_p@pooled").or_else(|| number("chi2_p")),
        // No number of shuffles makes a test as sure as correcting for many columns asks for; the area beside it can.
        ColumnKind::Vector => number("mmd_p").map(|p| if p <= LEAST_P && effect(column) > 1.0 { 0.0 } else { p }),
        ColumnKind::Text => {
            number("length_ks_p").map(|p| if token_effect(column) > 1.0 && n.min(m) >= 100 { 0.0 } else { p })
        }
    }
    .unwrap_or(if n > 0 && m > 0 && column.kind == ColumnKind::Text { 0.0 } else { 1.0 })
}

/// How far a column has moved, in units of its limits; `None` at or below them.
fn moved(column: &ColumnDriftFact) -> Option<Cause> {
    let score = effect(column);
    if score <= 1.0 {
        return None;
    }
    let psi = column.number("psi").unwrap_or(0.0);
    let strong = psi > STRONG_PSI.max(column.number("psi_limit").unwrap_or(0.0)) || score >= 2.5;
    let (rule, severity) = match column.role {
        Role::Label => ("label-drift", None),
        Role::Prediction => ("prediction-drift", strong.then_some(Severity::High)),
        _ => ("column-drift", strong.then_some(Severity::High)),
    };
    Some(Cause {
        rule,
        column: Some(column.column.clone()),
        segment: None,
        score,
        severity,
        message: format!("`{}` has moved: {}{}", column.column, numbers(column), bins(column)),
        counts: true,
    })
}

fn effect(column: &ColumnDriftFact) -> f64 {
    let least = |name: &str| column.at_least(name).unwrap_or(0.0);
    let psi_limit = column.number("psi_limit").unwrap_or(0.0);
    let score: f64 = match column.kind {
        ColumnKind::Number | ColumnKind::Category => {
            let psi = least("psi") / EFFECT.max(psi_limit);
            // PSI is about eight times the divergence: its limit for small samples is one for the distance, too.
            let js = least("js") / EFFECT.max((psi_limit / (8.0 * std::f64::consts::LN_2)).sqrt());
            let rest = ["ks", "wasserstein_clipped", "cramers_v_corrected"].map(|name| least(name) / EFFECT);
            // In deviations a distance has no end; histograms say how much of it counts.
            rest.into_iter().fold(psi.max(js), |a, b| a.max(b.min(a.max(3.0))))
        }
        ColumnKind::Text => token_effect(column),
        ColumnKind::Vector => {
            let sure = column.number("mmd_p").is_some_and(|p| p < 0.01);
            if sure { (least("classifier_auc") - 0.5) / (AUC - 0.5) } else { 0.0 }
        }
    };
    score.min(MAX_SCORE)
}

/// How far texts have moved.
fn token_effect(column: &ColumnDriftFact) -> f64 {
    let limits = [
        ("length_ks", EFFECT),
        ("alphabet_js", EFFECT),
        ("token_js", 1.5 * EFFECT),
        ("pattern_js", 1.5 * EFFECT),
        ("length_shift", EFFECT),
        ("digit_share_shift", 0.02),
        ("ascii_share_shift", 0.05),
    ];
    limits.iter().map(|(name, limit)| column.number(name).unwrap_or(0.0) / limit).fold(0.0, f64::max)
}

/// The usual numbers, for people.
fn numbers(column: &ColumnDriftFact) -> String {
    let names: &[(&str, &str)] = match column.kind {
        ColumnKind::Number => &[("psi", "PSI"), ("ks", "KS"), ("wasserstein_clipped", "W1 in deviations")],
        ColumnKind::Category => &[("psi", "PSI"), ("js", "JS"), ("cramers_v", "Cramér's V")],
        ColumnKind::Text => &[
            ("token_js", "words JS"),
            ("alphabet_js", "alphabet JS"),
            ("length_ks", "length KS"),
            ("pattern_js", "patterns JS"),
            ("length_shift", "length"),
        ],
        ColumnKind::Vector => &[("classifier_auc", "AUC"), ("mmd_p", "MMD p"), ("mean_shift", "mean in deviations")],
    };
    let text = |(name, title): &(&str, &str)| {
        let metric = column.metrics.iter().find(|metric| metric.name == *name)?;
        Some(match (metric.value?, metric.interval) {
            (value, None) => format!("{title} {value:.3}"),
            (value, Some((low, high))) => format!("{title} {value:.3} ({low:.3} to {high:.3})"),
        })
    };
    names.iter().filter_map(text).collect::<Vec<_>>().join(", ")
}

/// The bins that changed most, for people.
fn bins(column: &ColumnDriftFact) -> String {
    let (n, m): (u64, u64) = column.bins.iter().fold((0, 0), |(n, m), b| (n + b.reference, m + b.current));
    if n == 0 || m == 0 {
        return String::new();
    }
    let share = |part: u64, whole: u64| part as f64 / whole as f64;
    let mut changed: Vec<(f64, String)> = column
        .bins
        .iter()
        .map(|bin| {
            let (p, q) = (share(bin.reference, n), share(bin.current, m));
            let (a, b) = (p.max(1e-4), q.max(1e-4));
            ((b - a) * (b / a).ln(), format!("`{}` {} → {}", bin.label, percent(p), percent(q)))
        })
        .filter(|(term, _)| *term > 0.0)
        .collect();
    changed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let text: Vec<String> = changed.into_iter().take(NAMED).map(|(_, text)| text).collect();
    if text.is_empty() { String::new() } else { format!("; most of it: {}", text.join(", ")) }
}

/// Where in the rows it is, when it is not everywhere.
fn segments_of(shares: &[&SegmentShareFact]) -> Option<String> {
    let concentrated = |share: &&&SegmentShareFact| share.drift >= 0.5 && share.drift >= 2.0 * share.rows;
    let best = shares
        .iter()
        .filter(concentrated)
        .max_by(|a, b| (a.drift / a.rows.max(1e-9)).total_cmp(&(b.drift / b.rows.max(1e-9))))?;
    let (drift, rows) = (percent(best.drift), percent(best.rows));
    Some(format!("; {drift} of it in rows with {} = `{}`, which are {rows} of the batch", best.by, best.value))
}

fn nulls(column: &ColumnDriftFact) -> Option<Cause> {
    let (n, m) = (column.rows.0 as f64, column.rows.1 as f64);
    let mut out: Option<Cause> = None;
    for (what, title) in [("null_share", "nulls"), ("nan_share", "NaN")] {
        let (Some(before), Some(now)) = (column.number(&format!("{what}_reference")), column.number(what)) else {
            continue;
        };
        let pooled = (before * n + now * m) / (n + m);
        let noise = 4.0 * (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        let change = (now - before).abs();
        if change < NULLS || change <= noise {
            continue;
        }
        let severity = (change >= 10.0 * NULLS).then_some(Severity::High);
        let message =
            format!("`{}` has {} {title}; the reference has {}", column.column, percent(now), percent(before));
        out = Some(cause("null-share", column, (change / NULLS).min(MAX_SCORE), severity, message));
    }
    out
}

fn values(column: &ColumnDriftFact) -> Vec<Cause> {
    let mut out = Vec::new();
    let (n, m) = column.values;
    let name = &column.column;
    // As many as lie outside by chance: about two of n, and one row is none.
    let limit = RARE.max(10.0 / (n as f64 + 1.0)).max(1.5 / m.max(1) as f64);
    if let Some(share) = column.number("outside_share").filter(|share| *share > limit) {
        let message = format!("{} of the values of `{name}` lie outside of the reference's range", percent(share));
        out.push(cause("out-of-range", column, (share / limit).min(10.0), None, message));
    }
    if let (Some(raw), Some(clipped)) = (column.number("wasserstein_normed"), column.number("wasserstein_clipped"))
        && raw - clipped > EFFECT
        && raw > 2.0 * clipped
        && n.min(m) >= 100
    {
        let message = format!(
            "few values of `{name}` lie far away: W1 is {raw:.3} deviations, and {clipped:.3} without the outermost 0.1 %"
        );
        out.push(cause("outliers", column, ((raw - clipped) / EFFECT).min(MAX_SCORE), None, message));
    }
    let new = column.new_rows as f64 / m.max(1) as f64;
    if column.kind == ColumnKind::Category && column.new_rows > 0 && new > limit {
        let names = column.new_values.iter().take(NAMED).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} rows ({}) of `{name}` hold values that the reference never had: {names}",
            grouped(column.new_rows),
            percent(new)
        );
        out.push(cause("new-values", column, (new / limit).min(10.0), None, message));
    }
    if let Some(share) = column.number("new_vocabulary").filter(|share| *share > VOCABULARY) {
        let names = column.new_values.iter().take(NAMED).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
        let message = format!("{} of the words of `{name}` are new: {names}", percent(share));
        out.push(cause("new-values", column, (share / VOCABULARY).min(10.0), None, message));
    }
    out
}

fn cause(
    rule: &'static str,
    column: &ColumnDriftFact,
    score: f64,
    severity: Option<Severity>,
    message: String,
) -> Cause {
    Cause { rule, column: Some(column.column.clone()), segment: None, score, severity, message, counts: false }
}

/// Changes of the columns themselves come before all that is measured in them.
fn schema(comparison: &ComparisonFact) -> Vec<Cause> {
    let new = |column: &str, score: f64, message: String| Cause {
        rule: "schema-change",
        column: Some(column.to_owned()),
        segment: None,
        score: 2.0 * MAX_SCORE + score,
        severity: None,
        message,
        counts: true,
    };
    let mut out = Vec::new();
    for (name, before, now) in &comparison.retyped {
        out.push(new(name, 4.0, format!("column `{name}` is {now}; in the reference it is {before}")));
    }
    for (before, now, js) in &comparison.renamed {
        let message = format!("column `{before}` is called `{now}` now: their values look alike (JS {js:.3})");
        out.push(new(before, 3.0, message));
    }
    let renamed = |name: &String| comparison.renamed.iter().any(|(a, b, _)| a == name || b == name);
    for name in comparison.missing.iter().filter(|name| !renamed(name)) {
        out.push(new(name, 2.0, format!("column `{name}` of the reference is missing")));
    }
    for name in comparison.extra.iter().filter(|name| !renamed(name)) {
        out.push(new(name, 1.0, format!("column `{name}` is not in the reference")));
    }
    out
}

/// What only all columns together show.
fn table(comparison: &ComparisonFact, known: &[Cause]) -> Vec<Cause> {
    let number = |name: &str| comparison.metrics.iter().find(|m: &&MetricFact| m.name == name).and_then(|m| m.value);
    let mut out = Vec::new();
    let whole = |rule, score: f64, message, counts| Cause {
        rule,
        column: None,
        segment: None,
        score,
        severity: None,
        message,
        counts,
    };
    let auc = [number("classifier_auc"), number("classifier_auc_trees")].into_iter().flatten().fold(0.0, f64::max);
    // Where columns differ one by one, that rows can be told apart is no news.
    let news = !known.iter().any(|cause| cause.counts);
    if auc > AUC && news && comparison.reference_rows.min(comparison.current_rows) >= AUC_ROWS {
        let message =
            format!("a classifier tells rows of the batch from rows of the reference: AUC {auc:.3}, limit {AUC}");
        out.push(whole("joint-drift", (auc - 0.5) / (AUC - 0.5), message, true));
    }
    if let Some(share) = number("image_novelty").filter(|share| *share > NOVEL) {
        let message = format!("{} of the pictures look like none of the reference", percent(share));
        out.push(whole("novel-images", share / NOVEL, message, false));
    }
    out
}
