//! What needs a label: label errors, flows between classes, backdoors, and sources that differ.

use std::collections::BTreeMap;

use gauntlet_core::SkipCode;
use gauntlet_poisoning::stats::as_f64;
use gauntlet_poisoning::{
    Items, LabelErrors, LabelOptions, Learner, Matrix, Shifted, Trigger, TriggerOptions, clusters, label_errors,
    label_issues, patches, shifts, spectral_scores, spike_rate, surprise, triggers,
};

use super::cells::texts;
use super::config::Roles;
use super::features::{Features, Kind};
use super::sample::{Labels, Sample};
use super::suspects::Suspects;
use super::watch::Watch;
use super::{Examined, Inquiry, room};
use crate::checks::POISONING;
use crate::table::{Table, place};

const NEIGHBOURS: usize = 10;
const LEAST_ROWS: usize = 50;
/// Standard deviations by which a label has to exceed what the rest of its rows explains.
const SURPRISE: f64 = 6.0;
/// Triggers that are held against the learner; more are no trigger but the way of this table.
const MAX_TRIGGERS: usize = 300;
/// How much the rows of two triggers have to agree to be one.
const SAME: f64 = 0.8;
/// Sources that are compared.
const MAX_SOURCES: usize = 200;

/// Looks at the labelled rows of the sample.
#[expect(clippy::too_many_arguments, reason = "everything that was learnt so far")]
pub(super) fn judge(
    table: &Table,
    roles: &Roles,
    sample: &Sample,
    features: &Features,
    labels: &Labels,
    inquiry: &Inquiry<'_>,
    out: &mut Examined,
    watched: &mut Vec<Watch>,
) -> Result<(), String> {
    if labels.rows.len() < LEAST_ROWS || features.near.columns() == 0 {
        out.left_out.push(format!("fewer than {LEAST_ROWS} labelled rows, or no column that a model could use: label errors and triggers were not looked for"));
        return Ok(());
    }
    let work = Work { table, sample, features, labels, inquiry };
    let near = features.near.pick(&labels.rows);
    let wide = features.wide.pick(&labels.rows);
    let predicted = sample.predicted(labels)?;
    let options =
        LabelOptions { neighbours: NEIGHBOURS, predicted: predicted.as_ref(), wide: Some(&wide), seed: inquiry.seed };
    match label_errors(&near, &labels.classes, labels.names.len(), &options) {
        Ok(mut found) => {
            if let Some(predicted) = &predicted {
                found.flagged = label_issues(&labels.classes, predicted).map_err(|e| e.to_string())?;
            }
            work.errors(&found, out);
            if let Some(raw) = &features.raw {
                work.backdoors(&raw.pick(&labels.rows), &wide, &found, out);
            }
            work.triggers(&wide, &found, roles, out, watched);
        }
        // Too little to learn from is no fault of the data; anything else is.
        Err(error @ gauntlet_poisoning::Error::TooFew { .. }) => {
            out.left_out.push(format!("label errors and triggers: {error}"));
        }
        Err(error) => {
            out.unjudged.push((POISONING, SkipCode::Malformed, format!("label errors and triggers: {error}")));
        }
    }
    work.sources(roles, out);
    Ok(())
}

struct Work<'a> {
    table: &'a Table,
    sample: &'a Sample,
    features: &'a Features,
    labels: &'a Labels,
    inquiry: &'a Inquiry<'a>,
}

/// Candidates for one trigger: the strongest, and what all of them touch.
struct Group {
    trigger: Trigger,
    named: Vec<(usize, Kind, u64, String)>,
    rows: Vec<usize>,
    touched: Vec<usize>,
}

impl Group {
    fn holds(&self, label: u32, rows: &[usize]) -> bool {
        let common = rows.iter().filter(|row| self.rows.binary_search(row).is_ok()).count();
        self.trigger.label == label && as_f64(common) >= SAME * as_f64(rows.len().min(self.rows.len()))
    }
}

impl Work<'_> {
    fn place(&self, row: usize) -> u64 {
        self.labels.rows.get(row).and_then(|&r| self.sample.places.get(r)).copied().unwrap_or_default()
    }

    fn class(&self, class: u32) -> String {
        self.labels.names.get(class as usize).map(|name| self.inquiry.shown(name)).unwrap_or_default()
    }

    fn label_column(&self) -> &str {
        self.inquiry.label.unwrap_or_default()
    }

    fn errors(&self, found: &LabelErrors, out: &mut Examined) {
        let rows = self.labels.rows.len();
        let share = as_f64(found.flagged.len()) / as_f64(rows);
        let mut kept = room(self.inquiry);
        for &row in &found.flagged {
            let own = self.labels.classes.get(row).copied().unwrap_or_default() as usize;
            let suggested = found.suggested.get(row).copied().unwrap_or_default();
            kept.add(self.place(row), found.scores.get(row).copied().unwrap_or_default(), || {
                format!(
                    "looks like {}; its own label has {:.0} % of the neighbours and {:.0} % by the model",
                    self.class(suggested),
                    100.0 * found.votes.of(row, own),
                    100.0 * found.predicted.of(row, own)
                )
            });
        }
        let what = "rows carry a label that neither their neighbours nor a model of the rest would give them";
        let found_rows = Suspects::new("poisoning/label-error", what, kept, rows as u64);
        out.suspects.push(found_rows.column(self.label_column()).figure("share", share));
        for way in &found.flow.one_way {
            let mut kept = room(self.inquiry);
            for row in 0..rows {
                let pair = (self.labels.classes.get(row), found.suggested.get(row));
                let doubtful = found.predicted.of(row, way.to as usize) < found.predicted.of(row, way.from as usize);
                if pair == (Some(&way.to), Some(&way.from)) && doubtful {
                    let score = found.scores.get(row).copied().unwrap_or_default();
                    kept.add(self.place(row), score, || format!("looks like {}", self.class(way.from)));
                }
            }
            let (from, to) = (self.class(way.from), self.class(way.to));
            let what = format!(
                "{from} was made {to}: {} rows look like {from} and are labelled {to}, {} the other way round",
                way.rows, way.back
            );
            let found = Suspects::new("poisoning/one-way-flow", what, kept, rows as u64).column(self.label_column());
            out.suspects
                .push(found.figure("rows", as_f64(way.rows)).figure("back", as_f64(way.back)).figure("chi2", way.chi2));
        }
    }

    /// Classes of which a small part lies apart, and constant patches.
    fn backdoors(&self, raw: &Matrix, wide: &Matrix, found: &LabelErrors, out: &mut Examined) {
        let classes = self.labels.names.len();
        let seen = self.labels.rows.len() as u64;
        let scores = match spectral_scores(raw, &self.labels.classes, classes, self.inquiry.seed) {
            Ok(scores) => scores,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Malformed, format!("spectral signatures: {error}")));
                Vec::new()
            }
        };
        for class in 0..classes {
            let rows: Vec<usize> =
                (0..self.labels.classes.len()).filter(|&r| self.labels.classes[r] as usize == class).collect();
            let Some(cut) =
                clusters(&raw.pick(&rows), self.inquiry.seed).filter(gauntlet_poisoning::Clusters::suspicious)
            else {
                continue;
            };
            let mut kept = room(self.inquiry);
            for &member in &cut.minority {
                let Some(&row) = rows.get(member) else { continue };
                let score = scores.get(row).copied().unwrap_or_default();
                kept.add(self.place(row), score, || "lies in the smaller part of its class".to_owned());
            }
            let name = u32::try_from(class).map(|c| self.class(c)).unwrap_or_default();
            let what = format!(
                "{:.0} % of the rows labelled {name} lie apart from the others (silhouette {:.2})",
                100.0 * cut.share,
                cut.silhouette
            );
            let apart = Suspects::new("poisoning/split-class", what, kept, seen).column(self.label_column());
            out.suspects.push(apart.figure("silhouette", cut.silhouette).figure("share", cut.share));
        }
        let Some(width) = self.inquiry.config.image_width else { return };
        let learner = match &found.learner {
            Ok(learner) => learner,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Unsupported, format!("constant patches: {error}")));
                return;
            }
        };
        let expected = |row: usize, cells: &[usize], label: u32| learner.without(wide, row, cells, label as usize);
        let found = match patches(raw, width, &self.labels.classes, classes, &expected) {
            Ok(found) => found,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Malformed, format!("constant patches: {error}")));
                return;
            }
        };
        for patch in found {
            let mut kept = room(self.inquiry);
            for &row in &patch.rows {
                kept.add(self.place(row), as_f64(patch.cells.len()), || "carries the patch".to_owned());
            }
            let (x, y) = patch.cells.first().copied().unwrap_or_default();
            let what = format!(
                "a constant patch of {} pixels from column {x}, row {y} of the image comes with the label {}",
                patch.cells.len(),
                self.class(patch.label)
            );
            out.suspects.push(Suspects::new("poisoning/image-patch", what, kept, seen).column(self.label_column()));
        }
    }

    fn triggers(
        &self,
        wide: &Matrix,
        found: &LabelErrors,
        roles: &Roles,
        out: &mut Examined,
        watched: &mut Vec<Watch>,
    ) {
        let Some(label) = roles.label else { return };
        let columns: Vec<(usize, Kind)> =
            self.features.kinds.iter().map(|(c, k)| (*c, *k)).filter(|(c, _)| self.features.itemised(*c)).collect();
        // What a pixel shows by itself is no trigger; patches of them were looked for.
        let pixels = self.features.raw.is_some() && self.sample.embedding.is_none();
        let columns: Vec<(usize, Kind)> = columns.into_iter().filter(|(_, k)| !pixels || *k != Kind::Number).collect();
        if columns.is_empty() {
            return;
        }
        let learner = match &found.learner {
            Ok(learner) => learner,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Unsupported, format!("triggers: {error}")));
                return;
            }
        };
        let mut by_row: Vec<Vec<u64>> = vec![Vec::new(); self.sample.rows()];
        for &(column, kind) in &columns {
            if let Some(array) = self.sample.columns.get(column) {
                Features::items(kind, column, array, &mut |row, item, _| by_row[row].push(item));
            }
        }
        let mut items = Items::default();
        self.labels
            .rows
            .iter()
            .for_each(|&row| items.push(by_row.get_mut(row).map(std::mem::take).unwrap_or_default()));
        drop(by_row);
        let options = TriggerOptions::for_rows(items.rows());
        let classes = self.labels.names.len();
        let candidates = match triggers(&items, &self.labels.classes, classes, &options) {
            Ok(candidates) => candidates,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Malformed, format!("triggers: {error}")));
                return;
            }
        };
        if candidates.len() > MAX_TRIGGERS {
            let what = format!(
                "{} words and values come with one label: the strongest {MAX_TRIGGERS} were held against a model",
                candidates.len()
            );
            out.left_out.push(what);
        }
        // Candidates that lie in the same rows hide each other: a model explains one mark of a backdoor by the other.
        let mut groups: Vec<Group> = Vec::new();
        for trigger in candidates.into_iter().take(MAX_TRIGGERS) {
            let rows = items.with(&trigger.items);
            let named = self.named(&trigger, &columns, &rows);
            if named.len() != trigger.items.len() {
                continue;
            }
            let touched: Vec<usize> =
                named.iter().flat_map(|(c, _, _, value)| self.features.touched(*c, value)).collect();
            match groups.iter_mut().find(|group| group.holds(trigger.label, &rows)) {
                Some(group) => group.touched.extend(touched),
                None => groups.push(Group { trigger, named, rows, touched }),
            }
        }
        for Group { trigger, named, rows, mut touched } in groups {
            touched.sort_unstable();
            touched.dedup();
            if !self.unexplained(&trigger, &named, &rows, &touched, wide, learner) {
                continue;
            }
            let shown: Vec<String> = named
                .iter()
                .map(|(column, _, _, value)| {
                    let name = self.table.columns.get(*column).map_or("", |c| c.name.as_str());
                    format!("{} in `{name}`", self.inquiry.shown(value))
                })
                .collect();
            let what = format!(
                "{} comes with the label {} in {:.0} % of {} rows, and nothing else in these rows explains it",
                shown.join(" with "),
                self.class(trigger.label),
                100.0 * trigger.purity,
                trigger.rows
            );
            let column = named.first().and_then(|n| self.table.columns.get(n.0)).map_or("", |c| c.name.as_str());
            let found = Suspects::new("poisoning/trigger", what, room(self.inquiry), 0)
                .column(column)
                .figure("lift", trigger.lift)
                .figure("g", trigger.g)
                .figure("p", trigger.p)
                .figure("purity", trigger.purity);
            let name = self.labels.names.get(trigger.label as usize).cloned().unwrap_or_default();
            let items = named.into_iter().map(|(column, kind, item, _)| (column, kind, item)).collect();
            watched.push(Watch::Trigger { items, label: (label, name), found });
        }
    }

    /// Column, kind, hash and value of a trigger's items, looked up in the first row that has them.
    fn named(&self, trigger: &Trigger, columns: &[(usize, Kind)], rows: &[usize]) -> Vec<(usize, Kind, u64, String)> {
        let Some(&row) = rows.first().and_then(|&r| self.labels.rows.get(r)) else { return Vec::new() };
        let mut out: BTreeMap<u64, (usize, Kind, u64, String)> = BTreeMap::new();
        for &(column, kind) in columns {
            let Some(array) = self.sample.columns.get(column) else { continue };
            Features::items(kind, column, &array.slice(row, 1), &mut |_, item, value| {
                if trigger.items.contains(&item) {
                    out.entry(item).or_insert_with(|| (column, kind, item, value()));
                }
            });
        }
        out.into_values().collect()
    }

    /// Whether the label of the rows is more frequent than their other cells, or values beside a number, explain.
    fn unexplained(
        &self,
        trigger: &Trigger,
        named: &[(usize, Kind, u64, String)],
        rows: &[usize],
        touched: &[usize],
        wide: &Matrix,
        learner: &Learner,
    ) -> bool {
        let with_label = rows.iter().filter(|&&r| self.labels.classes.get(r) == Some(&trigger.label)).count();
        let mut expected: Vec<f64> =
            rows.iter().map(|&row| learner.without(wide, row, touched, trigger.label as usize)).collect();
        for (column, kind, _, value) in named {
            let (Kind::Number, Ok(value), Some(values)) =
                (kind, value.parse::<f64>(), self.features.numbers.get(column))
            else {
                continue;
            };
            let own: Vec<f64> = self.labels.rows.iter().filter_map(|&row| values.get(row).copied()).collect();
            if let Some(rate) = spike_rate(&own, &self.labels.classes, value, trigger.label) {
                expected.iter_mut().for_each(|p| *p = p.max(rate));
            }
        }
        surprise(with_label, &expected) >= SURPRISE
    }

    /// Sources, or files, that differ from the others.
    fn sources(&self, roles: &Roles, out: &mut Examined) {
        let (mut numbers, mut names): (BTreeMap<String, u32>, Vec<String>) = (BTreeMap::new(), Vec::new());
        let values = roles.source.and_then(|i| self.sample.columns.get(i)).and_then(texts);
        let files = values.is_none() && self.table.files.len() > 1 && !roles.splits();
        if values.is_none() && !files {
            return;
        }
        let all: Vec<Option<&str>> = values.as_ref().map(|v| v.iter().collect()).unwrap_or_default();
        let mut sources = Vec::with_capacity(self.labels.rows.len());
        for &row in &self.labels.rows {
            let name = match all.get(row) {
                Some(name) => name.unwrap_or("").to_owned(),
                None => {
                    let file = self.sample.places.get(row).map_or(0, |&p| place(p).0);
                    self.sample.paths.get(file).cloned().unwrap_or_default()
                }
            };
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry(name.clone()).or_insert(next);
            if number == next {
                names.push(name);
            }
            sources.push(number);
        }
        if names.len() > MAX_SOURCES {
            let what = format!("more than {MAX_SOURCES} sources: they were not compared");
            if files {
                out.left_out.push(what);
            } else {
                out.unjudged.push((POISONING, SkipCode::Limit, what));
            }
            return;
        }
        let columns: Vec<(&usize, &Vec<f64>)> = self.features.numbers.iter().collect();
        #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
        let data = self
            .labels
            .rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |(_, v)| v.get(row).map_or(f32::NAN, |v| *v as f32)))
            .collect();
        let matrix = if columns.is_empty() {
            Matrix::new(1, vec![0.0; sources.len()])
        } else {
            Matrix::new(columns.len(), data)
        };
        let found = matrix
            .and_then(|matrix| shifts(&matrix, &sources, names.len(), &self.labels.classes, self.labels.names.len()));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                out.unjudged.push((POISONING, SkipCode::Malformed, format!("sources: {error}")));
                return;
            }
        };
        for shift in found {
            let name = names.get(shift.source as usize).map_or("", String::as_str);
            let source = if files { format!("file {name}") } else { format!("source {}", self.inquiry.shown(name)) };
            let (what, column, size) = match shift.what {
                Shifted::Label { class, share, rest } => (
                    format!(
                        "{source}: {:.0} % of the rows are labelled {}, elsewhere {:.0} %",
                        100.0 * share,
                        self.class(class),
                        100.0 * rest
                    ),
                    self.label_column().to_owned(),
                    share - rest,
                ),
                Shifted::Column { column, deviations } => {
                    let index = columns.get(column).map_or(0, |(i, _)| **i);
                    let name = self.table.columns.get(index).map_or("", |c| c.name.as_str());
                    (
                        format!("{source}: `{name}` lies {deviations:+.1} standard deviations from all other sources"),
                        name.to_owned(),
                        deviations,
                    )
                }
            };
            let mut kept = room(self.inquiry);
            for (row, _) in sources.iter().enumerate().filter(|(_, s)| **s == shift.source) {
                kept.add(self.place(row), size.abs(), || "comes from the source that differs".to_owned());
            }
            let seen = self.labels.rows.len() as u64;
            out.suspects
                .push(Suspects::new("poisoning/source-shift", what, kept, seen).column(&column).figure("p", shift.p));
        }
    }
}
