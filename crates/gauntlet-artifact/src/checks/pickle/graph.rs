//! Graph modules of `torch.fx`: what they are made of is source text, which loading runs.

use gauntlet_pickle::{Import, StreamFacts, Target, Use};
use gauntlet_python::Straight;

use super::called::names;
use crate::facts::GraphCode;
use crate::rules::named::{self, TorchRules};
use crate::rules::{PickleRules, Tier};

/// Names shown with a finding.
const SHOWN: usize = 3;

/// Whether a global makes a graph module of source text.
pub(super) fn is_maker(module: &str, name: &str) -> bool {
    (module, name) == ("torch.fx.graph_module", "reduce_graph_module")
}

/// What all code that a stream's calls of `import` run names, or why it is not known to only compute.
pub(super) fn judge<'g>(
    import: &Import,
    stream: &StreamFacts,
    graphs: impl Iterator<Item = &'g GraphCode>,
    rules: &PickleRules,
) -> Result<String, String> {
    if import.uses.iter().any(|purpose| *purpose != Use::Called) {
        return Err("it is used for more than a call".to_owned());
    }
    let torch = named::torch().as_ref().map_err(|error| format!("the rule data cannot be read: {error}"))?;
    let calls = stream.calls.iter().filter(|call| match &call.callee {
        Target::Global { module, name } => names(import).any(|known| known == (module.as_str(), name.as_str())),
        _ => false,
    });
    let calls: u64 = calls.map(|call| call.count).sum();
    let (mut seen, mut used) = (0_u64, Vec::<String>::new());
    for graph in graphs {
        seen += 1;
        let Some(code) = &graph.code else {
            return Err("the text cannot be read".to_owned());
        };
        check(code, torch, rules)?;
        for name in &code.names {
            if !used.contains(name) {
                used.push(name.clone());
            }
        }
    }
    if seen == 0 || seen != calls {
        return Err("the text of a call is not known".to_owned());
    }
    used.truncate(SHOWN);
    Ok(if used.is_empty() { "modules of the file".to_owned() } else { used.join(", ") })
}

fn check(code: &Straight, torch: &TorchRules, rules: &PickleRules) -> Result<(), String> {
    if let Some(other) = &code.other {
        return Err(format!("line {} is {}", other.line, other.message));
    }
    for module in &code.imports {
        let (base, last) = module.rsplit_once('.').unwrap_or((module, ""));
        let plain = torch.computes(module)
            || torch.is_graph_module(module)
            || (!last.is_empty() && matches!(rules.tier(base, last), Tier::Allowed(_) | Tier::PackageClass));
        if !plain {
            return Err(format!("it imports `{module}`"));
        }
    }
    if let Some(name) = code.names.iter().find(|name| !torch.computes(name)) {
        return Err(format!("it uses `{name}`"));
    }
    if let Some((name, why)) = code.methods.iter().find_map(|name| Some((name, rules.method(name)?))) {
        return Err(format!("it calls `{name}` of something, which {why}"));
    }
    Ok(())
}
