//! link v0.3: one step of a supply chain as in-toto layouts know it: the command, and what it read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate, null_is_default};
use super::{ResourceDescriptor, StatementError};

/// One step that was run.
pub const LINK: &str = "https://in-toto.io/attestation/link/v0.3";

/// The predicate of link v0.3. What the step made is the subject of the statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Name of the step.
    pub name: String,
    /// The command with its arguments; may be empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub command: Vec<String>,
    /// What the step read, each with name and digest.
    #[serde(default, deserialize_with = "null_is_default")]
    pub materials: Vec<ResourceDescriptor>,
    /// What else the step gave: exit status, output.
    #[serde(default, deserialize_with = "null_is_default")]
    pub byproducts: Map<String, Value>,
    /// Where it ran.
    #[serde(default, deserialize_with = "null_is_default")]
    pub environment: Map<String, Value>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for Link {
    const TYPES: &'static [&'static str] = &[LINK];
    const NAME: &'static str = "link";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("name", &self.name)?;
        let mut names = BTreeSet::new();
        for (index, material) in self.materials.iter().enumerate() {
            let name = material.name.as_deref().unwrap_or_default();
            member.text(&format!("materials[{index}].name"), name)?;
            if material.digest.is_empty() {
                return Err(member.wrong(format!("materials[{index}].digest"), "is missing"));
            }
            if !names.insert(name) {
                return Err(member.wrong(format!("materials[{index}].name"), "occurs twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn materials_have_names_and_digests_and_no_twins() {
        let material = json!({"name": "a", "digest": {"sha256": "00"}});
        let link = |materials: Value| read::<Link>(json!({"name": "test", "materials": materials}));
        assert!(link(json!([material])).is_ok());
        assert!(link(Value::Null).is_ok());
        assert!(link(json!([material, material])).unwrap_err().to_string().contains("twice"));
        assert!(link(json!([{"name": "a"}])).unwrap_err().to_string().contains("digest"));
        assert!(link(json!([{"digest": {"sha256": "00"}}])).unwrap_err().to_string().contains("name"));
    }
}
