//! The rules of `data/drift`.

use gauntlet_core::{CheckInfo, RuleInfo, Severity, Stage};

use crate::checks::{DRIFT, rule};

const SHIFTED: &[&str] = &["OWASP ML02:2023", "MITRE ATLAS AML.T0020", "EU AI Act Art. 15"];

pub(super) static RULES: [RuleInfo; 15] = [
    rule(
        "data/drift/dataset-drift",
        Severity::High,
        "batch from another distribution than the reference",
        "find the cause (`gauntlet data drift --explain`) before training or serving on the batch; if the world has changed, \
         take the batch as the new reference after review",
        SHIFTED,
    ),
    rule(
        "data/drift/column-drift",
        Severity::Medium,
        "column with another distribution",
        "find out what changed in the source of the column",
        SHIFTED,
    ),
    rule(
        "data/drift/label-drift",
        Severity::High,
        "labels with another distribution",
        "compare how both batches were labelled; look for flipped labels with `gauntlet data poisoning`",
        SHIFTED,
    ),
    rule(
        "data/drift/prediction-drift",
        Severity::Medium,
        "predictions with another distribution",
        "look for drift in the inputs; evaluate the model on fresh labels",
        SHIFTED,
    ),
    rule(
        "data/drift/joint-drift",
        Severity::Medium,
        "rows that can be told from the reference",
        "columns may look alike one by one and not together: look at joins, at derived columns and at sources",
        SHIFTED,
    ),
    rule(
        "data/drift/schema-change",
        Severity::High,
        "columns that are missing, new, renamed or of another type",
        "deliver the columns of the reference, or make a new reference",
        &["CWE-20", "OWASP ML02:2023"],
    ),
    rule(
        "data/drift/null-share",
        Severity::Medium,
        "another share of missing values",
        "find out why values are missing",
        SHIFTED,
    ),
    rule(
        "data/drift/out-of-range",
        Severity::Medium,
        "values outside the reference's range",
        "look at the first such rows; a contract with `range` names them",
        SHIFTED,
    ),
    rule(
        "data/drift/outliers",
        Severity::Medium,
        "few values that lie far away",
        "look for wrong units, wrong separators and injected rows: without them nothing has moved",
        SHIFTED,
    ),
    rule(
        "data/drift/new-values",
        Severity::Medium,
        "values that the reference never had",
        "extend the reference after review, or repair the source",
        SHIFTED,
    ),
    rule(
        "data/drift/novel-images",
        Severity::Medium,
        "pictures that look like none of the reference",
        "look at them: another camera, another place, or injected pictures",
        SHIFTED,
    ),
    rule(
        "data/drift/lineage-change",
        Severity::Info,
        "what changed between the two lineages",
        "look there first: a source, a commit or a contract that changed may be the cause of the drift",
        &[],
    ),
    rule(
        "data/drift/cause",
        Severity::Info,
        "where the drift comes from, by contribution",
        "begin with the first cause",
        &[],
    ),
    rule(
        "data/drift/stream-change",
        Severity::High,
        "a stream changed at this item",
        "compare what came before the item with what comes after it",
        SHIFTED,
    ),
    rule(
        "data/drift/window-alarm",
        Severity::High,
        "too many windows of a stream drifted",
        "find the cause in the windows over their limit; take a new reference when the world has changed",
        SHIFTED,
    ),
];

pub(super) static INFO: CheckInfo = CheckInfo {
    id: DRIFT,
    version: 1,
    stage: Stage::Data,
    title: "does a batch still come from the distribution of its reference?",
    rules: &RULES,
    page: include_str!("../../../../../docs/src/checks/data-drift.md"),
};
