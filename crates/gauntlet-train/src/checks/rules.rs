//! The checks `train/*` and their rules.

use gauntlet_core::{CheckInfo, RuleInfo, Severity, Stage};

/// All checks of this crate.
pub static CHECKS: [&CheckInfo; 5] = [&ADMISSION, &CONFINEMENT, &RECORD, &REPLAY, &ANOMALY];

/// May the run start?
pub static ADMISSION: CheckInfo = CheckInfo {
    id: "train/admission",
    version: 1,
    stage: Stage::Train,
    title: "May this training run start?",
    rules: &ADMISSION_RULES,
    page: include_str!("../../../../docs/src/checks/train-admission.md"),
};

/// Was the run kept apart, and within its limits?
pub static CONFINEMENT: CheckInfo = CheckInfo {
    id: "train/confinement",
    version: 1,
    stage: Stage::Train,
    title: "Was the run kept apart, and within its limits?",
    rules: &CONFINEMENT_RULES,
    page: include_str!("../../../../docs/src/checks/train-confinement.md"),
};

/// Is it known what went into the run?
pub static RECORD: CheckInfo = CheckInfo {
    id: "train/record",
    version: 1,
    stage: Stage::Train,
    title: "Is it known what went into the run?",
    rules: &RECORD_RULES,
    page: include_str!("../../../../docs/src/checks/train-record.md"),
};

/// Does a second run make the same?
pub static REPLAY: CheckInfo = CheckInfo {
    id: "train/replay",
    version: 1,
    stage: Stage::Train,
    title: "Does a second run make the same?",
    rules: &REPLAY_RULES,
    page: include_str!("../../../../docs/src/checks/train-replay.md"),
};

/// Did the metrics behave while it trained?
pub static ANOMALY: CheckInfo = CheckInfo {
    id: "train/anomaly",
    version: 1,
    stage: Stage::Train,
    title: "Did the metrics behave while it trained?",
    rules: &ANOMALY_RULES,
    page: include_str!("../../../../docs/src/checks/train-anomaly.md"),
};

const SUPPLY_CHAIN: [&str; 2] = ["OWASP ML06:2023", "MITRE ATLAS AML.T0010"];
const RESOURCES: [&str; 3] = ["CWE-400", "OWASP LLM10:2025", "MITRE ATLAS AML.T0034"];
const POISONING: [&str; 2] = ["OWASP ML02:2023", "MITRE ATLAS AML.T0020"];
const SANDBOX: [&str; 2] = ["CWE-653", "MITRE ATLAS AML.T0010"];

const fn rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    references: &'static [&'static str],
) -> RuleInfo {
    RuleInfo { id, severity, title, fix, references, since: "0.1.0", renamed_from: &[], retired: None }
}

static ADMISSION_RULES: [RuleInfo; 1] = [rule(
    "train/admission/refused",
    Severity::High,
    "a policy refuses this run",
    "Give what the reason asks for, then start again.",
    &SUPPLY_CHAIN,
)];

static CONFINEMENT_RULES: [RuleInfo; 5] = [
    rule(
        "train/confinement/not-enforced",
        Severity::High,
        "a mechanism or limit was not in force",
        "Run where the system grants it, or choose another runner; the reason says what was refused.",
        &SANDBOX,
    ),
    rule(
        "train/confinement/weak-limit",
        Severity::Low,
        "a limit was held by a weaker mechanism",
        "Run where control groups can be made (as root, or in a session with delegated control groups).",
        &RESOURCES,
    ),
    rule(
        "train/confinement/over-limit",
        Severity::High,
        "the run went over a limit and was killed",
        "Find out why it needs so much; raise the limit in gauntlet.yaml only when that is right.",
        &RESOURCES,
    ),
    rule(
        "train/confinement/left-behind",
        Severity::Medium,
        "processes outlived the command",
        "Let the command wait for what it starts: a training script has no business with background processes.",
        &["CWE-506", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "train/confinement/undeclared-host",
        Severity::High,
        "the run asked for a host that is not declared",
        "Declare the host under `network` when the run needs it; otherwise find out which package asks for it.",
        &["CWE-506", "MITRE ATLAS AML.T0025"],
    ),
];

static RECORD_RULES: [RuleInfo; 7] = [
    rule(
        "train/record/undeclared-read",
        Severity::High,
        "the run asked for data that is not declared",
        "Declare it under `inputs`, so that it is checked and recorded, or take the read out of the code.",
        &POISONING,
    ),
    rule(
        "train/record/unused-input",
        Severity::Low,
        "a declared input was never opened",
        "Take it out of `inputs`: the record claims that the model was trained on it.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/record/not-traced",
        Severity::Medium,
        "what the run opened was not followed",
        "Use the native runner on a system that allows tracing.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/record/uncommitted-source",
        Severity::Low,
        "the source has changes that no commit holds",
        "Commit the changes, then train: the record holds only their digest.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/record/unknown-commit",
        Severity::Low,
        "the source belongs to no known commit",
        "Keep the project under version control, with git installed.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/record/missing-output",
        Severity::High,
        "a declared output did not come back",
        "Let the command write it as a regular file, or correct `outputs`.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/record/command-failed",
        Severity::High,
        "the command failed",
        "Read its output, and mend it; outputs of a failed run are not taken over.",
        &["CWE-755"],
    ),
];

static REPLAY_RULES: [RuleInfo; 4] = [
    rule(
        "train/replay/changed-input",
        Severity::High,
        "the replay had other inputs",
        "Check out the recorded commit and the recorded data, then replay.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/replay/other-numbers",
        Severity::High,
        "numbers differ beyond the bounds",
        "Fix seeds and threads, and compare package versions; if it still differs, somebody changed the model.",
        &POISONING,
    ),
    rule(
        "train/replay/other-bytes",
        Severity::Low,
        "other bytes, the numbers are within bounds",
        "Fix the number of threads and the package versions to get the same bytes.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "train/replay/not-comparable",
        Severity::Medium,
        "other bytes in a form that cannot be compared",
        "Write safetensors, ONNX, NumPy or JSON, and keep the recorded file.",
        &SUPPLY_CHAIN,
    ),
];

static ANOMALY_RULES: [RuleInfo; 5] = [
    rule(
        "train/anomaly/not-a-number",
        Severity::High,
        "a metric is no number",
        "Do not use the model. Look at the step before it: learning rate, a division, a broken row.",
        &POISONING,
    ),
    rule(
        "train/anomaly/divergence",
        Severity::High,
        "a loss ends far above its best",
        "Do not use the model. Lower the learning rate, or find the data after which it rose.",
        &POISONING,
    ),
    rule(
        "train/anomaly/loss-jump",
        Severity::Medium,
        "a loss jumps",
        "Look at the batch of that step: odd rows or labels show so.",
        &POISONING,
    ),
    rule(
        "train/anomaly/agreement-drop",
        Severity::Medium,
        "labels agree less than before",
        "Compare the labels of that part with those before: somebody may have turned them.",
        &POISONING,
    ),
    rule(
        "train/anomaly/no-metrics",
        Severity::Medium,
        "declared metrics did not appear",
        "Let the command print or log them, or correct `metrics` in gauntlet.yaml.",
        &SUPPLY_CHAIN,
    ),
];
