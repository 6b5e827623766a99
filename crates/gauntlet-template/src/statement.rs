//! Statements, as `jinja2/parser.py` and `jinja2/ext.py` read them, and the chat templates' `{% generation %}`.

use gauntlet_limits::{Budget, LimitHit};

use crate::LoadKind;
use crate::expression::{Fault, Parsed, Parser};
use crate::lex::{Kind, Part, Piece};
use crate::tree::{Arguments, Node, Target, Text, Tree};

/// Statements inside each other. CPython refuses more than 20 loops, and indents of 100 levels, in what Jinja compiles.
const BLOCKS: usize = 100;
/// Problems after which no more are described; the words of what follows are still read.
const PROBLEMS: usize = 100;

/// A statement that waits for its end.
struct Open {
    /// The word that ends it.
    end: &'static str,
    at: usize,
    kind: OpenKind,
}

enum OpenKind {
    /// Nothing is to be done at the end.
    Plain,
    For,
    /// `{% set x %}`, with filters to come.
    Set(Target, Vec<(usize, Text, Arguments)>),
    Filter(Vec<(usize, Text, Arguments)>),
    /// A macro, or the block of a `{% call %}`.
    Macro(Text),
}

/// The tree of a template in parts.
pub(crate) fn parse(text: &str, parts: Vec<Part>, budget: &Budget) -> Result<Tree, LimitHit> {
    let mut tree = Tree::default();
    let mut open: Vec<Open> = Vec::new();
    for part in &parts {
        let (piece, is_statement) = match part {
            Part::Text(range) => {
                let printed = text.get(range.clone()).unwrap_or("");
                tree.nodes.push(Node::Text(printed.into()));
                tree.at.push(range.start);
                continue;
            }
            Part::Expression(piece) => (piece, false),
            Part::Statement(piece) => (piece, true),
        };
        let tokens = &piece.tokens;
        let mut parser = Parser { tree: &mut tree, budget, tokens, next: 0, depth: 0, start: piece.start };
        let read = match piece.broken {
            Some(message) => Err(Fault::Syntax(parser.tokens.last().map_or(piece.start, |t| t.at), message.to_owned())),
            None if is_statement => statement(&mut parser, &mut open),
            None => print(&mut parser),
        };
        match read {
            Ok(()) => {}
            Err(Fault::Limit(hit)) => return Err(hit),
            Err(Fault::Syntax(at, message)) => {
                if tree.problems.len() < PROBLEMS {
                    tree.problems.push((at, message));
                }
                salvage(text, piece, &mut tree);
            }
        }
    }
    for left in open {
        if tree.problems.len() < PROBLEMS {
            tree.problems.push((left.at, format!("`{}` is missing", left.end)));
        }
    }
    Ok(tree)
}

/// The words of a piece that could not be parsed: names of attributes and strings, whatever they are for.
fn salvage(text: &str, piece: &Piece, tree: &mut Tree) {
    let strings = piece.tokens.iter().filter_map(|token| match &token.kind {
        Kind::Text(text, _) => Some((token.at, text.clone())),
        _ => None,
    });
    tree.words.extend(strings);
    let raw = text.get(piece.start..piece.end).unwrap_or("");
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let mut rest = raw;
    let mut before = ' ';
    while let Some(begin) = rest.find(is_part) {
        if begin > 0 {
            before = rest.get(..begin).and_then(|skipped| skipped.chars().next_back()).unwrap_or(' ');
        }
        let word = rest.get(begin..).unwrap_or("");
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        let name = word.get(..end).unwrap_or("");
        if before == '.' || name.starts_with('_') {
            let at = piece.end - word.len() - (piece.end - piece.start - raw.len());
            tree.words.push((at, name.into()));
        }
        before = ' ';
        rest = word.get(end..).unwrap_or("");
    }
}

fn print(parser: &mut Parser<'_>) -> Parsed<()> {
    let value = parser.tuple(true)?;
    ended(parser)?;
    parser.add(parser.start, Node::Print(value))?;
    Ok(())
}

fn ended(parser: &Parser<'_>) -> Parsed<()> {
    if parser.done() { Ok(()) } else { parser.fail("the end of the statement expected") }
}

fn statement(parser: &mut Parser<'_>, open: &mut Vec<Open>) -> Parsed<()> {
    let at = parser.at();
    let word = parser.name()?;
    let mut push = |end: &'static str, kind: OpenKind| {
        open.push(Open { end, at, kind });
        if open.len() > BLOCKS {
            return Err(Fault::Syntax(at, format!("statements nest more than {BLOCKS} deep")));
        }
        Ok(())
    };
    match &*word {
        "if" => {
            push("endif", OpenKind::Plain)?;
            parser.tuple(true)?;
        }
        "elif" => {
            parser.tuple(true)?;
        }
        "else" | "break" | "continue" | "debug" => {}
        "pluralize" => {
            if !parser.done() {
                parser.name()?;
            }
        }
        "for" => {
            push("endfor", OpenKind::For)?;
            begin_for(parser, at)?;
        }
        "set" => match set(parser, at)? {
            Some((target, filters)) => {
                parser.add(at, Node::Capture)?;
                push("endset", OpenKind::Set(target, filters))?;
            }
            None => return ended(parser),
        },
        "with" => {
            push("endwith", OpenKind::Plain)?;
            while !parser.done() {
                let target = target(parser)?;
                parser.expect("=")?;
                let value = parser.expression()?;
                parser.add(at, Node::Set { target, value })?;
                if !parser.take_symbol(",") {
                    break;
                }
            }
        }
        "macro" => {
            let name = parser.name()?;
            push("endmacro", OpenKind::Macro(name.clone()))?;
            let parameters = signature(parser)?;
            parser.add(at, Node::Macro { name, parameters })?;
            parser.add(at, Node::Capture)?;
        }
        "call" => {
            push("endcall", OpenKind::Macro("caller".into()))?;
            let parameters = if parser.is_symbol("(") { signature(parser)? } else { Vec::new() };
            let call = parser.expression()?;
            parser.add(at, Node::Print(call))?;
            parser.add(at, Node::Macro { name: "caller".into(), parameters })?;
            parser.add(at, Node::Capture)?;
        }
        "filter" => {
            let filters = filters(parser)?;
            parser.add(at, Node::Capture)?;
            push("endfilter", OpenKind::Filter(filters))?;
        }
        "block" => {
            push("endblock", OpenKind::Plain)?;
            parser.name()?;
            while parser.take_word("scoped") || parser.take_word("required") {}
        }
        "autoescape" => {
            push("endautoescape", OpenKind::Plain)?;
            parser.expression()?;
        }
        "trans" => {
            push("endtrans", OpenKind::Plain)?;
            translation(parser, at)?;
        }
        "generation" => push("endgeneration", OpenKind::Plain)?,
        "do" => {
            parser.tuple(true)?;
        }
        "print" => {
            let value = parser.tuple(true)?;
            parser.add(at, Node::Print(value))?;
        }
        "include" => load(parser, at, LoadKind::Include)?,
        "import" => load(parser, at, LoadKind::Import)?,
        "from" => load(parser, at, LoadKind::From)?,
        "extends" => load(parser, at, LoadKind::Extends)?,
        _ if word.starts_with("end") => {
            end(parser, open, &word, at)?;
            // `endblock name`
            if &*word == "endblock" && !parser.done() {
                parser.name()?;
            }
        }
        _ => {
            parser.tree.unknown.push((at, word.clone()));
            return Err(Fault::Syntax(
                at,
                format!("unknown statement `{}`", word.chars().take(40).collect::<String>()),
            ));
        }
    }
    ended(parser)
}

fn end(parser: &mut Parser<'_>, open: &mut Vec<Open>, word: &str, at: usize) -> Parsed<()> {
    let Some(left) = open.pop() else {
        return Err(Fault::Syntax(at, format!("`{}` ends nothing", word.chars().take(40).collect::<String>())));
    };
    // What was begun is ended in any case, so that what was captured does not swallow the rest.
    match left.kind {
        OpenKind::Plain => {}
        OpenKind::For => {
            parser.add(at, Node::EndFor)?;
        }
        OpenKind::Set(target, filters) => {
            let value = captured(parser, at, filters)?;
            parser.add(left.at, Node::Set { target, value })?;
        }
        OpenKind::Filter(filters) => {
            let value = captured(parser, at, filters)?;
            parser.add(left.at, Node::Print(value))?;
        }
        OpenKind::Macro(name) => {
            let value = captured(parser, at, Vec::new())?;
            parser.add(at, Node::EndMacro { name, value })?;
        }
    }
    if left.end != word {
        return Err(Fault::Syntax(at, format!("`{}` expected", left.end)));
    }
    Ok(())
}

fn captured(parser: &mut Parser<'_>, at: usize, filters: Vec<(usize, Text, Arguments)>) -> Parsed<usize> {
    let mut of = parser.add(at, Node::Captured)?;
    for (at, name, arguments) in filters {
        of = parser.add(at, Node::Filter { of, name, arguments })?;
    }
    Ok(of)
}

fn begin_for(parser: &mut Parser<'_>, at: usize) -> Parsed<()> {
    let target = target(parser)?;
    if !parser.take_word("in") {
        return parser.fail("`in` expected");
    }
    let over = parser.tuple(false)?;
    if parser.take_word("if") {
        parser.expression()?;
    }
    parser.take_word("recursive");
    parser.add(at, Node::For { target, over })?;
    Ok(())
}

type Filters = Vec<(usize, Text, Arguments)>;

/// `x = value`, or what a block is assigned to.
fn set(parser: &mut Parser<'_>, at: usize) -> Parsed<Option<(Target, Filters)>> {
    let target = target(parser)?;
    if parser.take_symbol("=") {
        let value = parser.tuple(true)?;
        parser.add(at, Node::Set { target, value })?;
        return Ok(None);
    }
    let filters = if parser.take_symbol("|") { filters(parser)? } else { Vec::new() };
    Ok(Some((target, filters)))
}

fn filters(parser: &mut Parser<'_>) -> Parsed<Filters> {
    let mut filters = vec![parser.filter()?];
    while parser.take_symbol("|") {
        filters.push(parser.filter()?);
    }
    Ok(filters)
}

/// What a loop or `set` assigns to: `a`, `a.b`, `a, (b, c)`.
fn target(parser: &mut Parser<'_>) -> Parsed<Target> {
    let mut levels: Vec<Vec<Target>> = vec![Vec::new()];
    loop {
        while parser.take_symbol("(") {
            levels.push(Vec::new());
            if levels.len() > BLOCKS {
                return parser.fail("targets nest too deep");
            }
        }
        let name = parser.name()?;
        let one = if parser.take_symbol(".") { Target::Member(name, parser.name()?) } else { Target::Name(name) };
        let mut done = Some(one);
        loop {
            if let (Some(level), Some(one)) = (levels.last_mut(), done.take()) {
                level.push(one);
            }
            let comma = parser.take_symbol(",");
            if levels.len() > 1 && parser.take_symbol(")") {
                done = levels.pop().map(Target::Several);
                continue;
            }
            if comma && (matches!(parser.peek(), Some(Kind::Name(word)) if &**word != "in") || parser.is_symbol("(")) {
                break;
            }
            if levels.len() > 1 {
                return parser.fail("`)` expected");
            }
            let mut all = levels.pop().unwrap_or_default();
            return Ok(match (all.len(), comma) {
                (1, false) => all.remove(0),
                _ => Target::Several(all),
            });
        }
    }
}

/// `(a, b=1)`
fn signature(parser: &mut Parser<'_>) -> Parsed<Vec<(Text, Option<usize>)>> {
    let mut parameters = Vec::new();
    parser.expect("(")?;
    while !parser.is_symbol(")") {
        let name = parser.name()?;
        let default = if parser.take_symbol("=") { Some(parser.expression()?) } else { None };
        parameters.push((name, default));
        if !parser.take_symbol(",") {
            break;
        }
    }
    parser.expect(")")?;
    Ok(parameters)
}

fn translation(parser: &mut Parser<'_>, at: usize) -> Parsed<()> {
    if matches!(parser.peek(), Some(Kind::Text(..))) {
        parser.next += 1;
    }
    while !parser.done() {
        parser.take_symbol(",");
        let name = parser.name()?;
        if parser.take_symbol("=") {
            let value = parser.expression()?;
            parser.add(at, Node::Set { target: Target::Name(name), value })?;
        }
    }
    Ok(())
}

fn load(parser: &mut Parser<'_>, at: usize, kind: LoadKind) -> Parsed<()> {
    let target = parser.expression()?;
    let mut names = Vec::new();
    match kind {
        LoadKind::Include => {
            if parser.take_word("ignore") && !parser.take_word("missing") {
                return parser.fail("`missing` expected");
            }
        }
        LoadKind::Import => {
            if !parser.take_word("as") {
                return parser.fail("`as` expected");
            }
            names.push(parser.name()?);
        }
        LoadKind::From => {
            if !parser.take_word("import") {
                return parser.fail("`import` expected");
            }
            while !parser.done() && !context(parser) {
                let name = parser.name()?;
                names.push(if parser.take_word("as") { parser.name()? } else { name });
                if !parser.take_symbol(",") {
                    break;
                }
            }
        }
        LoadKind::Extends => {}
    }
    context(parser);
    parser.add(at, Node::Load { kind, target, names })?;
    Ok(())
}

fn context(parser: &mut Parser<'_>) -> bool {
    (parser.take_word("with") || parser.take_word("without")) && parser.take_word("context")
}
