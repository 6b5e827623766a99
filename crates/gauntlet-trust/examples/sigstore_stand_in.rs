//! Runs the small Sigstore instance of the tests, so that the program and other people's tools can speak to it.
//!
//! Prints its address, writes its trusted root to the file that is named, and serves until it is ended.
//! Usage: `sigstore_stand_in SUBJECT TRUSTED_ROOT`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]

#[path = "../tests/stand_in/mod.rs"]
mod stand_in;

use std::time::Duration;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (subject, root) = (arguments.next().unwrap(), arguments.next().unwrap());
    let instance = stand_in::StandIn::start(&subject, stand_in::Fault::None);
    std::fs::write(root, instance.trusted_root().to_string()).unwrap();
    println!("{}", instance.url());
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
