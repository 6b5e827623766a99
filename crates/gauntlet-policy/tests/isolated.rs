//! Hostile policies in a child process. Without the test harness, because this program is its own child.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test program without the harness")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use gauntlet_policy::{
    Isolation, Module, Options, Outcome, Pack, PolicySet, TestState, Why, evaluate, isolated, run_tests,
};

const CHILD: &str = "--evaluate-policy-in-child";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == CHILD) {
        return isolated::child_main();
    }
    let cases: [(&str, fn()); 8] = [
        ("an_own_pack_is_asked", an_own_pack_is_asked),
        ("deep_brackets_are_refused", deep_brackets_are_refused),
        ("deep_expressions_do_not_take_us_down", deep_expressions_do_not_take_us_down),
        ("a_memory_bomb_is_refused", a_memory_bomb_is_refused),
        ("an_endless_evaluation_is_killed", an_endless_evaluation_is_killed),
        ("a_missing_program_refuses", a_missing_program_refuses),
        ("a_program_that_says_nonsense_refuses", a_program_that_says_nonsense_refuses),
        ("folders_are_tested_in_the_child", folders_are_tested_in_the_child),
    ];
    for (name, case) in cases {
        case();
        println!("test {name} ... ok");
    }
    println!("{} passed", cases.len());
    ExitCode::SUCCESS
}

fn isolation() -> Isolation {
    Isolation { wall: Duration::from_secs(10), ..Isolation::of_this_program(CHILD).unwrap() }
}

fn ask_with(isolation: Isolation, time: Duration, rules: &str) -> Outcome {
    let text = format!("package gauntlet.own\nimport data.gauntlet.lib\n{rules}\n");
    let pack = Pack::foreign("own", vec![Module { path: "own.rego".into(), text }]);
    let options = Options { time, isolation: Some(isolation) };
    evaluate(&PolicySet::new(vec![pack]), &serde_json::json!({"n": 3, "subjects": []}), &options)
}

fn refused(outcome: &Outcome) -> Why {
    assert!(!outcome.allow());
    outcome.refusals[0].why
}

fn ask(rules: &str) -> Outcome {
    ask_with(isolation(), Duration::from_secs(5), rules)
}

fn an_own_pack_is_asked() {
    assert!(ask("violations contains 1 if input.n == 4").allow());
    let outcome = ask(
        "violations contains {\"rule\": \"own/pack/three\", \"message\": \"n is 3\", \"needs\": \"another n\"} if { input.n == 3; \
         count(lib.subjects_of_kind(\"model\")) == 0 }",
    );
    assert!(!outcome.allow());
    assert_eq!(outcome.violations[0].rule, "own/pack/three");
    assert_eq!(refused(&ask("violations contains 1 if http.send({})")), Why::ForbiddenCall);
    assert_eq!(refused(&ask("f(x) := f(x)\nviolations contains f(1)")), Why::Recursion);
}

fn deep_brackets_are_refused() {
    let begun = Instant::now();
    assert_eq!(refused(&ask(&format!("violations := {}{}", "[".repeat(40), "]".repeat(40)))), Why::TooDeep);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn deep_expressions_do_not_take_us_down() {
    for text in [
        format!("violations contains {}1", "not ".repeat(20_000)),
        format!("violations contains 1 if {}true", "x := ".repeat(300)),
        format!("violations contains 1 if true{}", " else := 1 if true".repeat(20_000)),
        format!("x := input{}\nviolations contains x", "[x]".repeat(20_000)),
    ] {
        assert!(!ask(&text).allow());
    }
}

fn a_memory_bomb_is_refused() {
    // 3 * 10^7 elements of a wide object, each alone within one builtin or comprehension.
    let bomb = "r := {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20}\n\
                violations contains count(x) if { x := [[a,b,c,d,e,f] | some a in r; some b in r; some c in r; some d in r; some e in r; some f in r] }";
    let tight = Isolation { memory: 256 << 20, ..isolation() };
    assert_eq!(refused(&ask_with(tight, Duration::from_secs(60), bomb)), Why::Crashed);
}

fn an_endless_evaluation_is_killed() {
    let endless = "r := {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20}\n\
                   violations contains 1 if { some a in r; some b in r; some c in r; some d in r; some e in r; some f in r; a+b+c+d+e+f == 999 }";
    assert_eq!(refused(&ask_with(isolation(), Duration::from_millis(200), endless)), Why::TimeOut);
    let begun = Instant::now();
    let short = Isolation { wall: Duration::from_millis(500), ..isolation() };
    assert_eq!(refused(&ask_with(short, Duration::from_secs(600), endless)), Why::TimeOut);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn a_missing_program_refuses() {
    let gone = Isolation { program: "/nowhere/at/all".into(), ..isolation() };
    assert_eq!(refused(&ask_with(gone, Duration::from_secs(1), "violations := set()")), Why::Crashed);
}

fn a_program_that_says_nonsense_refuses() {
    for program in ["/bin/true", "/bin/false", "/bin/echo"] {
        let other = Isolation { program: program.into(), arguments: vec!["{}".into()], ..isolation() };
        assert_eq!(refused(&ask_with(other, Duration::from_secs(1), "violations := set()")), Why::Crashed, "{program}");
    }
}

fn folders_are_tested_in_the_child() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    assert!(run_tests(dir.path(), &isolation()).is_err(), "nothing to test");
    write("p.rego", "package own.p\nx if input.n == 1\n");
    write(
        "p_test.rego",
        "package own.p_test\ntest_x if data.own.p.x with input as {\"n\": 1}\ntest_y if data.own.p.x\n",
    );
    std::fs::create_dir(dir.path().join("broken")).unwrap();
    write("broken/q.rego", "package q\nx := {\n");
    let run = run_tests(dir.path(), &isolation()).unwrap();
    let states: Vec<_> = run.cases.iter().map(|case| case.state).collect();
    assert_eq!(states, [TestState::Pass, TestState::Fail]);
    assert_eq!(run.failures.len(), 1, "{:?}", run.failures);
    assert!(!run.passed());
    let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let shipped = run_tests(&policies, &isolation()).unwrap();
    assert!(shipped.passed(), "{:?}", shipped.failures);
    assert!(shipped.cases.len() > 30);
}
