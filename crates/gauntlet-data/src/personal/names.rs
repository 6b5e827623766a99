//! What the name of a column says about its values: a dictionary over the words of snake, kebab and camel case.

use super::Kind;

/// Words in names of columns whose values are persons or tell of one.
const PERSONS: [&str; 22] = [
    "name",
    "surname",
    "person",
    "user",
    "author",
    "owner",
    "contact",
    "address",
    "street",
    "city",
    "zip",
    "postcode",
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "phone",
    "mobile",
    "salary",
    "income",
    "ssn",
    "passport",
];

/// Whether the name of a column says that its values are persons or tell of one.
pub(crate) fn of_persons(name: &str) -> bool {
    kind_of_name(name).is_some() || words(name).iter().any(|word| PERSONS.contains(&word.as_str()))
}

/// The kind that `name` announces.
pub(crate) fn kind_of_name(name: &str) -> Option<Kind> {
    let words = words(name);
    let has = |word: &str| words.iter().any(|w| w == word);
    // `email_opened` and `phone_model` speak about a message or a device.
    const OTHER: [&str; 18] = [
        "opened", "sent", "clicked", "count", "num", "type", "model", "opt", "verified", "flag", "provider", "domain",
        "valid", "brand", "os", "is", "has", "rate",
    ];
    if OTHER.iter().any(|word| has(word)) {
        return None;
    }
    let pair = |a: &str, b: &str| words.windows(2).any(|w| w[0] == a && w[1] == b);
    if has("email") || has("mail") || has("emails") || has("emailaddress") || pair("e", "mail") {
        return Some(Kind::Email);
    }
    const PHONE: [&str; 11] = [
        "phone",
        "telephone",
        "mobile",
        "cellphone",
        "msisdn",
        "fax",
        "tel",
        "telefon",
        "handy",
        "phonenumber",
        "whatsapp",
    ];
    if PHONE.iter().any(|word| has(word)) {
        return Some(Kind::Phone);
    }
    let numbered = ["number", "no", "nr", "pan", "num"].iter().any(|word| has(word));
    if has("creditcard")
        || has("cardnumber")
        || has("ccnumber")
        || (has("card") && (numbered || has("credit")))
        || (has("cc") && numbered)
        || pair("credit", "card")
    {
        return Some(Kind::Card);
    }
    if has("iban") || pair("bank", "account") || pair("account", "number") || has("kontonummer") {
        return Some(Kind::Iban);
    }
    const NATIONAL: [&str; 7] = ["ssn", "nhs", "nino", "bsn", "steuerid", "nationalid", "codicefiscale"];
    let identity = pair("national", "id") || pair("social", "security") || pair("tax", "id") || pair("nhs", "number");
    if NATIONAL.iter().any(|word| has(word)) || identity {
        return Some(Kind::NationalId);
    }
    if has("passport") || has("reisepass") || has("passeport") || has("pasaporte") {
        return Some(Kind::Passport);
    }
    if has("ip") || has("ipaddress") || has("ipv4") || has("ipv6") || pair("remote", "addr") {
        return Some(Kind::Ip);
    }
    if has("wallet") || has("btc") || pair("bitcoin", "address") {
        return Some(Kind::CryptoAddress);
    }
    None
}

/// Whether `name` says that the column holds credentials.
pub(crate) fn announces_secret(name: &str) -> bool {
    let words = words(name);
    let has = |word: &str| words.iter().any(|w| w == word);
    // `token_count` and `password_changed` speak about credentials, or about tokens of text.
    const OTHER: [&str; 17] = [
        "count", "num", "hash", "hashed", "sha256", "type", "id", "ids", "changed", "expires", "expired", "length",
        "len", "date", "age", "name", "has",
    ];
    if OTHER.iter().any(|word| has(word)) {
        return false;
    }
    let pair = |a: &str, b: &str| words.windows(2).any(|w| w[0] == a && w[1] == b);
    const ALONE: [&str; 11] = [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "apikey",
        "credential",
        "credentials",
        "accesstoken",
        "privatekey",
    ];
    ALONE.iter().any(|word| has(word))
        || ["api", "access", "private", "secret", "auth", "signing"].iter().any(|word| pair(word, "key"))
}

/// `customerEMail_2` is `customer e mail 2`.
fn words(name: &str) -> Vec<String> {
    let (mut out, mut word, mut before_lower) = (Vec::new(), String::new(), false);
    for c in name.chars().take(256) {
        let boundary = !c.is_alphanumeric() || (c.is_uppercase() && (before_lower || word.len() == 1 && word == "e"));
        if boundary && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        before_lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        for (name, kind) in [
            ("email", Some(Kind::Email)),
            ("customerEmail", Some(Kind::Email)),
            ("E-Mail", Some(Kind::Email)),
            ("contact_mail_2", Some(Kind::Email)),
            ("PHONE", Some(Kind::Phone)),
            ("mobile_number", Some(Kind::Phone)),
            ("credit_card", Some(Kind::Card)),
            ("cardNumber", Some(Kind::Card)),
            ("email_opened", None),
            ("phone_model", None),
            ("emailed", None),
            ("hotel", None),
            ("customer_iban", Some(Kind::Iban)),
            ("SSN", Some(Kind::NationalId)),
            ("client_ip", Some(Kind::Ip)),
            ("passportNo", Some(Kind::Passport)),
            ("wallet", Some(Kind::CryptoAddress)),
            ("card", None),
            ("ship", None),
            ("description", None),
            ("postcard", None),
        ] {
            assert_eq!(kind_of_name(name), kind, "{name}");
        }
    }

    #[test]
    fn names_of_credentials_are_told_from_names_about_them() {
        for name in ["password", "apiKey", "access_token", "private_key", "client-secret"] {
            assert!(announces_secret(name), "{name}");
        }
        for name in ["token_count", "password_changed", "key", "customer_id", "secretary", "password_hash"] {
            assert!(!announces_secret(name), "{name}");
        }
    }
}
