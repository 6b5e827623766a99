//! Personal data in cells: what a value holds, and what a column's name says. Knows nothing of tables.

mod names;
mod values;

use serde::{Deserialize, Serialize};

pub(crate) use names::kind_of_name;
pub(crate) use values::Search;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// Payment card number.
    Card,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Email, Self::Phone, Self::Card];

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Email => "e-mail address",
            Self::Phone => "telephone number",
            Self::Card => "payment card number",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Card => "payment card numbers",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Email => 0,
            Self::Phone => 1,
            Self::Card => 2,
        }
    }
}
