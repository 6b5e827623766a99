//! The vectors' files and the operations on trees that the cases name.

use std::fs;
use std::path::{Path, PathBuf};

use gauntlet_trust::keys::{SigningKey, VerifyingKey};
use serde_json::Value;

pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/oms")
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    fs::read(vectors().join(name)).unwrap()
}

pub(crate) fn public_key(name: &str) -> VerifyingKey {
    VerifyingKey::from_pem(&String::from_utf8(read(name)).unwrap()).unwrap()
}

/// A checkout gives key files modes that reading a private key refuses, so the text is taken instead.
pub(crate) fn private_key(name: &str) -> SigningKey {
    SigningKey::from_pem(&String::from_utf8(read(name)).unwrap(), None).unwrap()
}

pub(crate) fn cases() -> Value {
    serde_json::from_slice(&read("vectors.json")).unwrap()
}

/// Copies a model below `folder`, keeping its base name.
pub(crate) fn copy_model(model: &str, folder: &Path) -> PathBuf {
    let from = vectors().join(model);
    let to = folder.join(from.file_name().unwrap());
    copy(&from, &to);
    to
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::write(to, fs::read(from).unwrap()).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Applies one `tree_ops` entry and gives back where the model is now.
pub(crate) fn apply(op: &Value, model: PathBuf, bundle: &[u8]) -> PathBuf {
    let text = |name: &str| op[name].as_str().unwrap();
    let at = |name: &str| model.join(text(name));
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(at("path")).unwrap();
        change(&mut bytes);
        fs::write(at("path"), bytes).unwrap();
    };
    let with_folders = |path: &Path| fs::create_dir_all(path.parent().unwrap()).unwrap();
    match text("op") {
        "xor" => change(&|bytes| {
            let offset = op["offset"].as_i64().unwrap();
            let base = if offset < 0 { bytes.len() } else { 0 };
            let i = base.checked_add_signed(isize::try_from(offset).unwrap()).unwrap();
            bytes[i] ^= u8::try_from(op["value"].as_u64().unwrap()).unwrap();
        }),
        "append" => change(&|bytes| bytes.extend(hex::decode(text("hex")).unwrap())),
        "truncate" => change(&|bytes| bytes.truncate(usize::try_from(op["size"].as_u64().unwrap()).unwrap())),
        "write" => {
            with_folders(&at("path"));
            fs::write(at("path"), text("text")).unwrap();
        }
        "remove" => fs::remove_file(at("path")).unwrap(),
        "rename" => fs::rename(at("path"), at("to")).unwrap(),
        "copy" => fs::write(at("to"), fs::read(at("path")).unwrap()).unwrap(),
        "swap" => {
            let (one, two) = (fs::read(at("path")).unwrap(), fs::read(at("to")).unwrap());
            fs::write(at("path"), two).unwrap();
            fs::write(at("to"), one).unwrap();
        }
        "mkdir" => fs::create_dir_all(at("path")).unwrap(),
        "symlink" => std::os::unix::fs::symlink(text("target"), at("path")).unwrap(),
        "chmod" => {
            use std::os::unix::fs::PermissionsExt;
            let mode = u32::from_str_radix(text("mode"), 8).unwrap();
            fs::set_permissions(at("path"), fs::Permissions::from_mode(mode)).unwrap();
        }
        "touch" => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            fs::File::options().append(true).open(at("path")).unwrap().set_modified(time).unwrap();
        }
        "place_bundle" => fs::write(at("path"), bundle).unwrap(),
        "rename_root" => {
            let to = model.with_file_name(text("to"));
            fs::rename(&model, &to).unwrap();
            return to;
        }
        other => panic!("unknown operation {other}"),
    }
    model
}
