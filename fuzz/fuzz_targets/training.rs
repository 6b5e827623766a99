//! What a training run leaves behind: numbers of its outputs, and lines of its output.
#![no_main]

use std::path::Path;

use gauntlet_train::anomaly::{Monitor, Pattern};
use gauntlet_train::replay::read_numbers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let name = ["m.safetensors", "m.npy", "m.onnx", "m.json"][usize::from(*first) % 4];
    if let Ok(numbers) = read_numbers(Path::new(name), rest) {
        for (shape, values) in numbers.tensors.values() {
            let count: u64 = shape.iter().product();
            assert_eq!(count, values.len() as u64);
        }
    }
    let mut monitor = Monitor::default();
    for line in String::from_utf8_lossy(rest).lines() {
        let _ = monitor.line(&Pattern::new(&[]), line);
    }
    let _ = monitor.anomalies();
});
