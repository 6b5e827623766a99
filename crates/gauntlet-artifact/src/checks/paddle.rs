//! What running a Paddle program would do besides computing.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::PaddleFact;
use crate::formats::paddle::PaddleFacts;

/// `artifact/paddle`
pub(crate) struct Paddle;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::PADDLE,
    version: 1,
    stage: Stage::Artifact,
    title: "What would the Paddle program do besides computing?",
    rules: &[
        rule!(
            "artifact/paddle/python-operator",
            High,
            "an operator runs Python functions",
            "Export the program without `py_func`.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/paddle/file-operator",
            Medium,
            "an operator reads or writes files",
            "Export the program for inference, without saving and loading in it.",
            ["CWE-73", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/paddle/network-operator",
            Medium,
            "an operator talks to other machines",
            "Export the program for inference on one machine.",
            ["CWE-918", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/paddle/custom-operator",
            Low,
            "an operator whose code comes from elsewhere",
            "Find out which library registers it, and whether you trust that library.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-paddle.md"),
};

impl Check for Paddle {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<PaddleFact>(facts, &mut judgement, |location, PaddleFact(facts), judgement| {
            program(location, &facts, judgement);
        });
        judgement
    }
}

fn program(location: &Location, facts: &PaddleFacts, judgement: &mut Judgement) {
    let found = facts.operators.iter().filter_map(|(op, count)| Some((op, count, judge(op)?)));
    for (op, count, (rule, what)) in found.take(FINDINGS) {
        let path = facts.paths.iter().find(|(of, ..)| of == op);
        let given = path.map_or_else(String::new, |(_, key, text)| format!(", with {key} `{text}`"));
        let message = format!("`{op}` {what} ({}){given}", plural(*count, "use", "uses"));
        let draft = super::draft(&INFO, rule, &location.clone().in_field(op.clone()), message).snippet(op);
        let outside = path.is_some_and(|(.., text)| text.starts_with(['/', '~', '\\']) || text.contains(".."));
        let draft = if rule == "file-operator" && outside { draft.severity(Severity::High) } else { draft };
        judgement.findings.push(draft);
    }
}

/// The rule that an operator breaks, and what it does.
fn judge(op: &str) -> Option<(&'static str, &'static str)> {
    // Names end in `_` where the operator works in place.
    match op.strip_suffix('_').unwrap_or(op) {
        "py_func" | "py_layer" | "pylayer" | "cf.pylayer" => {
            Some(("python-operator", "calls Python functions of the process"))
        }
        "save" | "save_combine" | "checkpoint_notify" | "sparse_tensor_save" => Some(("file-operator", "writes files")),
        "load" | "load_combine" | "read_file" | "open_files" | "create_custom_reader" => {
            Some(("file-operator", "reads files"))
        }
        "send"
        | "recv"
        | "listen_and_serv"
        | "fl_listen_and_serv"
        | "heter_listen_and_serv"
        | "send_and_recv"
        | "send_barrier"
        | "fetch_barrier"
        | "prefetch"
        | "distributed_lookup_table"
        | "distributed_push_sparse"
        | "gen_nccl_id"
        | "c_gen_nccl_id"
        | "gen_bkcl_id"
        | "c_gen_bkcl_id"
        | "recv_save"
        | "pull_sparse"
        | "push_sparse"
        | "pull_box_sparse"
        | "push_box_sparse" => Some(("network-operator", "talks to other machines")),
        name if name.starts_with("custom_op") || name.contains("_engine") => {
            Some(("custom-operator", "runs native code that the program brings or registers"))
        }
        _ => None,
    }
}
