//! `data/contract`: does the table look as its contract says?

mod rules;
mod schema;
mod values;

use gauntlet_core::{
    Check, CheckInfo, Digest, Draft, Facts, Figure, FigureKind, Input, Judgement, Judging, Location, Severity,
    SkipCode, Stage,
};

use super::{CONTRACT, facts_of, share};
use crate::contract::{Contract, Level};
use crate::facts::{
    ColumnFact, ContractFact, DamageFact, FileFact, Format, Lines, OtherTableFact, RuleFact, SideFile, TableFact,
};

/// The check.
#[derive(Debug)]
pub(crate) struct ContractCheck;

static INFO: CheckInfo = CheckInfo {
    id: CONTRACT,
    version: 2,
    stage: Stage::Data,
    title: "columns, types, ranges, nulls and sets of a table",
    rules: &rules::RULES,
    page: include_str!("../../../../../docs/src/checks/data-contract.md"),
};

/// Rules that a picture names.
const DRAWN: usize = 25;

impl Check for ContractCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let contract = facts_of::<ContractFact>(facts, &mut out).into_iter().next().map(|(_, fact)| fact.0);
        match contract {
            None | Some(SideFile::Unread) => {
                if facts.coverage.get(CONTRACT).is_none_or(gauntlet_core::Coverage::complete) {
                    out.coverage.skip("", None, SkipCode::Unreadable, "the contract was not read");
                }
            }
            Some(SideFile::Missing) => {
                let files = facts_of::<FileFact>(facts, &mut out);
                if let Some((place, _)) = files.iter().find(|(_, file)| file.format != Format::Other) {
                    add(
                        &mut out,
                        "missing-contract",
                        place.clone(),
                        "the dataset has no contract: nothing says what its table has to look like",
                        "",
                    );
                }
            }
            Some(SideFile::Invalid { path, problems }) => {
                for (line, message) in problems {
                    let place = Location { path: Some(path.clone()), line, ..Location::default() };
                    add(&mut out, "invalid-contract", place, message.clone(), &message);
                }
            }
            Some(SideFile::Read { path, content, lines, .. }) => {
                let source = Source { path: &path, lines: &lines, contract: &content };
                judge(&source, facts, judging, &mut out);
            }
        }
        out
    }

    /// The tables that foreign keys refer to; and where data has to be fresh, which of it is, because that changes with the
    /// day.
    fn inputs(&self, facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let others = facts.of::<OtherTableFact>().flatten().flat_map(|(_, fact)| {
            fact.files.into_iter().filter_map(move |(path, sha256)| {
                let digest = format!("sha256:{sha256}").parse().ok()?;
                Some(Input { name: format!("{} ({path})", fact.table), digest })
            })
        });
        let mut inputs: Vec<Input> = others.collect();
        let fresh: Vec<String> = facts
            .of::<RuleFact>()
            .flatten()
            .filter_map(|(_, fact)| {
                let measured = fact.measured.as_ref().filter(|_| fact.rule == "freshness")?;
                Some(format!("{} {}", fact.path, values::stale(measured, judging).is_none()))
            })
            .collect();
        if !fresh.is_empty() {
            inputs.push(Input { name: "freshness".to_owned(), digest: Digest::sha256(fresh.join("\n").as_bytes()) });
        }
        inputs
    }
}

/// The contract and where it stands.
struct Source<'a> {
    path: &'a str,
    lines: &'a Lines,
    contract: &'a Contract,
}

impl Source<'_> {
    /// The line of a key, or of the nearest one above it.
    fn at(&self, path: &str) -> Location {
        let mut path = path;
        let line = loop {
            match (self.lines.get(path), path.rsplit_once('.')) {
                (Some(&line), _) => break Some(line),
                (None, Some((above, _))) => path = above,
                (None, None) => break None,
            }
        };
        Location { path: Some(self.path.to_owned()), line, ..Location::default() }
    }
}

fn add(out: &mut Judgement, name: &str, place: Location, message: impl Into<String>, snippet: &str) {
    add_level(out, name, place, message, snippet, Level::Error);
}

fn add_level(
    out: &mut Judgement,
    name: &str,
    place: Location,
    message: impl Into<String>,
    snippet: &str,
    level: Level,
) {
    if let Some(rule) = INFO.rule(name) {
        let draft = Draft::new(rule, place, message).snippet(snippet);
        out.findings.push(if level == Level::Warn { draft.severity(Severity::Medium) } else { draft });
    }
}

fn judge(source: &Source<'_>, facts: &Facts, judging: &Judging<'_>, out: &mut Judgement) {
    for (place, damage) in facts_of::<DamageFact>(facts, out) {
        let name = if damage.schema { "schema-differs" } else { "malformed-rows" };
        add(out, name, place, damage.what, "");
    }
    let Some((_, table)) = facts_of::<TableFact>(facts, out).into_iter().next() else {
        if facts.coverage.get(CONTRACT).is_none_or(gauntlet_core::Coverage::complete) {
            out.coverage.skip("", None, SkipCode::Unsupported, "no file of the dataset is a table");
        }
        return;
    };
    let columns: Vec<ColumnFact> = facts_of(facts, out).into_iter().map(|(_, fact)| fact).collect();
    if columns.is_empty() {
        return;
    }
    schema::rows(source.path, source.contract, &table, out);
    let file = facts_of::<FileFact>(facts, out)
        .into_iter()
        .find(|(_, f)| f.rows.is_some())
        .map(|(place, _)| place)
        .unwrap_or_default();
    schema::schema(&file, source, columns, out);
    let rules = facts_of::<RuleFact>(facts, out);
    for (_, rule) in &rules {
        values::judge_rule(rule, source, judging, out);
    }
    figure(rules.iter().map(|(_, rule)| rule), out);
}

/// The rules that values fail, the worst first.
fn figure<'a>(rules: impl Iterator<Item = &'a RuleFact>, out: &mut Judgement) {
    let failing = |rule: &RuleFact| share(rule.failing, rule.evaluated);
    let mut worst: Vec<&RuleFact> = rules.filter(|rule| rule.measured.is_none() && rule.failing > 0).collect();
    worst.sort_by(|a, b| failing(b).total_cmp(&failing(a)).then_with(|| a.path.cmp(&b.path)));
    worst.truncate(DRAWN);
    if !worst.is_empty() {
        let figure =
            Figure::new("failing-rules", "Rules that values fail, the worst first", "rule", "share that fails");
        let labels = worst.iter().map(|rule| rule.label.clone());
        let shares = worst.iter().map(|rule| failing(rule));
        out.figures.push(figure.drawn_as(FigureKind::Ranking).labelled(labels).with("failing", shares));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn count(n: u64) -> f64 {
    n as f64
}
