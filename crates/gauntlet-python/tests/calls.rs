//! What is said of calls in every spelling, and hostile text.
#![allow(clippy::panic, clippy::unwrap_used)]

use gauntlet_limits::Limits;
use gauntlet_python::{Argument, Call, Module, PythonError, Value, analyze, analyze_cells};

fn module(source: &str) -> Module {
    analyze(source, &Limits::default()).unwrap()
}

/// The call on the last line that has one; the outermost of them.
fn last(source: &str) -> Call {
    let calls = module(source).calls;
    let line = calls.iter().map(|c| c.place.line).max().unwrap();
    calls.into_iter().filter(|c| c.place.line == line).max_by_key(|c| c.place.end - c.place.start).unwrap()
}

#[track_caller]
fn names(source: &str, expected: &str) {
    let call = last(source);
    assert_eq!(call.invocation.names, [expected], "{source}");
    assert!(call.invocation.certain, "{source}");
}

#[track_caller]
fn perhaps(source: &str, expected: &[&str]) {
    let call = last(source);
    assert!(!call.invocation.certain, "{source}");
    for name in expected {
        assert!(call.invocation.names.iter().any(|n| n == name), "{source}: {:?}", call.invocation.names);
    }
}

#[test]
fn imports_aliases_and_members_resolve() {
    names("import pickle\npickle.load(f)", "pickle.load");
    names("import pickle as p\np.load(f)", "pickle.load");
    names("from pickle import load as l\nl(f)", "pickle.load");
    names("import a.b.c\na.b.c.d(f)", "a.b.c.d");
    names("import a.b.c as x\nx.d(f)", "a.b.c.d");
    names("from . import util\nutil.load(f)", ".util.load");
    names("from ..pkg.util import load\nload(f)", "..pkg.util.load");
    names("eval(x)", "builtins.eval");
    perhaps("from pickle import *\nload(f)", &["pickle.load"]);
    perhaps(
        "try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\npickle.load(f)",
        &["cPickle.load", "pickle.load"],
    );
}

#[test]
fn assignments_are_followed() {
    names("import pickle\np = pickle\nq = p.load\nq(f)", "pickle.load");
    names("import pickle\ndef f(x):\n    g = pickle.loads\n    return g(x)", "pickle.loads");
    names("import pickle, json\na, b = pickle.load, json.load\na(f)", "pickle.load");
    names("import pickle\nif (g := pickle.load):\n    g(f)", "pickle.load");
    names(
        "import pickle\nclass A:\n    def __init__(self):\n        self.fn = pickle.loads\n    def go(self, x):\n        return self.fn(x)",
        "pickle.loads",
    );
    names("import pickle\nclass A:\n    fn = pickle.loads\nA.fn(x)", "pickle.loads");
    perhaps("import pickle, json\ng = pickle.load if x else json.load\ng(f)", &["pickle.load", "json.load"]);
    perhaps("import pickle\ndef f(x, loader=pickle.load):\n    return loader(x)", &["pickle.load"]);
    perhaps("import pickle, dill\nfor load in (pickle.load, dill.load):\n    load(f)", &["pickle.load", "dill.load"]);
    perhaps("import pickle\nT = {'p': pickle.load, 'q': other}\nT[kind](f)", &["pickle.load"]);
    names("import pickle\nT = {'p': pickle.load}\nT['p'](f)", "pickle.load");
}

#[test]
fn roundabout_spellings_resolve() {
    for source in [
        "import pickle\ngetattr(pickle, 'lo' + 'ad')(f)",
        "import importlib\nimportlib.import_module('pickle').load(f)",
        "from importlib import import_module\nNAME = f'pick{\"le\"}'\nimport_module(NAME).load(f)",
        "__import__('pickle').load(f)",
        "import sys\nsys.modules['pickle'].load(f)",
        "import pickle\npickle.__dict__['load'](f)",
        "import pickle\nvars(pickle)['load'](f)",
        "import pickle\nglobals()['pickle'].load(f)",
    ] {
        names(source, "pickle.load");
    }
    let call = last(
        "import torch\nfrom functools import partial\nload = partial(torch.load, weights_only=False)\nload(p, map_location='cpu')",
    );
    assert_eq!(call.invocation.names, ["torch.load"]);
    assert_eq!(call.invocation.argument("weights_only", None), Argument::Given(&Value::Bool(false)));
    assert_eq!(call.invocation.argument("map_location", Some(1)), Argument::Given(&Value::Str("cpu".into())));
}

#[test]
fn shadowed_names_are_not_the_import() {
    for source in [
        "import pickle\ndef f(pickle, x):\n    return pickle.load(x)",
        "from joblib import load\ndef f(x):\n    def load(y):\n        return y\n    return load(x)",
        "from pickle import load\nclass A:\n    def load(self, x):\n        return x\n    def go(self, x):\n        return self.load(x)",
        "from pickle import load\n[load(x) for load in fs]",
        "from pickle import load\n(lambda load: load(x))",
    ] {
        let call = module(source).calls.into_iter().find(|c| c.invocation.arguments.len() == 1).unwrap();
        assert!(call.invocation.names.iter().all(|n| n.starts_with('?')), "{source}: {:?}", call.invocation.names);
    }
    // A class body is no scope for its methods.
    names("from pickle import load\nclass A:\n    def load(self, x):\n        return load(x)", "pickle.load");
    names("import pickle\ndef f():\n    global g\n    g = pickle.load\ndef h(x):\n    return g(x)", "pickle.load");
}

#[test]
fn receivers_and_subclasses_are_seen() {
    let call = last("import ruamel.yaml\nruamel.yaml.YAML(typ='unsafe').load(f)");
    assert_eq!(call.invocation.names, ["ruamel.yaml.YAML().load"]);
    assert_eq!(call.invocation.receiver.unwrap().argument("typ", None), Argument::Given(&Value::Str("unsafe".into())));
    names("import pickle\nu = pickle.Unpickler(f)\nu.load()", "pickle.Unpickler().load");
    names("import pickle\nclass U(pickle.Unpickler):\n    pass\nU(f).load()", "pickle.Unpickler().load");
    let limited = last(
        "import pickle\nclass U(pickle.Unpickler):\n    def find_class(self, m, n):\n        if (m, n) not in OK:\n            raise ValueError\n        return super().find_class(m, n)\nU(f).load()",
    );
    assert_eq!(limited.invocation.names, ["?"]);
    names("import yaml\nclass L(yaml.SafeLoader):\n    pass\nyaml.load(f, Loader=L)", "yaml.load");
    let call = last("import yaml\nclass L(yaml.SafeLoader):\n    pass\nyaml.load(f, Loader=L)");
    assert_eq!(
        call.invocation.argument("Loader", Some(1)),
        Argument::Given(&Value::Class(vec!["yaml.SafeLoader".into()]))
    );
}

#[track_caller]
fn weights_only(source: &str, expected: Argument<'_>) {
    let call = last(&format!("import torch\n{source}"));
    assert_eq!(call.invocation.names, ["torch.load"], "{source}");
    assert_eq!(call.invocation.argument("weights_only", None), expected, "{source}");
}

#[test]
fn constants_are_folded_and_unknown_stays_unknown() {
    let (yes, no, unknown) = (Value::Bool(true), Value::Bool(false), Value::Unknown);
    weights_only("torch.load(p)", Argument::Missing);
    weights_only("torch.load(p, weights_only=True)", Argument::Given(&yes));
    weights_only("SAFE = True\ntorch.load(p, weights_only=SAFE)", Argument::Given(&yes));
    weights_only("SAFE = True\ntorch.load(p, weights_only=not SAFE)", Argument::Given(&no));
    weights_only("torch.load(p, weights_only=bool(0))", Argument::Given(&no));
    weights_only("kw = {'weights_only': False}\ntorch.load(p, **kw)", Argument::Given(&no));
    weights_only("kw = dict(weights_only=True)\ntorch.load(p, **kw)", Argument::Given(&yes));
    weights_only("kw = {}\nkw['weights_only'] = False\ntorch.load(p, **kw)", Argument::Given(&no));
    weights_only("kw = {}\nkw.update(weights_only=True)\ntorch.load(p, **kw)", Argument::Given(&yes));
    weights_only(
        "base = {'weights_only': True}\ntorch.load(p, **{**base, 'map_location': 'cpu'})",
        Argument::Given(&yes),
    );
    weights_only(
        "kw = {'weights_only': True}\nkw['weights_only'] = False\ntorch.load(p, **kw)",
        Argument::Given(&unknown),
    );
    weights_only("x = True\nx = False\ntorch.load(p, weights_only=x)", Argument::Given(&unknown));
    weights_only("def f(p, w=True):\n    return torch.load(p, weights_only=w)", Argument::Given(&unknown));
    weights_only("def f(p, **kw):\n    return torch.load(p, **kw)", Argument::Perhaps);
    weights_only("kw = {'weights_only': True}\nkw.pop('weights_only')\ntorch.load(p, **kw)", Argument::Perhaps);
    let call = last("import pickle\nraw = pickle.dumps(x)\npickle.loads(raw)");
    assert!(matches!(&call.invocation.arguments[0], Value::Call(inner) if inner.names == ["pickle.dumps"]));
    let call = last("import pickle\npool.map(pickle.loads, blobs)");
    assert_eq!(call.invocation.arguments[0], Value::Name("pickle.loads".into()));
}

#[test]
fn syntax_errors_are_listed_and_the_rest_is_read() {
    let module = module("import pickle\nx = (1,\ndef f(:\n    pass\npickle.load(f)\n");
    assert!(!module.errors.is_empty());
    assert!(module.calls.iter().any(|c| c.invocation.names == ["pickle.load"] && c.place.line == 5));
}

#[test]
fn comments_are_found_and_strings_are_not() {
    let module = module("x = '# no'  # yes\n\"\"\"\n# no\n\"\"\"\n# too\n");
    assert_eq!(module.comments.iter().map(|c| c.place.line).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn cells_share_names_and_fail_alone() {
    let source = "import pickle\n!ls\nx = (\npickle.load(f)\n%time pickle.load(g)";
    let cells = [0..17, 18..23, 24..source.len()];
    let module = analyze_cells(source, &cells, &Limits::default()).unwrap();
    assert!(module.calls.iter().any(|c| c.invocation.names == ["pickle.load"] && c.place.line == 4));
    assert!(!module.errors.is_empty());
    // Ranges that do not fit are refused, whatever they are.
    for bad in [&[(0, 999)][..], &[(5, 2)], &[(0, 3), (9, 12)], &[(0, 3), (3, 12)]] {
        assert!(
            analyze_cells(source, &bad.iter().map(|&(from, to)| from..to).collect::<Vec<_>>(), &Limits::default())
                .is_err()
        );
    }
}

#[test]
fn deep_code_is_an_error_and_no_abort() {
    let n = 100_000;
    for source in [
        format!("x{}", ".b".repeat(n)),
        "[".repeat(n),
        format!("{}1", "-".repeat(n)),
        format!("1{}", "+1".repeat(n)),
        format!("x = {}1", "lambda: ".repeat(n)),
        "f'{".repeat(n),
        format!("x = {}", "(".repeat(150) + &"-".repeat(90_000)),
    ] {
        assert!(matches!(analyze(&source, &Limits::default()), Err(PythonError::TooDeep(_))));
    }
    // Just below the limits everything still fits on the stack.
    for source in [
        format!("x{}", ".b".repeat(19_990)),
        format!("x = {}1{}", "[".repeat(190), "]".repeat(190)),
        format!("{}1", "-".repeat(19_990)),
        format!("x = 1{}", "+f(1)".repeat(9_900)),
        format!("x = {}1", "lambda: ".repeat(99)),
        format!("f{}", "()".repeat(19_000)),
        format!("x = {}0{}", "f(".repeat(190), ")".repeat(190)),
        (0..99).map(|i| format!("{}if x:\n", " ".repeat(i))).chain([" ".repeat(99) + "pass\n"]).collect(),
    ] {
        analyze(&source, &Limits::default()).unwrap();
    }
}

#[test]
fn large_tables_cost_linear_time() {
    let n = 20_000;
    let items: String = (0..n).map(|i| format!("'k{i}': {i}, ")).collect();
    let names: String = (0..n).map(|i| format!("k{i}={i}, ")).collect();
    let globals: String = (0..n).map(|i| format!("g{i}, ")).collect();
    for source in [
        format!("T = {{{items}}}\n{}", "f(**T)\n".repeat(n)),
        format!("T = {{{items}}}\n{}", "T['k9']()\n".repeat(n)),
        format!("T = {{}}\nT.update({names})\n{}", "f(**T)\n".repeat(n)),
        format!("x = a({names})\n{}", "x.b()\n".repeat(n)),
        format!("class A({}): pass\n{}", "B, ".repeat(n), "A().b()\n".repeat(n)),
        format!("def f():\n    global {}z\n    {}", globals, "g1(); ".repeat(n)),
        format!("s = '{}'\n{}", "a".repeat(1 << 20), "f(s)\n".repeat(n)),
    ] {
        let start = std::time::Instant::now();
        module(&source);
        assert!(start.elapsed().as_secs() < 20, "{} took {:?}", &source[..30], start.elapsed());
    }
}

#[test]
fn names_that_turn_in_circles_end() {
    for source in [
        "a = b\nb = a\na(x)",
        "def f(a=a):\n    a(x)\na = a\n",
        "class A(A):\n    pass\nA().load(x)",
        "class A(B):\n    pass\nclass B(A):\n    pass\nA().load(x)",
        "x = {**x}\nf(**x)",
        "x = [*x]\nf(*x)",
    ] {
        module(source);
    }
    // Doubling at each step would take forever without a budget.
    let mut source = String::from("import pickle\na0 = pickle.load\n");
    for i in 0..60 {
        source += &format!("a{} = a{i} if x else a{i}\nd{} = [d{i}, d{i}]\n", i + 1, i + 1);
    }
    module(&(source + "a60(d60)\n"));
}

#[test]
fn damaged_code_never_panics() {
    let seeds = [
        include_str!("calls.rs").to_owned(),
        "import pickle\nclass A(pickle.Unpickler):\n    def f(self, *a, k=1, **kw):\n        with open(x) as self.y, z() as (p, q):\n            return [pickle.load(i) for i in f'{a!r:>{w}}' if (n := i)]\n".to_owned(),
        "match x:\n    case {'a': [b, *c], **d} | A(e=f) as g:\n        lambda x, *, y=1: (yield x)\n    case _: pass\nasync def f[T: int](): await g(*a, **b)\ntype X = int\n".to_owned(),
    ];
    let mut state = 88_172_645_463_325_252u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    for _ in 0..400 {
        let mut text: Vec<u8> = seeds[below(seeds.len())].bytes().collect();
        text.truncate(2_000);
        for _ in 0..=below(6) {
            let at = below(text.len().max(1));
            match below(4) {
                0 => text.truncate(at.max(1)),
                1 if !text.is_empty() => text[at] = b"()[]{}'\"\\:,=\n\t#%!*.f "[below(21)],
                2 => text.extend_from_within(at..),
                _ => {
                    text.drain(..at / 2);
                }
            }
        }
        let text = String::from_utf8_lossy(&text);
        // Any answer will do, but there must be one, and not through a panic inside the parser.
        assert!(!matches!(analyze(&text, &Limits::default()), Err(PythonError::Fault)), "{text}");
        // ruff's parser reaches its own `unreachable!` on some escape commands; that must come back as an error too.
        let whole = 0..text.len();
        let _ = analyze_cells(&text, std::slice::from_ref(&whole), &Limits::default());
    }
}

#[test]
fn what_runs_on_import_is_told_from_what_waits_for_a_call() {
    let source = "\
import os
os.a()
def used():
    os.b()
    inner()
def inner():
    os.c()
def unused():
    os.d()
class K:
    x = os.e()
    def __init__(self):
        os.f()
    def method(self):
        os.g()
used()
K()
[os.h() for _ in ()]
";
    let module = analyze(source, &Limits::default()).unwrap();
    let running: Vec<&str> = module
        .calls
        .iter()
        .filter(|call| call.at_import)
        .flat_map(|call| &call.invocation.names)
        .filter_map(|name| name.strip_prefix("os."))
        .collect();
    assert_eq!(running, ["a", "b", "c", "e", "f", "h"]);
}

#[test]
fn long_chains_of_functions_are_followed_in_one_pass() {
    let mut source = String::from("import os\n");
    for i in 0..20_000 {
        source.push_str(&format!("def f{i}(): f{}()\n", i + 1));
    }
    source.push_str("def f20000(): os.end()\nf0()\n");
    let module = analyze(&source, &Limits::default()).unwrap();
    assert!(module.calls.iter().all(|call| call.at_import));
}

#[test]
fn callees_looked_up_by_data_are_told() {
    for source in [
        "globals()['x']()",
        "globals()['__builtins__']['eval']('x')",
        "m.__dict__['f']()",
        "getattr(os, 'sys' + 'tem')()",
    ] {
        assert!(last(source).looked_up, "{source}");
    }
    for source in ["f()", "registry['x']()", "getattr(os, 'name')()", "partial(f)()"] {
        assert!(!last(source).looked_up, "{source}");
    }
}

#[test]
fn what_python_calls_by_itself_is_a_call() {
    let calls = |source: &str| -> Vec<(Vec<String>, bool)> {
        module(source).calls.into_iter().map(|call| (call.invocation.names, call.at_import)).collect()
    };
    let system = |source: &str| {
        assert!(calls(source).iter().any(|(names, at_import)| *at_import && names == &["os.system"]), "{source}");
    };
    system("import os\n@os.system\ndef f(): pass");
    system("from os import system as s\n@s\nclass A: pass");
    system("import os\n@(lambda f: os.system('id'))\ndef f(): pass");
    system("import os, functools\n@functools.partial(os.system, 'id')\ndef f(): pass");
    system("import os\ndef deco(f):\n    os.system('id')\n@deco\ndef g(): pass");
    system("import os\nclass A:\n    @os.system\n    def f(self): pass");
    system("import os\nclass A(metaclass=os.system): pass");
    system("import os\nclass A:\n    __class_getitem__ = os.system\nA['id']");
    system("import os\nclass A:\n    pass\nA.__getattr__ = os.system");
    system("import builtins, os\nbuiltins.print = os.system\nprint('id')");
    system("import os\nclass A:\n    def __init_subclass__(cls):\n        os.system('id')\nclass B(A): pass");
    system("import os\nclass A:\n    def __enter__(self):\n        os.system('id')\nwith A(): pass");
    // A decorator inside a function waits for the function.
    let inner = calls("import os\ndef outer():\n    @os.system\n    def f(): pass");
    assert_eq!(inner, [(vec!["os.system".to_owned()], false)]);
    // Inheriting runs no constructor.
    let base = calls("import os\nclass A:\n    def __init__(self):\n        os.system('id')\nclass B(A): pass");
    assert!(base.iter().all(|(_, at_import)| !at_import), "{base:?}");
}
