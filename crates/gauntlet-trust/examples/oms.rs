//! Signs and verifies models with nothing but this crate, for the interoperability script.
//!
//! `oms sign MODEL --key KEY [--signature FILE]`, `oms verify MODEL --signature FILE --key PUB`; exit 0 pass, 1 fail,
//! 2 wrong usage, 3 could not judge.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use gauntlet_core::{Verdict, write_durably};
use gauntlet_trust::keys;
use gauntlet_trust::oms::{self, HashType, Serialization, SignOptions, Trust, VerifyOptions};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("oms: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<u8, String> {
    let mut positional = Vec::new();
    let (mut key, mut signature, mut sign) = (None, None, SignOptions::default());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--key" => key = Some(PathBuf::from(value()?)),
            "--signature" => signature = Some(PathBuf::from(value()?)),
            "--blake3" => sign.hash = HashType::Blake3,
            "--shards" => {
                let size: NonZeroU64 = value()?.parse().map_err(|e| format!("--shards: {e}"))?;
                sign.serialization = Serialization::Shards(size);
            }
            "--dot" => sign.dot_for_single_file = true,
            _ => positional.push(argument),
        }
    }
    let [command, model] = positional.as_slice() else { return Err("a command and a model are needed".to_owned()) };
    let model = PathBuf::from(model);
    let key = key.ok_or("--key is needed")?;
    match command.as_str() {
        "sign" => {
            let path = signature.unwrap_or_else(|| oms::default_signature_path(&model));
            sign.signature_path = Some(path.clone());
            let key = keys::read_private(&key, None).map_err(|e| e.to_string())?;
            let signed = oms::sign(&model, &key, &sign).map_err(|e| e.to_string())?;
            write_durably(&path, &signed.bundle, 0o644).map_err(|e| e.to_string())?;
            println!("{} {} files, {} bytes", signed.root_digest, signed.files, signed.bytes);
            Ok(0)
        }
        "verify" => {
            let path = signature.unwrap_or_else(|| oms::default_signature_path(&model));
            let bundle = oms::read_bundle(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let trust = Trust::Keys(vec![keys::read_public(&key).map_err(|e| e.to_string())?]);
            let options = VerifyOptions { signature_path: Some(path), ..VerifyOptions::default() };
            let found = oms::verify(&model, &bundle, &trust, &options);
            println!("{}", found.verdict);
            for reason in &found.reasons {
                println!("{} {}: {}", reason.code.as_str(), reason.path.as_deref().unwrap_or("-"), reason.message);
            }
            Ok(match found.verdict {
                Verdict::Pass | Verdict::Warn => 0,
                Verdict::Fail => 1,
                Verdict::Error => 3,
            })
        }
        other => Err(format!("unknown command {other}")),
    }
}
