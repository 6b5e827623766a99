//! Does it read as a pickle? Answered by a trial run over the opcodes of a prefix, since protocols 0 and 1 have
//! no magic number. Values are not built; only the height of the stack and the marks are followed.

use crate::opcode::{self, Effect, Operand};

/// Why bytes are taken for a pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// The stream starts with PROTO and goes on in valid opcodes.
    Announced,
    /// Protocol 0 or 1: everything up to the end of the input is valid pickles.
    Whole,
    /// Valid opcodes import a global and use it, whatever follows.
    Active,
}

/// Tries the start of a file or member. `complete` says that `prefix` is all of it. Looks at 64 KiB at most.
#[must_use]
pub fn looks_like_pickle(prefix: &[u8], complete: bool) -> Option<Sniff> {
    let (bytes, complete) = match prefix.get(..crate::input::WINDOW) {
        Some(head) if head.len() < prefix.len() => (head, false),
        _ => (prefix, complete),
    };
    let first = trial(bytes, complete, u32::MAX);
    if let [0x80, 0..=5, ..] = bytes
        && first.opcodes >= 2
    {
        let goes_on = match first.end {
            TrialEnd::Stop => first.opcodes >= 3,
            TrialEnd::Short => first.opcodes >= 3 || first.operand_open,
            TrialEnd::Invalid => first.imports > 0 || first.opcodes >= 16,
        };
        if goes_on {
            return Some(Sniff::Announced);
        }
    }
    if first.imports > 0 && first.uses > 0 {
        return Some(Sniff::Active);
    }
    if !complete {
        return (first.end == TrialEnd::Short && first.opcodes >= 64).then_some(Sniff::Whole);
    }
    // Without an announcement all of the input must be pickles that leave exactly their value.
    let mut at = 0;
    while at < bytes.len() {
        let trial = trial(&bytes[at..], true, u32::MAX);
        if trial.end != TrialEnd::Stop || !trial.clean || trial.opcodes < 2 {
            return None;
        }
        at += trial.len;
    }
    (at > 0).then_some(Sniff::Whole)
}

/// Whether a pickle that announces itself, and that imports something and uses it, starts at the beginning of `bytes`.
/// Other bytes do not read like that by accident.
#[must_use]
pub fn begins_active_pickle(bytes: &[u8], complete: bool) -> bool {
    let bytes = bytes.get(..crate::input::WINDOW).unwrap_or(bytes);
    if !matches!(bytes, [0x80, 0..=5, ..]) {
        return false;
    }
    let trial = trial(bytes, complete, u32::MAX);
    trial.imports > 0 && trial.uses > 0
}

/// Whether a search behind other bytes should start the machine here: stricter than a sniff of a whole file.
pub(crate) fn starts_here(ahead: &[u8], complete: bool, after_stop: bool) -> (bool, u64) {
    // Directly behind a STOP the memo of the stream before may still be there.
    let trial = run(ahead, complete, 2, None, after_stop);
    let announced = matches!(ahead, [0x80, 0..=5, ..]);
    let plausible = if trial.imports > 0 && (announced || trial.uses > 0 || trial.end == TrialEnd::Stop) {
        true
    } else if announced {
        match trial.end {
            TrialEnd::Stop => trial.clean && trial.opcodes >= if after_stop { 3 } else { 6 },
            // An operand that runs far beyond would swallow the rest of the input on a mere guess.
            TrialEnd::Short if trial.operand_open => after_stop && trial.opcodes >= 2,
            TrialEnd::Short => trial.opcodes >= 8,
            TrialEnd::Invalid => trial.opcodes >= 32,
        }
    } else {
        after_stop && trial.end == TrialEnd::Stop && trial.clean && trial.opcodes >= 2
    };
    (plausible, trial.opcodes)
}

/// What a trial run saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) opcodes: u64,
    pub(crate) imports: u32,
    /// Opcodes that call or build, after an import.
    pub(crate) uses: u32,
    pub(crate) end: TrialEnd,
    /// STOP found exactly one value and no mark.
    clean: bool,
    /// The bytes ended within an operand.
    operand_open: bool,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrialEnd {
    Stop,
    Short,
    Invalid,
}

/// Runs until STOP, the end, an error, or `enough` uses of imports.
pub(crate) fn trial(bytes: &[u8], complete: bool, enough: u32) -> Trial {
    run(bytes, complete, enough, None, false)
}

/// Whether a loader in the middle of a stream would run these bytes as opcodes up to an import.
pub(crate) fn imports_midway(bytes: &[u8], array: u64) -> (bool, u64) {
    // An opcode that ends with the array is followed by the stream's own.
    let until = usize::try_from(array).unwrap_or(usize::MAX);
    let trial = run(bytes, false, 1, Some(until), true);
    (trial.imports > 0, trial.opcodes)
}

/// `memo`: entries may be there that this run does not see stored.
fn run(bytes: &[u8], complete: bool, enough: u32, midway: Option<usize>, memo: bool) -> Trial {
    let inside = midway.is_some();
    let mut run =
        Trial { opcodes: 0, imports: 0, uses: 0, end: TrialEnd::Invalid, clean: false, operand_open: false, len: 0 };
    let announced = matches!(bytes, [0x80, 0..=5, ..]);
    let (mut names, mut extension, mut stored) = (0u32, false, false);
    // Inside a stream, values and marks of unknown number are already there.
    let (mut height, mut marks) = if inside { (1000, vec![100, 200, 300, 400]) } else { (0, Vec::new()) };
    let mut at = 0;
    run.end = loop {
        if midway == Some(at) {
            break TrialEnd::Short;
        }
        let Some(code) = bytes.get(at) else { break TrialEnd::Short };
        let Some(op) = opcode::opcode(*code) else { break TrialEnd::Invalid };
        at += 1;
        let rest = &bytes[at..];
        let taken = match operand(op.code, op.operand, rest) {
            Read::Len(len) => {
                at += len;
                len
            }
            Read::Short => {
                // In a complete input an operand that runs past the end is an error, yet a loader ran what came before.
                run.operand_open = !complete;
                break if complete { TrialEnd::Invalid } else { TrialEnd::Short };
            }
            Read::Invalid => break TrialEnd::Invalid,
        };
        let fence = marks.last().copied().unwrap_or(0);
        match op.effect {
            Effect::Fixed(takes, leaves) => {
                if height < fence + usize::from(takes) {
                    break TrialEnd::Invalid;
                }
                height = height - usize::from(takes) + usize::from(leaves);
            }
            Effect::Mark => marks.push(height),
            Effect::ToMark(takes, leaves) => {
                let Some(mark) = marks.pop() else { break TrialEnd::Invalid };
                let fence = marks.last().copied().unwrap_or(0);
                if mark < fence + usize::from(takes) || (op.code == opcode::OBJ && mark == height) {
                    break TrialEnd::Invalid;
                }
                height = mark - usize::from(takes) + usize::from(leaves);
            }
            Effect::Pop if marks.last() == Some(&height) => {
                marks.pop();
            }
            Effect::Pop if height > fence => height -= 1,
            Effect::Pop => break TrialEnd::Invalid,
            Effect::Stop => {
                if height <= fence {
                    break TrialEnd::Invalid;
                }
                run.opcodes += 1;
                run.clean = height == 1 && marks.is_empty();
                break TrialEnd::Stop;
            }
        }
        run.opcodes += 1;
        match op.code {
            opcode::GLOBAL => run.imports += 1,
            // Random bytes hold this opcode often, but no name before it.
            opcode::STACK_GLOBAL if names > 1 || (names > 0 && announced) || run.imports > 0 => {
                run.imports += 1;
            }
            opcode::SHORT_BINUNICODE
            | opcode::BINUNICODE
            | opcode::BINUNICODE8
            | opcode::SHORT_BINSTRING
            | opcode::BINSTRING
            | opcode::UNICODE
            | opcode::STRING => {
                names += u32::from(name_in(op.operand, &bytes[at - taken..at]));
            }
            opcode::INST => {
                run.imports += 1;
                run.uses += 1;
            }
            // Numbers hold these opcodes often, and a stream that registers a code names that function.
            opcode::EXT1 | opcode::EXT2 | opcode::EXT4 => extension |= announced,
            opcode::PUT | opcode::BINPUT | opcode::LONG_BINPUT | opcode::MEMOIZE => stored = true,
            opcode::GET | opcode::BINGET | opcode::LONG_BINGET if !stored && !memo => break TrialEnd::Invalid,
            opcode::REDUCE | opcode::NEWOBJ | opcode::NEWOBJ_EX | opcode::OBJ | opcode::BUILD
                if run.imports > 0 || extension =>
            {
                // A registered code is an import once it is called.
                run.imports += u32::from(extension && run.imports == 0);
                run.uses += 1;
            }
            _ => {}
        }
        if run.uses >= enough || (enough == 1 && run.imports > 0) {
            break TrialEnd::Short;
        }
    };
    run.len = at;
    run
}

enum Read {
    Len(usize),
    Short,
    Invalid,
}

/// The length of an operand, if its content is what a pickler writes.
fn operand(code: u8, kind: Operand, rest: &[u8]) -> Read {
    let fixed = |n: usize| if rest.len() < n { Read::Short } else { Read::Len(n) };
    let line = |from: usize, fits: fn(&[u8]) -> bool| match memchr::memchr(b'\n', &rest[from..]) {
        Some(n) if fits(&rest[from..from + n]) => Read::Len(from + n + 1),
        Some(_) => Read::Invalid,
        None if fits_so_far(&rest[from..]) => Read::Short,
        None => Read::Invalid,
    };
    match kind {
        Operand::None => Read::Len(0),
        Operand::Fixed(n) => match (code, rest.first()) {
            (opcode::PROTO, Some(6..)) => Read::Invalid,
            _ => fixed(usize::from(n)),
        },
        Operand::NumberLine => line(0, |l| {
            !l.is_empty() && l.len() < 5000 && l.iter().all(|b| b.is_ascii_alphanumeric() || b"+-._L".contains(b))
        }),
        Operand::QuotedLine => {
            line(0, |l| l.len() >= 2 && matches!(l[0], b'\'' | b'"') && l.last() == l.first() && printable(l))
        }
        Operand::TextLine if code == opcode::PERSID => line(0, |l| !l.is_empty() && printable(l)),
        Operand::TextLine => line(0, |l| !l.contains(&0)),
        Operand::TwoLines => match line(0, dotted) {
            Read::Len(n) => line(n, dotted),
            other => other,
        },
        Operand::Counted(width) => {
            let width = usize::from(width);
            let Some(bytes) = rest.get(..width) else { return Read::Short };
            let len = bytes.iter().rev().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
            match usize::try_from(len).ok().and_then(|len| len.checked_add(width)) {
                Some(_) if len > 1 << 46 => Read::Invalid,
                Some(total) => fixed(total),
                None => Read::Invalid,
            }
        }
    }
}

/// Whether a text operand could be part of a dotted name.
fn name_in(kind: Operand, operand: &[u8]) -> bool {
    let text = match kind {
        Operand::Counted(width) => operand.get(usize::from(width)..).unwrap_or_default(),
        Operand::QuotedLine | Operand::TextLine => operand.trim_ascii(),
        _ => return false,
    };
    let text = text.strip_prefix(b"'").or_else(|| text.strip_prefix(b"\"")).unwrap_or(text);
    let text = text.strip_suffix(b"'").or_else(|| text.strip_suffix(b"\"")).unwrap_or(text);
    // Escapes can spell a name too.
    dotted(text) || (text.contains(&b'\\') && printable(text))
}

/// A dotted identifier; letters outside ASCII are allowed as Python allows them.
fn dotted(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    !line.is_empty()
        && line.len() <= 512
        && !line[0].is_ascii_digit()
        && line.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'<' | b'>') || *b >= 0x80)
        && std::str::from_utf8(line).is_ok()
}

fn printable(line: &[u8]) -> bool {
    line.iter().all(|b| (b' '..0x7f).contains(b) || *b == b'\t')
}

fn fits_so_far(line: &[u8]) -> bool {
    !line.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_of_every_protocol_are_known() {
        assert_eq!(looks_like_pickle(b"\x80\x04\x95\x06\0\0\0\0\0\0\0\x8c\x02hi\x94.", true), Some(Sniff::Announced));
        assert_eq!(looks_like_pickle(b"(dp0\nS'a'\np1\nI1\ns.", true), Some(Sniff::Whole));
        assert_eq!(looks_like_pickle(b"I1\n.I2\n.", true), Some(Sniff::Whole));
        assert_eq!(looks_like_pickle(b"}q\0(U\x01aK\x01u.", true), Some(Sniff::Whole));
        assert_eq!(looks_like_pickle(b"cos\nsystem\n(S'id'\ntR\xff junk", true), Some(Sniff::Active));
        assert_eq!(looks_like_pickle(b"(S'id'\nios\nsystem\n.", true), Some(Sniff::Active));
        assert_eq!(looks_like_pickle(b"\x80\x04\x8c\x02os\x8c\x06system\x93\xff", true), Some(Sniff::Announced));
    }

    #[test]
    fn other_files_are_not_pickles() {
        let mut random = Vec::new();
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            random.push(state as u8);
        }
        let floats: Vec<u8> = (0..20_000).flat_map(|i| ((i % 977) as f32 / 977.0 - 0.5).to_le_bytes()).collect();
        for bytes in [
            &b"import os\nclass Foo:\n    pass\n"[..],
            b"class\nname\nvalue\n",
            b"cat\ndog\nelephant\n",
            b"{\"a\": 1}",
            b"[1, 2, 3]",
            b"1,2,3\n4,5,6\n",
            b"a,b,c\n1,2,3\n",
            b"N.B. this is a text.",
            b"PK\x03\x04\x14\0\0\0\0\0",
            b"\x93NUMPY\x01\0v\0{'descr': '<f4'",
            b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0",
            b"\x89HDF\r\n\x1a\n\0\0\0\0",
            b"\x7fELF\x02\x01\x01",
            b"\x28\0\0\0\0\0\0\0{\"__metadata__\"",
            b"",
            b"\n",
            b".",
            &random,
            &floats,
        ] {
            assert_eq!(looks_like_pickle(bytes, true), None, "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }
}
