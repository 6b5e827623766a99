//! The 68 opcodes of protocols 0 to 5: code, name, first protocol, how the operand is written, what the stack does.
//! From PEP 307, PEP 3154, PEP 574 and the behaviour of CPython's `pickletools`.

/// How the bytes after an opcode are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Nothing follows.
    None,
    /// This many bytes of fixed meaning follow.
    Fixed(u8),
    /// A line that holds a number.
    NumberLine,
    /// A line that holds a quoted string.
    QuotedLine,
    /// A line of any text.
    TextLine,
    /// Two lines: module and name.
    TwoLines,
    /// A little-endian length of this many bytes, then as many bytes.
    Counted(u8),
}

/// What an opcode does to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Takes `.0` values, leaves `.1`.
    Fixed(u8, u8),
    /// Sets a mark.
    Mark,
    /// Takes everything above the last mark; below it takes `.0` values; leaves `.1`.
    ToMark(u8, u8),
    /// Ends the stream with the value on top.
    Stop,
    /// Drops one value, or the last mark when nothing is above it.
    Pop,
}

/// One opcode.
#[derive(Clone, Copy, Debug)]
pub struct Opcode {
    /// The byte.
    pub code: u8,
    /// CPython's name.
    pub name: &'static str,
    /// The first protocol that writes it.
    pub protocol: u8,
    /// Its operand.
    pub operand: Operand,
    /// Its effect on the stack.
    pub effect: Effect,
}

/// The opcode for a byte, if there is one.
#[must_use]
pub fn opcode(code: u8) -> Option<&'static Opcode> {
    match INDEX[usize::from(code)] {
        0 => None,
        n => Some(&OPCODES[usize::from(n) - 1]),
    }
}

const INDEX: [u8; 256] = {
    let mut index = [0u8; 256];
    let mut i = 0;
    while i < OPCODES.len() {
        index[OPCODES[i].code as usize] = i as u8 + 1;
        i += 1;
    }
    index
};

macro_rules! table {
    ($($konst:ident $code:literal $proto:literal $operand:expr, $effect:expr;)*) => {
        /// All opcodes, ordered by the protocol that brought them.
        pub const OPCODES: &[Opcode] = &[$(Opcode {
            code: $code, name: stringify!($konst), protocol: $proto, operand: $operand, effect: $effect,
        }),*];
        $(pub(crate) const $konst: u8 = $code;)*
    };
}

use Effect::{Fixed as E, Mark, Pop, Stop, ToMark};
use Operand::{Counted as C, Fixed as F, None as N, NumberLine, QuotedLine, TextLine, TwoLines};

table! {
    MARK b'(' 0 N, Mark;
    STOP b'.' 0 N, Stop;
    POP b'0' 0 N, Pop;
    DUP b'2' 0 N, E(1, 2);
    FLOAT b'F' 0 NumberLine, E(0, 1);
    INT b'I' 0 NumberLine, E(0, 1);
    LONG b'L' 0 NumberLine, E(0, 1);
    NONE b'N' 0 N, E(0, 1);
    PERSID b'P' 0 TextLine, E(0, 1);
    REDUCE b'R' 0 N, E(2, 1);
    STRING b'S' 0 QuotedLine, E(0, 1);
    UNICODE b'V' 0 TextLine, E(0, 1);
    APPEND b'a' 0 N, E(2, 1);
    BUILD b'b' 0 N, E(2, 1);
    GLOBAL b'c' 0 TwoLines, E(0, 1);
    DICT b'd' 0 N, ToMark(0, 1);
    GET b'g' 0 NumberLine, E(0, 1);
    INST b'i' 0 TwoLines, ToMark(0, 1);
    LIST b'l' 0 N, ToMark(0, 1);
    PUT b'p' 0 NumberLine, E(1, 1);
    SETITEM b's' 0 N, E(3, 1);
    TUPLE b't' 0 N, ToMark(0, 1);
    POP_MARK b'1' 1 N, ToMark(0, 0);
    BININT b'J' 1 F(4), E(0, 1);
    BININT1 b'K' 1 F(1), E(0, 1);
    BININT2 b'M' 1 F(2), E(0, 1);
    BINPERSID b'Q' 1 N, E(1, 1);
    BINSTRING b'T' 1 C(4), E(0, 1);
    SHORT_BINSTRING b'U' 1 C(1), E(0, 1);
    BINUNICODE b'X' 1 C(4), E(0, 1);
    APPENDS b'e' 1 N, ToMark(1, 1);
    BINGET b'h' 1 F(1), E(0, 1);
    LONG_BINGET b'j' 1 F(4), E(0, 1);
    OBJ b'o' 1 N, ToMark(0, 1);
    BINPUT b'q' 1 F(1), E(1, 1);
    LONG_BINPUT b'r' 1 F(4), E(1, 1);
    SETITEMS b'u' 1 N, ToMark(1, 1);
    EMPTY_TUPLE b')' 1 N, E(0, 1);
    EMPTY_LIST b']' 1 N, E(0, 1);
    EMPTY_DICT b'}' 1 N, E(0, 1);
    BINFLOAT b'G' 1 F(8), E(0, 1);
    PROTO 0x80 2 F(1), E(0, 0);
    NEWOBJ 0x81 2 N, E(2, 1);
    EXT1 0x82 2 F(1), E(0, 1);
    EXT2 0x83 2 F(2), E(0, 1);
    EXT4 0x84 2 F(4), E(0, 1);
    TUPLE1 0x85 2 N, E(1, 1);
    TUPLE2 0x86 2 N, E(2, 1);
    TUPLE3 0x87 2 N, E(3, 1);
    NEWTRUE 0x88 2 N, E(0, 1);
    NEWFALSE 0x89 2 N, E(0, 1);
    LONG1 0x8a 2 C(1), E(0, 1);
    LONG4 0x8b 2 C(4), E(0, 1);
    BINBYTES b'B' 3 C(4), E(0, 1);
    SHORT_BINBYTES b'C' 3 C(1), E(0, 1);
    SHORT_BINUNICODE 0x8c 4 C(1), E(0, 1);
    BINUNICODE8 0x8d 4 C(8), E(0, 1);
    BINBYTES8 0x8e 4 C(8), E(0, 1);
    EMPTY_SET 0x8f 4 N, E(0, 1);
    ADDITEMS 0x90 4 N, ToMark(1, 1);
    FROZENSET 0x91 4 N, ToMark(0, 1);
    NEWOBJ_EX 0x92 4 N, E(3, 1);
    STACK_GLOBAL 0x93 4 N, E(2, 1);
    MEMOIZE 0x94 4 N, E(1, 1);
    FRAME 0x95 4 F(8), E(0, 0);
    BYTEARRAY8 0x96 5 C(8), E(0, 1);
    NEXT_BUFFER 0x97 5 N, E(0, 1);
    READONLY_BUFFER 0x98 5 N, E(1, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixty_eight_and_each_is_found_by_its_byte() {
        assert_eq!(OPCODES.len(), 68);
        for op in OPCODES {
            assert_eq!(opcode(op.code).map(|o| o.name), Some(op.name));
        }
        assert_eq!((0..=255u8).filter(|c| opcode(*c).is_some()).count(), 68);
    }
}
