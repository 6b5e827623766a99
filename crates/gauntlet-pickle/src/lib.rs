//! What a pickle would do, told without doing it: an abstract machine over all 68 opcodes of protocols 0 to 5.
//!
//! The result is facts (globals, calls with their arguments, state, oddities), never a judgement; what is allowed
//! is decided by whoever reads them. Containers around pickles (zip, tar, compression) are not read here.

#![forbid(unsafe_code)]

mod apply;
mod facts;
mod fold;
mod input;
mod joblib;
mod machine;
mod memo;
mod names;
pub mod opcode;
mod pure;
mod record;
mod sniff;
mod special;
mod text;
mod torch;
mod tree;
mod value;
mod walk;

pub use facts::*;
pub use sniff::{Sniff, begins_active_pickle, looks_like_pickle};
pub use tree::{CallValue, Item, Items, Pairs, Ref, Tree, exercise_tree, tree};
pub use walk::{Options, interpret, interpret_bytes};
