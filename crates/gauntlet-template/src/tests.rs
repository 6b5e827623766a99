//! What templates reach: known attacks, and templates as models really have them.

use gauntlet_limits::{Budget, Limits};

use crate::{GrowthKind, How, LoadKind, TemplateFacts, analyze, exercise, looks_like_template};

fn facts(text: &str) -> TemplateFacts {
    analyze(text, &Budget::new(Limits::default())).unwrap()
}

fn names(text: &str) -> Vec<String> {
    let facts = facts(text);
    assert_eq!(facts.problems, [], "{text}");
    facts.attributes.into_iter().map(|attribute| attribute.name).collect()
}

#[track_caller]
fn reaches(text: &str, name: &str) {
    let names = names(text);
    assert!(names.iter().any(|found| found == name), "{text} reaches {names:?}");
}

#[test]
fn names_are_computed_however_they_are_written() {
    for text in [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        r"{{ ''|attr('\x5f\x5fclass\x5f\x5f') }}",
        r"{{ x['\137\137class\u005f\U0000005f'] }}",
        r"{{ x['\N{LOW LINE}_class__'] }}",
        "{{ (()|attr('__cla' ~ 'ss__')) }}",
        "{{ x['__cla' + 'ss__'] }}",
        "{{ x['__cla' 'ss__'] }}",
        "{{ x['_' * 2 ~ 'class' ~ '_' * 2] }}",
        "{{ x['__ssalc__'[::-1]] }}",
        "{{ x['__ssalc__'|reverse] }}",
        "{{ x['--class--'|replace('-', '_')] }}",
        "{{ x['--class--'.replace('-', '_')] }}",
        "{{ x['__CLASS__'|lower] }}",
        "{{ x['__CLASS__'.lower()] }}",
        "{{ x['%sclass%s' % ('__', '__')] }}",
        "{{ x['%c%cclass__' % (95, 95)] }}",
        "{{ x['%sclass%s'|format('__', '__')] }}",
        "{{ x['{0}{0}class{0}{0}'.format('_')] }}",
        "{{ x['{:c}_class__'.format(95)] }}",
        "{{ x[['__', 'class', '__']|join] }}",
        "{{ x['_'.join(['', '_class_', ''])] }}",
        "{{ x[dict(__class__=1)|join] }}",
        "{{ x[dict(__cla=1, ss__=2)|join] }}",
        "{{ x[dict(__class__=1)|first] }}",
        "{{ x[{'__class__': 1}|list|last] }}",
        "{{ x['a__class__b'[1:10]] }}",
        "{{ x['  __class__ '.strip()] }}",
        "{{ x['a,__class__'.split(',')[1]] }}",
        "{{ x[['__cla', 'ss__']|sum(start='')] }}",
        "{{ x[['__CLA', 'SS__']|map('lower')|join] }}",
        "{{ x|map(attribute='__class__')|list }}",
        "{{ x|map('attr', '__class__')|list }}",
        "{{ x|selectattr('a.__class__', 'defined')|list }}",
        "{{ x|sort(attribute='__class__') }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ '{0.__class__}'|format(x) }}",
        "{% set a = '__cla' %}{{ x[a ~ 'ss__'] }}",
        "{{ x[a ~ b] }}{% set a = '__cla' %}{% set b = 'ss__' %}",
        "{% set a = '__cla' %}{% set a = a ~ 'ss__' %}{{ x|attr(a) }}",
        "{% set a, b = '__cla', 'ss__' %}{{ x[a ~ b] }}",
        "{% set ns = namespace(a='__cla') %}{% set ns.b = 'ss__' %}{{ x[ns.a ~ ns.b] }}",
        "{% set d = {'a': '__class__'} %}{{ x[d.a] }}",
        "{% set d = {'a': '__class__'} %}{{ x[d['a']] }}",
        "{% set d = {'a': '__class__'} %}{{ x[d.get('a')] }}",
        "{% for a in ['__class__'] %}{{ x[a] }}{% endfor %}",
        "{% for k, v in {'a': '__class__'}.items() %}{{ x[v] }}{% endfor %}",
        "{% for k, v in {'__class__': 1}|dictsort %}{{ x[k] }}{% endfor %}",
        "{% with a='__class__' %}{{ x[a] }}{% endwith %}",
        "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ m('__class__') }}",
        "{% macro m(a='__class__') %}{{ x[a] }}{% endmacro %}{{ m() }}",
        "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ m(a='__class__') }}",
        "{% macro m() %}__class__{% endmacro %}{{ x[m()] }}",
        "{% macro m() %}{{ x[caller()] }}{% endmacro %}{% call m() %}__class__{% endcall %}",
        "{% set a %}__class__{% endset %}{{ x[a] }}",
        "{% set a|lower %}__CLASS__{% endset %}{{ x[a] }}",
        "{% set a %}{{ '__cla' }}ss__{% endset %}{{ x[a] }}",
        "{% set l = [] %}{% do l.append('__class__') %}{{ x[l[0]] }}",
        "{% set l = ['__cla'] %}{% set _ = l.append('ss__') %}{{ x[l|join] }}",
        "{% set c = cycler('__class__') %}{{ x[c.next()] }}",
        "{{ x['__class__' if y else 'a'] }}",
        "{{ x[y or '__class__'] }}",
        "{{ x[y|default('__class__')] }}",
        "{% if x.__class__ %}{% elif y %}{% else %}{% endif %}",
        "{% generation %}{{ x.__class__ }}{% endgeneration %}",
        "{% filter upper %}{{ x.__class__ }}{% endfilter %}",
        "{% block a %}{{ x.__class__ }}{% endblock a %}",
        "{% set _ = x.__class__ %}",
        "{% include x.__class__ ~ 'a' %}",
        "{{ {'a': {'b': x.__class__}} }}",
    ] {
        reaches(text, "__class__");
    }
}

#[test]
fn published_attacks_are_read() {
    for (text, name) in [
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "popen"),
        ("{{ lipsum.__globals__['os'].popen('id') }}", "__globals__"),
        ("{{ joiner.__init__.__globals__ }}", "__init__"),
        ("{{ namespace.__init__.__globals__ }}", "__globals__"),
        ("{{ self._TemplateReference__context.cycler }}", "_TemplateReference__context"),
        ("{{ lipsum|attr('__glo'+'bals__')|attr('get')('os') }}", "__globals__"),
        ("{{ request|attr('application')|attr('\\x5f\\x5fglobals\\x5f\\x5f') }}", "__globals__"),
        ("{{ ().__class__.__base__.__subclasses__() }}", "__subclasses__"),
        ("{{ x.__getattribute__('__class__').mro() }}", "mro"),
        ("{{ (x for y).gi_frame }}{{ g.gi_frame.f_globals }}", "f_globals"),
        ("{{ url_for.__globals__.current_app }}", "__globals__"),
        ("{{ a.func_globals.os.import_module('os') }}", "import_module"),
    ] {
        let facts = facts(text);
        assert!(facts.attributes.iter().any(|found| found.name == name), "{text}: {facts:?}");
    }
    let gadget = facts("{{ lipsum.x }}{{ cycler('a').next() }}");
    assert!(gadget.attributes.iter().any(|found| found.name == "x" && found.of_function));
    assert!(gadget.attributes.iter().any(|found| found.name == "next" && !found.of_function));
    let called = facts("{{ a.b.popen('x') }}{{ a.c }}");
    assert_eq!(called.attributes.iter().filter(|found| found.called).count(), 1);
}

#[test]
fn what_cannot_be_computed_is_said() {
    for (text, how, suspicious) in [
        ("{{ x|attr(y) }}", How::AttrFilter, false),
        ("{{ x|attr('__' ~ y) }}", How::AttrFilter, true),
        ("{{ x[y] }}", How::Subscript, false),
        ("{{ x['__' ~ y ~ '__'] }}", How::Subscript, true),
        ("{% set u = (lipsum|string)[18] %}{{ x[u ~ u ~ 'class' ~ u ~ u] }}", How::Subscript, true),
        ("{% set u = (()|select|string|list)[24] %}{{ x|attr(u ~ u ~ 'a') }}", How::AttrFilter, true),
        ("{{ x|map(attribute=y) }}", How::Argument, false),
        ("{{ x|map(y, z) }}", How::Argument, false),
        ("{{ y.format(x) }}", How::Format, false),
        (
            "{% set a %}{% for c in ['__', 'class', '__'] %}{{ c }}{% endfor %}{% endset %}{{ x[a] }}",
            How::Subscript,
            true,
        ),
    ] {
        let facts = facts(text);
        assert_eq!(facts.problems, []);
        assert!(
            facts.computed.iter().any(|found| found.how == how && found.suspicious == suspicious),
            "{text}: {facts:?}"
        );
    }
    // A name behind more alternatives than are kept keeps its mark.
    let decoys: String = (0..40).map(|n| format!("{{% set a = 'b{n}' %}}")).collect();
    let hidden = facts(&format!("{decoys}{{% set a = '__class__' %}}{{{{ x[a] }}}}"));
    assert!(hidden.computed.iter().any(|found| found.suspicious));
    assert!(hidden.inner_names.iter().any(|found| found.name == "__class__"));
}

#[test]
fn other_constructs_are_facts() {
    let loads = facts(
        "{% include 'a' ignore missing with context %}{% import 'b' as c %}{% from d import e as f, g with context %}{% extends 'h' ~ 'i' %}",
    );
    assert_eq!(loads.problems, []);
    let kinds: Vec<_> = loads.loads.iter().map(|load| (load.kind, load.target.as_deref())).collect();
    assert_eq!(
        kinds,
        [
            (LoadKind::Include, Some("a")),
            (LoadKind::Import, Some("b")),
            (LoadKind::From, None),
            (LoadKind::Extends, Some("hi"))
        ]
    );
    let placed = facts("é\n {{ é.x }}");
    assert_eq!((placed.attributes[0].place.line, placed.attributes[0].place.column), (2, 6));
    let facts =
        facts("{% macro m(a) -%}{{ a|trim }}{% endmacro %}\n{{- m(b) if b is defined else raise_exception('x') -}}");
    assert_eq!(facts.problems, []);
    assert!(facts.macros.contains("m") && facts.filters.contains("trim") && facts.tests.contains("defined"));
    assert!(facts.functions.contains("m") && facts.functions.contains("raise_exception"));
    assert_eq!(facts.variables.iter().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn little_text_that_costs_much_is_a_fact() {
    for (text, kind) in [
        ("{% for i in range(1000000) %}{% endfor %}", GrowthKind::Rounds),
        ("{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", GrowthKind::Rounds),
        ("{% set n = 10 ** 9 %}{{ range(n)|list }}", GrowthKind::Length),
        ("{{ 'a' * 1000000000 }}", GrowthKind::Length),
        ("{{ '%1000000000d' % 1 }}", GrowthKind::Length),
        ("{{ '{:>1000000000}'.format(1) }}", GrowthKind::Length),
        ("{{ 'a'|center(1000000000) }}", GrowthKind::Length),
        ("{{ lipsum(n=1000000) }}", GrowthKind::Length),
        ("{{ 9 ** 99999999 }}", GrowthKind::Length),
        ("{% for m in messages %}{% set x = x ~ x %}{% endfor %}", GrowthKind::Doubling),
        ("{% for m in messages %}{% set ns.x = ns.x + ns.x %}{% endfor %}", GrowthKind::Doubling),
        ("{% for m in messages %}{% set x = [x, x]|join %}{% endfor %}", GrowthKind::Doubling),
        ("{% for m in messages %}{% set a = b ~ b %}{% set b = a %}{% endfor %}", GrowthKind::Doubling),
        (
            "{% set x = 'a' %}{% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}\
          {% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}{% set x = x * 2 %}",
            GrowthKind::Doubling,
        ),
    ] {
        let facts = facts(text);
        assert!(facts.growth.iter().any(|growth| growth.kind == kind), "{text}: {:?}", facts.growth);
    }
    for text in [
        "{% for m in messages %}{% set ns.x = ns.x ~ m.content ~ '\n' %}{% endfor %}",
        "{% for m in messages %}{% set ns.x = ns.x + ' ' if ns.x else ns.x %}{% endfor %}",
        "{% for i in range(messages|length - 1, -1, -1) %}{% endfor %}",
        "{% for i in range(5) %}{{ '-' * 80 }}{% endfor %}",
        "{% set x = x ~ x %}",
    ] {
        assert_eq!(facts(text).growth, [], "{text}");
    }
}

#[test]
fn what_cannot_be_parsed_is_a_problem_and_its_words_are_read() {
    for text in [
        "{{ x.__class__",
        "{% if x.__class__ %}{{",
        "{{ x y.__class__ }}",
        "{% frobnicate x.__class__ %}",
        "{{ x.__class__ | }}",
        "{% for %}{{ x['__class__'] }}",
        "{# no end {{ x.__class__ }}",
        "{{ 'a }} {{ x.__class__ }}",
        "{% endfor %}{{ x.__class__ }}",
        "{{ x['\\x5'].__class__ }}",
    ] {
        let facts = facts(text);
        assert!(!facts.problems.is_empty(), "{text}");
        assert!(facts.attributes.iter().any(|found| found.name == "__class__"), "{text}: {facts:?}");
    }
    assert_eq!(facts("{% frobnicate %}").unknown_statements[0].name, "frobnicate");
}

#[test]
fn plain_text_is_no_template() {
    assert!(!looks_like_template("os.system('x') # __class__ }} {{"));
    assert!(looks_like_template("a {{ b }}"));
    assert!(looks_like_template("{%- if x %}"));
    let alarming = facts(
        "Never call os.system() or __import__('os').popen; {# {{ x.__class__ }} #}{% raw %}{{ x.__class__ }}{% endraw %} } }} %}",
    );
    assert_eq!(alarming, TemplateFacts::default());
}

#[test]
fn nothing_nests_without_end() {
    let n = 50_000;
    for text in [
        format!("{{{{ {}x }}}}", "(".repeat(n)),
        format!("{{{{ {}x }}}}", "[".repeat(n)),
        format!("{{{{ {}x }}}}", "-".repeat(n)),
        format!("{{{{ {}x }}}}", "not ".repeat(n)),
        format!("{{{{ {}x }}}}", "a if b else ".repeat(n)),
        format!("{{{{ x{} }}}}", ".b".repeat(n)),
        format!("{{{{ x{} }}}}", "[0]".repeat(n)),
        format!("{{{{ x{} }}}}", "()".repeat(n)),
        format!("{{{{ x{} }}}}", "|f".repeat(n)),
        format!("{{{{ x{} }}}}", " ~ 'a'".repeat(n)),
        format!("{{{{ x{} }}}}", " is a".repeat(n)),
        "{% if x %}".repeat(n),
        "{% for x in y %}".repeat(n),
        "{% set x %}".repeat(n),
        "{% macro m() %}".repeat(n),
        "{% set a = [a] %}".repeat(n),
        "{% set a = [a, a] %}".repeat(200),
        "{% set a = a ~ a %}{% set a = 'bb' %}".repeat(200),
        format!("{{% set {}a = b %}}", "(".repeat(n)),
        "{{".repeat(n),
        "{%".repeat(n),
        "{#".repeat(n),
        "{% raw %}".repeat(n),
    ] {
        let limits = Limits { steps: 3_000_000, ..Limits::default() };
        let _ = exercise(text.as_bytes(), &limits);
    }
}

/// Seeded, so that what fails today fails tomorrow.
#[test]
fn mutated_templates_neither_panic_nor_run_away() {
    let seeds: Vec<&[u8]> = vec![
        b"{% set ns = namespace(a='__cl', b=[1, 2]) %}{% for k, v in {'a': x|tojson(indent=4)}.items() if v is not none %}{{ x['%c' % 95 ~ k[1:]] }}{% else %}b{% endfor %}",
        b"{%- macro m(a, b='c') -%}{{ a|map(attribute='b.c')|join(', ') if a is defined and not b else m(a.b['\\x5f']) }}{%- endmacro %}{% call(x) m(1) %}{{ x }}{% endcall %}",
        b"{% raw %}{{ }}{% endraw %}{# c #}{% set a|upper %}x{% endset %}{{ '{0.a}'.format(a)[::-1] ** 2 // 3 % 4 * -1 }}{% include 'x' %}{% do a.append(b) %}",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let limits = Limits { steps: 500_000, ..Limits::default() };
    for _ in 0..4000 {
        let mut bytes = seeds[random(seeds.len())].to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << random(8),
                2 => {
                    let other = seeds[random(seeds.len())];
                    let from = random(other.len());
                    let to = from + random(other.len() - from);
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let end = at + random(bytes.len() - at);
                    bytes.drain(at..end);
                }
            }
        }
        let Some(facts) = exercise(&bytes, &limits) else { continue };
        let stored = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<TemplateFacts>(&stored).unwrap(), facts);
    }
}
