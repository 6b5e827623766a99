//! What a walk hands out as facts, once the values are known.

use super::{MUCH, NAME, Walk};
use crate::call::is_function;
use crate::facts::{Attribute, Computed, Growth, GrowthKind, How, Named, Place, TemplateFacts};
use crate::filter::Given;
use crate::format::{reached, width};
use crate::tree::Id;
use crate::value::Value;

impl Walk<'_> {
    pub(super) fn place(&self, id: Id) -> Place {
        if self.facts.is_none() {
            return Place::default();
        }
        self.lines.place(self.tree.at.get(id).copied().unwrap_or(0))
    }

    pub(super) fn attribute(&mut self, id: Id, of: Id, name: &str, how: How, assembled: bool) {
        if self.facts.is_none() {
            return;
        }
        let root = self.roots.get(of).cloned().flatten();
        let called = self.callees.get(id).copied().unwrap_or(false);
        let name = short(name.trim());
        if !self.seen.insert((name.clone(), how, root.clone(), called)) {
            return;
        }
        let of_function = self.value(of).functions().any(|function| is_function(function));
        let place = self.place(id);
        if let Some(facts) = &mut self.facts {
            let root = root.map(|root| short(&root));
            facts.attribute(Attribute { name, how, root, of_function, assembled, called, place });
        }
    }

    pub(super) fn computed(&mut self, id: Id, how: How, suspicious: bool) {
        let full = self.facts.as_ref().is_none_or(|facts| !TemplateFacts::has_room(&facts.computed));
        let place = if full { Place::default() } else { self.place(id) };
        if let Some(facts) = &mut self.facts {
            facts.compute(Computed { how, suspicious, place });
        }
    }

    pub(super) fn inner_name(&mut self, id: Id, name: &str) {
        let Some(facts) = &self.facts else { return };
        if !TemplateFacts::has_room(&facts.inner_names)
            || facts.inner_names.iter().any(|known| known.name == name.trim())
        {
            return;
        }
        let place = self.place(id);
        if let Some(facts) = &mut self.facts {
            facts.inner_name(Named { name: short(name.trim()), place });
        }
    }

    /// Fields of a text that is formatted.
    pub(super) fn format(&mut self, id: Id, of: Id, template: &Value) {
        for text in template.texts() {
            for name in reached(text) {
                self.attribute(id, of, name, How::Format, template.assembled);
            }
            self.length(id, width(text));
        }
        if template.open {
            self.computed(id, How::Format, template.suspicious);
        }
    }

    pub(super) fn padding(&mut self, id: Id, given: &Given<'_>) {
        let numbers = given.positional.iter().copied().chain(given.named.iter().map(|(_, value)| *value));
        let most = numbers.flat_map(Value::integers).max().unwrap_or(0);
        self.length(id, u64::try_from(most).unwrap_or(0));
    }

    pub(super) fn length(&mut self, id: Id, amount: u64) {
        if amount < MUCH {
            return;
        }
        let place = self.place(id);
        if let Some(facts) = &mut self.facts {
            facts.grow(Growth { kind: GrowthKind::Length, amount, place });
        }
    }
}

/// A name, cut.
pub(super) fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}
