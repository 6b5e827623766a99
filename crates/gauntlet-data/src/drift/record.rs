//! The extractor of drift: opens both sides, compares them and writes facts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use gauntlet_core::{
    Context, Extractor, Facts, Location, SkipCode, Target, Tree, TreeFile, TreeOptions, display_path, open_regular,
};
use gauntlet_sketch::Profile;

use super::columns::Unread;
use super::compare::{MAX_EXACT_ROWS, Outcome, columns_of_profile, columns_of_table, pair};
use super::config::{DriftConfig, ReferenceConfig};
use super::exact::Sides;
use super::stream::{self, StreamConfig};
use super::watch::{self, WatchConfig};
use super::{exact, images, lineage, sketched};
use crate::checks::DRIFT;
use crate::config::{DatasetConfig, SideRef, side_file};
use crate::facts::Format;
use crate::manifest::Manifest;
use crate::scan::count_rows;
use crate::table::{Identities, Source, Table, format_of};

/// Bytes of a stored profile.
const MAX_PROFILE: u64 = 512 << 20;

/// Compares a dataset with its reference and does nothing else.
pub(crate) static DRIFT_EXTRACTOR: DriftExtractor = DriftExtractor;

/// See [`DRIFT_EXTRACTOR`].
#[derive(Debug)]
pub(crate) struct DriftExtractor;

impl Extractor for DriftExtractor {
    fn name(&self) -> &'static str {
        "drift"
    }

    fn version(&self) -> u32 {
        1
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let mut facts = Facts::new("drift", 1);
        facts.coverage_mut(DRIFT);
        match DatasetConfig::of(target.config) {
            Ok(config) => compare_into(target, context, &config, &mut facts),
            Err(error) => {
                facts.coverage_mut(DRIFT).skip("", None, SkipCode::Malformed, format!("configuration: {error}"));
            }
        }
        facts.normalise();
        facts
    }
}

/// The reference, opened.
enum Reference {
    Table(Arc<Table>),
    Profile(Box<Profile>),
    Pictures(Vec<TreeFile>),
}

/// Compares the target with the reference that the configuration names. What cannot be read is an unanswered question.
pub(crate) fn compare_into(target: &Target<'_>, context: &Context<'_>, config: &DatasetConfig, facts: &mut Facts) {
    let drift = with_roles(target, context, config);
    if let Some(config) = &drift.stream {
        return stream_into(target, context, config, facts);
    }
    let Some(reference) = &drift.reference else { return };
    if let Some(watch) = &drift.watch {
        return watch_into(target, context, watch, &drift, reference, facts);
    }
    let result = compare(target, context, config, &drift, reference);
    let coverage = facts.coverage_mut(DRIFT);
    match result {
        Err(unread) => {
            for Unread { path, code, what } in unread {
                coverage.skip(path, None, code, what);
            }
        }
        Ok(outcome) => {
            coverage.looked_at += target.tree.files.len() as u64;
            facts.push(DRIFT, Location::default(), &outcome.comparison);
            for fact in &outcome.columns {
                facts.push(DRIFT, Location::default().in_field(&fact.column), fact);
            }
            for fact in &outcome.shares {
                facts.push(DRIFT, Location::default().in_field(&fact.column), fact);
            }
        }
    }
}

/// The configuration with what the dataset's columns are: as gauntlet.yaml and the manifest say.
fn with_roles(target: &Target<'_>, context: &Context<'_>, config: &DatasetConfig) -> DriftConfig {
    let parse = |file: &str, bytes: &[u8]| Manifest::parse(file, bytes).map_err(|error| vec![error]);
    // What is wrong with a manifest is said where it is judged.
    let (file, _) = side_file(target.root, config.manifest.as_ref(), context.limits, parse);
    let manifest = file.content();
    let mut drift = config.drift();
    drift.ids.extend(config.poisoning.clone().with_manifest(manifest).ids);
    drift.label = drift.label.or_else(|| manifest.and_then(|m| m.label.as_ref()?.column.clone()));
    drift
}

fn watch_into(
    target: &Target<'_>,
    context: &Context<'_>,
    config: &WatchConfig,
    drift: &DriftConfig,
    reference: &ReferenceConfig,
    facts: &mut Facts,
) {
    let files: Vec<&TreeFile> = target.tree.files.iter().collect();
    let watched = open_reference(target.root, reference, context).and_then(|there| {
        let known = match there {
            Reference::Profile(profile) => *profile,
            Reference::Table(table) => sketched::profile(&table, BTreeMap::new())?,
            Reference::Pictures(_) => {
                let what = "folders of pictures are compared by `gauntlet data drift`, not watched".to_owned();
                return Err(vec![Unread { path: String::new(), code: SkipCode::Unsupported, what }]);
            }
        };
        let here = open_current(target.root, &files, Some(Like::Profile(&known)), context)?;
        watch::watch(&known, &here, config, drift, &reference.name, context.mask)
    });
    let coverage = facts.coverage_mut(DRIFT);
    match watched {
        Err(unread) => {
            for Unread { path, code, what } in unread {
                coverage.skip(path, None, code, what);
            }
        }
        Ok((fact, outcome, columns)) => {
            coverage.looked_at += files.len() as u64;
            facts.push(DRIFT, Location::default(), &fact);
            facts.push(DRIFT, Location::default(), &outcome.comparison);
            for fact in &columns {
                facts.push(DRIFT, Location::default().in_field(&fact.column), fact);
            }
        }
    }
}

fn stream_into(target: &Target<'_>, context: &Context<'_>, config: &StreamConfig, facts: &mut Facts) {
    let files: Vec<&TreeFile> = target.tree.files.iter().collect();
    let found = open_current(target.root, &files, None, context).and_then(|table| stream::detect(&table, config));
    let coverage = facts.coverage_mut(DRIFT);
    match found {
        Err(unread) => {
            for Unread { path, code, what } in unread {
                coverage.skip(path, None, code, what);
            }
        }
        Ok((fact, changes)) => {
            coverage.looked_at += files.len() as u64;
            let path = match files.as_slice() {
                [file] => Location::file(&file.path),
                _ => Location::default(),
            };
            for change in &changes {
                let place = path.clone().in_field(&change.column).at_row(change.index);
                facts.push(DRIFT, Location { case: change.group.clone(), ..place }, change);
            }
            facts.push(DRIFT, path, &fact);
        }
    }
}

fn compare(
    target: &Target<'_>,
    context: &Context<'_>,
    config: &DatasetConfig,
    drift: &DriftConfig,
    reference: &ReferenceConfig,
) -> Result<Outcome, Vec<Unread>> {
    let there = open_reference(target.root, reference, context)?;
    let sides: Vec<&str> =
        [&config.manifest, &config.contract].into_iter().flatten().map(|side| side.path.as_str()).collect();
    let files: Vec<&TreeFile> =
        target.tree.files.iter().filter(|f| !sides.contains(&display_path(&f.path).0.as_str())).collect();
    let mut outcome = match there {
        Reference::Pictures(known) => pictures(target.root, &known, &files, context, drift, reference)?,
        Reference::Table(there) => tables(
            &there,
            &open_current(target.root, &files, Some(Like::Table(there.as_ref())), context)?,
            context,
            drift,
            reference,
        )?,
        Reference::Profile(there) => {
            let here = open_current(target.root, &files, Some(Like::Profile(&there)), context)?;
            sketches(&there, &here, context, drift, reference)?
        }
    };
    for (kind, there, here) in
        [("manifest", &reference.manifest, &config.manifest), ("contract", &reference.contract, &config.contract)]
    {
        match lineage::compare(kind, target.root, there.as_ref(), here.as_ref(), context.limits) {
            Ok(found) => outcome.comparison.lineage.extend(found),
            Err(what) => outcome.gap(format!("the lineages were not compared: {what}")),
        }
    }
    Ok(outcome)
}

fn tables(
    there: &Arc<Table>,
    here: &Arc<Table>,
    context: &Context<'_>,
    drift: &DriftConfig,
    reference: &ReferenceConfig,
) -> Result<Outcome, Vec<Unread>> {
    let rows = (rows(there)?, rows(here)?);
    let exact = rows.0 <= MAX_EXACT_ROWS && rows.1 <= MAX_EXACT_ROWS;
    let mut outcome = Outcome::new(&reference.name, rows, exact);
    let common = pair(&columns_of_table(there), &columns_of_table(here), drift, &mut outcome);
    if exact {
        let sides = Sides { reference: there, current: here, rows };
        exact::compare(&sides, &common, drift, context.mask, &mut outcome)?;
    } else {
        let known = sketched::profile(there, BTreeMap::new())?;
        let seen = sketched::profile(here, sketched::watches(&known))?;
        let sides = Sides { reference: there, current: here, rows };
        let (vectors, others) = exact::vectors(&sides, &common, drift, context.mask, &mut outcome)?;
        sketched::compare(&known, &seen, &others, drift, context.mask, &mut outcome);
        outcome.columns.extend(vectors);
    }
    Ok(outcome)
}

fn sketches(
    known: &Profile,
    here: &Arc<Table>,
    context: &Context<'_>,
    drift: &DriftConfig,
    reference: &ReferenceConfig,
) -> Result<Outcome, Vec<Unread>> {
    let mut outcome = Outcome::new(&reference.name, (known.rows(), 0), false);
    let common = pair(&columns_of_profile(known), &columns_of_table(here), drift, &mut outcome);
    let seen = sketched::profile(here, sketched::watches(known))?;
    outcome.comparison.current_rows = seen.rows();
    sketched::compare(known, &seen, &common, drift, context.mask, &mut outcome);
    Ok(outcome)
}

fn pictures(
    root: &Path,
    known: &[TreeFile],
    files: &[&TreeFile],
    context: &Context<'_>,
    drift: &DriftConfig,
    reference: &ReferenceConfig,
) -> Result<Outcome, Vec<Unread>> {
    let known: Vec<&TreeFile> = known.iter().collect();
    let (here, others): (Vec<&TreeFile>, Vec<&TreeFile>) =
        files.iter().copied().partition(|file| images::is_picture(&file.path));
    let (there, mut unread) = images::measure(root, &known, context.limits);
    let (here, more) = images::measure(root, &here, context.limits);
    unread.extend(more);
    unread.extend(others.into_iter().map(|file| {
        let what = "no picture that is decoded (PNG, JPEG)".to_owned();
        Unread { path: display_path(&file.path).0, code: SkipCode::Unsupported, what }
    }));
    if here.is_empty() && unread.is_empty() {
        let what = "the reference is a folder of pictures, and here is none".to_owned();
        unread.push(Unread { path: String::new(), code: SkipCode::Unsupported, what });
    }
    if !unread.is_empty() {
        return Err(unread);
    }
    let mut outcome = Outcome::new(&reference.name, (there.len() as u64, here.len() as u64), true);
    for (i, name) in images::PROPERTIES.iter().enumerate() {
        let values =
            |pictures: &[images::Picture]| pictures.iter().filter_map(|p| p.properties.get(i)).copied().collect();
        exact::computed(name, (values(&there), values(&here)), drift, context.mask, &mut outcome);
    }
    if let Some(share) = images::novelty(&there, &here) {
        outcome.comparison.metrics.push(super::numbers::measured("image_novelty", share));
    }
    Ok(outcome)
}

fn rows(table: &Arc<Table>) -> Result<u64, Vec<Unread>> {
    count_rows(table)
        .map_err(|error| vec![Unread { path: String::new(), code: SkipCode::Malformed, what: error.to_string() }])
}

/// Opens the reference and takes only the bytes that the configuration names.
fn open_reference(root: &Path, reference: &ReferenceConfig, context: &Context<'_>) -> Result<Reference, Vec<Unread>> {
    let mut files = Vec::new();
    for side in &reference.files {
        files.push(reference_file(root, side, context).map_err(|(code, what)| {
            vec![Unread { path: side.path.clone(), code, what: format!("reference: {what}") }]
        })?);
    }
    if let [file] = files.as_slice()
        && let Some(profile) = profile_in(root, file)?
    {
        return Ok(Reference::Profile(Box::new(profile)));
    }
    if images::are_pictures(&files) {
        return Ok(Reference::Pictures(files));
    }
    let files: Vec<&TreeFile> = files.iter().collect();
    open_table(root, &files, None, context, "reference: ").map(Reference::Table)
}

/// A file of a reference, when its bytes are still those that the configuration names.
pub(crate) fn reference_file(
    root: &Path,
    side: &SideRef,
    context: &Context<'_>,
) -> Result<TreeFile, (SkipCode, String)> {
    let unreadable = |error: &dyn std::fmt::Display| (SkipCode::Unreadable, error.to_string());
    let path = Path::new(&side.path);
    let tree = Tree::read(&root.join(path), &TreeOptions::default(), context.limits).map_err(|e| unreadable(&e))?;
    let Some(found) = tree.files.into_iter().next().filter(|_| tree.single_file) else {
        return Err((SkipCode::Unreadable, "is no single file".to_owned()));
    };
    let file = TreeFile { path: path.to_owned(), ..found };
    let hash = hex::encode(file.sha256(root).map_err(|e| unreadable(&e))?);
    if hash == side.sha256.to_ascii_lowercase() {
        Ok(file)
    } else {
        Err((SkipCode::Changed, "changed since the run began; run again when nothing writes to it".to_owned()))
    }
}

/// The stored profile, when the file begins like one.
fn profile_in(root: &Path, file: &TreeFile) -> Result<Option<Profile>, Vec<Unread>> {
    use std::io::Read;
    let wrong = |code, what: String| {
        vec![Unread { path: display_path(&file.path).0, code, what: format!("reference: {what}") }]
    };
    let handle = open_regular(root, file).map_err(|error| wrong(SkipCode::Unreadable, error.to_string()))?;
    let mut head = Vec::new();
    (&handle).take(64).read_to_end(&mut head).map_err(|error| wrong(SkipCode::Unreadable, error.to_string()))?;
    if !Profile::is_profile(&head) {
        return Ok(None);
    }
    if file.size > MAX_PROFILE {
        return Err(wrong(SkipCode::Limit, format!("{} bytes; a profile has at most {MAX_PROFILE}", file.size)));
    }
    (&handle)
        .take(MAX_PROFILE)
        .read_to_end(&mut head)
        .map_err(|error| wrong(SkipCode::Unreadable, error.to_string()))?;
    Profile::from_bytes(&head).map(Some).map_err(|error| wrong(SkipCode::Malformed, error.to_string()))
}

/// What the texts of a batch are typed as.
#[derive(Clone, Copy)]
enum Like<'a> {
    Table(&'a Table),
    Profile(&'a Profile),
}

fn open_current(
    root: &Path,
    files: &[&TreeFile],
    like: Option<Like<'_>>,
    context: &Context<'_>,
) -> Result<Arc<Table>, Vec<Unread>> {
    open_table(root, files, like, context, "")
}

/// The table that these files form. Text files are typed as the table that they are compared with.
fn open_table(
    root: &Path,
    files: &[&TreeFile],
    like: Option<Like<'_>>,
    context: &Context<'_>,
    who: &str,
) -> Result<Arc<Table>, Vec<Unread>> {
    let identities = Identities::given()
        .map_err(|error| vec![Unread { path: String::new(), code: SkipCode::Unreadable, what: error.to_string() }])?;
    let source = |file: &&TreeFile| Source::local(root, file, context.limits).with_identities(identities.clone());
    let (sources, others): (Vec<Source>, Vec<Source>) =
        files.iter().map(source).partition(|source| format_of(source.name()) != Format::Other);
    if let (false, Some(other)) = (sources.is_empty(), others.first()) {
        let what = format!("{who}no table format that is read; a comparison leaves no file out");
        return Err(vec![Unread { path: other.path.clone(), code: SkipCode::Unsupported, what }]);
    }
    let (mut table, mut problems) = Table::from_sources(sources);
    match like {
        Some(Like::Table(like)) => table.type_as(like),
        Some(Like::Profile(like)) => table.type_as_profile(like),
        None if problems.is_empty() => problems = table.infer_types(),
        None => {}
    }
    if !problems.is_empty() {
        let unread = |p: crate::table::Problem| Unread { path: p.path, code: p.code, what: format!("{who}{}", p.what) };
        return Err(problems.into_iter().map(unread).collect());
    }
    if table.files.is_empty() {
        let what = format!("{who}no file of a table format that is read");
        return Err(vec![Unread { path: String::new(), code: SkipCode::Unsupported, what }]);
    }
    Ok(Arc::new(table))
}
