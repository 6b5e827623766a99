//! Every rule of a contract over files on disk: what passes, what fails, and that pieces leave no trace.

use std::fmt::Write as _;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use gauntlet_core::Verdict;

use crate::facts::RuleFact;
use crate::row_report;
use crate::tests::Project;

/// 1,000 rows in row groups of `group`: `id` 0.., `day`, `amount`, `plan`, `code`, `parent`.
fn table(group: usize) -> Vec<u8> {
    let rows = 1_000i64;
    let each = |f: &dyn Fn(i64) -> Option<i64>| -> ArrayRef { Arc::new(Int64Array::from_iter((0..rows).map(f))) };
    let text = |f: &dyn Fn(i64) -> Option<String>| -> ArrayRef { Arc::new(StringArray::from_iter((0..rows).map(f))) };
    let days: ArrayRef = Arc::new(Date32Array::from_iter_values((0..rows).map(|i| 20_000 + (i / 10) as i32)));
    let amount: ArrayRef =
        Arc::new(Float64Array::from_iter((0..rows).map(|i| (i % 10 != 0).then_some(i as f64 / 10.0))));
    let batch = RecordBatch::try_from_iter([
        ("id", each(&|i| Some(if i == 700 { 3 } else { i }))),
        ("day", days),
        ("amount", amount),
        (
            "plan",
            text(&|i| Some(["basic", "pro", "gold"][usize::from(i % 10 == 0) + usize::from(i % 100 == 0)].to_owned())),
        ),
        ("code", text(&|i| if i % 4 == 0 { Some(String::new()) } else { Some(format!("A{i:03}")) })),
        ("parent", each(&|i| (i % 2 == 0).then_some(i * 2))),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const COLUMNS: &str = "contract: 1\nextra_columns: allow\ncolumns:\n  id: {type: integer}\n  day: {type: date}\n  amount: {type: float}\n  plan: {type: string}\n  code: {type: string}\n  parent: {type: integer}\n";

fn judged(rules: &str) -> (Verdict, String) {
    Project::new().file("a.parquet", table(150)).contract(&format!("{COLUMNS}rules:\n{rules}")).check("data/contract")
}

/// `rule` passes with the first words and fails with the second, naming `what`.
#[track_caller]
fn twins(sound: &str, broken: &str, what: &str) {
    let (verdict, text) = judged(&format!("  - {{{sound}}}\n"));
    assert_eq!((verdict, text.as_str()), (Verdict::Pass, "looked at 1"), "{sound}");
    let (verdict, text) = judged(&format!("  - {{{broken}}}\n"));
    assert_eq!(verdict, Verdict::Fail, "{broken}: {text}");
    assert!(text.contains(what), "{broken}: {text}");
}

#[test]
fn rules_on_values_have_two_sides() {
    twins("column: id, range: [0, 999]", "column: id, range: [0, 998]", "`id`: 1 of 1,000 values fail");
    twins(
        "column: id, exclusive_range: [-1, 1000]",
        "column: id, exclusive_range: [0, 1000]",
        "1 of 1,000 values fail",
    );
    twins("column: plan, forbidden: [silver]", "column: plan, forbidden: [gold]", "forbidden-value");
    twins("column: code, contains: '^(A|$)'", "column: code, contains: '^A'", "250 of 1,000 values fail");
    twins("column: code, not_contains: B", "column: code, not_contains: A", "750 of 1,000 values fail");
    twins("column: plan, length: [3, 5]", "column: plan, length: [4, 5]", "wrong-length");
    twins(
        "column: amount, nullable: false, mostly: 0.9",
        "column: amount, nullable: false, mostly: 0.91",
        "100 of 1,000 values fail (10.0 %, 9.0 % are accepted)",
    );
    twins("column: amount, max_null_share: 0.1", "column: amount, max_null_share: 0.09", "null-share");
    twins(
        "column: day, monotone: increasing",
        "column: day, monotone: strictly-increasing",
        "900 of 1,000 values fail",
    );
    twins(
        "column: id, monotone: increasing, mostly: 0.99",
        "column: id, monotone: increasing",
        "first in row 700 of row group 4",
    );
}

#[test]
fn rules_across_columns_have_two_sides() {
    twins("expression: 'parent >= id'", "expression: 'parent > id'", "`parent > id`: 1 of 500 values fail");
    twins("expression: 'amount <= id'", "expression: 'amount < id / 20'", "rule-violated");
    twins("unique: [id, day]", "unique: [plan, day]", "not-unique");
    twins(
        "unique: id, when: id <> 3",
        "unique: id",
        "`id`: 2 of 1,000 values fail (0.2 %); expected no value twice; first in row 3 of row group 0 (3), then 700",
    );
    twins(
        "column: plan, allowed: [gold, pro], when: id % 10 = 0",
        "column: plan, allowed: [gold], when: id % 10 = 0",
        "of 99 values fail",
    );
    twins(
        "share_of: \"plan = 'basic'\", share: [0.8, 1]",
        "share_of: \"plan = 'basic'\", share: [0, 0.8]",
        "it is 0.9",
    );
}

#[test]
fn rules_on_a_column_as_a_whole_have_two_sides() {
    twins("column: amount, sum: [45000, 45000]", "column: amount, sum: [null, 44999]", "it is 45000");
    twins("column: amount, mean: [50, 50]", "column: amount, mean: [51, null]", "it is 50");
    twins("column: amount, stdev: [28.8, 29]", "column: amount, stdev: [29, 30]", "statistic-out-of-bounds");
    twins("column: amount, min: [0.1, 0.1], max: [99.9, 99.9]", "column: amount, max: [0, 99]", "it is 99.9");
    twins(
        "column: amount, quantiles: {0.5: [50, 50]}",
        "column: amount, quantiles: {0.5: [0, 49]}",
        "expected a 0.5 quantile",
    );
    twins("column: id, distinct: [999, 999]", "column: id, distinct: [1000, null]", "it is 999");
    twins("column: plan, distinct_share: [0.003, 0.003]", "column: plan, distinct_share: [0.1, null]", "it is 0.003");
    twins(
        "column: plan, shares: {basic: [0.9, 0.9], gold: [0, 0.01]}",
        "column: plan, shares: {gold: [0.1, 1]}",
        "`gold` has a share of 0.01",
    );
    twins(
        "column: plan, balance: {smallest: 0.01, classes: [3, 3]}",
        "column: plan, balance: {evenness: 0.9, classes: [4, null]}",
        "3 classes; the evenness is",
    );
    // 20,099 days after 1970 is 2025-01-11; judged is 2026-11-21.
    twins("column: day, freshness: 680d", "column: day, freshness: 670d", "the newest is 2025-01-11T00:00:00Z");
}

#[test]
fn a_key_has_to_be_in_the_other_table() {
    let codes: String = (0..1_000).map(|i| format!("A{i:03}\n")).collect();
    let rule = "rules:\n  - {column: code, references: {path: codes.csv, column: code}, when: \"code <> ''\"}\n  - {columns: [id], references: {path: ids.csv, column: [number]}}\n";
    let ids: String = (0..1_000).map(|i| format!("{i}\n")).collect();
    let project = |codes: &str, ids: &str| {
        Project::new()
            .file("a.parquet", table(150))
            .other("codes.csv", format!("code\n{codes}"))
            .other("ids.csv", format!("number\n{ids}"))
            .contract(&format!("{COLUMNS}{rule}"))
            .check("data/contract")
    };
    assert_eq!(project(&codes, &ids), (Verdict::Pass, "looked at 1".to_owned()));
    let (verdict, text) = project(&codes.replace("A007\n", ""), &ids.replace("\n12\n", "\n"));
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.contains("`code`: 1 of 750 values fail") && text.contains("`id`: 1 of 1,000 values fail"), "{text}");
    assert!(text.contains("first in row 12 of row group 0 (12)"), "{text}");
    let (verdict, text) =
        Project::new().file("a.parquet", table(150)).contract(&format!("{COLUMNS}{rule}")).check("data/contract");
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.contains("invalid-contract") && text.contains("could not be read"), "{text}");
}

#[test]
fn an_empty_text_is_a_null_where_the_contract_says_so() {
    let text = COLUMNS.replace(
        "code: {type: string}",
        "code: {type: string, nullable: false, pattern: 'A[0-9]+', empty_is_null: true}",
    );
    let (_, said) = Project::new().file("a.parquet", table(150)).contract(&text).check("data/contract");
    assert!(
        said.contains("null-value") && said.contains("250 of 1,000") && !said.contains("pattern-mismatch"),
        "{said}"
    );
    let (_, said) = Project::new()
        .file("a.parquet", table(150))
        .contract(&text.replace(", empty_is_null: true", ""))
        .check("data/contract");
    assert!(!said.contains("null-value") && said.contains("pattern-mismatch"), "{said}");
}

#[test]
fn a_rule_that_does_not_fit_the_table_is_said_with_its_line() {
    let contract = COLUMNS.replace("{type: string}", "{}").replace("{type: integer}", "{}")
        + "rules:\n  - {expression: 'code > 5'}\n  - {column: plan, range: [1, 2]}\n";
    let (verdict, text) = Project::new().file("a.parquet", table(150)).contract(&contract).check("data/contract");
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        text.contains(
            "high invalid-contract data/contract.yaml:11: the rule `code > 5`: `code` is a text and `5` is a number"
        ),
        "{text}"
    );
    assert!(text.contains("data/contract.yaml:12: the rule `plan.range`: does not fit the column `plan` of type Utf8: a string column has no range"), "{text}");
    let optional = COLUMNS.replace("extra_columns: allow", "extra_columns: allow\ncolumn_count: [7, null]")
        + "  gone: {optional: true, range: [1, 2]}\n";
    let (_, text) = Project::new().file("a.parquet", table(150)).contract(&optional).check("data/contract");
    assert!(text.contains("column-count") && !text.contains("gone"), "{text}");
}

#[test]
fn a_message_and_a_name_are_the_readers() {
    let (verdict, text) = judged(
        "  - {name: n, expression: 'id > 5', when: \"plan = 'gold'\", severity: warn, message: gold begins at 6}\n",
    );
    assert_eq!(verdict, Verdict::Warn);
    assert!(text.contains("`n`: 2 of 10 values fail (20.0 %); expected `id > 5` where plan = 'gold' — gold begins at 6; first in row 0"), "{text}");
}

const ALL: &str = "unique: [[plan, day]]\nrules:\n  - {column: day, monotone: strictly-increasing}\n  - {column: amount, sum: [0, 1], mean: [0, 1], stdev: [0, 1], quantiles: {0.25: [0, 1], 0.9: [0, 1]}}\n  \
                   - {column: plan, shares: {gold: [0.5, 1]}, distinct: [9, 9]}\n  - {expression: 'amount > 50', when: id > 10}\n  - {column: code, unique: code, pattern: 'B.*'}\n  - {column: day, freshness: 1d}\n";

#[test]
fn neither_pieces_nor_row_groups_leave_a_trace() {
    let facts = |group: usize, partitions: usize| {
        let project = Project::new()
            .file("a.parquet", table(group))
            .file("b.parquet", table(group))
            .contract(&format!("{COLUMNS}{ALL}"));
        project.facts(partitions).0
    };
    let whole = serde_json::to_string(&facts(150, 1)).unwrap();
    for partitions in [2, 7] {
        assert_eq!(serde_json::to_string(&facts(150, partitions)).unwrap(), whole, "{partitions}");
    }
    let results = |group: usize| -> Vec<RuleFact> {
        let facts = facts(group, 3);
        let mut all: Vec<RuleFact> = facts.of::<RuleFact>().map(|f| f.unwrap().1).collect();
        all.iter_mut().flat_map(|fact| &mut fact.first).for_each(|row| row.row_group = None);
        all
    };
    assert_eq!(results(150), results(1_000));
}

#[test]
fn the_row_report_holds_each_failing_row_with_its_rules() {
    let rules = "unique: [[id]]\nrules:\n  - {name: small, column: amount, range: [0, 99.7]}\n  - {column: plan, forbidden: [gold], mostly: 0.5}\n  - {column: id, monotone: increasing}\n";
    let project = Project::new().file("a.parquet", table(150)).contract(&format!("{COLUMNS}{rules}"));
    let file = tempfile::tempfile().unwrap();
    let ((report, file), _) = project.target(|target, context| row_report(target, context.limits, 2, file).unwrap());
    assert_eq!((report.failing, report.rows), (13, 1_000));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut seen = String::new();
    for batch in reader {
        let batch = batch.unwrap();
        let list = batch.column_by_name("_rules").unwrap().as_list::<i32>().clone();
        for i in 0..batch.num_rows() {
            let row = batch.column_by_name("_row").unwrap().as_primitive::<UInt64Type>().value(i);
            let group = batch.column_by_name("_row_group").unwrap().as_primitive::<UInt64Type>().value(i);
            let id = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().value(i);
            let labels: Vec<String> = list.value(i).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            let _ = writeln!(seen, "{row} {group} {id} {}", labels.join(" "));
        }
    }
    insta::assert_snapshot!(seen);
    let project = Project::new().file("a.parquet", table(150)).contract(
        &format!("{COLUMNS}rules:\n  - {{expression: 'plan > 5'}}\n").replace("plan: {type: string}", "plan: {}"),
    );
    let (error, _) =
        project.target(|target, context| row_report(target, context.limits, 2, Vec::new()).err().unwrap().to_string());
    assert!(error.contains("plan > 5"), "{error}");
}
