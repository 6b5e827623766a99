//! The command line, and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gauntlet_core::{Severity, Stage};

use crate::commands::cluster::{ClusterArgs, WorkerArgs};
use crate::commands::ledger::bundle::{ExportArgs, ImportArgs};
use crate::commands::ledger::erase::EraseArgs;
use crate::commands::ledger::place::LedgerArg;
use crate::commands::ledger::prove::{ConsistencyArgs, ProveArgs};
use crate::commands::ledger::verify::VerifyLedgerArgs;
use crate::commands::ledger::witness::{CosignArgs, WitnessArgs};
use crate::commands::policy_bundle::PolicyBundleArgs;
use crate::commands::revoke::{ApproveArgs, RevokeArgs};
use crate::commands::verify_evidence::VerifyCommand;
use crate::trust::TrustArgs;

/// One chain of evidence from commit to deployed model: check, sign, record, decide, enforce.
#[derive(Debug, Parser)]
#[command(name = "gauntlet", version, max_term_width = 110, after_help = EXIT_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_HELP: &str = "Exit status: 0 allowed, or nothing at or above --fail-on; 1 refused; 2 wrong usage or configuration; \
                         3 could not be judged.";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Say nothing but the result.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show no progress on stderr.
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Threads to use [default: all cores].
    #[arg(long, short = 'j', global = true, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// Judge as of this time (RFC 3339 or a date) instead of now; it is recorded in the decision.
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Folder of your keys, log keys and remembered ledger heads [default: the user's configuration folder].
    #[arg(long, global = true, value_name = "DIR", env = "GAUNTLET_CONFIG_DIR", hide_env_values = true)]
    pub(crate) config_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write gauntlet.yaml and dataset manifests for what is found in a folder.
    Init(InitArgs),
    /// Run every gate that gauntlet.yaml asks for: evidence, decision, report.
    Run(RunArgs),
    /// Source and artifact gates on any path, with no configuration.
    Scan(ScanArgs),
    /// Ask a rule, or SQL, over the facts of everything that was ever admitted, without the files.
    Hunt(HuntArgs),
    /// Write the tensors of a PyTorch or NumPy file as safetensors, without running anything in it.
    Convert(ConvertArgs),
    /// The data gate by hand: manifests, contracts, profiles, drift.
    Data(crate::commands::data::DataArgs),
    /// Be a node of a cluster that reads tables for `gauntlet data … --cluster`.
    Worker(WorkerArgs),
    /// Make keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Train in confinement, and keep a signed record of what went in, what held it and what came out.
    Train(Box<crate::commands::train::TrainArgs>),
    /// Sign a model file or folder in the OpenSSF model-signing format.
    Sign(SignArgs),
    /// Write a model as an OCI image layout, with its signature and what is known about it.
    Package(crate::commands::package::PackageArgs),
    /// Wrap what somebody else found, or a step of a build, as signed evidence about a subject.
    Attest(crate::commands::attest::AttestArgs),
    /// Write the bill of materials of a model, as CycloneDX or SPDX.
    Bom(crate::commands::bom::BomArgs),
    /// Write the model card from what is known of a model; what people wrote in it stays.
    Card(crate::commands::card::CardArgs),
    /// Verify the signature of a model, the evidence about it (--evidence), or that it may go somewhere (--for).
    Verify(VerifyCommand),
    /// Approve a model or dataset for an environment: a signed statement in the ledger.
    Approve(ApproveArgs),
    /// Revoke a subject, a piece of evidence or a key: a signed statement in the ledger.
    Revoke(RevokeArgs),
    /// Read, check, export and witness the append-only log of all evidence.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Test and list policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What rules there are, why they matter, how to fix what they find.
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Show the configuration in force.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Evaluates one untrusted policy; started by the program itself.
    #[command(hide = true, name = "__policy-child")]
    PolicyChild,
    /// One stage of a confined run; started by the program itself.
    #[command(hide = true, name = "__train-stage")]
    TrainStage {
        /// Stage and control socket.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

/// How to print a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    #[default]
    Human,
    /// One JSON object with a documented schema.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML, for CI.
    Junit,
    /// Markdown, for a pull request.
    Markdown,
    /// One HTML page.
    Html,
}

/// Where the result goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Write the result to a file instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Replace files that are already there.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The project's folder.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Enforce this environment [default: `default_environment` of gauntlet.yaml].
    #[arg(long = "for", value_name = "ENV")]
    pub(crate) environment: Option<String>,
    /// Run only these stages; what they leave out counts as missing evidence.
    #[arg(long = "stage", value_name = "STAGE", value_parser = parse_stage)]
    pub(crate) stages: Vec<Stage>,
    /// Another configuration file than DIR/gauntlet.yaml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The key that signs evidence: a PEM file, or `pkcs11:token=…;object=…?module-path=…` [default: a local development
    /// key, and the evidence is marked `local`].
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase, or the token's PIN.
    #[arg(long, value_name = "NAME", requires = "key")]
    pub(crate) passphrase_env: Option<String>,
    /// A ledger in an object store, such as `s3://bucket/prefix` [default: `ledger.url` of gauntlet.yaml, else the project's own].
    #[arg(long = "ledger", value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// Take a file for unchanged when its inode, size and times are, without reading it.
    #[arg(long)]
    pub(crate) trust_mtime: bool,
    /// Judge everything anew, using nothing cached.
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How closely weights are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weights {
    /// Not at all.
    None,
    /// The beginning of each tensor.
    Sample,
    /// All of them.
    Whole,
}

impl Weights {
    /// The word in the gate's configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sample => "sample",
            Self::Whole => "whole",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files and folders.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Lowest severity that makes the exit status 1; it never changes a verdict.
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = parse_severity)]
    pub(crate) fail_on: Severity,
    /// Trust only the allow list of pickles: what it does not know is high, also when it is only imported.
    #[arg(long)]
    pub(crate) strict: bool,
    /// How closely weights are looked at [default: sample].
    #[arg(long, value_enum, value_name = "DEPTH", conflicts_with = "structure_only")]
    pub(crate) weights: Option<Weights>,
    /// Read headers and small members only: no digest, so the result cannot become evidence.
    #[arg(long, conflicts_with = "facts")]
    pub(crate) structure_only: bool,
    /// Leave out what `.gitignore` files name.
    #[arg(long)]
    pub(crate) respect_gitignore: bool,
    /// Leave out what this glob (gitignore syntax) names.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Raise or lower a limit, such as `steps=50000000`; `gauntlet config show` lists them.
    #[arg(long = "limit", value_name = "NAME=N")]
    pub(crate) limits: Vec<String>,
    /// Keep what was seen in this folder, so that `gauntlet hunt --facts DIR` can ask about it later.
    #[arg(long, value_name = "DIR")]
    pub(crate) facts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How to print what a hunt found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HuntFormat {
    /// For a person.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// Comma-separated values.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct HuntArgs {
    /// Rule or check to ask again, such as `artifact/pickle/unknown-import`.
    #[arg(value_name = "RULE", conflicts_with_all = ["sql", "tables"])]
    pub(crate) rules: Vec<String>,
    /// A query instead of a rule; it only reads.
    #[arg(long, value_name = "SQL", conflicts_with = "tables")]
    pub(crate) sql: Option<String>,
    /// List tables and columns.
    #[arg(long, alias = "list")]
    pub(crate) tables: bool,
    /// A project's folder; may be given several times [default: the current folder].
    #[arg(long = "dir", short = 'C', value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// A folder of facts that `gauntlet scan --facts` wrote; nothing vouches for them.
    #[arg(long, value_name = "DIR")]
    pub(crate) facts: Vec<PathBuf>,
    /// PEM file of a public key whose evidence counts besides your own; may be given several times.
    #[arg(long = "key", value_name = "PUB")]
    pub(crate) keys: Vec<PathBuf>,
    /// Lowest severity that makes the exit status 1.
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = parse_severity)]
    pub(crate) fail_on: Severity,
    /// Most rows of a query's answer.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) rows: usize,
    /// Memory for a query, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) memory: u64,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: HuntFormat,
    /// Write the result to a file instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A PyTorch file (zip, or the layout before version 1.6), `.npz` or `.npy`.
    pub(crate) model: PathBuf,
    /// The safetensors file to write.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Compare the tensors with those of a safetensors file; exit 1 when any differs.
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Take the dict under this key, such as `state_dict`, instead of the whole value.
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Take dicts inside dicts, too, with names joined by dots.
    #[arg(long)]
    pub(crate) flatten: bool,
    /// Leave out what is no tensor (numbers, text, lists) and list it; code is refused all the same.
    #[arg(long)]
    pub(crate) drop_other: bool,
    /// Replace the output when it is already there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Raise or lower a limit, such as `expanded_bytes=8000000000`; `gauntlet config show` lists them.
    #[arg(long = "limit", value_name = "NAME=N")]
    pub(crate) limits: Vec<String>,
    /// How to print what was done.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: ConvertFormat,
}

/// How to print what `convert` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConvertFormat {
    /// For a person.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a signing key and its public key.
    Generate(KeyGenerateArgs),
    /// Print key id and algorithm of a private or public key.
    Show(KeyShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyGenerateArgs {
    /// Name of the key: NAME.pem and NAME.pub in the keys folder.
    #[arg(default_value = "signing")]
    pub(crate) name: String,
    /// Kind of key.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) algorithm: KeyAlgorithm,
    /// Write the private key to this file instead; the public key goes beside it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Environment variable that holds the passphrase [default: ask on a terminal, none elsewhere].
    #[arg(long, value_name = "NAME")]
    pub(crate) passphrase_env: Option<String>,
    /// Do not ask for a passphrase: the key lies unencrypted in a file that only you can read.
    #[arg(long, conflicts_with = "passphrase_env")]
    pub(crate) no_passphrase: bool,
    /// Replace a key that is already there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Kinds of keys that can be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    #[default]
    EcdsaP256,
    /// Ed25519.
    Ed25519,
}

#[derive(Debug, Args)]
pub(crate) struct KeyShowArgs {
    /// PEM file of a private or public key.
    pub(crate) key: PathBuf,
    /// Environment variable that holds the passphrase.
    #[arg(long, value_name = "NAME")]
    pub(crate) passphrase_env: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Model file or folder; with --digests or --oci only its name counts.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) given: crate::commands::sign_given::GivenArgs,
    /// PEM file of the private key.
    #[arg(long, value_name = "KEY", required_unless_present_any = ["pkcs11", "keyless"])]
    pub(crate) key: Option<PathBuf>,
    /// Sign with a key in a hardware token: `pkcs11:token=…;object=…` (RFC 7512).
    #[arg(long, value_name = "URI", conflicts_with_all = ["key", "passphrase_env"])]
    pub(crate) pkcs11: Option<String>,
    /// Library of the token's PKCS#11 module [default: `module-path` of the URI].
    #[arg(long, value_name = "PATH", requires = "pkcs11")]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// Environment variable that holds the token's PIN [default: ask on a terminal].
    #[arg(long, value_name = "NAME", requires = "pkcs11", conflicts_with = "pin_file")]
    pub(crate) pin_env: Option<String>,
    /// File that holds the token's PIN.
    #[arg(long, value_name = "FILE", requires = "pkcs11")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Certificate of the key (PEM or DER); further ones in the file are taken as its issuers.
    #[arg(long, value_name = "PEM")]
    pub(crate) certificate: Option<PathBuf>,
    /// Certificates between that one and an authority; may be given several times. Roots are left out.
    #[arg(long, value_name = "PEM", requires = "certificate")]
    pub(crate) chain: Vec<PathBuf>,
    /// Have the signature time-stamped by this authority (RFC 3161), so that it outlives the certificate.
    #[arg(long, value_name = "URL")]
    pub(crate) timestamp: Option<String>,
    /// Certificates of the time stamping authority: check what it answers before anything is written.
    #[arg(long, value_name = "PEM", requires = "timestamp")]
    pub(crate) tsa: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) keyless: KeylessArgs,
    /// Where the signature goes [default: MODEL/model.sig for a folder, MODEL.sig for a file].
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase [default: ask on a terminal].
    #[arg(long, value_name = "NAME")]
    pub(crate) passphrase_env: Option<String>,
    /// Leave out this path below the model; recorded in the signature.
    #[arg(long, value_name = "PATH")]
    pub(crate) ignore: Vec<PathBuf>,
    /// Hash links to files through, instead of refusing them.
    #[arg(long)]
    pub(crate) allow_symlinks: bool,
    /// How files are hashed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) hash: HashAlgorithm,
    /// Name the one resource of a single-file model `.`, which is what the reference implementation reads.
    #[arg(long)]
    pub(crate) dot: bool,
    /// Sign ranges of this many bytes instead of whole files.
    #[arg(long, value_name = "BYTES")]
    pub(crate) shard_size: Option<u64>,
}

/// Signing with an identity instead of a key. The token that proves the identity never stands on the command line.
#[derive(Debug, Args)]
pub(crate) struct KeylessArgs {
    /// Sign with a key that is thrown away, a certificate for your identity and an entry in a public log (Sigstore).
    #[arg(long, requires = "fulcio_url", requires = "rekor_url", conflicts_with_all = ["key", "pkcs11", "certificate"])]
    pub(crate) keyless: bool,
    /// The certificate authority (Fulcio) to ask.
    #[arg(long, value_name = "URL", requires = "keyless")]
    pub(crate) fulcio_url: Option<String>,
    /// The transparency log (Rekor, version 1) to write to. What it takes is public and stays.
    #[arg(long, value_name = "URL", requires = "keyless")]
    pub(crate) rekor_url: Option<String>,
    /// Environment variable that holds the OpenID Connect token [default: ask the CI system, where it is GitHub Actions].
    #[arg(long, value_name = "NAME", requires = "keyless", conflicts_with = "identity_token_file")]
    pub(crate) identity_token_env: Option<String>,
    /// File that holds the OpenID Connect token.
    #[arg(long, value_name = "FILE", requires = "keyless")]
    pub(crate) identity_token_file: Option<PathBuf>,
    /// Trusted root of that Sigstore instance: check what certificate authority and log answer before anything is written.
    #[arg(long, value_name = "JSON", requires = "keyless")]
    pub(crate) trusted_root: Option<PathBuf>,
}

/// Hashes that the OpenSSF format knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HashAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// BLAKE2b with 64 bytes.
    Blake2b,
    /// BLAKE3.
    Blake3,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Model file or folder, OCI layout, `s3://BUCKET/KEY`, `https://HOST/PATH`, or `-` for a file on stdin.
    pub(crate) model: PathBuf,
    /// The signature [default: MODEL/model.sig for a folder, MODEL.sig for a file].
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// PEM file of a public key to trust; may be given several times.
    #[arg(long = "key", value_name = "PUB", required_unless_present_any = ["ca", "trusted_root"])]
    pub(crate) keys: Vec<PathBuf>,
    /// Certificates of an authority to trust (PEM or DER); may be given several times.
    #[arg(long, value_name = "PEM")]
    pub(crate) ca: Vec<PathBuf>,
    /// Certificates of a time stamping authority to trust: its stamp shows when a signature was made.
    #[arg(long, value_name = "PEM", requires = "ca")]
    pub(crate) tsa: Vec<PathBuf>,
    /// Trusted root of a Sigstore instance (`trusted_root.json`).
    #[arg(long, value_name = "JSON", requires = "who", requires = "issuer")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Who must have signed, as Sigstore names them: an e-mail address or a URI.
    #[arg(long, value_name = "IDENTITY", requires = "trusted_root", group = "who")]
    pub(crate) identity: Option<String>,
    /// As --identity, for all names that this regular expression matches from beginning to end.
    #[arg(long, value_name = "REGEX", requires = "trusted_root", group = "who")]
    pub(crate) identity_regexp: Option<String>,
    /// Who must have vouched for that identity: the URL of an OpenID Connect provider.
    #[arg(long, value_name = "URL", requires = "trusted_root")]
    pub(crate) issuer: Option<String>,
    /// Follow links to files where the signature allows them, which is the default.
    #[arg(long, conflicts_with = "refuse_symlinks")]
    pub(crate) allow_symlinks: bool,
    /// Refuse links even where the signature allows them.
    #[arg(long)]
    pub(crate) refuse_symlinks: bool,
    /// Leave out this path below the model on top of those the signature names.
    #[arg(long, value_name = "PATH")]
    pub(crate) ignore: Vec<PathBuf>,
    /// Accept files that the signature does not cover; they are listed.
    #[arg(long)]
    pub(crate) ignore_unsigned: bool,
    #[command(flatten)]
    pub(crate) place: crate::commands::verify_place::PlaceArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where a project is.
#[derive(Debug, Args)]
pub(crate) struct ProjectArg {
    /// The project's folder.
    #[arg(long, short = 'C', default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// List entries, newest last.
    Log {
        #[command(flatten)]
        ledger: LedgerArg,
        /// Only the newest N.
        #[arg(long, short = 'n', value_name = "N")]
        last: Option<u64>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one entry and the statement it points to.
    Show {
        /// Index of the entry, or SHA-256 of its envelope.
        entry: String,
        #[command(flatten)]
        ledger: LedgerArg,
    },
    /// Derive the whole tree again and compare everything that is stored; exit 1 on any difference.
    Verify(VerifyLedgerArgs),
    /// Write evidence with its proofs into one file.
    Export(ExportArgs),
    /// Take in evidence of another ledger, with its proof; it stays foreign.
    Import(ImportArgs),
    /// Write a proof that an entry is in the log, for somebody who has only the log's key.
    Prove(ProveArgs),
    /// Show that a later state of the log continues an earlier one.
    Consistency(ConsistencyArgs),
    /// Remove the bytes of an envelope and leave a signed tombstone.
    Erase(EraseArgs),
    /// Be a witness: cosign checkpoints of logs that only ever grow.
    Witness(WitnessArgs),
    /// Ask witnesses to cosign the newest checkpoint.
    Cosign(CosignArgs),
    /// Print the log's public key.
    Key {
        #[command(flatten)]
        ledger: LedgerArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Run the Rego tests of a folder and of the folders in it.
    Test {
        /// Folder with `*.rego` and `*_test.rego`.
        #[arg(default_value = "policies")]
        dir: PathBuf,
    },
    /// List the packs that ship with the program.
    List,
    /// Sign an organisation's trust policy with its root keys, or verify one that is signed.
    Bundle(PolicyBundleArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// All rules.
    List,
    /// One rule or check: what it does, why, example, fix, references.
    Show {
        /// Rule id such as `artifact/pickle/dangerous-global`, or a check id.
        rule: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Each value in force and where it comes from.
    Show {
        #[command(flatten)]
        project: ProjectArg,
        #[command(flatten)]
        trust: TrustArgs,
    },
    /// Print the JSON Schema of a document.
    Schema {
        /// Which document.
        #[arg(value_enum)]
        document: SchemaName,
    },
}

/// Documents with a JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    /// gauntlet.yaml
    Project,
    /// The JSON of `--format json`
    Output,
    /// A dataset manifest
    Manifest,
    /// A data contract
    Contract,
    /// The trust policy
    TrustPolicy,
    /// What a policy reads
    PolicyInput,
    /// The JSON of `verify --evidence`
    Judgement,
}

fn parse_stage(text: &str) -> Result<Stage, String> {
    let known = [Stage::Source, Stage::Data, Stage::Train, Stage::Artifact];
    known.into_iter().find(|stage| stage.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|s| s.as_str()).collect();
        format!("stages that can run are {}", names.join(", "))
    })
}

pub(crate) fn parse_severity(text: &str) -> Result<Severity, String> {
    Severity::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = Severity::ALL.iter().map(|s| s.as_str()).collect();
        format!("severities are {}", names.join(", "))
    })
}
