//! The values of pure functions of constants.

use crate::pure::{self, Out, Refused};
use crate::special::Pure;
use crate::value::{Heap, KEEP, Node, Value};

/// The value of `function` for constant arguments.
pub(crate) fn constant(heap: &Heap, function: Pure, args: &[Value]) -> Result<Out, Refused> {
    let bytes = |at: usize| match args.get(at) {
        Some(Value::Str(id)) => heap.whole(*id).map(|b| (b, true)).ok_or(Refused::Unknown),
        Some(Value::Bytes(id)) => heap.whole(*id).map(|b| (b, false)).ok_or(Refused::Unknown),
        _ => Err(Refused::Unknown),
    };
    let some = |bytes: Option<Vec<u8>>| bytes.map(Out::Bytes).ok_or(Refused::Unknown);
    let like = |text: bool, bytes: Vec<u8>| {
        if bytes.len() > KEEP {
            Err(Refused::TooLarge)
        } else if text {
            Ok(Out::Text(bytes))
        } else {
            Ok(Out::Bytes(bytes))
        }
    };
    let codec = |decode: bool| {
        let (input, text) = bytes(0)?;
        let name = match args.get(1) {
            Some(Value::Str(id)) => heap.text(*id),
            None => "utf-8".to_owned(),
            _ => return Err(Refused::Unknown),
        };
        pure::codec(input, text, &name, decode, KEEP)
    };
    match function {
        Pure::Base64 => some(pure::base64(bytes(0)?.0, false)),
        Pure::Base64Url => some(pure::base64(bytes(0)?.0, true)),
        Pure::Base32 => some(pure::base32(bytes(0)?.0)),
        Pure::Base16 | Pure::Unhex | Pure::FromHex => {
            // `bytes.fromhex` taken as an attribute of a constant has that constant first.
            let at = usize::from(function == Pure::FromHex && args.len() > 1);
            some(pure::unhex(bytes(at)?.0))
        }
        Pure::Base85 => some(pure::base85(bytes(0)?.0)),
        Pure::Hexlify => Ok(Out::Bytes(hex::encode(bytes(0)?.0).into_bytes())),
        Pure::Zlib => pure::inflate(bytes(0)?.0, false, KEEP).map(Out::Bytes),
        Pure::Gzip => pure::inflate(bytes(0)?.0, true, KEEP).map(Out::Bytes),
        Pure::Decode => codec(true),
        Pure::Encode => codec(false),
        Pure::Add if matches!(args, [Value::Int(_), Value::Int(_)]) => integers(args, i64::checked_add),
        Pure::Sub => integers(args, i64::checked_sub),
        Pure::Xor => integers(args, |a, b| Some(a ^ b)),
        Pure::Add => {
            let ((left, text), (right, other)) = (bytes(0)?, bytes(1)?);
            if text != other || args.len() != 2 { Err(Refused::Unknown) } else { like(text, [left, right].concat()) }
        }
        Pure::StrJoin => {
            let (separator, text) = bytes(0)?;
            let mut out = Vec::new();
            if let Some(Value::Str(id)) = args.get(1) {
                let joined = heap.whole(*id).and_then(|b| std::str::from_utf8(b).ok()).ok_or(Refused::Unknown)?;
                for (i, c) in joined.chars().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(separator);
                    }
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    if out.len() > KEEP {
                        return Err(Refused::TooLarge);
                    }
                }
                return like(text, out);
            }
            let items = args.get(1).and_then(|v| heap.items(*v)).ok_or(Refused::Unknown)?;
            for (i, item) in items.iter().enumerate() {
                let part = match (item, text) {
                    (Value::Str(id), true) | (Value::Bytes(id), false) => heap.whole(*id).ok_or(Refused::Unknown)?,
                    _ => return Err(Refused::Unknown),
                };
                if i > 0 {
                    out.extend_from_slice(separator);
                }
                out.extend_from_slice(part);
                if out.len() > KEEP {
                    return Err(Refused::TooLarge);
                }
            }
            like(text, out)
        }
        Pure::Chr => match args {
            [Value::Int(code)] => u32::try_from(*code)
                .ok()
                .and_then(char::from_u32)
                .map(|c| Out::Text(c.to_string().into_bytes()))
                .ok_or(Refused::Unknown),
            _ => Err(Refused::Unknown),
        },
        Pure::Bytes => match args {
            [] => Ok(Out::Bytes(Vec::new())),
            [Value::Bytes(id)] => some(heap.whole(*id).map(<[u8]>::to_vec)),
            [Value::Str(_), _, ..] => codec(false),
            [list] => {
                let items = heap.items(*list).ok_or(Refused::Unknown)?;
                let bytes = items.iter().map(|v| match v {
                    Value::Int(n) => u8::try_from(*n).ok(),
                    _ => None,
                });
                some(bytes.collect())
            }
            _ => Err(Refused::Unknown),
        },
        Pure::Str => match args {
            [Value::Str(id)] => like(true, heap.whole(*id).ok_or(Refused::Unknown)?.to_vec()),
            [Value::Bytes(_), _, ..] => codec(true),
            _ => Err(Refused::Unknown),
        },
        Pure::GetItem if matches!(args, [Value::Node(_), Value::Int(_)]) => {
            let items = args.first().and_then(|list| heap.items(*list)).ok_or(Refused::Unknown)?;
            let Some(Value::Int(at)) = args.get(1) else { return Err(Refused::Unknown) };
            let at = if *at < 0 { at.saturating_add(items.len() as i64) } else { *at };
            usize::try_from(at).ok().and_then(|at| items.get(at)).map(|item| Out::Value(*item)).ok_or(Refused::Unknown)
        }
        Pure::GetItem => {
            let (whole, text) = bytes(0)?;
            if !whole.is_ascii() && text {
                return Err(Refused::Unknown);
            }
            match args.get(1) {
                Some(Value::Int(at)) if text => {
                    let at = if *at < 0 { *at + whole.len() as i64 } else { *at };
                    let byte = usize::try_from(at).ok().and_then(|i| whole.get(i)).ok_or(Refused::Unknown)?;
                    Ok(Out::Text(vec![*byte]))
                }
                Some(Value::Int(at)) => {
                    let at = if *at < 0 { *at + whole.len() as i64 } else { *at };
                    let byte = usize::try_from(at).ok().and_then(|i| whole.get(i)).ok_or(Refused::Unknown)?;
                    Ok(Out::Int(i64::from(*byte)))
                }
                Some(Value::Node(id)) => like(text, slice(heap, *id, whole).ok_or(Refused::Unknown)?),
                _ => Err(Refused::Unknown),
            }
        }
        Pure::Replace => {
            let ((whole, text), (from, _), (to, _)) = (bytes(0)?, bytes(1)?, bytes(2)?);
            if from.is_empty() || args.len() != 3 {
                return Err(Refused::Unknown);
            }
            let mut out = Vec::new();
            let mut rest = whole;
            while let Some(at) = memchr::memmem::find(rest, from) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(to);
                rest = &rest[at + from.len()..];
                if out.len() > KEEP {
                    return Err(Refused::TooLarge);
                }
            }
            out.extend_from_slice(rest);
            like(text, out)
        }
        Pure::Lower => bytes(0).and_then(|(b, text)| like(text, b.to_ascii_lowercase())),
        Pure::Upper => bytes(0).and_then(|(b, text)| like(text, b.to_ascii_uppercase())),
        Pure::Strip if args.len() == 1 => bytes(0).and_then(|(b, text)| like(text, b.trim_ascii().to_vec())),
        // An iterator in truth; it is only ever joined.
        Pure::Reversed => {
            let (whole, text) = bytes(0)?;
            if text && whole.is_ascii() {
                like(true, whole.iter().rev().copied().collect())
            } else {
                Err(Refused::Unknown)
            }
        }
        Pure::Strip => Err(Refused::Unknown),
        Pure::Ascii85 => some(pure::ascii85(bytes(0)?.0)),
        Pure::Uu => some(pure::uu_line(bytes(0)?.0)),
        Pure::QuotedPrintable => some(pure::quoted_printable(bytes(0)?.0)),
        Pure::Bz2 => pure::bunzip(bytes(0)?.0, KEEP).map(Out::Bytes),
        Pure::Lzma => pure::unlzma(bytes(0)?.0, KEEP).map(Out::Bytes),
        Pure::Unquote => some(Some(pure::unquote(bytes(0)?.0))).map(|out| match (out, args.first()) {
            (Out::Bytes(bytes), Some(Value::Str(_))) if std::str::from_utf8(&bytes).is_ok() => Out::Text(bytes),
            (out, _) => out,
        }),
        Pure::Ord => {
            let (input, text) = bytes(0)?;
            let code = if text {
                let mut chars = std::str::from_utf8(input).map_err(|_| Refused::Unknown)?.chars();
                chars.next().filter(|_| chars.next().is_none()).map(u32::from)
            } else {
                <[u8; 1]>::try_from(input).ok().map(|[byte]| u32::from(byte))
            };
            code.map(|code| Out::Int(i64::from(code))).ok_or(Refused::Unknown)
        }
        Pure::Mul => match (args, bytes(0)) {
            ([Value::Int(_), Value::Int(_)], _) => integers(args, i64::checked_mul),
            ([_, Value::Int(times)], Ok((input, text))) => {
                let times = usize::try_from(*times).unwrap_or(0);
                if input.len().saturating_mul(times) > KEEP {
                    Err(Refused::TooLarge)
                } else {
                    like(text, input.repeat(times))
                }
            }
            _ => Err(Refused::Unknown),
        },
        Pure::Mod => {
            let (pattern, text) = bytes(0)?;
            let values = args.get(1).map(|v| heap.items(*v).map_or_else(|| vec![*v], <[Value]>::to_vec));
            like(text, percent(heap, pattern, &values.ok_or(Refused::Unknown)?).ok_or(Refused::Unknown)?)
        }
        Pure::Format => {
            let (pattern, text) = bytes(0)?;
            like(text, braces(heap, pattern, &args[1..]).ok_or(Refused::Unknown)?)
        }
        Pure::MakeTrans => {
            let (from, to) = (bytes(0)?.0, bytes(1)?.0);
            let chars = |b: &[u8]| {
                std::str::from_utf8(b).map(|s| s.chars().map(|c| i64::from(u32::from(c))).collect::<Vec<_>>())
            };
            match (chars(from), chars(to)) {
                (Ok(from), Ok(to)) if from.len() == to.len() && args.len() == 2 => {
                    Ok(Out::Table(from.into_iter().zip(to).collect()))
                }
                _ => Err(Refused::Unknown),
            }
        }
        Pure::Translate => {
            let (input, text) = bytes(0)?;
            if !text {
                let table = bytes(1)?.0;
                let out: Option<Vec<u8>> = input.iter().map(|b| table.get(usize::from(*b)).copied()).collect();
                return some(out);
            }
            like(true, translate(heap, input, args.get(1).copied()).ok_or(Refused::Unknown)?)
        }
        Pure::Swapcase => bytes(0).and_then(|(b, text)| {
            let swap = |c: &u8| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            like(text, b.iter().map(swap).collect())
        }),
        Pure::Title => bytes(0).and_then(|(b, text)| {
            let mut out = b.to_ascii_lowercase();
            out.first_mut().into_iter().for_each(|first| first.make_ascii_uppercase());
            like(text, out)
        }),
        Pure::Split => {
            let (input, _) = bytes(0)?;
            let input = std::str::from_utf8(input).map_err(|_| Refused::Unknown)?;
            let parts: Vec<&str> = match (args.get(1), args.len()) {
                (None, 1) => input.split_ascii_whitespace().take(4097).collect(),
                (Some(Value::Str(_)), 2) => {
                    let by =
                        std::str::from_utf8(bytes(1)?.0).ok().filter(|by| !by.is_empty()).ok_or(Refused::Unknown)?;
                    input.split(by).take(4097).collect()
                }
                _ => return Err(Refused::Unknown),
            };
            if parts.len() > 4096 {
                Err(Refused::TooLarge)
            } else {
                Ok(Out::Texts(parts.iter().map(|p| p.as_bytes().to_vec()).collect()))
            }
        }
        Pure::List => match args {
            [list @ Value::Node(_)] if heap.items(*list).is_some() => Ok(Out::Value(*list)),
            [Value::Str(id)] => {
                let text = heap.whole(*id).and_then(|b| std::str::from_utf8(b).ok()).ok_or(Refused::Unknown)?;
                if text.len() > 4096 {
                    return Err(Refused::TooLarge);
                }
                Ok(Out::Texts(text.chars().map(|c| c.to_string().into_bytes()).collect()))
            }
            _ => Err(Refused::Unknown),
        },
        Pure::IntToBytes => match args {
            [Value::Int(value), Value::Int(len), order @ ..] => {
                let len = usize::try_from(*len).ok().filter(|len| *len <= 4096).ok_or(Refused::Unknown)?;
                let mut out: Vec<u8> = value.to_le_bytes().into_iter().chain(std::iter::repeat(0)).take(len).collect();
                let little = matches!(order.first(), Some(Value::Str(id)) if heap.whole(*id) == Some(b"little"));
                if !little {
                    out.reverse();
                }
                Ok(Out::Bytes(out))
            }
            [Value::Big(id), Value::Int(len), order @ ..] => {
                let len = usize::try_from(*len).ok().filter(|len| *len <= 4096).ok_or(Refused::Unknown)?;
                let value = heap.whole(*id).ok_or(Refused::Unknown)?;
                let mut out: Vec<u8> = value.iter().copied().chain(std::iter::repeat(0)).take(len).collect();
                let little = matches!(order.first(), Some(Value::Str(id)) if heap.whole(*id) == Some(b"little"));
                if !little {
                    out.reverse();
                }
                Ok(Out::Bytes(out))
            }
            _ => Err(Refused::Unknown),
        },
        Pure::IntFrom => match args {
            [Value::Int(value)] => Ok(Out::Int(*value)),
            [Value::Str(_) | Value::Bytes(_), base @ ..] => {
                let radix = match base {
                    [] => 10,
                    [Value::Int(base)] => {
                        u32::try_from(*base).ok().filter(|b| (2..=36).contains(b)).ok_or(Refused::Unknown)?
                    }
                    _ => return Err(Refused::Unknown),
                };
                let text = std::str::from_utf8(bytes(0)?.0).map_err(|_| Refused::Unknown)?;
                i64::from_str_radix(text.trim(), radix).map(Out::Int).map_err(|_| Refused::Unknown)
            }
            _ => Err(Refused::Unknown),
        },
    }
}

fn integers(args: &[Value], of: impl Fn(i64, i64) -> Option<i64>) -> Result<Out, Refused> {
    match args {
        [Value::Int(a), Value::Int(b)] => of(*a, *b).map(Out::Int).ok_or(Refused::Unknown),
        _ => Err(Refused::Unknown),
    }
}

/// A value as `str()` shows it, for text and numbers only.
fn plain(heap: &Heap, value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Str(id) => heap.whole(id).map(<[u8]>::to_vec),
        Value::Int(value) => Some(value.to_string().into_bytes()),
        _ => None,
    }
}

/// `pattern % values` with `%s`, `%d`, `%c` and `%%` only.
fn percent(heap: &Heap, pattern: &[u8], values: &[Value]) -> Option<Vec<u8>> {
    let (mut out, mut values, mut at) = (Vec::new(), values.iter(), 0);
    while let Some(byte) = pattern.get(at) {
        at += 1;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        match pattern.get(at)? {
            b'%' => out.push(b'%'),
            b's' | b'd' => match values.next()? {
                Value::Bytes(id) => out.extend_from_slice(heap.whole(*id)?),
                value => out.extend(plain(heap, *value)?),
            },
            b'c' => match values.next()? {
                Value::Int(code) => {
                    let c = char::from_u32(u32::try_from(*code).ok()?)?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                value => out.extend(plain(heap, *value)?),
            },
            _ => return None,
        }
        at += 1;
        if out.len() > KEEP {
            return None;
        }
    }
    Some(out)
}

/// `pattern.format(*values)` with `{}`, `{0}` and doubled braces only.
fn braces(heap: &Heap, pattern: &[u8], values: &[Value]) -> Option<Vec<u8>> {
    let (mut out, mut next, mut at) = (Vec::new(), 0, 0);
    while let Some(byte) = pattern.get(at) {
        at += 1;
        match byte {
            b'{' | b'}' if pattern.get(at) == Some(byte) => {
                out.push(*byte);
                at += 1;
            }
            b'{' => {
                let end = at + memchr::memchr(b'}', pattern.get(at..)?)?;
                let field = std::str::from_utf8(pattern.get(at..end)?).ok()?;
                let index = if field.is_empty() { next } else { field.parse::<usize>().ok()? };
                next += 1;
                out.extend(plain(heap, *values.get(index)?)?);
                at = end + 1;
            }
            b'}' => return None,
            _ => out.push(*byte),
        }
        if out.len() > KEEP {
            return None;
        }
    }
    Some(out)
}

/// `text.translate(table)` with a dict from code points to code points, text or None.
fn translate(heap: &Heap, input: &[u8], table: Option<Value>) -> Option<Vec<u8>> {
    let Some(Value::Node(id)) = table else { return None };
    let Node::Dict { len, pairs } = heap.node(id) else { return None };
    if *len != pairs.len() as u64 || pairs.len() > 4096 || input.len() > 4096 {
        return None;
    }
    let mut out = Vec::new();
    for c in std::str::from_utf8(input).ok()?.chars() {
        let code = i64::from(u32::from(c));
        match pairs.iter().rev().find(|(key, _)| *key == Value::Int(code)) {
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Some((_, Value::None)) => {}
            Some((_, Value::Int(to))) => {
                let to = char::from_u32(u32::try_from(*to).ok()?)?;
                out.extend_from_slice(to.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some((_, Value::Str(id))) => out.extend_from_slice(heap.whole(*id)?),
            Some(_) => return None,
        }
        if out.len() > KEEP {
            return None;
        }
    }
    Some(out)
}

/// `whole[slice(...)]` where the slice is a call of `builtins.slice` on numbers.
fn slice(heap: &Heap, id: u32, whole: &[u8]) -> Option<Vec<u8>> {
    let Node::Call { args, args_known: true, .. } = heap.node(id) else { return None };
    let number = |v: Option<&Value>| match v {
        None | Some(Value::None) => Some(None),
        Some(Value::Int(n)) => Some(Some(*n)),
        _ => None,
    };
    let (start, stop, step) = match args.as_slice() {
        [stop] => (None, number(Some(stop))?, None),
        [start, stop, rest @ ..] => (number(Some(start))?, number(Some(stop))?, number(rest.first())?),
        [] => return None,
    };
    let len = i64::try_from(whole.len()).ok()?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return None;
    }
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |n: Option<i64>, missing: i64| match n {
        None => missing,
        Some(n) if n < 0 => n.saturating_add(len).clamp(low, high),
        Some(n) => n.clamp(low, high),
    };
    let (mut at, stop) =
        if step > 0 { (place(start, 0), place(stop, len)) } else { (place(start, len - 1), place(stop, -1)) };
    let mut out = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        out.push(*whole.get(usize::try_from(at).ok()?)?);
        at = at.saturating_add(step);
    }
    Some(out)
}
