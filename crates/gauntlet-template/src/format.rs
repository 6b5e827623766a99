//! Python's two ways of formatting, as far as names are put together and attributes reached with them.

use crate::value::Const;

/// A constant as text.
pub(crate) fn as_text(constant: &Const) -> Option<String> {
    match constant {
        Const::Text(text) => Some(text.to_string()),
        Const::Integer(value) => Some(value.to_string()),
        Const::List(_) | Const::Function(_) => None,
    }
}

fn as_character(constant: &Const) -> Option<String> {
    match constant {
        Const::Integer(value) => char::from_u32(u32::try_from(*value).ok()?).map(String::from),
        Const::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

/// `template % values`: `%s`, `%c`, `%d`, `%%`, `%(name)s`; `None` for what is more.
pub(crate) fn percent(template: &str, positional: &[&Const], named: &[(&str, &Const)]) -> Option<String> {
    let mut out = String::new();
    let mut next = positional.iter();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let mut value = None;
        let mut tail = after;
        if let Some(inside) = after.strip_prefix('(') {
            let (name, behind) = inside.split_once(')')?;
            value = Some(named.iter().find(|(known, _)| *known == name)?.1);
            tail = behind;
        }
        let conversion = tail.chars().next()?;
        rest = tail.get(conversion.len_utf8()..)?;
        match conversion {
            '%' => out.push('%'),
            's' | 'd' | 'i' | 'c' => {
                let value = match value {
                    Some(value) => value,
                    None => next.next()?,
                };
                out.push_str(&if conversion == 'c' { as_character(value)? } else { as_text(value)? });
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// `template.format(values)`: plain fields, and `:c`, `:s`, `:d` behind them; `None` for what is more.
pub(crate) fn braces(template: &str, positional: &[&Const], named: &[(&str, &Const)]) -> Option<String> {
    let mut out = String::new();
    let mut automatic = 0;
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        let doubled = chars.clone().next() == Some(c);
        match c {
            '{' | '}' if doubled => {
                chars.next();
                out.push(c);
            }
            '{' => {
                let (field, after) = chars.as_str().split_once('}')?;
                chars = after.chars();
                let (name, spec) = field.split_once(':').unwrap_or((field, ""));
                let value = if name.is_empty() {
                    automatic += 1;
                    positional.get(automatic - 1).copied()
                } else if let Ok(index) = name.parse::<usize>() {
                    positional.get(index).copied()
                } else {
                    named.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
                }?;
                match spec {
                    "" | "s" | "d" => out.push_str(&as_text(value)?),
                    "c" => out.push_str(&as_character(value)?),
                    _ => return None,
                }
            }
            '}' => return None,
            _ => out.push(c),
        }
    }
    Some(out)
}

/// Attributes and keys that `template.format(…)` reaches: `{0.name[key]}`, fields in the format of fields included.
pub(crate) fn reached(template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut begin = None;
    for (index, c) in template.char_indices() {
        if matches!(c, '.' | '[' | ']' | '{' | '}' | '!' | ':')
            && let Some(start) = begin.take()
            && let Some(name) = template.get(start..index)
            && !name.is_empty()
        {
            names.push(name);
        }
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '.' | '[' if depth > 0 => begin = Some(index + 1),
            _ => {}
        }
    }
    names
}

/// The greatest number in a format: how wide a field may get.
pub(crate) fn width(template: &str) -> u64 {
    template.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_by_number() {
        let (low, text) = (Const::Integer(95), Const::Text("cl".into()));
        assert_eq!(percent("%c%c%s%%", &[&low, &low, &text], &[]).unwrap(), "__cl%");
        assert_eq!(percent("%(a)c", &[], &[("a", &low)]).unwrap(), "_");
        assert_eq!(braces("{0:c}{0:c}{x}{{", &[&low], &[("x", &text)]).unwrap(), "__cl{");
        assert_eq!(braces("{}{}", &[&low, &text], &[]).unwrap(), "95cl");
        assert_eq!(braces("{0.x}", &[&low], &[]), None);
        assert_eq!(percent("%5s", &[&text], &[]), None);
    }

    #[test]
    fn fields_reach_attributes() {
        assert_eq!(reached("{0.__class__.__mro__[1]} a.b {x:{y.__init__}}"), ["__class__", "__mro__", "1", "__init__"]);
    }
}
