//! The rules of `data/manifest`.

use gauntlet_core::{RuleInfo, Severity};

use crate::checks::rule;

const POISONED: &[&str] = &["CWE-345", "OWASP ML02:2023", "MITRE ATLAS AML.T0020"];
const SUPPLY: &[&str] = &["CWE-353", "OWASP ML06:2023", "MITRE ATLAS AML.T0010.002"];
const PRIVACY: &[&str] = &["CWE-359", "GDPR Art. 5(1)(b), 6"];
const CHILDREN: &[&str] = &["GDPR Art. 8", "CWE-359"];
const LICENCE: &[&str] = &["EU AI Act Art. 10(2)(b)"];

pub(super) static RULES: [RuleInfo; 22] = [
    rule(
        "data/manifest/missing-manifest",
        Severity::High,
        "dataset without manifest",
        "run `gauntlet init` to draft a manifest, fill in what it marks, and name it in gauntlet.yaml under `manifest`",
        LICENCE,
    ),
    rule(
        "data/manifest/invalid-manifest",
        Severity::High,
        "manifest does not follow its format",
        "correct the line; the reference chapter \"Dataset manifest\" lists all keys",
        &[],
    ),
    rule(
        "data/manifest/incomplete",
        Severity::High,
        "required field is not filled in",
        "a person who knows the data has to fill in the field",
        LICENCE,
    ),
    rule(
        "data/manifest/invalid-license",
        Severity::High,
        "licence is no SPDX expression",
        "write an SPDX expression such as `CC-BY-4.0`, or `LicenseRef-<name>` with its text under `url`",
        LICENCE,
    ),
    rule(
        "data/manifest/missing-consent",
        Severity::High,
        "no basis for using the data",
        "state `consent.basis` and the record that proves it, or do not use the data",
        PRIVACY,
    ),
    rule(
        "data/manifest/purpose-not-covered",
        Severity::High,
        "consent does not cover this use",
        "obtain consent for this purpose and add it to `consent.purposes`, or use other data",
        PRIVACY,
    ),
    rule(
        "data/manifest/consent-expired",
        Severity::High,
        "consent has expired",
        "renew the consent and its record, or remove the data",
        PRIVACY,
    ),
    rule(
        "data/manifest/row-without-consent",
        Severity::High,
        "rows without consent",
        "remove the rows whose consent is missing or withdrawn: `gauntlet data manifest PATH --check MANIFEST --quarantine DIR` does it",
        PRIVACY,
    ),
    rule(
        "data/manifest/row-consent-expired",
        Severity::High,
        "rows whose consent has expired",
        "renew the consent of these people, or remove the rows with `--quarantine`",
        PRIVACY,
    ),
    rule(
        "data/manifest/row-without-age-verification",
        Severity::High,
        "rows without proof of age",
        "remove the rows with `--quarantine`, or verify the age of these people",
        CHILDREN,
    ),
    rule(
        "data/manifest/license-forbids-purpose",
        Severity::High,
        "licence does not permit this use",
        "use data whose licence permits the purpose, or obtain another licence and write it under `license`",
        LICENCE,
    ),
    rule(
        "data/manifest/schema-mismatch",
        Severity::High,
        "table is not the one its feature store or schema declares",
        "correct the table, or review the change and write it into the definition that `schema` names",
        POISONED,
    ),
    rule(
        "data/manifest/weaker-class",
        Severity::Medium,
        "column is classified lower than its feature store or schema says",
        "raise the class under `classification.columns`, or have the owner of the definition lower it there",
        PRIVACY,
    ),
    rule(
        "data/manifest/unknown-column",
        Severity::High,
        "manifest speaks about a column that the table does not have",
        "correct the name: a class, treatment or role that is given to a misspelt column protects nothing",
        PRIVACY,
    ),
    rule(
        "data/manifest/unreadable-schema",
        Severity::High,
        "definition of the columns cannot be read",
        "correct the file that `schema` names; the reference chapter \"Dataset manifest\" lists what is read",
        &[],
    ),
    rule(
        "data/manifest/hash-mismatch",
        Severity::High,
        "file is not the one the manifest describes",
        "find out who changed the file; restore it, or review the change and write the new hash into the manifest",
        POISONED,
    ),
    rule(
        "data/manifest/missing-file",
        Severity::High,
        "file of the manifest is not there",
        "restore the file, or remove it from the manifest and from gauntlet.yaml's path",
        SUPPLY,
    ),
    rule(
        "data/manifest/undeclared-file",
        Severity::High,
        "file that the manifest does not list",
        "list the file with its SHA-256 after reviewing where it comes from, or remove it",
        POISONED,
    ),
    rule(
        "data/manifest/row-count",
        Severity::High,
        "file has another number of rows than the manifest says",
        "correct `rows` in the manifest, or restore the file",
        POISONED,
    ),
    rule(
        "data/manifest/unsafe-path",
        Severity::High,
        "path of the manifest leaves its folder",
        "write paths relative to the manifest's folder, without `..`",
        &["CWE-22"],
    ),
    rule(
        "data/manifest/fingerprint-mismatch",
        Severity::High,
        "content is not the one the manifest describes",
        "find out who changed the rows; restore them, or review the change and write the new fingerprint",
        POISONED,
    ),
    rule(
        "data/manifest/contract-mismatch",
        Severity::High,
        "data was accepted under another contract",
        "review the change of the contract and write its hash into the manifest",
        SUPPLY,
    ),
];
