//! Nesting limits on the token stream, before anything recursive sees the code.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// Brackets inside brackets; CPython's tokenizer stops at 200 too.
const BRACKETS: usize = 200;
/// Blocks inside blocks; CPython stops at 100.
const BLOCKS: usize = 100;
/// Strings with fields inside each other; CPython stops at 150, and ruff's lexer slows down long before.
const STRINGS: usize = 16;
/// Operators that may stack up in one expression, all open brackets together: the depth of its tree.
const OPERATORS: usize = 20_000;
/// Lambdas inside each other: each is a scope that names are looked up through.
const LAMBDAS: usize = 100;

/// Why code is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooDeep {
    #[error("brackets nest more than {BRACKETS} deep")]
    Brackets,
    #[error("blocks nest more than {BLOCKS} deep")]
    Blocks,
    #[error("formatted strings nest more than {STRINGS} deep")]
    Strings,
    #[error("lambdas nest more than {LAMBDAS} deep")]
    Lambdas,
    #[error("an expression has more than {OPERATORS} operators in a row")]
    Operators,
}

/// Operators since the last separator at one bracket level.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Gone at the next comma.
    loose: usize,
    /// Kept until the bracket closes or the line ends: the body of a lambda goes on after the commas of the next one.
    kept: usize,
}

/// Refuses code whose syntax tree could be deeper than the limits. The bound is of the tokens, so it holds for the
/// tree whatever the parser makes of them.
pub(crate) fn check(source: &str, mode: Mode) -> Result<(), TooDeep> {
    let mut lexer = lexer::lex(source, mode);
    let mut levels = vec![Level::default()];
    let (mut total, mut blocks, mut strings, mut lambdas) = (0usize, 0usize, 0usize, 0usize);
    loop {
        let kind = lexer.next_token();
        let Some(level) = levels.last_mut() else { return Err(TooDeep::Brackets) };
        match kind {
            TokenKind::EndOfFile => return Ok(()),
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Newline | TokenKind::Semi => {
                // A newline is logical only outside brackets, or where the lexer gave the brackets up.
                levels.clear();
                levels.push(Level::default());
                (total, lambdas) = (0, 0);
            }
            TokenKind::Comma => {
                total -= level.loose;
                level.loose = 0;
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                strings += usize::from(matches!(kind, TokenKind::FStringStart | TokenKind::TStringStart));
                // A bracket behind an operand is a call or subscript: one more step of the chain.
                level.loose += 1;
                total += 1;
                levels.push(Level::default());
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace | TokenKind::FStringEnd | TokenKind::TStringEnd => {
                strings =
                    strings.saturating_sub(usize::from(matches!(kind, TokenKind::FStringEnd | TokenKind::TStringEnd)));
                // A closing bracket without an opening one closes nothing.
                let closed = *level;
                if levels.len() > 1 {
                    levels.pop();
                    total -= closed.loose + closed.kept;
                    lambdas -= closed.kept;
                }
            }
            TokenKind::Lambda => {
                level.kept += 1;
                total += 1;
                lambdas += 1;
            }
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringMiddle
            | TokenKind::TStringMiddle
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline => {}
            _ => {
                level.loose += 1;
                total += 1;
            }
        }
        if levels.len() > BRACKETS {
            return Err(TooDeep::Brackets);
        }
        if blocks > BLOCKS {
            return Err(TooDeep::Blocks);
        }
        if strings > STRINGS {
            return Err(TooDeep::Strings);
        }
        if lambdas > LAMBDAS {
            return Err(TooDeep::Lambdas);
        }
        if total > OPERATORS {
            return Err(TooDeep::Operators);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(source: &str) -> Result<(), TooDeep> {
        check(source, Mode::Module)
    }

    #[test]
    fn ordinary_code_passes() {
        assert_eq!(checked("x = [f(a, b) + 1 for a, b in y]\nif x:\n    pass\n"), Ok(()));
        // A table is wide, not deep.
        assert_eq!(checked(&format!("t = [{}]", "-1, ".repeat(50_000))), Ok(()));
        assert_eq!(checked(&"x = a.b.c\n".repeat(20_000)), Ok(()));
    }

    #[test]
    fn deep_code_is_refused() {
        let n = 100_000;
        for (source, why) in [
            ("[".repeat(n), TooDeep::Brackets),
            (format!("x{}", ".b".repeat(n)), TooDeep::Operators),
            (format!("{}1", "-".repeat(n)), TooDeep::Operators),
            (format!("1{}", "+1".repeat(n)), TooDeep::Operators),
            (format!("{}1", "lambda x, y: ".repeat(n)), TooDeep::Lambdas),
            (format!("x = {}0", "not ".repeat(n)), TooDeep::Operators),
            (format!("f{}", "()".repeat(n)), TooDeep::Operators),
            ("f'{".repeat(n), TooDeep::Strings),
            ((0..200).map(|i| format!("{}if x:\n", " ".repeat(i))).collect(), TooDeep::Blocks),
        ] {
            assert_eq!(checked(&source), Err(why), "{}", &source[..20]);
        }
    }
}
