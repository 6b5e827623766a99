//! Prints what was seen in pickle files, one JSON object a line: used to compare with CPython. With `--frames` the
//! streams come on standard input, each behind its length (four bytes, little endian).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};

use gauntlet_limits::{Budget, Cursor, Limits};
use gauntlet_pickle::{Options, interpret, interpret_bytes};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths == ["--frames"] {
        return frames();
    }
    for path in paths {
        let file = File::open(&path)?;
        let budget = Budget::new(Limits::default());
        let facts = interpret(&mut Cursor::new(&file, 0), &budget, &Options::default());
        println!("{}", serde_json::json!({ "path": path, "facts": facts }));
    }
    Ok(())
}

fn frames() -> Result<(), Box<dyn Error>> {
    let mut input = std::io::stdin().lock();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut len = [0; 4];
    while input.read_exact(&mut len).is_ok() {
        let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
        input.read_exact(&mut bytes)?;
        serde_json::to_writer(&mut out, &interpret_bytes(&bytes, &Budget::default()))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
