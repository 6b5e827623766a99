//! `data/drift`: does a batch still come from the distribution of its reference?

mod causes;
mod rules;
mod windows;

use gauntlet_core::{
    Check, CheckInfo, Draft, Facts, Figure, FigureKind, Input, Judgement, Judging, Location, Metric, SkipCode,
};

use super::facts_of;
use crate::config::{DatasetConfig, SideRef};
use crate::drift::DriftConfig;
use crate::facts::{ColumnDriftFact, ComparisonFact, MetricFact, Role, SegmentShareFact, StreamChangeFact, StreamFact};
use causes::{Cause, causes};
use rules::INFO;

/// The check.
#[derive(Debug)]
pub(crate) struct DriftCheck;

/// Metrics that are reported unless others are asked for.
const USUAL: [&str; 31] = [
    "psi",
    "psi_limit",
    "js",
    "ks",
    "ks_p",
    "wasserstein_normed",
    "wasserstein_clipped",
    "chi2_p",
    "cramers_v",
    "null_share",
    "null_share_reference",
    "nan_share",
    "outside_share",
    "length_ks",
    "length_shift",
    "alphabet_js",
    "token_js",
    "pattern_js",
    "new_vocabulary",
    "digit_share_shift",
    "ascii_share_shift",
    "mean_shift",
    "mean_cosine",
    "mmd",
    "mmd_p",
    "classifier_auc",
    "classifier_auc_trees",
    "image_novelty",
    "unusable_rows",
    "rows",
    "rows_reference",
];
/// Metrics that are reported when they, or all, are asked for.
const OTHERS: [&str; 15] = [
    "kl",
    "hellinger",
    "tv",
    "linf",
    "ks_p_exact",
    "wasserstein",
    "chi2",
    "chi2@pooled",
    "chi2_p@pooled",
    "cramers_v_corrected",
    "nan_share_reference",
    "length_psi",
    "length_ks_p",
    "new_rows",
    "cause",
];
/// Metrics of histograms, and the binnings that may stand behind them.
const BINNED: [&str; 6] = ["psi", "kl", "js", "hellinger", "tv", "linf"];
const BINNINGS: [&str; 5] =
    ["quantile_bins", "width_bins", "guarded_bins", "quantile_bins_with_null_bin", "with_null_bin"];
/// Share of a stream's items that may be no numbers.
const MAX_SILENT: f64 = 0.01;
/// Figures of columns that a report draws: those that drifted most.
const FIGURES: usize = 12;

/// Every name of a metric of this check.
pub fn metric_names() -> Vec<String> {
    let mut out: Vec<String> = USUAL.iter().chain(&OTHERS).map(|name| (*name).to_owned()).collect();
    out.extend(BINNED.iter().flat_map(|name| BINNINGS.iter().map(move |binning| format!("{name}@{binning}"))));
    out
}

impl Check for DriftCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let config = DatasetConfig::of(judging.config).map(|config| config.drift()).unwrap_or_default();
        if config.stream.is_some() {
            stream(facts, &mut out);
            return out;
        }
        if let Some(watch) = &config.watch {
            windows::judge(facts, watch, &mut out);
            return out;
        }
        let comparison = facts_of::<ComparisonFact>(facts, &mut out).into_iter().next();
        let Some((_, comparison)) = comparison else {
            if facts.coverage.get(INFO.id).is_none_or(gauntlet_core::Coverage::complete) {
                out.coverage.skip("", None, SkipCode::Unsupported, "nothing was compared");
            }
            return out;
        };
        let columns: Vec<ColumnDriftFact> = facts_of(facts, &mut out).into_iter().map(|(_, fact)| fact).collect();
        let shares: Vec<SegmentShareFact> = facts_of(facts, &mut out).into_iter().map(|(_, fact)| fact).collect();
        metrics(&comparison, &columns, &config, &mut out);
        gaps(&comparison, &columns, &mut out);
        let causes = causes(&comparison, &columns, &shares);
        findings(&comparison, &columns, &causes, &config, &mut out);
        figures(&columns, &causes, &mut out);
        out
    }

    fn inputs(&self, _facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let config = DatasetConfig::of(judging.config).map(|config| config.drift()).unwrap_or_default();
        let Some(reference) = config.reference else { return Vec::new() };
        let side = |side: Option<SideRef>| side.map(|side| side.sha256);
        let named = [
            ("reference", Some(reference.sha256)),
            ("manifest of the reference", side(reference.manifest)),
            ("contract of the reference", side(reference.contract)),
        ];
        let input = |(name, sha256): (&str, Option<String>)| {
            let digest = format!("sha256:{}", sha256?).parse().ok()?;
            Some(Input { name: name.to_owned(), digest })
        };
        named.into_iter().filter_map(input).collect()
    }
}

/// One finding for each item at which a detector fired.
fn stream(facts: &Facts, out: &mut Judgement) {
    let Some((_, fact)) = facts_of::<StreamFact>(facts, out).into_iter().next() else {
        if facts.coverage.get(INFO.id).is_none_or(gauntlet_core::Coverage::complete) {
            out.coverage.skip("", None, SkipCode::Unsupported, "no stream was read");
        }
        return;
    };
    let changes = facts_of::<StreamChangeFact>(facts, out);
    for (name, value) in [
        ("items", fact.items),
        ("streams", fact.groups),
        ("changes", changes.len() as u64),
        ("warnings", fact.warnings),
        ("items_without_number", fact.without_number),
        ("items_outside_unit_interval", fact.outside),
    ] {
        out.metrics.push(Metric::new(name, value as f64, "items").field(&fact.column));
    }
    let silent = super::share(fact.without_number, fact.items);
    if silent > MAX_SILENT || fact.items == 0 {
        let what = format!(
            "{} of the items of `{}` are no numbers: they were not watched",
            super::percent(silent),
            fact.column
        );
        out.coverage.skip("", None, SkipCode::Malformed, what);
    }
    for (place, change) in changes {
        let of = change.group.as_ref().map(|group| format!(" of `{group}`")).unwrap_or_default();
        let message =
            format!("{} fired at item {}{of}: `{}` has changed before it", fact.detector, change.index, fact.column);
        let snippet = format!("{} {} {}", fact.detector, change.group.as_deref().unwrap_or(""), change.index);
        out.findings.extend(draft("stream-change", place, message, &snippet));
    }
}

/// A finding of this check, for what judges without facts.
pub(crate) fn draft(rule: &str, place: Location, message: impl Into<String>, snippet: &str) -> Option<Draft> {
    INFO.rule(rule).map(|rule| Draft::new(rule, place, message).snippet(snippet))
}

fn wanted(name: &str, config: &DriftConfig) -> bool {
    match config.metrics.as_slice() {
        [] => USUAL.contains(&name),
        [all] if all == "all" => true,
        names => names.iter().any(|n| n == name || name.strip_suffix("_p") == Some(n.as_str())),
    }
}

fn metrics(comparison: &ComparisonFact, columns: &[ColumnDriftFact], config: &DriftConfig, out: &mut Judgement) {
    let metric = |measured: &MetricFact| Metric {
        low: measured.interval.map(|(low, _)| low),
        high: measured.interval.map(|(_, high)| high),
        unit: None,
        ..Metric::new(measured.name.clone(), measured.value.unwrap_or(f64::NAN), "")
    };
    if wanted("rows", config) {
        out.metrics.push(Metric::new("rows", comparison.current_rows as f64, "rows"));
        out.metrics.push(Metric::new("rows_reference", comparison.reference_rows as f64, "rows"));
    }
    let table = comparison.metrics.iter().filter(|m| wanted(&m.name, config));
    out.metrics.extend(table.map(metric));
    for column in columns {
        let field = match &column.segment {
            Some(segment) => format!("{}[{segment}]", column.column),
            None => column.column.clone(),
        };
        let measured = column.metrics.iter().filter(|m| wanted(&m.name, config));
        out.metrics.extend(measured.map(|m| metric(m).field(&field)));
        if wanted("new_rows", config) && column.new_rows > 0 {
            out.metrics.push(Metric::new("new_rows", column.new_rows as f64, "rows").field(&field));
        }
    }
}

/// Questions that were asked and not answered. That there are no values to compare is one; that sketches cannot tell is not.
fn gaps(comparison: &ComparisonFact, columns: &[ColumnDriftFact], out: &mut Judgement) {
    for gap in &comparison.gaps {
        out.coverage.skip("", None, if gap.known { SkipCode::Ignored } else { SkipCode::Unsupported }, &gap.what);
    }
    for (what, rows) in [("the reference", comparison.reference_rows), ("the batch", comparison.current_rows)] {
        if rows == 0 {
            out.coverage.skip("", None, SkipCode::Malformed, format!("{what} has no rows"));
        }
    }
    let empty = |column: &&ColumnDriftFact| {
        column.segment.is_none() && column.role != Role::Identifier && (column.values.0 == 0) != (column.values.1 == 0)
    };
    for column in columns.iter().filter(empty).filter(|_| comparison.reference_rows.min(comparison.current_rows) > 0) {
        let side = if column.values.0 == 0 { "the reference" } else { "the batch" };
        let what = format!("column `{}` has no values in {side}: nothing to compare", column.column);
        out.coverage.skip("", None, SkipCode::Malformed, what);
    }
}

fn findings(
    comparison: &ComparisonFact,
    columns: &[ColumnDriftFact],
    causes: &[Cause],
    config: &DriftConfig,
    out: &mut Judgement,
) {
    let place = |column: Option<&String>, segment: Option<&String>| {
        let place = column.map_or_else(Location::default, |column| Location::default().in_field(column));
        Location { case: segment.cloned(), ..place }
    };
    for cause in causes {
        let place = place(cause.column.as_ref(), cause.segment.as_ref());
        let snippet = format!("{} {}", cause.column.as_deref().unwrap_or(""), cause.segment.as_deref().unwrap_or(""));
        if let Some(draft) = draft(cause.rule, place, &cause.message, &snippet) {
            out.findings.push(match cause.severity {
                Some(severity) => draft.severity(severity),
                None => draft,
            });
        }
    }
    let drifted: Vec<&Cause> = causes.iter().filter(|cause| cause.counts).collect();
    if let Some(first) = drifted.first() {
        let judged = columns.iter().filter(|c| c.segment.is_none() && c.role != Role::Identifier).count();
        let mut names: Vec<String> = Vec::new();
        for cause in &drifted {
            let name = cause.column.as_ref().map_or_else(|| "all columns together".to_owned(), |c| format!("`{c}`"));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
        let message = format!(
            "the batch is not from the reference `{}`: {} of {judged} columns differ after correction for their number: {}{more}; first: {}",
            comparison.reference,
            names.len(),
            names.iter().take(5).cloned().collect::<Vec<_>>().join(", "),
            first.message
        );
        out.findings.extend(draft("dataset-drift", Location::default(), message, ""));
    }
    if config.explain {
        let ranked: Vec<&Cause> = causes.iter().filter(|cause| cause.segment.is_none()).collect();
        let sum: f64 = ranked.iter().map(|cause| cause.score).sum();
        for (i, cause) in ranked.iter().enumerate() {
            let share = if sum > 0.0 { cause.score / sum } else { 0.0 };
            let place = Location { case: Some(format!("cause {}", i + 1)), ..place(cause.column.as_ref(), None) };
            let message = format!("cause {} of {}, {}: {}", i + 1, ranked.len(), super::percent(share), cause.message);
            out.findings.extend(draft("cause", place, message, &format!("{} {}", cause.rule, i)));
            let field = cause.column.clone().unwrap_or_else(|| "*".to_owned());
            out.metrics.push(Metric::new("cause", share, "share").field(field));
        }
    }
    for (key, before, now) in &comparison.lineage {
        let message = format!("{key} differs: `{now}`, in the reference `{before}`");
        out.findings.extend(draft("lineage-change", Location::default().in_field(key), message, key));
    }
}

/// A range as it is written under a bar: where it begins.
fn axis(label: &str) -> String {
    let below = |text: &str| text.strip_prefix("below ").map(|end| format!("< {end}"));
    let above = |text: &str| text.strip_suffix(" and above").map(|start| format!("≥ {start}"));
    let start = |text: &str| text.split_once(" to ").map(|(start, _)| start.to_owned());
    below(label).or_else(|| above(label)).or_else(|| start(label)).unwrap_or_else(|| label.to_owned())
}

/// Histograms of the columns that drifted most, and the causes as bars.
fn figures(columns: &[ColumnDriftFact], causes: &[Cause], out: &mut Judgement) {
    let whole = |column: &&ColumnDriftFact| column.segment.is_none() && !column.bins.is_empty();
    let mut order: Vec<&ColumnDriftFact> = columns.iter().filter(whole).collect();
    let rank = |column: &ColumnDriftFact| {
        causes.iter().position(|c| c.column.as_ref() == Some(&column.column)).unwrap_or(usize::MAX)
    };
    order.sort_by_key(|column| rank(column));
    let measured: Vec<&&ColumnDriftFact> = order.iter().filter(|c| c.number("psi").is_some()).collect();
    if !measured.is_empty() {
        let psi = measured.iter().map(|c| c.number("psi").unwrap_or(0.0));
        let figure = Figure::new("drift-by-column", "PSI by column, largest cause first", "column", "PSI");
        let labels = measured.iter().map(|c| c.column.clone());
        out.figures.push(figure.drawn_as(FigureKind::Ranking).labelled(labels).with("PSI", psi));
    }
    for column in order.into_iter().take(FIGURES) {
        let (n, m) = column.bins.iter().fold((0, 0), |(n, m), b| (n + b.reference, m + b.current));
        let title = format!("{}: reference and batch", column.column);
        let figure = Figure::new(format!("histogram-{}", column.column), title, "value", "share of rows");
        out.figures.push(
            figure
                .drawn_as(FigureKind::Bars)
                .labelled(column.bins.iter().map(|b| axis(&b.label)))
                .with("reference", column.bins.iter().map(|b| super::share(b.reference, n)))
                .with("batch", column.bins.iter().map(|b| super::share(b.current, m))),
        );
    }
}
