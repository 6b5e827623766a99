//! Bytes as a file to convert: PyTorch's zip and its older layout, NumPy's files. Nothing is written.
#![no_main]

use gauntlet_artifact::convert::{Options, exercise};
use gauntlet_fuzz::{budget, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The last byte chooses the flags, so that one corpus serves all of them.
    let flags = data.last().copied().unwrap_or(0);
    let options = Options { key: None, flatten: flags & 1 != 0, drop_other: flags & 2 != 0 };
    let limits = limits();
    // The pickle by itself, without the zip and its checksums around it, and as a member of one.
    let _ = gauntlet_pickle::exercise_tree(data, &budget());
    let storage = [7; 64];
    let zip = zip(&[("m/data.pkl", data), ("m/data/0", &storage), ("m/byteorder", b"big")]);
    for bytes in [data, &zip] {
        if let Ok(report) = exercise(bytes, &limits, &options) {
            assert!(report.tensor_bytes <= bytes.len() as u64 + limits.expanded_bytes, "more came out than the budget allows");
            let sum: u64 = report.tensors.iter().map(|tensor| tensor.bytes).sum();
            assert_eq!(sum, report.tensor_bytes, "the report's sum is wrong");
            assert!(report.output.bytes > report.tensor_bytes, "there is no header");
        }
    }
});

/// A zip with stored members and true checksums.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let offset = (body.len() as u32).to_le_bytes();
        let mut crc = u32::MAX;
        for byte in *content {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend((!crc).to_le_bytes());
        common.extend([(content.len() as u32).to_le_bytes(); 2].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        body.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &offset, name.as_bytes()].concat());
    }
    let sizes = [(directory.len() as u32).to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
    let count = [(members.len() as u16).to_le_bytes(); 2].concat();
    [&body[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &sizes, &[0, 0]].concat()
}
