//! Keeps people's data out of facts: text in a pickle is shown only where it is what a dangerous call was given.

use gauntlet_core::{MaskKey, Masked};
use gauntlet_pickle::{Arg, PickleFacts, Target};

use crate::rules::{PickleRules, Role, Tier};

/// Characters of a masked text that stay readable.
const SHOWN: usize = 4;

/// Masks the text of all values but the arguments of calls that no model makes: those are evidence, while names and
/// addresses stand in containers, arrays and constructors.
pub(super) fn mask(facts: &mut PickleFacts, rules: Option<&PickleRules>, key: &MaskKey) {
    for stream in &mut facts.streams {
        for call in &mut stream.calls {
            let evidence = match (&call.callee, rules) {
                (Target::Global { module, name }, Some(rules)) => {
                    matches!(
                        rules.tier(module, name),
                        Tier::Dangerous(_)
                            | Tier::Suspect(_)
                            | Tier::Walk(_)
                            | Tier::Stdlib
                            | Tier::Allowed(Role::Attribute)
                    )
                }
                _ => false,
            };
            if !evidence {
                call.args.iter_mut().chain(&mut call.kwargs).for_each(|arg| mask_arg(arg, key));
            }
            call.value.iter_mut().for_each(|arg| mask_arg(arg, key));
        }
        stream.builds.iter_mut().for_each(|build| mask_arg(&mut build.state, key));
        stream.persistent_ids.samples.iter_mut().for_each(|arg| mask_arg(arg, key));
        stream.result.iter_mut().for_each(|arg| mask_arg(arg, key));
    }
}

fn mask_arg(arg: &mut Arg, key: &MaskKey) {
    let mut open = vec![arg];
    while let Some(arg) = open.pop() {
        match arg {
            Arg::Str { text: Some(text), .. } | Arg::Bytes { text: Some(text), .. } => {
                *text = Masked::new(text, SHOWN, key).as_str().to_owned();
            }
            Arg::Container { items, .. } => open.extend(items),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_limits::Budget;

    use super::*;

    #[test]
    fn only_evidence_stays_readable() {
        let rules = PickleRules::parse(crate::rules::PICKLE).unwrap();
        let shown = |stream: &[u8]| {
            let mut facts = gauntlet_pickle::interpret_bytes(stream, &Budget::default());
            mask(&mut facts, Some(&rules), &MaskKey::for_project("test"));
            serde_json::to_string(&facts).unwrap()
        };
        assert!(shown(b"cos\nsystem\n(S'echo canary'\ntR.").contains("echo canary"));
        let person = shown(b"cmypkg\nCustomer\n(S'Ann Example Smith'\n(S'ann@example.org'\nS'secret value'\nltR.");
        for hidden in ["Ann Example", "example.org", "secret value"] {
            assert!(!person.contains(hidden), "{person}");
        }
        assert!(!shown(b"(S'ann@example.org'\nl.").contains("example.org"));
    }
}
