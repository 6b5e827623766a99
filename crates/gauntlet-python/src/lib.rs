//! Python source without running it: parse, names, constants, calls.
//!
//! [`analyze`] gives every call of a module with the qualified names that its callee may stand for and what is known
//! of its arguments; [`notebook`] reads Jupyter notebooks into one module with a map back to cells. Unknown stays
//! unknown. Leaves out types, control flow and data flow between functions.
//!
//! The parser is the one of ruff, behind one module. Deep code would overflow its stack, so nesting is limited on the
//! tokens before parsing, and trees live and die on a thread with a large stack.

mod bind;
mod calls;
mod guard;
mod imported;
mod module;
pub mod notebook;
mod parse;
mod resolve;
mod scope;
mod straight;
mod value;

pub use module::{Comment, Import, Module, Place, PythonError, SyntaxError, analyze, analyze_cells};
pub use straight::{Straight, straight};
pub use value::{Argument, Call, Invocation, Value};
