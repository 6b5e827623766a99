//! Files of the real libraries come out with the values that those libraries see; everything else is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::path::PathBuf;

use gauntlet_artifact::convert::{ConvertError, Options, Refusal, Report, compare, exercise, plan};
use gauntlet_core::{Digest, Limits};
use gauntlet_limits::Budget;
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/artifact");
    fs::read(folder.join(name)).unwrap()
}

fn ours(name: &str) -> Vec<u8> {
    fixture(&format!("convert/{name}"))
}

fn options(name: &str) -> Options {
    match name {
        "checkpoint.pt" => Options { key: Some("state_dict".to_owned()), ..Options::default() },
        "nested.pt" => Options { flatten: true, ..Options::default() },
        _ => Options::default(),
    }
}

fn convert(bytes: &[u8], options: &Options) -> Result<(Vec<u8>, Report), ConvertError> {
    let budget = Budget::new(Limits::default());
    let bytes = bytes.to_vec();
    let scratch = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let report = plan(&bytes, &budget, options, scratch.path())?.write(&mut out)?;
    Ok((out, report))
}

fn refused(bytes: &[u8], options: &Options) -> Refusal {
    match convert(bytes, options) {
        Err(ConvertError::Refused(refusal)) => *refusal,
        other => panic!("{:?}", other.map(|(_, report)| report)),
    }
}

fn reasons(bytes: &[u8], options: &Options) -> String {
    refused(bytes, options).reasons.iter().map(|r| format!("{}: {}\n", r.path, r.what)).collect()
}

#[test]
fn tensors_are_those_that_torch_and_numpy_see() {
    let expected: Value = serde_json::from_slice(&ours("expected.json")).unwrap();
    for (file, tensors) in expected["files"].as_object().unwrap() {
        let (out, report) = convert(&ours(file), &options(file)).unwrap_or_else(|e| panic!("{file}: {e} {e:?}"));
        let tensors = tensors.as_object().unwrap();
        assert_eq!(report.tensors.len(), tensors.len(), "{file}");
        for tensor in &report.tensors {
            let there = &tensors[&tensor.name];
            assert_eq!(tensor.dtype, there["dtype"], "{file} {}", tensor.name);
            assert_eq!(serde_json::to_value(&tensor.shape).unwrap(), there["shape"], "{file} {}", tensor.name);
            assert_eq!(tensor.digest.hex(), there["sha256"], "{file} {}", tensor.name);
        }
        assert_eq!(report.output.digest, Digest::sha256(&out), "{file}");
        assert_eq!(report.input.digest, Digest::sha256(&ours(file)), "{file}");
        assert_eq!(report.output.bytes, out.len() as u64, "{file}");
        assert_eq!(compare(&report, &out, &Budget::new(Limits::default())).unwrap(), [], "{file}");
    }
}

#[test]
fn the_output_is_byte_for_byte_that_of_the_reference_library() {
    for (file, theirs) in
        [("dtypes.pt", "dtypes.safetensors"), ("module.pt", "module.safetensors"), ("arrays.npz", "arrays.safetensors")]
    {
        assert!(convert(&ours(file), &Options::default()).unwrap().0 == ours(theirs), "{file}");
    }
}

#[test]
fn what_safetensors_cannot_hold_is_reported() {
    let (_, report) = convert(&ours("tied.pt"), &Options::default()).unwrap();
    assert_eq!(report.tied, [["one.weight", "two.weight"]]);
    assert_eq!(report.left_out[0].path, "_metadata");
    let (_, report) = convert(&ours("strided.pt"), &Options::default()).unwrap();
    assert_eq!(report.tied, [["columns", "offset", "transposed"]]);
    let (_, report) = convert(&ours("checkpoint.pt"), &options("checkpoint.pt")).unwrap();
    let left: Vec<_> = report.left_out.iter().map(|note| format!("{}: {}", note.path, note.what)).collect();
    assert_eq!(
        left,
        [
            "epoch: an int (3)",
            "loss: a float",
            "optimizer: a dict of 2",
            "_metadata: versions of modules, an attribute of the dict"
        ]
    );
}

#[test]
fn checkpoints_say_which_keys_there_are() {
    let refusal = refused(&ours("checkpoint.pt"), &Options::default());
    let keys: Vec<_> = refusal.keys.iter().map(|key| (key.name.as_str(), key.tensors)).collect();
    assert_eq!(keys, [("epoch", 0), ("loss", 0), ("state_dict", 9), ("optimizer", 0)]);
    let wrong = refused(&ours("checkpoint.pt"), &Options { key: Some("weights".to_owned()), ..Options::default() });
    assert_eq!((wrong.reasons[0].what.as_str(), wrong.keys.len()), ("there is no such key", 4));
    // All tensors at any depth, the rest left out.
    let all = Options { flatten: true, drop_other: true, ..Options::default() };
    let (_, report) = convert(&ours("checkpoint.pt"), &all).unwrap();
    assert!(report.tensors.iter().any(|t| t.name == "state_dict.0.weight"));
    assert!(report.left_out.iter().any(|note| note.path == "epoch"));
}

#[test]
fn other_things_than_plain_tensors_are_refused_with_the_reason() {
    for (file, reason) in [
        ("refused_module.pt", "imports `torch.nn.modules.container.Sequential`, which no tensor needs"),
        ("refused_quantized.pt", "q: a quantized tensor, which safetensors cannot hold"),
        ("refused_conj.pt", "c: a tensor that is to be conjugated or negated when it is read"),
    ] {
        let text = reasons(&ours(file), &Options::default());
        assert!(text.contains(reason), "{file}: {text}");
    }
}

#[test]
fn hostile_files_are_refused_whatever_is_asked_for() {
    for file in ["c007.pt", "c010.pt", "c014.pt", "c016.pt", "c035.pth"] {
        for key in [None, Some("layer0.weight".to_owned())] {
            let options = Options { key, flatten: true, drop_other: true };
            match convert(&fixture(file), &options) {
                Err(ConvertError::Refused(_) | ConvertError::Unsupported(_)) => {}
                other => panic!("{file}: {:?}", other.map(|(_, report)| report)),
            }
        }
    }
}

/// A zip with stored members, as PyTorch's reader takes it.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let (offset, mut crc) = (body.len() as u32, crc32fast::Hasher::new());
        crc.update(content);
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        common.extend(crc.finalize().to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        body.extend(b"PK\x03\x04");
        body.extend(&common);
        body.extend(name.as_bytes());
        body.extend(*content);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, len, count) = (body.len() as u32, directory.len() as u32, members.len() as u16);
    body.extend(directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    body.extend([len.to_le_bytes(), start.to_le_bytes()].concat());
    body.extend([0, 0]);
    body
}

/// `{name: tensor}` with one tensor of `shape` and `stride` (opcodes) over a storage of four floats.
fn pickle(function: &str, offset: &str, shape: &str, stride: &str, hooks: &str) -> Vec<u8> {
    format!(
        "}}Vw\nctorch._utils\n{function}\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ{offset}{shape}{stride}I00\n{hooks}tRs."
    )
    .into_bytes()
}

const HOOKS: &str = "ccollections\nOrderedDict\n)R";

fn file(pickle: &[u8], order: &[u8]) -> Vec<u8> {
    let floats: Vec<u8> = (0..4u8).flat_map(|n| [n, 1, 2, 3]).collect();
    zip(&[("m/data.pkl", pickle), ("m/byteorder", order), ("m/data/0", &floats), ("m/version", b"3\n")])
}

#[test]
fn big_endian_files_come_out_little_endian() {
    let honest = pickle("_rebuild_tensor_v2", "I0\n", "(I4\nt", "(I1\nt", HOOKS);
    let (little, _) = convert(&file(&honest, b"little"), &Options::default()).unwrap();
    let (big, _) = convert(&file(&honest, b"big"), &Options::default()).unwrap();
    let swapped: Vec<u8> =
        little[little.len() - 16..].chunks(4).flat_map(|c| c.iter().rev().copied().collect::<Vec<_>>()).collect();
    assert_eq!(big[big.len() - 16..], swapped);
    assert!(reasons(&file(&honest, b"middle"), &Options::default()).contains("unknown byte order"));
}

#[test]
fn each_lie_about_a_tensor_is_named() {
    let made = |offset: &str, shape: &str, stride: &str, hooks: &str| {
        reasons(&file(&pickle("_rebuild_tensor_v2", offset, shape, stride, hooks), b"little"), &Options::default())
    };
    let ok = ("I0\n", "(I4\nt", "(I1\nt", HOOKS);
    for (text, reason) in [
        (made("I1\n", ok.1, ok.2, ok.3), "behind the end of its storage"),
        (made("I-1\n", ok.1, ok.2, ok.3), "negative offset"),
        (made(ok.0, "(I5\nt", ok.2, ok.3), "behind the end of its storage"),
        (made(ok.0, "(I2\nI2\nt", "(I9223372036854775807\nI1\nt", ok.3), "does not fit 64 bits"),
        (made(ok.0, "(I2\nI2\nt", "(I4000000000\nI1\nt", ok.3), "behind the end"),
        (made(ok.0, "(I4294967296\nI4294967296\nt", "(I0\nI0\nt", ok.3), "does not fit 64 bits"),
        (made(ok.0, "(I-4\nt", ok.2, ok.3), "size is no tuple of numbers"),
        (made(ok.0, ok.1, "(t", ok.3), "different lengths"),
        (made(ok.0, ok.1, ok.2, "cos\nsystem\n"), "imports `os.system`"),
        (made(ok.0, ok.1, ok.2, "ctorch\nTensor\n"), "hooks"),
    ] {
        assert!(text.contains(reason), "{reason}: {text}");
    }
}

#[test]
fn a_view_that_repeats_one_element_may_not_fill_the_disk() {
    let bomb = pickle("_rebuild_tensor_v2", "I0\n", "(I1000000\nI1000000\nt", "(I0\nI0\nt", HOOKS);
    assert!(matches!(
        exercise(&file(&bomb, b"little"), &Limits::default(), &Options::default()),
        Err(ConvertError::Limit(_))
    ));
}

#[test]
fn what_the_value_does_not_show_is_refused_too() {
    let honest = pickle("_rebuild_tensor_v2", "I0\n", "(I4\nt", "(I1\nt", HOOKS);
    let all = Options { flatten: true, drop_other: true, ..Options::default() };
    // A call whose result is dropped; a call of a result; a name that is put together; an item set on a global.
    for before in [
        "cos\nsystem\n(Vid\ntR0",
        "cbuiltins\ndict\n)R)R0",
        "cbuiltins\ngetattr\n(cos\nVsystem\ntR0",
        "ctorch\nSize\nVa\nI1\ns0",
    ] {
        let evil = [before.as_bytes(), &honest].concat();
        assert!(!reasons(&file(&evil, b"little"), &all).is_empty(), "{before}");
    }
    // A second pickle behind the first, a member that nobody names, a storage nobody names.
    let behind = [&honest[..], b"cos\nsystem\n(Vid\ntR."].concat();
    assert!(reasons(&file(&behind, b"little"), &Options::default()).contains("behind the end of the pickle"));
    let floats = [0; 16];
    let extra =
        zip(&[("m/data.pkl", &honest), ("m/data/0", &floats), ("m/data/1", b"x"), ("m/evil.pkl", b"cos\nsystem\n.")]);
    let text = reasons(&extra, &Options::default());
    assert!(text.contains("m/data/1: a storage that no tensor names") && text.contains("m/evil.pkl"), "{text}");
    // A dict that holds itself, under --flatten.
    let looped = b"}p0\nVa\ng0\ns.";
    assert!(
        reasons(&file(looped, b"little"), &Options { flatten: true, ..Options::default() }).contains("nested too deep")
    );
}

#[test]
fn a_flipped_byte_of_a_storage_breaks_its_checksum() {
    let mut bytes = ours("module.pt");
    let (out, report) = convert(&bytes, &Options::default()).unwrap();
    let needle = &out[out.len() - 4..];
    assert!(report.tensor_bytes > 4);
    let at = bytes.windows(4).rposition(|w| w == needle).unwrap();
    bytes[at] ^= 1;
    let refusal = refused(&bytes, &Options::default());
    assert!(refusal.reasons.iter().any(|r| r.what.contains("checksum")), "{refusal:?}");
}

#[test]
fn comparison_names_every_difference() {
    let (out, report) = convert(&ours("module.pt"), &Options::default()).unwrap();
    let mut other = out.clone();
    *other.last_mut().unwrap() ^= 1;
    let budget = Budget::new(Limits::default());
    let last = report.tensors.last().unwrap().name.clone();
    let found = compare(&report, &other, &budget).unwrap();
    assert_eq!(found.iter().map(|d| d.name.clone()).collect::<Vec<_>>(), [last]);
    let (tied, _) = convert(&ours("tied.pt"), &Options::default()).unwrap();
    assert_eq!(compare(&report, &tied, &budget).unwrap().len(), report.tensors.len() + 3);
    assert!(compare(&report, &b"no".to_vec(), &budget).is_err());
}

#[test]
fn mutated_files_neither_panic_nor_leave_their_limits() {
    let names = ["strided.pt", "legacy.pth", "tied.pt", "arrays.npz", "packed.npz", "fortran.npy", "checkpoint.pt"];
    let mut seeds: Vec<Vec<u8>> = names.iter().map(|name| ours(name)).collect();
    seeds.push(file(&pickle("_rebuild_tensor_v2", "I0\n", "(I4\nt", "(I1\nt", HOOKS), b"big"));
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % n.max(1)
    };
    let limits =
        Limits { steps: 200_000, nodes: 5_000, expanded_bytes: 1 << 20, header_bytes: 1 << 20, ..Limits::default() };
    let mut converted = 0;
    for _ in 0..4000 {
        let mut bytes = seeds[next(seeds.len())].clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes[at] ^= 1 << next(8),
                2 => bytes.truncate(at.max(1)),
                3 => {
                    let other = &seeds[next(seeds.len())];
                    let from = next(other.len());
                    bytes.splice(at..at, other[from..].iter().copied().take(40));
                }
                // Only the pickle, where the meaning is.
                _ => {
                    let at = next(bytes.len().min(900));
                    bytes[at] = next(256) as u8;
                }
            }
        }
        let options = Options { flatten: next(2) == 0, drop_other: next(2) == 0, ..Options::default() };
        if let Ok(report) = exercise(&bytes, &limits, &options) {
            converted += 1;
            assert!(report.tensor_bytes <= bytes.len() as u64 + limits.expanded_bytes);
        }
    }
    assert!(converted > 10, "{converted}");
}
