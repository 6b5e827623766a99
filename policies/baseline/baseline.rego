# What every project must show, whatever its risk: complete, passing evidence from known signers, and the approvals
# that its environment asks for.
package gauntlet.baseline

import data.gauntlet.lib

violation(name, message, needs) := {
	"rule": concat("/", ["policy/baseline", name]),
	"message": message,
	"needs": needs,
}

violations contains violation("input-unknown", message, needs) if {
	not input.schema == 1
	message := "the policy input document is not of schema 1, the one this pack reads"
	needs := "a pack that was written for this version of the program"
}

violations contains violation("nothing-to-judge", message, needs) if {
	count(lib.subjects_of_kind("model")) + count(lib.subjects_of_kind("dataset")) == 0
	message := "the project declares neither a model nor a dataset"
	needs := "at least one entry under `models` or `datasets` in gauntlet.yaml"
}

violations contains violation("evidence-missing", message, needs) if {
	some subject in input.subjects
	some check in lib.required_checks(subject) - lib.checks(subject)
	message := sprintf("there is no evidence of %s for %s", [check, subject.name])
	needs := sprintf("a run of `gauntlet run` in which %s looks at %s", [check, subject.name])
}

violations contains violation("evidence-missing", message, needs) if {
	some subject in lib.subjects_of_kind("model")
	count(lib.looking_checks(subject, "artifact")) == 0
	message := sprintf("no artifact check has looked into %s", [subject.name])
	needs := sprintf("a run of `gauntlet run` in which an artifact check reads %s; its format must be one that is read", [subject.name])
}

violations contains violation("check-failed", message, needs) if {
	some subject in input.subjects
	some evidence in subject.evidence
	evidence.verdict == "fail"
	message := sprintf("%s failed for %s (%d critical, %d high)", [
		evidence.check, subject.name,
		evidence.counts.critical, evidence.counts.high,
	])
	needs := sprintf("fix what %s found in %s, then run `gauntlet run` again", [evidence.check, subject.name])
}

violations contains violation("check-inconclusive", message, needs) if {
	some subject in input.subjects
	some evidence in subject.evidence
	evidence.verdict == "error"
	message := sprintf("%s could not look at all of %s (%d skipped)", [evidence.check, subject.name, evidence.coverage.skipped_count])
	needs := sprintf("make readable what %s skipped in %s, or exclude it, then run `gauntlet run` again", [evidence.check, subject.name])
}

# A verdict from a later program must not read as a pass.
violations contains violation("verdict-unknown", message, needs) if {
	some subject in input.subjects
	some evidence in subject.evidence
	not evidence.verdict in {"pass", "warn", "fail", "error"}
	message := sprintf("the evidence of %s for %s has no verdict that this pack knows", [evidence.check, subject.name])
	needs := "evidence made by a version of the program that this pack was written for"
}

violations contains violation("unknown-signer", message, needs) if {
	some key in unknown_keys
	checks := {sprintf("%s of %s", [evidence.check, subject.name]) |
		some subject in input.subjects
		some evidence in subject.evidence
		evidence.signer.key_id == key
	}
	message := sprintf("key %s is not accepted for %s, yet it signed %s", [key, input.environment.name, lib.listed(checks)])
	needs := sprintf("evidence signed with a key that the trust policy accepts for %s", [input.environment.name])
}

violations contains violation("evidence-set-aside", message, needs) if {
	some subject in input.subjects
	some evidence in subject.set_aside
	message := sprintf("%s of %s does not count: %s", [evidence.check, subject.name, lib.listed(evidence.reasons)])
	needs := sprintf("evidence of %s for %s by a signer whom the trust policy allows, and that is not revoked", [evidence.check, subject.name])
}

violations contains violation("subject-revoked", message, needs) if {
	some subject in input.subjects
	some reason in subject.revoked
	message := sprintf("%s is revoked: %s", [subject.name, reason])
	needs := sprintf("another version of %s; what was revoked stays so", [subject.name])
}

violations contains violation("approval-missing", message, needs) if {
	some role in input.environment.approvals_required
	missing := {subject.name |
		some subject in lib.approvable
		count({role} - lib.approved_roles(subject)) > 0
	}
	count(missing) > 0
	message := sprintf("approval by %s is missing for %s", [role, lib.listed(missing)])
	needs := sprintf("an approval for %s, signed by a person with the role %s", [input.environment.name, role])
}

signer_keys contains evidence.signer.key_id if {
	some subject in input.subjects
	some evidence in subject.evidence
}

# Where the trust policy names signers, only those count. Where it names none, a person it lists may sign, and so may the
# local key of the machine that judges: it proves no more than that nobody altered the evidence since.
known_keys contains key if {
	input.environment.signers != null
	some key in input.environment.signers
}

known_keys contains evidence.signer.key_id if {
	input.environment.signers == null
	some subject in input.subjects
	some evidence in subject.evidence
	by_somebody(evidence.signer)
}

by_somebody(signer) if signer.local == true

by_somebody(signer) if {
	signer.local == false
	signer.person != null
}

unknown_keys := signer_keys - known_keys
