package gauntlet.baseline_test

import data.gauntlet.baseline

signer := {"key_id": "k1", "local": true, "person": null, "roles": []}

evidence(check) := {
	"check": check,
	"verdict": "pass",
	"signer": signer,
	"counts": {"critical": 0, "high": 0},
	"coverage": {"looked_at": 1, "skipped_count": 0, "complete": true},
}

subject(name, kind, declared, checks) := {
	"name": name,
	"kind": kind,
	"declared": declared,
	"evidence": [evidence(check) | some check in checks],
	"approvals": [],
}

source := subject("p/source", "source", [], ["source/secrets", "source/deserialization"])

dataset := subject("p/d", "dataset", ["manifest", "contract"], ["data/manifest", "data/personal-data", "data/secrets", "data/contract"])

model := subject("p/m", "model", [], ["artifact/onnx"])

document(subjects) := {
	"schema": 1,
	"time": "2026-01-31T12:00:00Z",
	"environment": {"name": "staging", "production": false, "approvals_required": [], "signers": null},
	"subjects": subjects,
}

complete := document([source, dataset, model])

asking(members) := object.union(complete, {"environment": members})

# The model with the first piece of evidence replaced in part.
model_with(members) := object.union(model, {"evidence": [object.union(evidence("artifact/onnx"), members)]})

rules(violations) := {violation.rule | some violation in violations}

test_complete_evidence_passes if count(baseline.violations) == 0 with input as complete

test_nothing_passes_without_a_document if {
	rules(baseline.violations) == {"policy/baseline/input-unknown", "policy/baseline/nothing-to-judge"} with input as {}
}

test_another_schema_is_refused if {
	rules(baseline.violations) == {"policy/baseline/input-unknown"} with input as object.union(complete, {"schema": 2})
}

test_source_alone_is_nothing_to_judge if {
	rules(baseline.violations) == {"policy/baseline/nothing-to-judge"} with input as document([source])
}

test_each_missing_check_is_named if {
	bare := subject("p/d", "dataset", ["contract"], [])
	found := baseline.violations with input as document([bare, model])
	{violation.message | some violation in found} == {
		"there is no evidence of data/manifest for p/d",
		"there is no evidence of data/personal-data for p/d",
		"there is no evidence of data/secrets for p/d",
		"there is no evidence of data/contract for p/d",
	}
}

test_a_dataset_without_contract_is_not_asked_for_one if {
	plain := subject("p/d", "dataset", [], ["data/manifest", "data/personal-data", "data/secrets"])
	count(baseline.violations) == 0 with input as document([plain, model])
}

test_a_model_nobody_looked_into_is_refused if {
	unread := model_with({"coverage": {"looked_at": 0, "skipped_count": 0, "complete": true}})
	rules(baseline.violations) == {"policy/baseline/evidence-missing"} with input as document([dataset, unread])
	bare := subject("p/m", "model", [], ["data/manifest"])
	rules(baseline.violations) == {"policy/baseline/evidence-missing"} with input as document([dataset, bare])
}

test_a_failed_check_is_refused if {
	failed := model_with({"verdict": "fail", "counts": {"critical": 2, "high": 1}})
	found := baseline.violations with input as document([dataset, failed])
	{violation.message | some violation in found} == {"artifact/onnx failed for p/m (2 critical, 1 high)"}
}

test_an_unanswered_question_is_refused if {
	open := model_with({"verdict": "error", "coverage": {"looked_at": 1, "skipped_count": 3, "complete": false}})
	found := baseline.violations with input as document([dataset, open])
	{violation.message | some violation in found} == {"artifact/onnx could not look at all of p/m (3 skipped)"}
}

test_a_later_pass_does_not_undo_a_failure if {
	twice := object.union(model, {"evidence": [evidence("artifact/onnx"), object.union(evidence("artifact/onnx"), {"verdict": "fail"})]})
	rules(baseline.violations) == {"policy/baseline/check-failed"} with input as document([dataset, twice])
}

test_an_unknown_verdict_is_refused if {
	odd := model_with({"verdict": "splendid"})
	rules(baseline.violations) == {"policy/baseline/verdict-unknown"} with input as document([dataset, odd])
}

test_a_warning_passes if {
	count(baseline.violations) == 0 with input as document([dataset, model_with({"verdict": "warn"})])
}

test_a_key_of_nobody_is_refused if {
	stranger := model_with({"signer": {"key_id": "k2", "local": false, "person": null, "roles": []}})
	found := baseline.violations with input as document([dataset, stranger])
	{violation.message | some violation in found} == {"key k2 is not accepted for staging, yet it signed artifact/onnx of p/m"}
}

test_a_person_of_the_trust_policy_may_sign if {
	known := model_with({"signer": {"key_id": "k2", "local": false, "person": "ana", "roles": []}})
	count(baseline.violations) == 0 with input as document([dataset, known])
}

test_named_signers_exclude_all_others if {
	rules(baseline.violations) == {"policy/baseline/unknown-signer"} with input as asking({"signers": ["k9"]})
	count(baseline.violations) == 0 with input as asking({"signers": ["k1"]})
	rules(baseline.violations) == {"policy/baseline/unknown-signer"} with input as asking({"signers": []})
}

test_evidence_that_does_not_count_is_named if {
	aside := object.union(model, {"set_aside": [{"check": "artifact/onnx", "reasons": ["revoked: wrong data"]}]})
	found := baseline.violations with input as document([source, dataset, aside])
	{violation.message | some violation in found} == {"artifact/onnx of p/m does not count: revoked: wrong data"}
	count(baseline.violations) == 0 with input as document([source, dataset, object.union(model, {"set_aside": []})])
}

test_a_revoked_subject_is_refused if {
	revoked := object.union(model, {"revoked": ["trained on stolen data"]})
	found := baseline.violations with input as document([source, dataset, revoked])
	{violation.message | some violation in found} == {"p/m is revoked: trained on stolen data"}
	count(baseline.violations) == 0 with input as document([source, dataset, object.union(model, {"revoked": []})])
}

test_every_missing_approval_is_named if {
	found := baseline.violations with input as asking({"approvals_required": ["security", "legal"]})
	{violation.message | some violation in found} == {
		"approval by security is missing for p/m",
		"approval by legal is missing for p/m",
	}
}

test_an_approved_model_passes if {
	approval := {"role": "security", "person": "ana", "environment": "staging", "expires": null}
	approved := object.union(model, {"approvals": [approval]})
	asked := object.union(document([source, dataset, approved]), {"environment": {"approvals_required": ["security"]}})
	count(baseline.violations) == 0 with input as asked
}
