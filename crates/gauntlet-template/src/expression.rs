//! Expressions, as `jinja2/parser.py` reads them.

use gauntlet_limits::{Budget, Limit, LimitHit};

use crate::lex::{Kind, Token};
use crate::tree::{Arguments, Id, Node, Text, Tree};

/// Expressions inside each other. CPython, which compiles what Jinja makes of a template, stops at 100 to 200.
const DEPTH: usize = 150;

/// Why an expression was not read.
#[derive(Debug)]
pub(crate) enum Fault {
    Syntax(usize, String),
    Limit(LimitHit),
}

impl From<LimitHit> for Fault {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}

pub(crate) type Parsed<T> = Result<T, Fault>;

/// Reads the tokens of one piece into a tree.
pub(crate) struct Parser<'a> {
    pub tree: &'a mut Tree,
    pub budget: &'a Budget,
    pub tokens: &'a [Token],
    pub next: usize,
    pub depth: usize,
    /// Where the piece begins, for messages about its end.
    pub start: usize,
}

impl Parser<'_> {
    pub(crate) fn add(&mut self, at: usize, node: Node) -> Parsed<Id> {
        self.budget.steps(1)?;
        self.budget.limits().check(Limit::Nodes, self.tree.nodes.len() as u64 + 1)?;
        self.tree.nodes.push(node);
        self.tree.at.push(at);
        Ok(self.tree.nodes.len() - 1)
    }

    pub(crate) fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.start, |token| token.at)
    }

    pub(crate) fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn peek_second(&self) -> Option<&Kind> {
        self.tokens.get(self.next + 1).map(|token| &token.kind)
    }

    pub(crate) fn done(&self) -> bool {
        self.next >= self.tokens.len()
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Kind::Symbol(found)) if *found == symbol)
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Name(found)) if &**found == word)
    }

    pub(crate) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.take_symbol(symbol) { Ok(()) } else { self.fail(&format!("`{symbol}` expected")) }
    }

    pub(crate) fn name(&mut self) -> Parsed<Text> {
        match self.peek() {
            Some(Kind::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => self.fail("a name expected"),
        }
    }

    pub(crate) fn fail<T>(&self, message: &str) -> Parsed<T> {
        Err(Fault::Syntax(self.at(), message.to_owned()))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH {
            return self.fail(&format!("expressions nest more than {DEPTH} deep"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// One expression, or several with commas between them, which are a tuple.
    pub(crate) fn tuple(&mut self, conditional: bool) -> Parsed<Id> {
        let at = self.at();
        let mut items = Vec::new();
        let mut commas = false;
        while !self.ends_tuple() {
            items.push(if conditional { self.expression()? } else { self.operators(0)? });
            if !self.take_symbol(",") {
                break;
            }
            commas = true;
        }
        match (items.first(), commas) {
            (Some(only), false) => Ok(*only),
            (None, _) => self.fail("an expression expected"),
            (Some(_), true) => self.add(at, Node::List(items)),
        }
    }

    fn ends_tuple(&self) -> bool {
        self.done() || self.is_symbol(")") || self.is_symbol("=") || self.is_word("in") || self.is_word("recursive")
    }

    /// An expression with all operators and `a if b else c`.
    pub(crate) fn expression(&mut self) -> Parsed<Id> {
        let at = self.at();
        let first = self.operators(0)?;
        if !self.is_word("if") {
            return Ok(first);
        }
        // The tree needs to know of the condition only that it was read.
        let mut either = vec![first];
        while self.take_word("if") {
            self.operators(0)?;
            if !self.take_word("else") {
                break;
            }
            either.push(self.operators(0)?);
        }
        self.add(at, Node::Either(either))
    }

    /// Operators that bind at least as tight as `least`.
    fn operators(&mut self, least: u8) -> Parsed<Id> {
        self.deeper(|parser| {
            let at = parser.at();
            let mut left = if least <= 3 && parser.take_word("not") {
                parser.operators(3)?;
                parser.add(at, Node::Plain)?
            } else {
                parser.unary()?
            };
            while let Some((operator, level)) = parser.operator().filter(|(_, level)| *level >= least) {
                // `not in` is two words.
                parser.next += if parser.is_word("not") { 2 } else { 1 };
                let right = parser.operators(level + 1)?;
                let node = match operator {
                    "and" | "or" => Node::Either(vec![left, right]),
                    "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" => Node::Plain,
                    _ => Node::Binary { operator, left, right },
                };
                left = parser.add(at, node)?;
            }
            Ok(left)
        })
    }

    /// The operator here and how tight it binds.
    fn operator(&self) -> Option<(&'static str, u8)> {
        let found = match self.peek()? {
            Kind::Name(name) => match &**name {
                "or" => ("or", 1),
                "and" => ("and", 2),
                "in" => ("in", 4),
                "not" if matches!(self.peek_second(), Some(Kind::Name(next)) if &**next == "in") => ("in", 4),
                _ => return None,
            },
            Kind::Symbol(symbol) => match *symbol {
                "==" | "!=" | "<" | "<=" | ">" | ">=" => (*symbol, 4),
                "+" | "-" => (*symbol, 5),
                "~" => (*symbol, 6),
                "*" | "/" | "//" | "%" => (*symbol, 7),
                "**" => (*symbol, 8),
                _ => return None,
            },
            _ => return None,
        };
        Some(found)
    }

    fn unary(&mut self) -> Parsed<Id> {
        let at = self.at();
        if self.is_symbol("-") || self.is_symbol("+") {
            let negative = self.take_symbol("-");
            self.next += usize::from(!negative);
            let of = self.deeper(Self::unary)?;
            let id = if negative { self.add(at, Node::Negative(of))? } else { of };
            return self.filters(id);
        }
        let primary = self.primary()?;
        let reached = self.postfix(primary)?;
        self.filters(reached)
    }

    fn primary(&mut self) -> Parsed<Id> {
        let at = self.at();
        let Some(kind) = self.peek().cloned() else { return self.fail("an expression expected") };
        self.next += 1;
        match kind {
            Kind::Name(name) => match &*name {
                "true" | "false" | "none" | "True" | "False" | "None" => self.add(at, Node::Plain),
                _ => self.add(at, Node::Name(name)),
            },
            Kind::Text(text, hidden) => {
                // Strings beside each other are one.
                let mut joined = String::new();
                let (mut hidden, mut pieces) = (hidden, 1);
                while let Some(Kind::Text(more, more_hidden)) = self.peek() {
                    if pieces == 1 {
                        joined.push_str(&text);
                    }
                    joined.push_str(more);
                    hidden |= *more_hidden;
                    pieces += 1;
                    self.next += 1;
                }
                let literal = if pieces == 1 { text } else { joined.into() };
                self.add(at, Node::Literal(literal, hidden || pieces > 1))
            }
            Kind::Integer(value) => self.add(at, Node::Integer(value)),
            Kind::Number => self.add(at, Node::Plain),
            Kind::Symbol("(") => self.deeper(|parser| {
                let inside =
                    if parser.is_symbol(")") { parser.add(at, Node::List(Vec::new()))? } else { parser.tuple(true)? };
                parser.expect(")")?;
                Ok(inside)
            }),
            Kind::Symbol("[") => self.deeper(|parser| {
                let mut items = Vec::new();
                while !parser.is_symbol("]") {
                    items.push(parser.expression()?);
                    if !parser.take_symbol(",") {
                        break;
                    }
                }
                parser.expect("]")?;
                parser.add(at, Node::List(items))
            }),
            Kind::Symbol("{") => self.deeper(|parser| {
                let mut entries = Vec::new();
                while !parser.is_symbol("}") {
                    let key = parser.expression()?;
                    parser.expect(":")?;
                    entries.push((key, parser.expression()?));
                    if !parser.take_symbol(",") {
                        break;
                    }
                }
                parser.expect("}")?;
                parser.add(at, Node::Dict(entries))
            }),
            Kind::Symbol(symbol) => {
                self.next -= 1;
                self.fail(&format!("an expression expected, not `{symbol}`"))
            }
        }
    }

    /// Attributes, items and calls behind a value.
    fn postfix(&mut self, mut of: Id) -> Parsed<Id> {
        loop {
            let at = self.at();
            if self.take_symbol(".") {
                of = match self.peek().cloned() {
                    Some(Kind::Name(name)) => {
                        self.next += 1;
                        self.add(at, Node::Attribute { of, name })?
                    }
                    Some(Kind::Integer(index)) => {
                        self.next += 1;
                        let key = self.add(at, Node::Integer(index))?;
                        self.add(at, Node::Item { of, key })?
                    }
                    // `x.0.1`: the lexer sees a fraction.
                    Some(Kind::Number) => {
                        self.next += 1;
                        let key = self.add(at, Node::Plain)?;
                        self.add(at, Node::Item { of, key })?
                    }
                    _ => return self.fail("a name expected behind the dot"),
                };
            } else if self.take_symbol("[") {
                of = self.deeper(|parser| parser.subscript(of, at))?;
            } else if self.is_symbol("(") {
                let arguments = self.arguments()?;
                of = self.add(at, Node::Call { callee: of, arguments })?;
            } else {
                return Ok(of);
            }
        }
    }

    fn subscript(&mut self, of: Id, at: usize) -> Parsed<Id> {
        let mut keys = Vec::new();
        let mut slice = None;
        loop {
            let mut bounds = [None, None, None];
            let mut colons = 0;
            for bound in &mut bounds {
                if !self.is_symbol(":") && !self.is_symbol("]") && !self.is_symbol(",") {
                    *bound = Some(self.expression()?);
                }
                if colons == 2 || !self.take_symbol(":") {
                    break;
                }
                colons += 1;
            }
            let [start, stop, step] = bounds;
            if colons > 0 {
                slice = Some((start, stop, step));
            } else {
                let Some(key) = start else { return self.fail("a key expected") };
                keys.push(key);
            }
            if !self.take_symbol(",") {
                break;
            }
        }
        self.expect("]")?;
        match (slice, keys.as_slice()) {
            (Some((start, stop, step)), []) => self.add(at, Node::Slice { of, start, stop, step }),
            (None, [key]) => self.add(at, Node::Item { of, key: *key }),
            _ => {
                let key = self.add(at, Node::List(keys))?;
                self.add(at, Node::Item { of, key })
            }
        }
    }

    /// `(a, *b, c=d, **e)`
    pub(crate) fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect("(")?;
        self.deeper(|parser| {
            let mut arguments = Arguments::default();
            while !parser.is_symbol(")") {
                if parser.take_symbol("*") || parser.take_symbol("**") {
                    let spread = parser.expression()?;
                    arguments.spread.push(spread);
                } else if matches!(parser.peek(), Some(Kind::Name(_)))
                    && matches!(parser.peek_second(), Some(Kind::Symbol("=")))
                {
                    let name = parser.name()?;
                    parser.next += 1;
                    let value = parser.expression()?;
                    arguments.named.push((name, value));
                } else {
                    let value = parser.expression()?;
                    arguments.positional.push(value);
                }
                if !parser.take_symbol(",") {
                    break;
                }
            }
            parser.expect(")")?;
            Ok(arguments)
        })
    }

    /// Filters, tests, and calls of what they give.
    fn filters(&mut self, mut of: Id) -> Parsed<Id> {
        loop {
            let at = self.at();
            if self.is_symbol("|") {
                self.next += 1;
                let (at, name, arguments) = self.filter()?;
                of = self.add(at, Node::Filter { of, name, arguments })?;
            } else if self.take_word("is") {
                of = self.test(at)?;
            } else if self.is_symbol("(") {
                let arguments = self.arguments()?;
                of = self.add(at, Node::Call { callee: of, arguments })?;
            } else {
                return Ok(of);
            }
        }
    }

    /// `name(arguments)` behind a bar; the value it is applied to may come later.
    pub(crate) fn filter(&mut self) -> Parsed<(usize, Text, Arguments)> {
        let at = self.at();
        let name = self.dotted()?;
        let arguments = if self.is_symbol("(") { self.arguments()? } else { Arguments::default() };
        Ok((at, name, arguments))
    }

    fn test(&mut self, at: usize) -> Parsed<Id> {
        self.take_word("not");
        let name = self.dotted()?;
        match self.peek() {
            Some(Kind::Symbol("(")) => {
                self.arguments()?;
            }
            Some(Kind::Name(word))
                if matches!(&**word, "else" | "or" | "and" | "is" | "if" | "in" | "not" | "recursive") => {}
            Some(Kind::Name(_) | Kind::Text(..) | Kind::Integer(_) | Kind::Number | Kind::Symbol("[" | "{")) => {
                let primary = self.deeper(Self::primary)?;
                self.postfix(primary)?;
            }
            _ => {}
        }
        self.add(at, Node::Test { name })
    }

    fn dotted(&mut self) -> Parsed<Text> {
        let first = self.name()?;
        if !self.is_symbol(".") {
            return Ok(first);
        }
        let mut name = first.to_string();
        while self.take_symbol(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name.into())
    }
}
