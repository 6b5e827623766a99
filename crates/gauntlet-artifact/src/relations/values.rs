//! Callees and arguments of pickles in short, as a person writes them.

use gauntlet_pickle::{Arg, Target};

/// Longest rendered list of arguments, in bytes.
const MAX: usize = 400;
/// Depth at which containers are only named.
const DEPTH: u32 = 4;

/// Arguments of a call, separated by commas.
pub(super) fn arguments(args: &[Arg], kwargs: Option<&Arg>) -> String {
    let mut out = String::new();
    for arg in args {
        comma(&mut out);
        value(&mut out, arg, 0);
    }
    if let Some(kwargs) = kwargs {
        comma(&mut out);
        out.push_str("**");
        value(&mut out, kwargs, 0);
    }
    cut(out)
}

/// Dotted name of what is called.
pub(super) fn target(target: &Target) -> String {
    match target {
        Target::Global { module, name } => format!("{module}.{name}"),
        Target::Result { root: Some(root), .. } => format!("{root}()"),
        Target::Result { root: None, .. } => "?()".to_owned(),
        Target::Method { of, name } => format!("{of}.{name}"),
        Target::Extension { code } => format!("extension {code}"),
        Target::PersistentId => "persistent id".to_owned(),
        Target::Value { of } => format!("a {of}"),
        Target::Unknown => "?".to_owned(),
    }
}

fn value(out: &mut String, arg: &Arg, depth: u32) {
    if out.len() > MAX {
        return;
    }
    match arg {
        Arg::None => out.push_str("None"),
        Arg::Bool { value } => out.push_str(if *value { "True" } else { "False" }),
        Arg::Int { value: Some(value) } => out.push_str(&value.to_string()),
        Arg::Int { value: None } => out.push_str("int"),
        Arg::Float => out.push_str("float"),
        Arg::Str { text: Some(text), .. } => quoted(out, "", text),
        Arg::Bytes { text: Some(text), .. } => quoted(out, "b", text),
        Arg::Str { text: None, len } => out.push_str(&format!("str of {len} bytes")),
        Arg::Bytes { text: None, len } => out.push_str(&format!("{len} bytes")),
        Arg::Global { module, name } => out.push_str(&format!("{module}.{name}")),
        Arg::Result { callee, .. } => {
            out.push_str(&target(callee));
            out.push_str("()");
        }
        Arg::Container { of, len, .. } if depth >= DEPTH => out.push_str(&format!("{of} of {len}")),
        Arg::Container { of, items, more, .. } => {
            out.push_str(of);
            out.push('(');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                value(out, item, depth + 1);
                if out.len() > MAX {
                    return;
                }
            }
            out.push_str(if *more { ", …)" } else { ")" });
        }
        Arg::Module { name } => out.push_str(&format!("module {name}")),
        Arg::Method { of, name } => out.push_str(&format!("{of}.{name}")),
        Arg::PersistentId { .. } => out.push_str("persistent id"),
        Arg::Extension { code } => out.push_str(&format!("extension {code}")),
        Arg::Buffer => out.push_str("buffer"),
        Arg::Array => out.push_str("array"),
        Arg::NotKept { of } => out.push_str(of),
    }
}

fn quoted(out: &mut String, prefix: &str, text: &str) {
    out.push_str(prefix);
    out.push('\'');
    out.extend(text.chars().take(MAX));
    out.push('\'');
}

fn comma(out: &mut String) {
    if !out.is_empty() {
        out.push_str(", ");
    }
}

fn cut(mut out: String) -> String {
    if out.len() > MAX {
        let at = (0..=MAX).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(at);
        out.push('…');
    }
    out
}
