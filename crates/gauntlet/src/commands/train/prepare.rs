//! From gauntlet.yaml and flags to one job: what runs, on what, under which limits.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use gauntlet_core::project::{Runner, TrainingConfig, TrainingLimits, expand_path, valid_host};
use gauntlet_core::yaml::Located;
use gauntlet_core::{Digest, DigestSet, Project, Stage, SubjectKind, canonical, dir_hash, display_path};
use gauntlet_train::record::{GitState, NamedDigest, git_state};
use gauntlet_train::sandbox::{Job, WORK};
use serde_json::json;

use super::{TrainArgs, interpreter, pinned};
use crate::attestation;
use crate::commands::run::load;
use crate::decide::Rules;
use crate::exit::UsageError;
use crate::plan::{self, Plan};
use crate::progress::Meter;
use crate::state::UserConfig;

/// Source is copied into the run; what is larger than this together is no source.
const MAX_CODE: u64 = 64 << 20;

/// Suffixes of files that are source. What else the command reads is data, and has to be declared.
const CODE: [&str; 16] =
    ["py", "pyi", "pyx", "sh", "bash", "r", "jl", "lua", "toml", "cfg", "ini", "yaml", "yml", "ipynb", "rs", "c"];

/// An input of the run.
pub(super) struct InputOf {
    /// Subject's name for a dataset, else the path.
    pub(super) name: String,
    /// Whether it is a dataset of the project.
    pub(super) dataset: bool,
    /// Its digests.
    pub(super) digest: DigestSet,
    /// Where it is, and where the command sees it.
    pub(super) mounts: Vec<(PathBuf, PathBuf)>,
}

/// A run that is ready but for its admission.
pub(super) struct Prepared {
    pub(super) project: Project,
    pub(super) rules: Rules,
    /// The environment that is decided for.
    pub(super) environment: String,
    /// The project's folder, absolute.
    pub(super) root: PathBuf,
    /// gauntlet.yaml's section with the flags.
    pub(super) training: TrainingConfig,
    /// Limits without gaps.
    pub(super) limits: TrainingLimits,
    /// Source and datasets before their gates.
    pub(super) plan: Plan,
    pub(super) code: Vec<NamedDigest>,
    /// Digest of names and contents of the source.
    pub(super) source: Digest,
    pub(super) git: GitState,
    pub(super) inputs: Vec<InputOf>,
    pub(super) outputs: Vec<PathBuf>,
    /// Variables whose values are not recorded.
    pub(super) handed_through: BTreeMap<String, String>,
    pub(super) system: Vec<PathBuf>,
    /// What to look for programs in, before the usual folders.
    pub(super) search: Vec<PathBuf>,
    pub(super) pinned: Option<bool>,
}

/// The project, or one made up for a folder without gauntlet.yaml: of minimal risk, with one environment.
pub(super) fn project(args: &TrainArgs) -> anyhow::Result<Project> {
    if !args.dir.is_dir() {
        return Err(UsageError::new(format!("{} is no folder", args.dir.display())).into());
    }
    let file = args.file();
    if file.exists() || args.config.is_some() {
        return load(&file, &args.dir);
    }
    if args.command.is_empty() && args.replay.is_none() {
        let text = format!("there is no {}: write one, or name a command behind `--`", file.display());
        return Err(UsageError::new(text).into());
    }
    let name = args.dir.canonicalize()?.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(100)
        .collect();
    let name = Some(name.trim_start_matches('.')).filter(|n| !n.is_empty()).unwrap_or("folder").to_owned();
    let text = format!("version: 1\nproject: '{name}'\nkind: tabular\nrisk: minimal\nenvironments: {{local: {{}}}}\n");
    Project::parse("the command line", text.as_bytes()).map_err(|errors| crate::decide::all(&errors))
}

impl Prepared {
    pub(super) fn new(args: &TrainArgs, config: &UserConfig, meter: &Meter) -> anyhow::Result<Self> {
        let mut project = project(args)?;
        if project.environments.is_empty() {
            project.environments.insert("local".to_owned(), gauntlet_core::project::EnvironmentConfig::default());
        }
        let training = with_flags(project.training.clone().unwrap_or_default(), args)?;
        Self::of(project, training, args, config, meter)
    }

    /// A run of this configuration.
    pub(super) fn of(
        project: Project,
        training: TrainingConfig,
        args: &TrainArgs,
        config: &UserConfig,
        meter: &Meter,
    ) -> anyhow::Result<Self> {
        if training.command.is_empty() {
            return Err(UsageError::new("there is no command: set `training.command`, or name one behind `--`").into());
        }
        let root = args.dir.canonicalize()?;
        let rules = Rules::load(&project, &args.file(), args.trust.load(config)?)?;
        let environment = rules
            .enforced(args.target.as_deref())?
            .or_else(|| rules.merged.environments.keys().next().cloned())
            .context("there is no environment to decide for")?;
        let mut plan = plan::of_project(
            &project,
            rules.highest_risk(&project),
            &args.dir,
            &[Stage::Source, Stage::Data],
            None,
            meter,
        )?;
        // Consent is compared with what this run is for.
        if let Some(purpose) = &training.purpose {
            for task in plan.tasks.iter_mut().filter(|task| task.stage == Stage::Data) {
                if let Some(config) = task.config.as_object_mut() {
                    config.insert("purpose".to_owned(), purpose.clone().into());
                }
            }
        }
        let outputs = outputs(&training, &root)?;
        let (code, source) = code(&plan, &root, &outputs)?;
        let inputs = inputs(&project, &training, &plan, &root, meter)?;
        if let Some((input, output)) = inputs.iter().flat_map(|input| &input.mounts).find_map(|(_, inside)| {
            let inner = inside.strip_prefix(WORK).ok()?;
            outputs.iter().find(|o| inner.starts_with(o) || o.starts_with(inner)).map(|o| (inside, o))
        }) {
            let text =
                format!("{} is an input and {} an output: they may not overlap", input.display(), output.display());
            return Err(UsageError::new(text).into());
        }
        let handed_through = handed_through(args)?;
        let limits = training.limits.clone().or_defaults(cores());
        let found = interpreter::find(training.command.first().map_or("", String::as_str), &args.system)?;
        let pinned = pinned::pinned(&root);
        let git = git_state(&root);
        Ok(Self {
            project,
            rules,
            environment,
            root,
            training,
            limits,
            plan,
            code,
            source,
            git,
            inputs,
            outputs,
            handed_through,
            system: found.system,
            search: found.search,
            pinned,
        })
    }

    /// Digest of all that an admission is about.
    pub(super) fn identity(&self) -> anyhow::Result<Digest> {
        let inputs: BTreeMap<&str, &DigestSet> = self.inputs.iter().map(|i| (i.name.as_str(), &i.digest)).collect();
        let names: Vec<&String> = self.handed_through.keys().collect();
        Ok(canonical::digest(&json!({
            "project": self.project.project.value,
            "command": self.training.command,
            "purpose": self.training.purpose,
            "source": self.source,
            "inputs": inputs,
            "outputs": self.outputs,
            "hosts": self.hosts(),
            "limits": self.limits,
            "prices": self.training.prices,
            "environment": self.training.environment,
            "handed_through": names,
            "seed": self.training.seed,
            "image": self.training.image,
            "runner": self.training.runner,
        }))?)
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        self.training.network.iter().map(|host| host.value.clone()).collect()
    }

    /// The job, with outputs written to `staging`.
    pub(super) fn job(&self, staging: &Path, args: &TrainArgs) -> anyhow::Result<Job> {
        let mut environment = self.training.environment.clone();
        if let Some(seed) = self.training.seed {
            environment.entry("GAUNTLET_SEED".to_owned()).or_insert(seed.to_string());
            // Python takes 32 bits here.
            environment.entry("PYTHONHASHSEED".to_owned()).or_insert((seed & 0xffff_ffff).to_string());
        }
        environment.extend(self.handed_through.clone());
        if !self.search.is_empty() {
            let mut path: Vec<String> = self.search.iter().map(|p| p.display().to_string()).collect();
            path.extend(["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(str::to_owned));
            environment.entry("PATH".to_owned()).or_insert(path.join(":"));
        }
        let bubblewrap = match self.training.runner {
            Runner::Bubblewrap => Some(interpreter::on_path("bwrap").context("bubblewrap (bwrap) is not installed")?),
            _ => None,
        };
        let mut outputs = self.outputs.clone();
        if let Some(store) = &self.training.metrics.mlflow
            && !outputs.iter().any(|output| Path::new(&store.value).starts_with(output))
        {
            outputs.push(plain(&store.value));
        }
        Ok(Job {
            command: self.training.command.clone(),
            environment,
            code: self.code.iter().map(|file| (self.root.join(&file.path), PathBuf::from(&file.path))).collect(),
            inputs: self.inputs.iter().flat_map(|input| input.mounts.clone()).collect(),
            system: self.system.clone(),
            outputs,
            hosts: self.hosts(),
            limits: self.limits.clone(),
            prices: self.training.prices.clone(),
            trace: !args.no_trace,
            without: args.without.clone(),
            bubblewrap,
            staging: staging.to_owned(),
        })
    }

    /// How many seconds the money lasts.
    pub(super) fn seconds_for_money(&self) -> Option<u64> {
        gauntlet_train::sandbox::affordable(&self.limits, &self.training.prices).map(|time| time.as_secs())
    }
}

fn with_flags(mut training: TrainingConfig, args: &TrainArgs) -> anyhow::Result<TrainingConfig> {
    let located = |value: &String| Located { value: value.clone(), line: 0, column: 0 };
    if !args.command.is_empty() {
        training.command.clone_from(&args.command);
    }
    training.inputs.extend(args.inputs.iter().map(located));
    training.outputs.extend(args.outputs.iter().map(located));
    for host in &args.network {
        if !valid_host(host) {
            return Err(UsageError::new(format!("`{host}` is no host: write NAME or NAME:PORT")).into());
        }
        training.network.push(located(host));
    }
    for text in &args.environment {
        if let Some((name, value)) = text.split_once('=') {
            training.environment.insert(name.to_owned(), value.to_owned());
        }
    }
    training.purpose = args.purpose.clone().or(training.purpose);
    training.seed = args.seed.or(training.seed);
    training.runner = args.runner.unwrap_or(training.runner);
    training.limits = training.limits.tightened(args.limits()?).map_err(UsageError::new)?;
    if training.limits.cost.is_some() && training.prices.core_hour.is_none() && training.prices.gpu_hour.is_none() {
        return Err(UsageError::new("a limit of cost needs `prices` under `training` in gauntlet.yaml").into());
    }
    Ok(training)
}

fn handed_through(args: &TrainArgs) -> anyhow::Result<BTreeMap<String, String>> {
    let names = args.environment.iter().filter(|text| !text.contains('='));
    names
        .map(|name| {
            let value = std::env::var(name)
                .map_err(|_| UsageError::new(format!("the environment variable {name} is not set, or no UTF-8")))?;
            Ok((name.clone(), value))
        })
        .collect()
}

/// Source files of the project with their digests, and the digest over all of them.
fn code(plan: &Plan, root: &Path, outputs: &[PathBuf]) -> anyhow::Result<(Vec<NamedDigest>, Digest)> {
    let tree = plan.tasks.iter().find(|t| t.subject.kind == SubjectKind::Source).map(|task| &task.tree);
    let (mut files, mut size) = (Vec::new(), 0_u64);
    for file in tree.iter().flat_map(|tree| &tree.files) {
        if outputs.iter().any(|output| file.path.starts_with(output)) || !is_code(root, &file.path) {
            continue;
        }
        size = size.saturating_add(file.size);
        if size > MAX_CODE {
            let text = format!("the source is larger than {MAX_CODE} bytes: leave data out with `source.exclude`");
            return Err(UsageError::new(text).into());
        }
        let (path, odd) = display_path(&file.path);
        if odd.is_some() {
            return Err(
                UsageError::new(format!("the name of {path} is no UTF-8: source with such a name cannot run")).into()
            );
        }
        let bytes = file.sha256(root).with_context(|| format!("cannot read {path}"))?;
        files.push(NamedDigest { path, digest: Digest::new(gauntlet_core::Algorithm::Sha256, &bytes)? });
    }
    let digest = dir_hash(files.iter().map(|file| (file.path.as_bytes(), file.digest.hex())));
    Ok((files, digest))
}

fn is_code(root: &Path, path: &Path) -> bool {
    match path.extension().and_then(|s| s.to_str()) {
        Some(suffix) => CODE.iter().any(|code| suffix.eq_ignore_ascii_case(code)),
        // A script without suffix says so in its first two bytes.
        None => {
            use std::io::Read;
            let mut start = [0; 2];
            std::fs::File::open(root.join(path)).and_then(|mut f| f.read_exact(&mut start)).is_ok() && &start == b"#!"
        }
    }
}

fn inputs(
    project: &Project,
    training: &TrainingConfig,
    plan: &Plan,
    root: &Path,
    meter: &Meter,
) -> anyhow::Result<Vec<InputOf>> {
    let mut inputs: Vec<InputOf> = Vec::new();
    for wanted in &training.inputs {
        let input = match project.datasets.get(&wanted.value) {
            Some(dataset) => {
                let name = format!("{}/{}", project.project.value, wanted.value);
                let task = plan.tasks.iter().find(|task| task.subject.name == name && task.stage == Stage::Data);
                let digest = task.map(|task| task.subject.digest.clone()).context("a dataset was not read")?;
                let paths = expand_path(root, &dataset.path).map_err(UsageError::new)?;
                let mounts = paths.iter().map(|p| (root.join(p), Path::new(WORK).join(p))).collect();
                InputOf { name, dataset: true, digest, mounts }
            }
            None => path_input(project, wanted, root, meter)?,
        };
        if !inputs.iter().any(|there| there.name == input.name) {
            inputs.push(input);
        }
    }
    Ok(inputs)
}

fn path_input(project: &Project, wanted: &Located<String>, root: &Path, meter: &Meter) -> anyhow::Result<InputOf> {
    let given = Path::new(&wanted.value);
    let mounts: Vec<(PathBuf, PathBuf)> = if given.is_absolute() {
        if given.components().any(|c| matches!(c, Component::ParentDir)) || given.components().count() < 3 {
            let text = format!("the input {} must be a file or folder below a folder, without `..`", given.display());
            return Err(UsageError::new(text).into());
        }
        vec![(given.canonicalize().with_context(|| format!("cannot read {}", given.display()))?, given.to_owned())]
    } else {
        let paths = expand_path(root, wanted).map_err(UsageError::new)?;
        paths.iter().map(|p| (root.join(p), Path::new(WORK).join(p))).collect()
    };
    let mut files: Vec<(String, String)> = Vec::new();
    let mut single = None;
    for (host, inside) in &mounts {
        let (subject, _, _) = attestation::subject(host, SubjectKind::Files, &project.limits, meter)?;
        let hex = subject.digest.primary().context("an input has no digest")?;
        files.push((inside.display().to_string(), hex.hex().to_owned()));
        single = Some(subject.digest);
    }
    let digest = match (mounts.len(), single) {
        (1, Some(digest)) => digest,
        _ => DigestSet::default().with(&dir_hash(files.iter().map(|(p, h)| (p.as_bytes(), h.as_str())))),
    };
    Ok(InputOf { name: wanted.value.clone(), dataset: false, digest, mounts })
}

/// Outputs, relative to the project. Nothing that a run makes may replace what the project itself is.
fn outputs(training: &TrainingConfig, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut outputs: Vec<PathBuf> = Vec::new();
    for output in &training.outputs {
        let path = plain(&output.value);
        let inside = path.components().all(|c| matches!(c, Component::Normal(_))) && path.components().count() > 0;
        let reserved = path.components().any(|c| [".git", ".gauntlet"].iter().any(|name| c.as_os_str() == *name));
        if !inside || reserved || Path::new(&output.value).is_absolute() {
            let text = format!("the output {} must be a file or folder inside the project", output.value);
            return Err(UsageError::new(text).into());
        }
        // A link on the way would lead the result somewhere else.
        let mut at = root.to_owned();
        for part in path.components() {
            at.push(part);
            if at.is_symlink() {
                return Err(UsageError::new(format!(
                    "{} is a link: outputs are not written through links",
                    at.display()
                ))
                .into());
            }
        }
        if let Some(other) = outputs.iter().find(|o| path.starts_with(o) || o.starts_with(&path)) {
            let text = format!("the outputs {} and {} overlap", other.display(), path.display());
            return Err(UsageError::new(text).into());
        }
        outputs.push(path);
    }
    Ok(outputs)
}

fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|c| !matches!(c, Component::CurDir)).collect()
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}
