//! What a loader would run: every global of every stream is judged by tier and by what it is used for.

mod called;
mod graph;
mod stream;

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, SkipCode, Stage};
use gauntlet_pickle::{Origin, PickleFacts};

use super::{each, plural, rule};
use crate::facts::{NpyBroken, NpyFact, PickleFact};
use crate::formats::npy::NpyFacts;
use crate::rules;
use stream::File;

/// `artifact/pickle`
pub(crate) struct Pickle;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::PICKLE,
    version: 2,
    stage: Stage::Artifact,
    title: "What does loading the pickle call?",
    rules: &[
        rule!(
            "artifact/pickle/dangerous-global",
            Critical,
            "a global that runs commands or code, opens files or connections",
            "Do not load the file. Get the weights in a format without code, such as safetensors.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0011.000", "AML.T0018.002"]
        ),
        rule!(
            "artifact/pickle/module-walk",
            Critical,
            "a dotted name walks out of its module",
            "Do not load the file: no pickler writes such names.",
            ["CWE-502", "CWE-913", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/computed-global",
            Critical,
            "the name of a global is computed while loading",
            "Do not load the file: picklers write names as literals.",
            ["CWE-502", "CWE-470", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/extension-code",
            High,
            "an extension code that only the loading program can resolve",
            "Do not load the file; save it again without `copyreg.add_extension`.",
            ["CWE-502", "CWE-470", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/planted-method",
            High,
            "state sets a special method to a callable",
            "Do not load the file: no object stores its own special methods.",
            ["CWE-502", "CWE-915", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/changed-global",
            High,
            "loading changes a module or class",
            "Do not load the file.",
            ["CWE-502", "CWE-915", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/graph-code",
            Low,
            "source text of a graph is run, which only computes",
            "Save the weights alone, or export the graph with `torch.export`.",
            ["CWE-94", "CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/stdlib-call",
            High,
            "a function of the standard library that no model needs is called",
            "Find out what writes this call; save weights and parameters only.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/unknown-call",
            Medium,
            "a function that is not known to be pure is called",
            "Read the function's source before loading, or save the object's state without it.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/pickle/odd-arguments",
            Medium,
            "a known function is given what it never gets from a pickler",
            "Do not load the file before the call is explained: no pickler writes it.",
            ["CWE-502", "CWE-628", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/unknown-import",
            Low,
            "a class or function of an unknown package is imported",
            "Check that the package is the one you expect; importing it runs its code.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/pickle/broken-stream",
            Medium,
            "the stream breaks before its end; what came before is run all the same",
            "Do not load the file; get it again from its source.",
            ["CWE-502", "CWE-755", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/split-frame",
            High,
            "an operand crosses the end of its frame, so that unpicklers read different names",
            "Do not load the file: no pickler writes this.",
            ["CWE-502", "CWE-436", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/hidden-stream",
            Medium,
            "a pickle hides behind bytes that are none",
            "Find out what writes the file; a loader that seeks there runs it.",
            ["CWE-912", "CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/array-as-code",
            Medium,
            "an array's bytes spell opcodes that a plain unpickler would run",
            "Load the file with joblib only, or save it again.",
            ["CWE-502", "CWE-436", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/exhausting-structure",
            Low,
            "values nested or shared so that going through them never ends",
            "Limit time and memory where the file is loaded, or do not load it.",
            ["CWE-400", "CWE-674", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/object-array",
            Low,
            "a NumPy file holds Python objects",
            "Save plain arrays and load with `allow_pickle=False`.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/broken-array",
            Low,
            "a NumPy header is no header, or asks for other data than is there",
            "Get the file again from its source.",
            ["CWE-20", "CWE-770", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../../docs/src/checks/artifact-pickle.md"),
};

impl Check for Pickle {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let strict = judging.config.get("strict").and_then(serde_json::Value::as_bool) == Some(true);
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(rules::pickle(), &mut judgement) else { return judgement };
        each::<PickleFact>(facts, &mut judgement, |location, fact, judgement| {
            let mut file = File::new(location, rules, strict, &fact);
            file.judge(&fact.pickle);
            file.finish(judgement);
            note_open(location, &fact.pickle, judgement);
        });
        each::<NpyFact>(facts, &mut judgement, |location, NpyFact(fact), judgement| {
            if fact.has_objects {
                let message = format!("elements of type {} are Python objects", fact.descr);
                judgement.findings.push(super::draft(&INFO, "object-array", location, message));
            } else if let Some(message) = contradiction(&fact) {
                judgement.findings.push(super::draft(&INFO, "broken-array", location, message));
            }
        });
        each::<NpyBroken>(facts, &mut judgement, |location, NpyBroken { message }, judgement| {
            judgement.findings.push(super::draft(&INFO, "broken-array", location, message));
        });
        judgement
    }
}

/// How an array's header contradicts what stands behind it.
fn contradiction(fact: &NpyFacts) -> Option<String> {
    let NpyFacts { expected, available, shape, .. } = fact;
    match expected {
        Some(expected) if expected > available => {
            Some(format!("type and shape ask for {expected} bytes of data, and {available} are there"))
        }
        Some(_) => None,
        // Types of unknown size aside, the product is what overflows.
        None => {
            let count = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
            count
                .is_none_or(|count| count > *available)
                .then(|| "the shape asks for more elements than there are bytes".to_owned())
        }
    }
}

/// Questions that the machine left open and the extractor could not know of.
fn note_open(location: &Location, facts: &PickleFacts, judgement: &mut Judgement) {
    let partly = facts.streams.iter().filter(|s| matches!(s.origin, Origin::Nested { complete: false, .. })).count();
    if partly > 0 {
        let path = location.path.clone().unwrap_or_default();
        let detail = format!("{} read in part only", plural(partly as u64, "nested pickle was", "nested pickles were"));
        judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
    }
}
