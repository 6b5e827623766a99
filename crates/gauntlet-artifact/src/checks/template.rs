//! What rendering a template would reach.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};
use gauntlet_template::{Attribute, Computed, Growth, GrowthKind, How, Place, TemplateFacts};

use super::{FINDINGS, each, plural, rule};
use crate::facts::TemplateFact;

/// `artifact/template`
pub(crate) struct Template;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TEMPLATE,
    version: 1,
    stage: Stage::Artifact,
    title: "What would rendering the template reach?",
    rules: &[
        rule!(
            "artifact/template/inner-attribute",
            Critical,
            "the template reaches Python's inner attributes",
            "Do not render it. A chat template needs messages and tools, nothing of Python.",
            ["CWE-1336", "CVE-2024-34359", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/template/command",
            Critical,
            "the template calls what runs commands or code",
            "Do not render it.",
            ["CWE-1336", "CWE-78", "CVE-2024-34359", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/template/function-attribute",
            High,
            "the template takes attributes of a function of its environment",
            "Do not render it; such functions are there to be called, and their attributes lead to modules.",
            ["CWE-1336", "CVE-2024-34359", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/template/computed-attribute",
            Medium,
            "the template takes an attribute whose name it computes",
            "Ask for a template that names what it uses.",
            ["CWE-1336", "CWE-470", "CVE-2024-34359", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/template/hidden-name",
            Medium,
            "the template holds the name of an inner attribute, or spells a name so that it cannot be read",
            "Find out what the name is for before you render the template.",
            ["CWE-1336", "CWE-506", "CVE-2024-34359", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/template/loads-template",
            High,
            "the template asks for another template",
            "Put everything into one template; a chat template has no files to include.",
            ["CWE-73", "CWE-829", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/template/unbounded",
            Medium,
            "the template makes far more text or work than it is long",
            "Do not render it where others wait; bound the loops and lengths.",
            ["CWE-400", "CWE-834", "OWASP LLM10:2025", "AML.T0029"]
        ),
        rule!(
            "artifact/template/unparsed",
            Medium,
            "part of the template is no Jinja",
            "Correct the template, or find out which extension reads it.",
            ["CWE-20", "CWE-1286", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-template.md"),
};

/// Attributes that every Python object, class, function or module has, and that lead to others.
const INNER: [&str; 46] = [
    "__base__",
    "__bases__",
    "__builtins__",
    "__call__",
    "__class__",
    "__closure__",
    "__code__",
    "__copy__",
    "__defaults__",
    "__delattr__",
    "__dict__",
    "__dir__",
    "__doc__",
    "__enter__",
    "__eq__",
    "__file__",
    "__format__",
    "__func__",
    "__get__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__globals__",
    "__import__",
    "__init__",
    "__init_subclass__",
    "__kwdefaults__",
    "__loader__",
    "__module__",
    "__mro__",
    "__name__",
    "__new__",
    "__objclass__",
    "__path__",
    "__qualname__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__self__",
    "__setattr__",
    "__setitem__",
    "__spec__",
    "__str__",
    "__subclasses__",
    "__subclasshook__",
    "__wrapped__",
];
/// Attributes of frames, code and generators, which lead to the variables of what runs; and Jinja's own context.
const FRAMES: [&str; 29] = [
    "_TemplateReference__context",
    "ag_code",
    "ag_frame",
    "co_code",
    "co_consts",
    "co_names",
    "cr_code",
    "cr_frame",
    "cr_origin",
    "f_back",
    "f_builtins",
    "f_code",
    "f_globals",
    "f_locals",
    "func_closure",
    "func_code",
    "func_defaults",
    "func_globals",
    "gi_code",
    "gi_frame",
    "gi_yieldfrom",
    "im_class",
    "im_func",
    "im_self",
    "mro",
    "subclasses",
    "tb_frame",
    "tb_next",
    "_module",
];
/// What runs commands or code, whoever has it as an attribute.
const COMMANDS: [&str; 22] = [
    "popen",
    "Popen",
    "system",
    "import_module",
    "load_module",
    "exec_module",
    "check_output",
    "check_call",
    "getoutput",
    "getstatusoutput",
    "spawnl",
    "spawnv",
    "spawnlp",
    "spawnvp",
    "posix_spawn",
    "execv",
    "execve",
    "execl",
    "execvp",
    "run_module",
    "run_path",
    "startfile",
];
/// Modules that lead there.
const MODULES: [&str; 9] = ["os", "sys", "subprocess", "importlib", "builtins", "posix", "ctypes", "pty", "commands"];
/// Functions of Python that no environment offers; a template that calls them expects one that does.
const BUILTINS: [&str; 10] =
    ["eval", "exec", "compile", "__import__", "open", "getattr", "setattr", "globals", "locals", "vars"];
/// Rounds of a loop that Jinja's own sandbox refuses in a range.
const ROUNDS: u64 = 100_000;
/// All rounds of loops inside each other.
const TOTAL: u64 = 10_000_000;
/// Characters or items of one value.
const LENGTH: u64 = 1_000_000;
/// Loops inside each other, more than any structure of messages and tools has levels.
const NESTING: u64 = 10;

impl Check for Template {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<TemplateFact>(facts, &mut judgement, |location, fact, judgement| {
            judgement.findings.extend(findings(location, &fact.facts, fact.chat).into_iter().take(FINDINGS));
            if fact.facts.dropped > 0 {
                let path = location.path.clone().unwrap_or_default();
                let detail = plural(fact.facts.dropped, "fact of the template", "facts of the template") + " not kept";
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        judgement
    }
}

fn findings(location: &Location, facts: &TemplateFacts, chat: bool) -> Vec<Draft> {
    let at = |place: Place| location.clone().at_line(place.line, Some(place.column));
    let mut found: Vec<Draft> = facts.attributes.iter().filter_map(|one| attribute(&at(one.place), one)).collect();
    let function =
        facts.functions.iter().filter(|name| BUILTINS.contains(&name.as_str()) && !facts.macros.contains(*name));
    found.extend(function.map(|name| {
        let message = format!("calls `{name}`, which only an environment made for it would offer");
        super::draft(&INFO, "command", location, message).severity(Severity::Medium).snippet(name)
    }));
    found.extend(facts.computed.iter().filter_map(|one| computed(&at(one.place), one, chat)));
    // A name that is used has its finding already.
    let named = facts.inner_names.iter().filter(|one| !facts.attributes.iter().any(|used| used.name == one.name));
    found.extend(named.filter(|one| INNER.contains(&one.name.as_str())).map(|one| {
        let message = format!("holds the name `{}` as text", one.name);
        super::draft(&INFO, "hidden-name", &at(one.place), message).snippet(&one.name)
    }));
    // Templates of applications are made of parts; those of models are not.
    let parts = if chat { Severity::High } else { Severity::Low };
    found.extend(facts.loads.iter().map(|load| {
        let target = load.target.as_deref().unwrap_or("a computed name");
        let message = format!("asks for the template `{target}`");
        super::draft(&INFO, "loads-template", &at(load.place), message).severity(parts).snippet(target)
    }));
    found.extend(facts.growth.iter().filter_map(|one| growth(&at(one.place), one)));
    if let Some(first) = facts.problems.first() {
        let more = facts.problems.len().saturating_sub(1) as u64;
        let rest =
            if more > 0 { format!(", and {}", plural(more, "more problem", "more problems")) } else { String::new() };
        let severity = if chat { Severity::Medium } else { Severity::Low };
        let message = format!("{}{rest}", first.message);
        found.push(
            super::draft(&INFO, "unparsed", &at(first.place), message).severity(severity).snippet(&first.message),
        );
    }
    found
}

fn attribute(place: &Location, one: &Attribute) -> Option<Draft> {
    let Attribute { name, how, root, of_function, assembled, called, .. } = one;
    let way = match how {
        How::Dot => "",
        How::Subscript => " as a key",
        How::AttrFilter => " with `attr`",
        How::Argument => " of items",
        How::Format => " in a format",
        How::Unparsed => " in a part that is no Jinja",
    };
    let spelled = if *assembled { ", a name that is put together or escaped" } else { "" };
    let draft = |rule, message: String| super::draft(&INFO, rule, place, message).snippet(name);
    let of = root.as_ref().map_or_else(String::new, |root| format!(" of `{root}`"));
    let known = name.as_str();
    let inner = INNER.contains(&known);
    if inner || FRAMES.contains(&known) {
        let found = draft("inner-attribute", format!("reaches `{name}`{of}{way}{spelled}"));
        // A key of data may be called like a method, and plain text like anything.
        return Some(match how {
            How::Subscript if !inner => found.severity(Severity::Medium),
            How::Unparsed => found.severity(Severity::High),
            _ if matches!(known, "subclasses" | "_module") && !called => found.severity(Severity::Low),
            _ => found,
        });
    }
    if COMMANDS.contains(&known) && (*called || matches!(how, How::AttrFilter | How::Format)) {
        return Some(draft("command", format!("calls `{name}`{of}{way}{spelled}")));
    }
    if COMMANDS.contains(&known) && matches!(known, "popen" | "Popen" | "import_module" | "check_output" | "getoutput")
    {
        return Some(draft("command", format!("reaches `{name}`{of}{way}{spelled}")).severity(Severity::High));
    }
    if MODULES.contains(&known) && matches!(how, How::AttrFilter | How::Format) {
        return Some(draft("command", format!("reaches the module `{name}`{of}{way}")).severity(Severity::High));
    }
    if *of_function && known != "fromkeys" {
        let found = draft("function-attribute", format!("takes `{name}`{of}, a function of the environment{way}"));
        return Some(if *how == How::Unparsed { found.severity(Severity::Medium) } else { found });
    }
    if known.starts_with("__") && known.ends_with("__") && known.len() > 4 {
        let severity = match how {
            How::Subscript | How::Argument => Severity::Low,
            _ => Severity::High,
        };
        return Some(draft("inner-attribute", format!("reaches `{name}`{of}{way}{spelled}")).severity(severity));
    }
    if known.starts_with('_') && *assembled && matches!(how, How::AttrFilter | How::Subscript) {
        return Some(draft("hidden-name", format!("reaches `{name}`{of}{way}{spelled}")));
    }
    if *how == How::AttrFilter || (known.starts_with('_') && *how == How::Dot) {
        return Some(draft("computed-attribute", format!("reaches `{name}`{of}{way}")).severity(Severity::Low));
    }
    None
}

fn computed(place: &Location, one: &Computed, chat: bool) -> Option<Draft> {
    let (what, severity) = match (one.how, one.suspicious) {
        (_, true) => ("from parts that inner names are made of", Severity::High),
        (How::AttrFilter, false) if chat => ("from what is not known", Severity::Medium),
        (How::AttrFilter | How::Argument | How::Format, false) => ("from what is not known", Severity::Low),
        // `message[key]` is what templates are made of.
        _ => return None,
    };
    let message = format!("computes the name of an attribute {what}");
    Some(super::draft(&INFO, "computed-attribute", place, message).severity(severity))
}

fn growth(place: &Location, one: &Growth) -> Option<Draft> {
    let Growth { kind, amount, .. } = one;
    let message = match kind {
        GrowthKind::Rounds if *amount >= ROUNDS => format!("loops {amount} times"),
        GrowthKind::Length if *amount >= LENGTH => format!("makes a value of length {amount}"),
        GrowthKind::Doubling if *amount == 0 => "joins a variable to itself in every round of a loop".to_owned(),
        GrowthKind::Doubling => format!("joins a variable to itself {amount} times"),
        GrowthKind::Nesting if *amount >= NESTING => format!("loops {amount} deep"),
        _ => return None,
    };
    let found = super::draft(&INFO, "unbounded", place, message).snippet(format!("{kind:?}"));
    Some(if *kind == GrowthKind::Rounds && *amount >= TOTAL { found.severity(Severity::High) } else { found })
}

#[cfg(test)]
mod tests {
    use gauntlet_core::Limits;

    use super::*;

    fn judged(name: &str, text: &str) -> Vec<(String, Severity)> {
        let facts = crate::exercise(name, text.as_bytes(), &Limits::default());
        let mut found = Vec::new();
        for (location, fact) in facts.of::<TemplateFact>().flatten() {
            found.extend(findings(location, &fact.facts, fact.chat).into_iter().map(|draft| {
                let finding = gauntlet_core::seal(vec![draft]).remove(0);
                (finding.rule.trim_start_matches("artifact/template/").to_owned(), finding.severity)
            }));
        }
        found
    }

    #[test]
    fn attacks_are_high_or_above() {
        for text in
            include_str!("../../../../testdata/artifact/template/attacks.txt").lines().filter(|l| !l.starts_with("##"))
        {
            let worst = judged("chat_template.jinja", text).into_iter().map(|(_, severity)| severity).max();
            assert!(worst >= Some(Severity::High), "{text}: {worst:?}");
        }
    }

    #[test]
    fn doubtful_ones_are_noted() {
        for (text, rule, severity) in [
            ("{{ x|attr(y) }}", "computed-attribute", Severity::Medium),
            ("{% include 'a' %}", "loads-template", Severity::High),
            ("{% for i in range(200000) %}{% endfor %}", "unbounded", Severity::Medium),
            ("{% frobnicate %}", "unparsed", Severity::Medium),
            ("{% set a = '__globals__' %}", "hidden-name", Severity::Medium),
            ("{{ open('/etc/hostname') }}", "command", Severity::Medium),
        ] {
            assert_eq!(judged("chat_template.jinja", text), [(rule.to_owned(), severity)], "{text}");
        }
    }

    #[test]
    fn templates_of_models_are_silent() {
        let templates = include_str!("../../../../testdata/artifact/template/chat.txt");
        let mut count = 0;
        for text in templates.split("##### ").skip(1) {
            let (name, text) = text.split_once('\n').unwrap();
            assert_eq!(judged("chat_template.jinja", text), [], "{name}");
            count += 1;
        }
        assert!(count >= 10);
    }
}
