//! TensorFlow's protobufs: SavedModel, MetaGraphDef and GraphDef, and the facts of their graphs. Field numbers are those of
//! TensorFlow 2.21's `.proto` files. Op names tell a graph from other messages, so recognition takes a lookup of known ones.

mod facts;
mod graph;
mod read;
mod sniff;
mod text;

pub(crate) use facts::{OperatorUse, TensorflowFacts};
pub(crate) use graph::{Kind, MetaGraph, Model, Node, Scope};
pub(crate) use sniff::{is_message, sniff, sniff_text};
pub(crate) use text::{SCHEMA, root};
