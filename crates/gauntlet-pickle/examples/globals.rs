//! Prints what was seen in pickle files, one JSON object a line: used to compare with CPython.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;

use gauntlet_limits::{Budget, Cursor, Limits};
use gauntlet_pickle::{Options, interpret};

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let file = File::open(&path)?;
        let budget = Budget::new(Limits::default());
        let facts = interpret(&mut Cursor::new(&file, 0), &budget, &Options::default());
        println!("{}", serde_json::json!({ "path": path, "facts": facts }));
    }
    Ok(())
}
