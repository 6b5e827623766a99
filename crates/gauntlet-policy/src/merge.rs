//! Project and trust policy together: the stricter value wins, and each value knows who asked for it.

use std::collections::BTreeMap;

use gauntlet_core::project::{EnvironmentConfig, Risk};
use gauntlet_core::{ConfigError, Project};
use gauntlet_trust::trust_policy::{TestFloors, TrustPolicy, unknown_pack};
use serde::Serialize;

/// Who asked for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody; the program does so by itself.
    Default,
    /// The project's risk class.
    Risk,
    /// gauntlet.yaml.
    Project,
    /// The organisation; a project cannot undo it.
    TrustPolicy,
}

/// A value and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who asked for it; the organisation where both did.
    pub origin: Origin,
}

/// What holds in one environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedEnvironment {
    /// Its name.
    pub name: String,
    /// Whether models meet people here.
    pub production: Sourced<bool>,
    /// The risk class the project is held to.
    pub risk: Sourced<Risk>,
    /// Packs that decide, sorted by name; `baseline` always.
    pub packs: Vec<Sourced<String>>,
    /// Roles that have to approve, sorted.
    pub approvals: Vec<Sourced<String>>,
    /// Key ids whose evidence counts, when the trust policy names any.
    pub signers: Option<Vec<String>>,
    /// How hard models must be tested for it; only the trust policy can say so.
    pub tests: TestFloors,
}

/// What holds in every environment of a project.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergedConfig {
    /// The environment that a run enforces unless it is told otherwise.
    pub default_environment: Option<String>,
    /// By name: those of the project and those the trust policy demands.
    pub environments: BTreeMap<String, MergedEnvironment>,
}

impl MergedConfig {
    /// Merges. `file` names gauntlet.yaml in errors, `known_packs` are the packs that can be asked for.
    ///
    /// # Errors
    /// Unknown packs that the project asks for, each with its place.
    pub fn new(
        project: &Project,
        trust: Option<&TrustPolicy>,
        file: &str,
        known_packs: &[&str],
    ) -> Result<Self, Vec<ConfigError>> {
        let asked = project.policy.packs.iter().chain(project.environments.values().flat_map(|e| &e.packs));
        let errors: Vec<ConfigError> = asked.filter_map(|pack| unknown_pack(file, pack, known_packs)).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let demanded = trust.iter().flat_map(|trust| trust.environments.keys());
        let environments = project
            .environments
            .keys()
            .chain(demanded)
            .map(|name| (name.clone(), merge(name, project, project.environments.get(name), trust)))
            .collect();
        Ok(Self { default_environment: project.default_environment.as_ref().map(|e| e.value.clone()), environments })
    }
}

fn merge(
    name: &str,
    project: &Project,
    own: Option<&EnvironmentConfig>,
    trust: Option<&TrustPolicy>,
) -> MergedEnvironment {
    let trusted = trust.and_then(|trust| trust.environments.get(name));
    let risk = match trusted.and_then(|trusted| trusted.minimum_risk) {
        Some(minimum) if minimum >= project.risk => Sourced { value: minimum, origin: Origin::TrustPolicy },
        _ => Sourced { value: project.risk, origin: Origin::Project },
    };
    let production = match trusted.and_then(|trusted| trusted.production) {
        Some(value) => Sourced { value, origin: Origin::TrustPolicy },
        None => Sourced { value: sounds_like_production(name), origin: Origin::Default },
    };
    let mut packs = Strictest::default();
    packs.add("baseline", Origin::Default);
    if risk.value == Risk::High {
        packs.add("high-risk", if risk.origin == Origin::TrustPolicy { Origin::TrustPolicy } else { Origin::Risk });
    }
    for pack in project.policy.packs.iter().chain(own.iter().flat_map(|own| &own.packs)) {
        packs.add(&pack.value, Origin::Project);
    }
    let mut approvals = Strictest::default();
    for role in own.iter().flat_map(|own| &own.approvals) {
        approvals.add(role, Origin::Project);
    }
    if let Some(trusted) = trusted {
        trusted.packs.iter().for_each(|pack| packs.add(pack, Origin::TrustPolicy));
        trusted.approvals.iter().for_each(|role| approvals.add(role, Origin::TrustPolicy));
    }
    MergedEnvironment {
        name: name.to_owned(),
        production,
        risk,
        packs: packs.list(),
        approvals: approvals.list(),
        signers: trust.and_then(|trust| trust.signer_keys(name)),
        // An environment that only the project names is held to the floors of the whole trust policy.
        tests: trust.map(|trust| trusted.map_or(trust.tests, |trusted| trusted.tests)).unwrap_or_default(),
    }
}

/// `production`, `prod`, and what begins so (`prod-eu`). Wrongly taken for production costs an approval; wrongly not
/// taken for it costs more.
fn sounds_like_production(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let first = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    matches!(first, "prod" | "production")
}

/// Names asked for, each with the strongest who asked.
#[derive(Default)]
struct Strictest(BTreeMap<String, Origin>);

impl Strictest {
    fn add(&mut self, name: &str, origin: Origin) {
        let kept = self.0.entry(name.to_owned()).or_insert(origin);
        *kept = origin.max(*kept);
    }

    fn list(self) -> Vec<Sourced<String>> {
        self.0.into_iter().map(|(value, origin)| Sourced { value, origin }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["baseline", "high-risk"];

    fn project(text: &str) -> Project {
        Project::parse("gauntlet.yaml", format!("version: 1\nproject: p\nkind: tabular\n{text}").as_bytes()).unwrap()
    }

    fn trust(text: &str) -> TrustPolicy {
        TrustPolicy::parse("trust.yaml", format!("version: 1\nname: acme\n{text}").as_bytes(), &KNOWN).unwrap()
    }

    fn names(list: &[Sourced<String>]) -> Vec<(&str, Origin)> {
        list.iter().map(|item| (item.value.as_str(), item.origin)).collect()
    }

    #[test]
    fn without_a_trust_policy_the_project_decides() {
        let project = project("risk: limited\nenvironments: {staging: {}, production: {approvals: [security]}}\n");
        let merged = MergedConfig::new(&project, None, "gauntlet.yaml", &KNOWN).unwrap();
        let staging = &merged.environments["staging"];
        assert_eq!(names(&staging.packs), [("baseline", Origin::Default)]);
        assert!(!staging.production.value && merged.environments["production"].production.value);
        assert_eq!(names(&merged.environments["production"].approvals), [("security", Origin::Project)]);
    }

    #[test]
    fn a_project_can_only_tighten() {
        let project =
            project("risk: minimal\npolicy: {packs: [baseline]}\nenvironments: {production: {approvals: [legal]}}\n");
        let key = "a".repeat(64);
        let trust = trust(&format!(
            "environments:\n  production: {{minimum_risk: high, packs: [baseline], approvals: [security], signers: [ana]}}\n  \
             vault: {{production: true}}\npeople: [{{id: ana, name: A, roles: [security], keys: [{key}]}}]\n"
        ));
        let merged = MergedConfig::new(&project, Some(&trust), "gauntlet.yaml", &KNOWN).unwrap();
        let production = &merged.environments["production"];
        assert_eq!(production.risk, Sourced { value: Risk::High, origin: Origin::TrustPolicy });
        assert_eq!(names(&production.packs), [("baseline", Origin::TrustPolicy), ("high-risk", Origin::TrustPolicy)]);
        assert_eq!(names(&production.approvals), [("legal", Origin::Project), ("security", Origin::TrustPolicy)]);
        assert_eq!(production.signers, Some(vec![key]));
        assert!(merged.environments["vault"].production.value, "demanded though the project does not name it");
    }

    #[test]
    fn test_floors_hold_in_every_environment_and_only_rise() {
        let project = project("risk: high\nenvironments: {staging: {}, production: {}}\n");
        let trust = trust("tests: {rows: 100, eps: 0.2}\nenvironments: {production: {tests: {rows: 50, seeds: 3}}}\n");
        let merged = MergedConfig::new(&project, Some(&trust), "gauntlet.yaml", &KNOWN).unwrap();
        let floors = |rows, eps, seeds| TestFloors { rows, eps, seeds };
        assert_eq!(merged.environments["staging"].tests, floors(Some(100), Some(0.2), None));
        assert_eq!(merged.environments["production"].tests, floors(Some(100), Some(0.2), Some(3)));
        let merged = MergedConfig::new(&project, None, "gauntlet.yaml", &KNOWN).unwrap();
        assert_eq!(merged.environments["staging"].tests, TestFloors::default());
    }

    #[test]
    fn a_project_that_asks_for_more_risk_keeps_it() {
        let project = project("risk: high\nenvironments: {staging: {}}\n");
        let trust = trust("environments: {staging: {minimum_risk: limited}}\n");
        let merged = MergedConfig::new(&project, Some(&trust), "gauntlet.yaml", &KNOWN).unwrap();
        assert_eq!(merged.environments["staging"].risk, Sourced { value: Risk::High, origin: Origin::Project });
        assert_eq!(names(&merged.environments["staging"].packs)[1], ("high-risk", Origin::Risk));
    }

    #[test]
    fn unknown_packs_are_named_with_their_place() {
        let project = project("risk: high\npolicy: {packs: [baselin]}\n");
        let errors = MergedConfig::new(&project, None, "gauntlet.yaml", &KNOWN).unwrap_err();
        assert_eq!(errors[0].to_string(), "gauntlet.yaml:5:18: unknown pack `baselin`, did you mean `baseline`?");
    }

    #[test]
    fn production_is_told_by_name() {
        for name in ["production", "prod", "prod-eu", "Production_2"] {
            assert!(sounds_like_production(name), "{name}");
        }
        for name in ["staging", "products", "preprod", ""] {
            assert!(!sounds_like_production(name), "{name}");
        }
    }
}
