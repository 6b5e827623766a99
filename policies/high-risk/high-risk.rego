# What a project must show whose model decides about people. The first part holds everywhere; the second, from
# `production_like` on, in environments where the model meets them.
package gauntlet.high_risk

import data.gauntlet.lib

violation(name, message, needs) := {
	"rule": concat("/", ["policy/high-risk", name]),
	"message": message,
	"needs": needs,
}

violations contains violation("input-unknown", message, needs) if {
	not input.schema == 1
	message := "the policy input document is not of schema 1, the one this pack reads"
	needs := "a pack that was written for this version of the program"
}

violations contains violation("owner-missing", message, needs) if {
	some role in {"model", "security"} - object.keys(input.project.owners)
	message := sprintf("nobody is named who answers for the role %s", [role])
	needs := sprintf("an entry `%s` under `owners` in gauntlet.yaml", [role])
}

violations contains violation("contract-missing", message, needs) if {
	some subject in lib.subjects_of_kind("dataset")
	not "contract" in subject.declared
	message := sprintf("%s has no contract that says what its table must look like", [subject.name])
	needs := sprintf("a contract for %s, named in gauntlet.yaml", [subject.name])
}

# Anything but a plain false counts as production.
production_like if not input.environment.production == false

violations contains violation("card-missing", message, needs) if {
	production_like
	missing := {subject.name |
		some subject in lib.subjects_of_kind("model")
		count({"artifact/card"} - lib.passed_checks(subject)) > 0
	}
	count(missing) > 0
	message := sprintf("model card missing for %s", [lib.listed(missing)])
	needs := "a model card with intended use, limits and test results, and passing evidence of artifact/card for it"
}

# A card may claim what other evidence about the same model measured, and nothing else.
violations contains violation("claim-unmeasured", message, needs) if {
	production_like
	some subject in lib.subjects_of_kind("model")
	unmeasured := {sprintf("%s %v", [claim.name, claim.value]) |
		some claim in claims(subject)
		count(measurements(subject, claim)) == 0
	}
	count(unmeasured) > 0
	message := sprintf("the card of %s claims what no evidence measured: %s", [subject.name, lib.listed(unmeasured)])
	needs := sprintf("evidence of %s with these figures, or a card without them", [subject.name])
}

violations contains violation("claim-unmeasured", message, needs) if {
	production_like
	some subject in lib.subjects_of_kind("model")
	some evidence in subject.evidence
	evidence.check == "artifact/card"
	evidence.metrics_omitted > 0
	message := sprintf("the card of %s claims more figures than a policy can look at", [subject.name])
	needs := "a card with at most 1,000 figures"
}

# A risk score is a judgement, not a measurement; that it can be checked is for artifact/card to say.
claims(subject) := {claim |
	some evidence in subject.evidence
	evidence.check == "artifact/card"
	some claim in evidence.metrics
	claim.name != "risk-score"
}

measurements(subject, claim) := {evidence.check |
	some evidence in subject.evidence
	evidence.check != "artifact/card"
	some metric in evidence.metrics
	metric.name == claim.name
	metric.field == claim.field
	supports(metric, claim.value)
}

supports(metric, value) if metric.value == value

supports(metric, value) if {
	metric.low != null
	metric.high != null
	metric.low <= value
	value <= metric.high
}

# What a model of each kind must have been tested for.
tests_by_kind := {
	"tabular": {"model/robustness", "model/fairness", "model/privacy"},
	"vision": {"model/robustness", "model/backdoor", "model/privacy"},
	"text": {"model/text-attack", "model/fairness", "model/privacy"},
	"audio": {"model/robustness", "model/backdoor", "model/privacy"},
	"generative": {"model/red-team", "model/output-safety", "model/privacy"},
}

# A kind that is not in the table must have been tested for everything in it.
required_tests := object.get(tests_by_kind, input.project.kind, union({tests | some tests in tests_by_kind}))

violations contains violation("model-tests-missing", message, needs) if {
	production_like
	some subject in lib.subjects_of_kind("model")
	missing := required_tests - lib.passed_checks(subject)
	count(missing) > 0
	message := sprintf("model tests missing for %s: %s", [subject.name, lib.listed(missing)])
	needs := sprintf("passing evidence of %s for %s", [lib.listed(missing), subject.name])
}

local_evidence contains [subject.name, evidence.check] if {
	some subject in input.subjects
	some evidence in subject.evidence
	not evidence.signer.local == false
}

# Where the trust policy names signers, the baseline already refuses every other key.
violations contains violation("local-signer", message, needs) if {
	production_like
	input.environment.signers == null
	count(local_evidence) > 0
	all := [evidence | some subject in input.subjects; some evidence in subject.evidence]
	message := sprintf("evidence signed by a local key, which nobody vouches for (%d of %d reports)", [count(local_evidence), count(all)])
	needs := "evidence signed with the key of a person or build that the trust policy lists"
}

# A signature by a local key would prove nothing, so it is asked for only once the evidence itself has a real signer.
violations contains violation("model-unsigned", message, needs) if {
	production_like
	count(local_evidence) == 0
	some subject in lib.subjects_of_kind("model")
	count({"trust/signature"} - lib.passed_checks(subject)) > 0
	message := sprintf("there is no verified signature of %s", [subject.name])
	needs := sprintf("`gauntlet sign` of %s with an accepted key, and passing evidence of trust/signature", [subject.name])
}
