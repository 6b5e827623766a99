//! Personal data and secrets in cells: what a value holds, and what a column's name says. Knows nothing of tables.

mod names;
mod values;

use serde::{Deserialize, Serialize};

pub(crate) use names::{announces_secret, kind_of_name, of_persons};
pub(crate) use values::{Search, Secret};

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
    /// Bank account number (IBAN).
    Iban,
    /// Social security, health or tax number.
    NationalId,
    /// Passport number.
    Passport,
    /// Internet address.
    Ip,
    /// Address of a crypto currency.
    CryptoAddress,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = Kind::ALL.len();

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::Passport,
        Self::Ip,
        Self::CryptoAddress,
    ];

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Email => "e-mail address",
            Self::Phone => "telephone number",
            Self::Card => "payment card number",
            Self::Iban => "bank account number",
            Self::NationalId => "national identity number",
            Self::Passport => "passport number",
            Self::Ip => "internet address",
            Self::CryptoAddress => "crypto currency address",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Card => "payment card numbers",
            Self::Iban => "bank account numbers",
            Self::NationalId => "national identity numbers",
            Self::Passport => "passport numbers",
            Self::Ip => "internet addresses",
            Self::CryptoAddress => "crypto currency addresses",
        }
    }

    /// First word of the metric with the share of rows.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Email => "email-share",
            Self::Phone => "phone-share",
            Self::Card => "card-share",
            Self::Iban => "iban-share",
            Self::NationalId => "national-id-share",
            Self::Passport => "passport-share",
            Self::Ip => "ip-share",
            Self::CryptoAddress => "crypto-address-share",
        }
    }

    /// Whether values alone prove it: they have a check digit or a shape that nothing else has.
    pub(crate) fn proves_itself(self) -> bool {
        matches!(self, Self::Email | Self::Card | Self::Iban | Self::CryptoAddress)
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
