//! Asks packs for their violations under the strict profile.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, LimitError};
use regorus::{Engine, Value};

use crate::isolated::{self, Isolation};
use crate::lint::{self, Linted};
use crate::outcome::{Outcome, Refusal, Violation, Why};
use crate::pack::{LIBRARY_PACKAGE, Module, Pack, PolicySet, library};

/// Violations of one pack that are taken.
const MAX_VIOLATIONS: usize = 10_000;
/// Longest text in a violation, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// How long evaluation may take, and where foreign packs run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most time that one pack may take.
    pub time: Duration,
    /// How to start the process that evaluates packs which do not ship with the program. Without it they are refused.
    pub isolation: Option<Isolation>,
}

impl Default for Options {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), isolation: None }
    }
}

/// Asks every pack of `policy` about `input` (see [`crate::PolicyInput`]).
///
/// Never fails: whatever goes wrong is among the refusals of the outcome, and then it does not allow.
#[must_use]
pub fn evaluate(policy: &PolicySet, input: &serde_json::Value, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    if policy.packs().is_empty() {
        outcome.refusals.push(Refusal::new("", Why::NoPolicy, "no pack applies to this environment"));
    }
    for pack in policy.packs() {
        outcome.add(if pack.is_shipped() {
            evaluate_shipped(pack, input, options.time)
        } else if let Some(isolation) = &options.isolation {
            isolated::evaluate(isolation, pack, input, options.time)
        } else {
            Err(Refusal::new(&pack.name, Why::Crashed, "there is no way to run it apart from this process"))
        });
    }
    outcome
}

/// Loading a shipped pack costs more than asking it, so loaded ones are kept.
static LOADED: Mutex<Vec<(String, Engine)>> = Mutex::new(Vec::new());

fn evaluate_shipped(pack: &Pack, input: &serde_json::Value, time: Duration) -> Result<Vec<Violation>, Refusal> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = loaded.iter().find(|(name, _)| *name == pack.name).map(|(_, engine)| engine.clone());
    let engine = match kept {
        Some(engine) => engine,
        None => {
            let engine = load(pack)?;
            loaded.push((pack.name.clone(), engine.clone()));
            engine
        }
    };
    drop(loaded);
    ask(engine, pack, input, time)
}

/// Loads and asks a pack in this process. For packs that are not shipped only [`isolated`]'s child may do so.
pub(crate) fn evaluate_here(pack: &Pack, input: &serde_json::Value, time: Duration) -> Result<Vec<Violation>, Refusal> {
    ask(load(pack)?, pack, input, time)
}

fn load(pack: &Pack) -> Result<Engine, Refusal> {
    let library = library();
    let modules: Vec<&Module> = library.iter().chain(pack.modules.iter().filter(|module| !module.is_test())).collect();
    let (engine, linted) = parse(&modules).map_err(|(why, detail)| Refusal::new(&pack.name, why, detail))?;
    let own = pack.package();
    let below = format!("{own}.");
    for (module, package) in modules.iter().zip(&linted.packages).skip(library.len()) {
        if *package != own && !package.starts_with(&below) || package == LIBRARY_PACKAGE {
            let detail = format!("{}: is in package `{package}`, must be in `{own}`", module.path);
            return Err(Refusal::new(&pack.name, Why::ForeignPackage, detail));
        }
    }
    let entry = format!("{own}.violations");
    if !linted.rules.contains(&entry) {
        let detail = format!("no module defines `violations` in package `{own}`");
        return Err(Refusal::new(&pack.name, Why::MissingEntryPoint, detail));
    }
    Ok(engine)
}

/// Parses and lints modules under the strict profile.
pub(crate) fn parse(modules: &[&Module]) -> Result<(Engine, Linted), lint::Complaint> {
    let mut engine = Engine::new();
    engine.set_rego_v0(false);
    engine.set_strict_builtin_errors(true);
    for module in modules {
        lint::check_text(module)?;
        engine
            .add_policy(module.path.clone(), module.text.clone())
            .map_err(|error| (Why::NotParsable, format!("{}: {error}", module.path)))?;
    }
    let trees = engine
        .get_ast_as_json()
        .map_err(|error| (Why::NotParsable, format!("the syntax tree cannot be written: {error}")))?;
    let linted = lint::check_trees(modules, &trees)?;
    Ok((engine, linted))
}

pub(crate) fn set_time(engine: &mut Engine, time: Duration) {
    const EVERY: NonZeroU32 = NonZeroU32::new(64).unwrap();
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: time, check_interval: EVERY });
}

/// The class of an evaluation error.
pub(crate) fn class_of(is_time: bool) -> Why {
    if is_time { Why::TimeOut } else { Why::EvaluationError }
}

fn ask(mut engine: Engine, pack: &Pack, input: &serde_json::Value, time: Duration) -> Result<Vec<Violation>, Refusal> {
    let refuse = |why, detail: String| Refusal::new(&pack.name, why, detail);
    let input = Value::from(input.clone());
    if input == Value::Undefined {
        return Err(refuse(Why::BadInput, "the input document is no JSON that the engine reads".into()));
    }
    set_time(&mut engine, time);
    engine.set_input(input);
    let entry = format!("data.{}.violations", pack.package());
    match engine.eval_rule(entry.clone()) {
        Err(error) => {
            let timed_out =
                error.chain().any(|cause| matches!(cause.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. })));
            Err(refuse(class_of(timed_out), first_lines(&error.to_string())))
        }
        Ok(Value::Undefined) => Err(refuse(Why::Undefined, format!("`{entry}` is undefined"))),
        Ok(Value::Set(elements)) => {
            if elements.len() > MAX_VIOLATIONS {
                let detail = format!("{} violations; at most {MAX_VIOLATIONS} are taken", elements.len());
                return Err(refuse(Why::TooManyViolations, detail));
            }
            elements.iter().map(|element| violation(pack, element)).collect()
        }
        Ok(_) => Err(refuse(Why::NotASet, format!("`{entry}` is no set"))),
    }
}

fn violation(pack: &Pack, element: &Value) -> Result<Violation, Refusal> {
    let malformed = |detail: String| Refusal::new(&pack.name, Why::MalformedViolation, detail);
    let json = element.to_json_str().map_err(|error| malformed(error.to_string()))?;
    let violation: Violation = serde_json::from_str(&json)
        .map_err(|error| malformed(format!("a violation is {{rule, message, needs}}, all texts: {error}")))?;
    if !gauntlet_core::valid_rule_id(&violation.rule) {
        return Err(malformed(format!(
            "`{}` is no rule id of the form area/check/rule-name",
            clip(&violation.rule, 100)
        )));
    }
    if violation.message.is_empty() || violation.message.len() > MAX_TEXT || violation.needs.len() > MAX_TEXT {
        return Err(malformed(format!("the message of `{}` is empty or too long", violation.rule)));
    }
    Ok(violation)
}

/// The engine's messages hold a drawing of the source; its first lines say enough.
pub(crate) fn first_lines(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    clip(&lines.join(" "), 600)
}

fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask_own(text: &str) -> Result<Vec<Violation>, Why> {
        let module = Module { path: "own.rego".into(), text: text.into() };
        let pack = Pack::foreign("own", vec![module]);
        evaluate_here(&pack, &json!({"n": 3}), Duration::from_millis(300)).map_err(|refusal| refusal.why)
    }

    #[test]
    fn a_set_of_violations_is_taken_and_nothing_else() {
        let good = ask_own(
            "package gauntlet.own\nviolations contains {\"rule\": \"a/b/c\", \"message\": \"m\", \"needs\": \"n\"} if input.n == 3",
        );
        assert_eq!(good.unwrap()[0].rule, "a/b/c");
        assert_eq!(ask_own("package gauntlet.own\nviolations contains 1 if input.n == 4"), Ok(vec![]));
        for (text, why) in [
            ("violations := []", Why::NotASet),
            ("violations := true", Why::NotASet),
            ("violations := set() if input.n == 4", Why::Undefined),
            ("allow := true", Why::MissingEntryPoint),
            ("violations contains 1", Why::MalformedViolation),
            ("violations contains {\"rule\": \"a/b/c\", \"message\": \"m\"}", Why::MalformedViolation),
            ("violations contains {\"rule\": \"a\", \"message\": \"m\", \"needs\": \"\"}", Why::MalformedViolation),
            ("violations contains {\"rule\": \"a/b/c\", \"message\": \"\", \"needs\": \"\"}", Why::MalformedViolation),
            (
                "violations contains {\"rule\": \"a/b/c\", \"message\": \"m\", \"needs\": \"\", \"allow\": true}",
                Why::MalformedViolation,
            ),
            ("violations contains", Why::NotParsable),
            ("violations contains {\"n\": to_number(\"abc\")}", Why::EvaluationError),
            ("violations contains 1 if 1 / 0 == 0", Why::EvaluationError),
            ("violations contains 1 if { not startswith(1, \"a\") }", Why::EvaluationError),
            ("x := 1\nx := 2\nviolations contains x", Why::EvaluationError),
        ] {
            assert_eq!(ask_own(&format!("package gauntlet.own\n{text}")), Err(why), "{text}");
        }
    }

    #[test]
    fn old_syntax_and_foreign_packages_are_refused() {
        assert_eq!(ask_own("package gauntlet.own\nviolations[1] { true }"), Err(Why::NotParsable));
        assert_eq!(ask_own("package gauntlet.baseline\nviolations contains 1"), Err(Why::ForeignPackage));
        assert_eq!(ask_own("package gauntlet.lib\nviolations contains 1"), Err(Why::ForeignPackage));
    }

    #[test]
    fn an_endless_evaluation_is_stopped() {
        let loops = "package gauntlet.own\nviolations contains 1 if { some a in r; some b in r; some c in r; some d in r; \
                     some e in r; a + b + c + d + e == 999 }\nr := {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30}";
        assert_eq!(ask_own(loops), Err(Why::TimeOut));
    }

    #[test]
    fn no_pack_and_no_isolation_refuse() {
        let none = evaluate(&PolicySet::new(vec![]), &json!({}), &Options::default());
        assert!(!none.allow());
        assert_eq!(none.refusals[0].why, Why::NoPolicy);
        let text = "package gauntlet.own\nviolations := set()".into();
        let foreign = Pack::foreign("own", vec![Module { path: "own.rego".into(), text }]);
        assert!(!evaluate(&PolicySet::new(vec![foreign]), &json!({}), &Options::default()).allow());
    }

    #[test]
    fn shipped_packs_load_and_refuse_an_empty_document() {
        for name in crate::shipped_names() {
            let pack = Pack::shipped(name).unwrap();
            let outcome = evaluate(&PolicySet::new(vec![pack]), &json!({}), &Options::default());
            assert!(!outcome.allow(), "{name}");
        }
    }
}
