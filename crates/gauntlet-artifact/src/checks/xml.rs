//! What every check of an XML format says of entities.

use gauntlet_core::{CheckInfo, Judgement, Location, Severity};

use crate::formats::xml::XmlFacts;

/// Findings of the rule `xml-entities` of `info`.
pub(super) fn entities(info: &'static CheckInfo, location: &Location, xml: &XmlFacts, judgement: &mut Judgement) {
    let mut push = |severity, message: String| {
        let draft = super::draft(info, "xml-entities", location, message.clone());
        judgement.findings.push(draft.severity(severity).snippet(message));
    };
    if let Some(target) = &xml.external_type {
        push(Severity::High, format!("the document type is to be fetched from `{target}`"));
    }
    for entity in &xml.entities {
        let name = &entity.name;
        match &entity.external {
            Some(target) => push(Severity::High, format!("the entity `{name}` is to be fetched from `{target}`")),
            None if entity.nested > 0 => {
                let nested = super::plural(entity.nested, "reference", "references");
                push(Severity::High, format!("the entity `{name}` expands to {nested} to others"));
            }
            None => push(Severity::High, format!("the document declares the entity `{name}`")),
        }
    }
    if xml.doctype && xml.entities.is_empty() && xml.external_type.is_none() {
        push(Severity::Low, "the document declares a document type, which models do not need".to_owned());
    }
    if !xml.doctype && !xml.references.is_empty() {
        let names = xml.references.join("`, `");
        push(Severity::Low, format!("references to entities that nothing declares: `{names}`"));
    }
    let styles = xml.instructions.iter().filter(|instruction| instruction.starts_with("xml-stylesheet"));
    for instruction in styles {
        push(Severity::Medium, format!("a style sheet is to be applied: `{instruction}`"));
    }
}
