//! From facts and evidence to the cells of each table: one arm a table, in the order of its columns.

use gauntlet_core::{FactRow, Gate, Location, Relation};
use gauntlet_facts::Cell;

use crate::catalogue::{Catalogue, Held};
use crate::stored::Stored;

/// A row and its table.
pub(crate) type Made = (&'static str, Vec<Cell>);

/// Calls `push` for every row that one set of facts has in `table`.
///
/// # Errors
/// What `push` says; and in words, that a fact does not have the shape of its kind.
pub(crate) fn of_facts<E>(
    table: &str,
    held: &Held,
    stored: &Stored,
    gates: &[&'static Gate],
    mut push: impl FnMut(Vec<Cell>) -> Result<(), E>,
) -> Result<Option<String>, E> {
    match table {
        "facts" => {
            for row in &stored.facts.rows {
                push(fact(held, stored, row))?;
            }
            Ok(None)
        }
        "coverage" => {
            for row in coverage(held, stored) {
                push(row)?;
            }
            Ok(None)
        }
        _ => {
            let Some(gate) = held.gate.and_then(|gate| gates.get(gate)) else { return Ok(None) };
            let mut wrong = None;
            for row in &stored.facts.rows {
                match gate.extractor.relations(row) {
                    Err(error) => wrong = Some(format!("a fact `{}` has another shape: {error}", row.kind)),
                    Ok(relations) => {
                        for (name, cells) in relations.into_iter().map(|one| relation(held, &row.location, one)) {
                            if name == table {
                                push(cells)?;
                            }
                        }
                    }
                }
            }
            Ok(wrong)
        }
    }
}

/// The rows of `subjects` and `reports`.
pub(crate) fn of_evidence(table: &str, catalogue: &Catalogue) -> Vec<Vec<Cell>> {
    match table {
        "subjects" => {
            let mut rows: Vec<Vec<Cell>> = catalogue.held.iter().map(subject).collect();
            // Several gates read one subject, and each keeps facts of its own.
            rows.sort_by(|a, b| format!("{:?}", a.get(..5)).cmp(&format!("{:?}", b.get(..5))));
            merge_subjects(rows)
        }
        "reports" => catalogue
            .reports
            .iter()
            .map(|r| {
                vec![
                    r.subject.as_str().into(),
                    r.name.as_str().into(),
                    r.project.as_str().into(),
                    r.check.as_str().into(),
                    r.check_version.into(),
                    r.verdict.as_str().into(),
                    r.complete.into(),
                    r.findings.into(),
                    r.index.into(),
                    r.time.as_str().into(),
                    r.key.as_str().into(),
                    r.local.into(),
                    r.envelope.as_str().into(),
                    r.facts.as_deref().into(),
                ]
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn subject(held: &Held) -> Vec<Cell> {
    let (first, last) = held.entries.clone().unzip();
    let (first_index, first_time) = first.unzip();
    let (last_index, last_time) = last.unzip();
    vec![
        held.subject.as_str().into(),
        held.name.as_str().into(),
        held.kind.map(gauntlet_core::SubjectKind::as_str).into(),
        held.project.as_str().into(),
        held.admitted.into(),
        first_index.into(),
        last_index.into(),
        first_time.into(),
        last_time.into(),
    ]
}

/// One row for equal subject, name, kind, project and admission; the entries span all of them.
fn merge_subjects(rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let mut merged: Vec<Vec<Cell>> = Vec::new();
    for row in rows {
        match merged.last_mut() {
            Some(last) if last.get(..5) == row.get(..5) => {
                let number = |row: &[Cell], at: usize| match row.get(at) {
                    Some(Cell::Number(number)) => Some(*number),
                    _ => None,
                };
                for (at, time, earlier) in [(5, 7, true), (6, 8, false)] {
                    let (mine, theirs) = (number(last, at), number(&row, at));
                    if theirs.is_some() && (mine.is_none() || (theirs < mine) == earlier) {
                        for column in [at, time] {
                            if let (Some(cell), Some(from)) = (last.get_mut(column), row.get(column)) {
                                *cell = from.clone();
                            }
                        }
                    }
                }
            }
            _ => merged.push(row),
        }
    }
    merged
}

/// The five columns that every relation begins with.
fn start(held: &Held, path: Option<&str>, member: Option<&str>, offset: Option<u64>) -> Vec<Cell> {
    vec![held.subject.as_str().into(), held.name.as_str().into(), path.into(), member.into(), offset.into()]
}

fn fact(held: &Held, stored: &Stored, row: &FactRow) -> Vec<Cell> {
    let l = &row.location;
    let mut cells = start(held, l.path.as_deref(), l.member.as_deref(), l.offset);
    cells.extend([
        stored.facts.extractor.as_str().into(),
        u64::from(stored.facts.version).into(),
        row.kind.as_str().into(),
        l.line.into(),
        l.column.into(),
        l.cell.into(),
        l.cell_line.into(),
        l.field.as_deref().into(),
        l.row.into(),
        l.case.as_deref().into(),
        l.path_bytes.as_deref().into(),
        row.fact.to_string().into(),
    ]);
    cells
}

fn coverage<'a>(held: &'a Held, stored: &'a Stored) -> impl Iterator<Item = Vec<Cell>> + 'a {
    let row = |check: Option<&str>,
               path: Option<&str>,
               member: Option<&str>,
               looked_at: Option<u64>,
               reason: Option<String>| {
        let mut cells = start(held, path, member, None);
        cells.extend([check.into(), looked_at.into(), reason.into()]);
        cells
    };
    let checks = stored.facts.coverage.iter().flat_map(move |(check, coverage)| {
        let looked = row(Some(check), None, None, Some(coverage.looked_at), None);
        let skipped = coverage
            .skipped
            .iter()
            .map(move |s| row(Some(check), Some(&s.path), s.member.as_deref(), None, Some(s.reason.to_string())));
        std::iter::once(looked).chain(skipped)
    });
    let unread = stored
        .unread
        .iter()
        .map(move |s| row(None, Some(&s.path), s.member.as_deref(), None, Some(s.reason.to_string())));
    checks.chain(unread)
}

fn relation(held: &Held, location: &Location, relation: Relation) -> Made {
    let at = |offset: Option<u64>| {
        start(held, location.path.as_deref(), location.member.as_deref(), offset.or(location.offset))
    };
    let (table, mut cells, rest): (_, _, Vec<Cell>) = match relation {
        Relation::Import(r) => {
            let callee = format!("{}.{}", r.module, r.name);
            let rest = vec![
                r.language.into(),
                r.module.into(),
                r.name.into(),
                callee.into(),
                r.called.into(),
                r.arguments.into(),
                r.resolved.into(),
                r.count.into(),
                r.stream.into(),
            ];
            ("imports", at(r.offset), rest)
        }
        Relation::Call(r) => {
            let rest = vec![
                r.language.into(),
                r.callee.into(),
                r.role.into(),
                r.arguments.into(),
                r.count.into(),
                r.stream.into(),
            ];
            ("calls", at(r.offset), rest)
        }
        Relation::Operator(r) => {
            let rest = vec![
                r.framework.into(),
                r.domain.into(),
                r.op_type.into(),
                r.node.into(),
                r.within.into(),
                r.count.into(),
            ];
            ("operators", at(r.offset), rest)
        }
        Relation::Layer(r) => {
            let rest =
                vec![r.framework.into(), r.class.into(), r.module.into(), r.registered_name.into(), r.name.into()];
            ("layers", at(None), rest)
        }
        Relation::Template(r) => ("templates", at(r.offset), vec![r.construct.into(), r.detail.into()]),
        Relation::Link(r) => {
            ("links", at(r.offset), vec![r.link.into(), r.name.into(), r.target.into(), r.leaves.into()])
        }
        Relation::Conflict(r) => {
            ("conflicts", at(None), vec![r.container.into(), r.name.into(), r.conflict.into(), r.detail.into()])
        }
        Relation::Tensor(r) => {
            let rest = vec![
                r.format.into(),
                r.name.into(),
                r.dtype.into(),
                r.shape.into(),
                r.length.into(),
                r.min.into(),
                r.max.into(),
                r.nan.into(),
                r.infinite.into(),
            ];
            ("tensors", at(r.offset), rest)
        }
        Relation::Format(r) => ("formats", at(None), vec![r.format.into(), r.claim.into(), r.size.into()]),
    };
    cells.extend(rest);
    (table, cells)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use gauntlet_core::{
        CallRow, ConflictRow, Facts, FormatRow, ImportRow, LayerRow, LinkRow, OperatorRow, TemplateRow, TensorRow,
    };
    use gauntlet_facts::{Batch, table};

    use super::*;
    use crate::stored::Form;

    fn held() -> Held {
        Held {
            project: ".".into(),
            subject: "00".into(),
            name: "p/m".into(),
            kind: None,
            facts: "11".into(),
            path: PathBuf::new(),
            form: Form::Parquet,
            admitted: true,
            entries: Some(((1, "2026-01-01T00:00:00Z".into()), (2, "2026-01-02T00:00:00Z".into()))),
            extractor: ("artifact".into(), 1),
            gate: None,
            configs: BTreeSet::new(),
        }
    }

    fn fits(name: &str, cells: Vec<Cell>) {
        Batch::new(table(name).unwrap()).push(cells).unwrap();
    }

    #[test]
    fn every_relation_fits_its_table() {
        let all = [
            Relation::Import(ImportRow::default()),
            Relation::Call(CallRow::default()),
            Relation::Operator(OperatorRow::default()),
            Relation::Layer(LayerRow::default()),
            Relation::Template(TemplateRow::default()),
            Relation::Link(LinkRow { leaves: Some(true), ..LinkRow::default() }),
            Relation::Conflict(ConflictRow::default()),
            Relation::Tensor(TensorRow { min: Some(0.5), nan: Some(1), ..TensorRow::default() }),
            Relation::Format(FormatRow { size: Some(1), ..FormatRow::default() }),
        ];
        for one in all {
            let (name, cells) = relation(&held(), &Location::default(), one);
            fits(name, cells);
        }
        let mut facts = Facts::new("artifact", 1);
        facts.coverage_mut("artifact/pickle").skip("a", None, gauntlet_core::SkipCode::Limit, "steps");
        let row = FactRow { kind: "k".into(), location: Location::default(), fact: serde_json::json!({}) };
        let stored = Stored { facts, subject: None, config: None, checks: None, unread: Vec::new() };
        fits("facts", fact(&held(), &stored, &row));
        coverage(&held(), &stored).for_each(|cells| fits("coverage", cells));
    }

    #[test]
    fn a_subject_that_two_gates_read_is_one_row() {
        let mut other = held();
        other.entries = Some(((0, "2025-01-01T00:00:00Z".into()), (9, "2026-09-01T00:00:00Z".into())));
        let catalogue = Catalogue { held: vec![held(), other], ..Catalogue::default() };
        let rows = of_evidence("subjects", &catalogue);
        let [row] = rows.as_slice() else { unreachable!("{rows:?}") };
        assert_eq!((&row[5], &row[6]), (&Cell::Number(0), &Cell::Number(9)));
        assert_eq!(row[8], Cell::from("2026-09-01T00:00:00Z"));
        fits("subjects", row.clone());
    }
}
