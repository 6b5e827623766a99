//! A verification as a report of the check `trust/signature`.

use gauntlet_core::{
    CheckInfo, Coverage, Digest, Draft, Input, Location, Report, RuleInfo, Severity, SkipCode, Stage, Subject, seal,
};

use super::{Reason, ReasonCode, UnsignedWhy, Verification};

/// The check that [`Verification::report`] answers for.
pub static SIGNATURE: CheckInfo = CheckInfo {
    id: "trust/signature",
    version: 1,
    stage: Stage::Package,
    title: "Is the model the one that a trusted key signed?",
    rules: RULES,
    page: include_str!("../../../../docs/src/checks/trust-signature.md"),
};

const SUPPLY_CHAIN: [&str; 3] = ["CWE-345", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"];

const fn rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    references: &'static [&'static str],
) -> RuleInfo {
    RuleInfo { id, severity, title, fix, references, since: "0.1.0", renamed_from: &[], retired: None }
}

static RULES: &[RuleInfo] = &[
    rule(
        "trust/signature/bad-signature",
        Severity::Critical,
        "no signature by a trusted key holds",
        "Do not use the model. Get model and signature again from their source; if they still do not fit, ask the signer.",
        &["CWE-347", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/wrong-key",
        Severity::High,
        "signed with another key than the trusted ones",
        "Ask the signer over another channel whether the key was changed, and trust the new one only then.",
        &["CWE-347", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/wrong-method",
        Severity::High,
        "signed by another method than the one trusted here",
        "Name the kind of trust that fits this signature (a key, or a certificate authority), or have it signed anew.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/untrusted-chain",
        Severity::High,
        "the signer's certificate does not lead to a trusted authority",
        "Ask the signer over another channel which authority issued the certificate, and trust that one only if you would trust everything it signs. A missing intermediate is given with --ca as well.",
        &["CWE-295", "CWE-296", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/key-usage",
        Severity::High,
        "the signer's certificate is not meant for signing",
        "Have the model signed with a certificate that has key usage digitalSignature or extended key usage codeSigning.",
        &["CWE-295", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/expired",
        Severity::High,
        "a certificate had ended",
        "Have the model signed anew. If it is time-stamped, name the time stamping authority with --tsa.",
        &["CWE-298", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/not-yet-valid",
        Severity::High,
        "a certificate was not valid yet",
        "Check the clock of this machine; if it is right, ask the signer why the certificate begins later.",
        &["CWE-298", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/bad-sct",
        Severity::High,
        "no certificate log vouches for the signer's certificate",
        "Do not use the model. A certificate that no log has seen may have been issued in silence; check that the trusted root is the current one of that Sigstore instance.",
        &["CWE-295", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/no-log-entry",
        Severity::High,
        "the signature is in no transparency log",
        "Have the model signed anew with a tool that logs its signatures. A signature that nobody can see can be made in silence with a stolen identity.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/unknown-log",
        Severity::High,
        "the transparency log is not trusted, or was not at that moment",
        "Check that the trusted root is the current one of the Sigstore instance that signed; trust another log only if you would trust all that it vouches for.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/log-entry-mismatch",
        Severity::Critical,
        "the log entry is about something else",
        "Do not use the model. A genuine entry of another signature was put beside this one; get model and signature again from their source.",
        &["CWE-345", "CWE-347", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/bad-promise",
        Severity::Critical,
        "the log's promise to include the entry does not hold",
        "Do not use the model. Get the signature again from its source; its time cannot be believed.",
        &["CWE-347", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/bad-inclusion-proof",
        Severity::Critical,
        "the proof that the log includes the entry does not hold",
        "Do not use the model. Get the signature again from its source; if it is whole, ask the operator of the log.",
        &["CWE-345", "CWE-354", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/bad-checkpoint",
        Severity::Critical,
        "the log did not sign the state that the proof leads to",
        "Do not use the model. Get the signature again from its source; if it is whole, ask the operator of the log.",
        &["CWE-347", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/no-time",
        Severity::High,
        "nothing that is trusted says when the signature was made",
        "Have the model signed anew with a log that promises its entries or with a time stamp, and name a trusted root that holds the authority of the time stamp.",
        &["CWE-298", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/wrong-identity",
        Severity::Critical,
        "somebody else signed",
        "Ask who is meant to sign over another channel; change --identity only when the answer is clear.",
        &["CWE-290", "CWE-345", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/wrong-issuer",
        Severity::Critical,
        "somebody else vouches for the signer's identity",
        "Ask which identity provider the signer uses; the same name at another provider is another person.",
        &["CWE-290", "CWE-345", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/wrong-type",
        Severity::High,
        "not an OpenSSF model signature",
        "Pass the signature file of this model; other attestations are not signatures of its files.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/malformed",
        Severity::High,
        "the signature file breaks its format",
        "Get the signature file again; if it is whole, its producer has to be mended.",
        &["CWE-20", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/duplicate",
        Severity::High,
        "a file is signed twice",
        "Have the model signed anew: two digests for one name let two verifiers see two models.",
        &["CWE-20", "CWE-694"],
    ),
    rule(
        "trust/signature/unsafe-path",
        Severity::High,
        "a signed name leads out of the model",
        "Have the model signed anew with relative names, and ask how such a name came into a signature.",
        &["CWE-22", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/unsupported",
        Severity::High,
        "a kind of signature that is not handled",
        "Have the model signed anew with `gauntlet sign` or a current release of model-signing.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/incomplete",
        Severity::High,
        "a part of a file is not signed",
        "Have the model signed anew: unsigned bytes may hold anything.",
        &["CWE-354", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/root-digest-mismatch",
        Severity::Critical,
        "the signed root digest is not that of the signed files",
        "Do not use the model. The signature contradicts itself: have it signed anew by a tool that works.",
        &["CWE-354", "OWASP ML06:2023"],
    ),
    rule(
        "trust/signature/digest-mismatch",
        Severity::Critical,
        "a file is not the one that was signed",
        "Do not use the model. Get the file again from where it was signed; if it was changed on purpose, sign anew.",
        &["CWE-354", "OWASP ML10:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/missing-file",
        Severity::High,
        "a signed file is not there",
        "Fetch the whole model; a part of it is another model.",
        &SUPPLY_CHAIN,
    ),
    rule(
        "trust/signature/unexpected-file",
        Severity::High,
        "a file is there that nobody signed",
        "Remove it, or have the model signed anew with it. Code beside weights is often loaded with them.",
        &["CWE-345", "OWASP ML06:2023", "MITRE ATLAS AML.T0010"],
    ),
    rule(
        "trust/signature/symlink",
        Severity::High,
        "a link where none is allowed",
        "Put the file itself in place of the link, or sign with links allowed; links to folders are never allowed.",
        &["CWE-59"],
    ),
    rule(
        "trust/signature/signer",
        Severity::Info,
        "who signed, as a certificate that was followed to a trusted authority says",
        "Compare the name with the one you expect: an authority vouches for everybody it issues certificates to.",
        &[],
    ),
    rule(
        "trust/signature/notice",
        Severity::Info,
        "something unusual that changes nothing",
        "Nothing needs to be done; have a look.",
        &[],
    ),
];

impl ReasonCode {
    /// The rule `trust/signature/<code>`. What could not be judged is not a finding and has none.
    #[must_use]
    pub fn rule(self) -> Option<&'static RuleInfo> {
        SIGNATURE.rule(self.as_str())
    }
}

impl Verification {
    /// The report of this verification. `subject` is the model, `inputs` names the signature file and the trusted
    /// keys by digest, `config_digest` the options.
    #[must_use]
    pub fn report(&self, subject: Subject, inputs: Vec<Input>, config_digest: Digest) -> Report {
        let mut coverage = Coverage { looked_at: self.files as u64, ..Coverage::default() };
        let mut drafts = Vec::new();
        for reason in &self.reasons {
            match reason.code.rule().filter(|_| !self.is_open(reason)) {
                Some(rule) => drafts.push(Draft::new(rule, location(reason.path.as_deref()), &reason.message)),
                None => {
                    let code = match reason.code {
                        ReasonCode::Unreadable => SkipCode::Unreadable,
                        ReasonCode::Limit => SkipCode::Limit,
                        _ => SkipCode::Unsupported,
                    };
                    coverage.skip(reason.path.clone().unwrap_or_default(), None, code, &reason.message);
                }
            }
        }
        for unsigned in &self.unsigned {
            let (code, detail) = match unsigned.why {
                UnsignedWhy::Ignored => (SkipCode::Excluded, "not signed: ignored"),
                UnsignedWhy::Allowed => (SkipCode::Excluded, "not signed: unsigned files are allowed"),
                UnsignedWhy::Signature => (SkipCode::Ignored, "the signature itself"),
                UnsignedWhy::Empty => (SkipCode::Ignored, "not signed: an empty file of a sharded model"),
            };
            coverage.skip(&unsigned.path, None, code, detail);
        }
        let signer = self.certificate.as_ref().map(ToString::to_string);
        let signer = signer.or_else(|| self.identity.as_ref().map(ToString::to_string));
        if let (Some(rule), Some(signer)) = (SIGNATURE.rule("signer"), signer) {
            drafts.push(Draft::new(rule, Location::default(), signer));
            let moment = self.moment.iter().map(|moment| format!("signed before {moment}"));
            drafts.extend(moment.map(|text| Draft::new(rule, Location::default(), text)));
        }
        if let Some(rule) = SIGNATURE.rule("notice") {
            drafts.extend(self.warnings.iter().map(|text| Draft::new(rule, Location::default(), text)));
        }
        Report {
            check: SIGNATURE.id.to_owned(),
            check_version: SIGNATURE.version,
            config_digest,
            subject,
            inputs,
            verdict: self.verdict,
            findings: seal(drafts),
            metrics: Vec::new(),
            coverage,
            figures: Vec::new(),
        }
    }

    /// Whether this reason leaves the question open, rather than answering it with no: a signature of a kind that is
    /// not judged may well be good, an unknown hash inside a trusted statement is not.
    pub(super) fn is_open(&self, reason: &Reason) -> bool {
        match reason.code {
            ReasonCode::Unreadable | ReasonCode::Limit => true,
            ReasonCode::Unsupported => self.signer.is_none(),
            _ => false,
        }
    }
}

fn location(path: Option<&str>) -> Location {
    Location { path: path.map(str::to_owned), ..Location::default() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gauntlet_core::{DigestSet, SubjectKind, Verdict, valid_rule_id};

    use super::*;
    use crate::oms::{Trust, Unsigned, VerifyOptions, verify};

    #[test]
    fn every_rule_is_valid_and_has_a_section_in_the_manual() {
        for rule in RULES {
            assert!(valid_rule_id(rule.id), "{}", rule.id);
            let name = rule.id.rsplit('/').next().unwrap();
            assert!(SIGNATURE.page.contains(&format!("\n## {name}\n")), "{} has no section", rule.id);
        }
        let sections = SIGNATURE.page.lines().filter(|line| line.starts_with("## ")).count();
        assert_eq!(sections, RULES.len());
    }

    #[test]
    fn reports_agree_with_the_verdict() {
        let subject =
            Subject { name: "m".to_owned(), kind: SubjectKind::Model, digest: DigestSet::sha256_of(b"model") };
        let mut found = verify(Path::new("m"), b"", &Trust::Keys(Vec::new()), &VerifyOptions::default());
        let mut judge = |code, verdict, signer: Option<&str>| {
            found.reasons = vec![Reason { path: Some("f".to_owned()), code, message: "seen".to_owned() }];
            found.unsigned = vec![Unsigned { path: ".git".to_owned(), why: UnsignedWhy::Ignored }];
            (found.verdict, found.signer) = (verdict, signer.map(str::to_owned));
            let report = found.report(subject.clone(), Vec::new(), Digest::sha256(b"options"));
            assert_eq!(Report::judge(&report.findings, &report.metrics, &report.coverage), verdict, "{code:?}");
            assert!(report.coverage.skipped.iter().any(|s| s.path == ".git"));
        };
        judge(ReasonCode::DigestMismatch, Verdict::Fail, Some("key"));
        judge(ReasonCode::UnexpectedFile, Verdict::Fail, Some("key"));
        judge(ReasonCode::Unsupported, Verdict::Fail, Some("key"));
        judge(ReasonCode::Unsupported, Verdict::Error, None);
        judge(ReasonCode::Unreadable, Verdict::Error, Some("key"));
        judge(ReasonCode::Limit, Verdict::Error, Some("key"));
    }
}
