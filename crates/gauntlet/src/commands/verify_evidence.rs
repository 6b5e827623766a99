//! `gauntlet verify --evidence BUNDLE` and `gauntlet verify MODEL --for ENV`: judges signed evidence by a trust policy.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use gauntlet_core::project::FILE_NAME;
use gauntlet_core::{Digest, Subject, Verdict};
use gauntlet_ledger::bundle::{Bundle, MAX_BUNDLE};
use gauntlet_ledger::judge::{JudgedItem, Judgement, Question, Standing, gather, judge};
use gauntlet_ledger::note::VerifierKey;
use gauntlet_policy::{MergedEnvironment, Pack, PolicySet};
use gauntlet_trust::keys::{KeyStore, VerifyingKey};
use gauntlet_trust::trust_policy::PredicatePattern;

use crate::cli::{Format, Global, VerifyArgs};
use crate::commands::ledger::{self, explain};
use crate::commands::revoke::on_disk;
use crate::commands::run::{clock, load};
use crate::commands::verify;
use crate::decide::Rules;
use crate::exit::{Exit, UsageError};
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::trust::{LoadedTrust, TrustArgs};
use crate::{keys, terminal};

/// What `verify` is asked: a signature, the evidence in a bundle, or a decision in the project's ledger.
#[derive(Debug)]
pub(crate) enum VerifyCommand {
    /// A signature of a model.
    Signature(Box<VerifyArgs>),
    /// Evidence about a subject.
    Evidence(Box<EvidenceArgs>),
}

/// Options of both kinds of evidence.
#[derive(Debug, Args)]
struct EvidenceOptions {
    /// Judge this `.gauntlet-bundle`, offline; with MODEL, only what is about it.
    #[arg(long, value_name = "BUNDLE", help_heading = "Evidence")]
    evidence: Option<PathBuf>,
    /// Verify for this environment; without --evidence, that the project's ledger holds a decision which allows MODEL there.
    #[arg(long = "for", value_name = "ENV", help_heading = "Evidence")]
    environment: Option<String>,
    /// There must be accepted evidence of this type: a predicate type, or a word such as report, decision, approval, bom;
    /// may be given several times [default: all evidence in the bundle must be accepted].
    #[arg(long, value_name = "TYPE", requires = "evidence", help_heading = "Evidence", value_parser = PredicatePattern::parse)]
    require: Vec<PredicatePattern>,
    /// Key of a log (vkey) that counts besides those of the trust policy; may be given several times.
    #[arg(long, value_name = "VKEY", requires = "evidence", help_heading = "Evidence", value_parser = log_key)]
    log_key: Vec<VerifierKey>,
    /// The project whose ledger holds the decision.
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Evidence")]
    project: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Evidence about a subject, with the options that it shares with signatures.
#[derive(Debug)]
pub(crate) struct EvidenceArgs {
    options: EvidenceOptions,
    model: Option<PathBuf>,
    keys: Vec<PathBuf>,
    format: Format,
    output: Option<PathBuf>,
}

/// Options that mean something for evidence, too; all others of a signature are refused beside it.
const SHARED: [&str; 4] = ["model", "keys", "format", "output"];

impl Args for VerifyCommand {
    fn augment_args(command: Command) -> Command {
        let signature: Vec<String> = VerifyArgs::augment_args(Command::new("signature"))
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .collect();
        let command = EvidenceOptions::augment_args(VerifyArgs::augment_args(command));
        let alone = signature.into_iter().filter(|id| !SHARED.contains(&id.as_str()));
        let command = alone.fold(command, |command, id| {
            command.mut_arg(id, |arg| arg.conflicts_with_all(["evidence", "environment"]))
        });
        command.mut_arg("model", |arg| arg.required(false).required_unless_present("evidence")).mut_arg("keys", |arg| {
            arg.required(false).required_unless_present_any(["evidence", "environment", "ca", "trusted_root"])
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for VerifyCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let options = EvidenceOptions::from_arg_matches(matches)?;
        if options.evidence.is_none() && options.environment.is_none() {
            let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
            if let Some(id) = ["trust_policy", "trust_roots", "project"].into_iter().find(|id| given(id)) {
                let message = format!("--{} needs --evidence or --for\n", id.replace('_', "-").trim_end_matches('s'));
                return Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, message));
            }
            return Ok(Self::Signature(Box::new(VerifyArgs::from_arg_matches(matches)?)));
        }
        let raw = |id: &str| -> Vec<OsString> {
            matches.get_raw(id).map(|values| values.map(OsString::from).collect()).unwrap_or_default()
        };
        Ok(Self::Evidence(Box::new(EvidenceArgs {
            model: raw("model").into_iter().next().map(PathBuf::from),
            keys: raw("keys").into_iter().map(PathBuf::from).collect(),
            format: matches.get_one::<Format>("format").copied().unwrap_or_default(),
            output: matches.get_one::<PathBuf>("output").cloned(),
            options,
        })))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(crate) fn run(
    command: &VerifyCommand,
    global: &Global,
    config: impl Fn() -> anyhow::Result<UserConfig>,
) -> anyhow::Result<Exit> {
    match command {
        VerifyCommand::Signature(args) => verify::run(args, global, &config),
        VerifyCommand::Evidence(args) => evidence(args, global, &config()?),
    }
}

fn evidence(args: &EvidenceArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    if !matches!(args.format, Format::Human | Format::Json) {
        return Err(UsageError::new("evidence is shown as human or json").into());
    }
    let at = clock(global)?.now();
    let trust = args.options.trust.required(config)?;
    if let Some(environment) = &args.options.environment
        && !trust.policy.environments.contains_key(environment)
        && args.options.evidence.is_some()
    {
        let known: Vec<&str> = trust.policy.environments.keys().map(String::as_str).collect();
        let text = format!("the trust policy has no environment `{environment}`; it has: {}", known.join(", "));
        return Err(UsageError::new(text).into());
    }
    let meter = Meter::new(!global.quiet && !global.no_progress);
    if let Some(path) = args.model.as_ref().filter(|path| !path.exists()) {
        return Err(UsageError::new(format!("{} is not there", path.display())).into());
    }
    meter.step("hashing the model");
    let subject = args.model.as_ref().map(|path| on_disk(path, &meter)).transpose()?;
    meter.finish();
    let mut keys = args.keys.iter().map(|path| keys::verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
    let judgement = match &args.options.evidence {
        Some(path) => {
            let bundle = read_bundle(path)?;
            let question = Question {
                policy: &trust.policy,
                at,
                environment: args.options.environment.as_deref(),
                subject: subject.as_ref(),
                require: &args.options.require,
                keys: &keys,
                logs: &args.options.log_key,
                packs: None,
            };
            judge(&bundle, &question)
        }
        None => {
            let Some(subject) = &subject else { return Err(UsageError::new("name the model to verify").into()) };
            keys.extend(KeyStore::new(config.dir()).public_keys().context("cannot read your keys")?);
            decision(args, subject, &trust, &keys, at, config)?
        }
    };
    let text = match args.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&judgement)?),
        _ => human(&judgement, &trust, args),
    };
    terminal::deliver(text.as_bytes(), args.output.as_deref())?;
    Ok(match judgement.verdict {
        Verdict::Pass | Verdict::Warn => Exit::Allowed,
        Verdict::Fail => Exit::Refused,
        Verdict::Error => Exit::Inconclusive,
    })
}

/// Judges what the project's own ledger holds about a model; there must be a decision under the policy in force.
fn decision(
    args: &EvidenceArgs,
    subject: &Subject,
    trust: &LoadedTrust,
    keys: &[VerifyingKey],
    at: jiff::Timestamp,
    config: &UserConfig,
) -> anyhow::Result<Judgement> {
    let dir = &args.options.project;
    let file = dir.join(FILE_NAME);
    let project = load(&file, dir)?;
    let rules = Rules::load(&project, &file, Some(trust.clone()))?;
    let enforced = rules.enforced(args.options.environment.as_deref())?;
    let environment = enforced.as_ref().and_then(|name| rules.merged.environments.get(name));
    let environment = environment.ok_or_else(|| UsageError::new("name the environment with --for"))?;
    let packs = packs(environment);
    let ledger = ledger::open(dir, config)?;
    let bundle = gather(&ledger, &subject.digest).map_err(explain)?;
    let require = [PredicatePattern::Family("decision")];
    let logs = [ledger.verifier_key().clone()];
    let question = Question {
        policy: &trust.policy,
        at,
        environment: Some(&environment.name),
        subject: Some(subject),
        require: &require,
        keys,
        logs: &logs,
        packs: Some(&packs),
    };
    Ok(judge(&bundle, &question))
}

fn packs(environment: &MergedEnvironment) -> Digest {
    let packs = environment.packs.iter().filter_map(|pack| Pack::shipped(&pack.value)).collect();
    PolicySet::new(packs).digest().clone()
}

fn read_bundle(path: &Path) -> anyhow::Result<Bundle> {
    let file = File::open(path)
        .map_err(|error| UsageError::new(format!("cannot read the evidence {}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    file.take(MAX_BUNDLE as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the evidence {}", path.display()))?;
    // A bundle that is cut or damaged says nothing about the evidence in it; who sent it has to send it again.
    Bundle::parse(&bytes).with_context(|| format!("{} cannot be judged", path.display()))
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|error| error.to_string())
}

fn human(judgement: &Judgement, trust: &LoadedTrust, args: &EvidenceArgs) -> String {
    let mut text = String::new();
    let verdict = match judgement.verdict {
        Verdict::Pass | Verdict::Warn => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Error => "COULD NOT JUDGE",
    };
    let what = args.model.as_ref().map(|path| format!("  {}", path.display())).unwrap_or_default();
    let place = args.options.environment.as_ref().map(|name| format!("  for {name}")).unwrap_or_default();
    let _ = writeln!(text, "{verdict}{what}{place}");
    for reason in &judgement.reasons {
        let _ = writeln!(text, "  {}: {}", reason.code, reason.message);
    }
    text.push('\n');
    for item in &judgement.items {
        item_text(item, &mut text);
    }
    for revocation in &judgement.revocations {
        let from = revocation.from.as_ref().map(|from| format!(" since {from}")).unwrap_or_default();
        let _ = writeln!(text, "revoked    {}{from}: {}", revocation.what, shown(&revocation.reason));
    }
    text.push('\n');
    for head in &judgement.checkpoints {
        let time = match &head.time {
            Some(time) if time.source == "witnesses" => format!("{} by {}", time.time, head.witnesses.join(", ")),
            Some(time) => format!("{} by its newest entry here", time.time),
            None => "no known time".to_owned(),
        };
        let _ = writeln!(text, "Checkpoint    {} size {} root {} ({time})", head.origin, head.size, head.root);
        let whole = match head.complete {
            true => "every entry up to it was seen",
            false => "only part of its entries is here: what was revoked in the others cannot be seen",
        };
        let _ = writeln!(text, "              revocation was judged against it; {whole}");
    }
    let signed = match &trust.signers {
        Some(_) => format!("number {}, signed", trust.policy.version_number.unwrap_or_default()),
        None => "a plain file, nobody vouches for it".to_owned(),
    };
    let _ = writeln!(text, "Trust policy  {} {} ({signed})", trust.policy.name, judgement.policy_digest);
    text
}

fn item_text(item: &JudgedItem, text: &mut String) {
    let standing = match item.standing {
        Standing::Accepted => "accepted",
        Standing::Refused => "refused",
        Standing::Unjudged => "unjudged",
        Standing::Aside => "aside",
    };
    let digest: String = item.envelope.chars().skip("sha256:".len()).take(12).collect();
    let who: Vec<&str> = item
        .signers
        .iter()
        .filter(|signer| signer.counts)
        .map(|signer| signer.person.as_deref().unwrap_or(&signer.key_id))
        .collect();
    let who = if who.is_empty() { String::new() } else { format!("  by {}", who.join(", ")) };
    let subject = item.subject.as_ref().map(|name| format!("  {}", shown(name))).unwrap_or_default();
    let _ = writeln!(text, "{standing:9}  {digest}  {}{subject}{who}", shown(&item.predicate_type));
    for reason in &item.reasons {
        let _ = writeln!(text, "           {}: {}", reason.code, shown(&reason.message));
    }
}

/// A stranger's text on a terminal.
fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
