package gauntlet.high_risk_test

import data.gauntlet.high_risk

evidence(check, local) := {
	"check": check,
	"verdict": "pass",
	"signer": {"key_id": "k1", "local": local, "person": null, "roles": []},
	"coverage": {"looked_at": 1, "skipped_count": 0, "complete": true},
}

model(checks, local) := {
	"name": "p/m",
	"kind": "model",
	"declared": [],
	"evidence": [evidence(check, local) | some check in checks],
}

dataset := {"name": "p/d", "kind": "dataset", "declared": ["contract"], "evidence": []}

document(production, subjects) := {
	"schema": 1,
	"environment": {"name": "e", "production": production, "signers": null},
	"project": {"kind": "tabular", "owners": {"model": "a@x", "security": "b@x"}},
	"subjects": subjects,
}

ready := ["artifact/card", "model/robustness", "model/fairness", "model/privacy", "trust/signature"]

rules(violations) := {violation.rule | some violation in violations}

test_staging_passes_without_card_tests_and_keys if {
	count(high_risk.violations) == 0 with input as document(false, [dataset, model(["artifact/onnx"], true)])
}

test_production_names_all_that_is_missing if {
	found := high_risk.violations with input as document(true, [dataset, model(["artifact/onnx"], true)])
	{violation.message | some violation in found} == {
		"model card missing for p/m",
		"model tests missing for p/m: model/fairness, model/privacy, model/robustness",
		"evidence signed by a local key, which nobody vouches for (1 of 1 reports)",
	}
}

test_production_passes_with_everything if {
	count(high_risk.violations) == 0 with input as document(true, [dataset, model(ready, false)])
}

test_whatever_is_not_false_is_production if {
	asked := document(true, [dataset, model([], false)])
	rules(high_risk.violations) == {
		"policy/high-risk/card-missing",
		"policy/high-risk/model-tests-missing",
		"policy/high-risk/model-unsigned",
	} with input as object.union(object.remove(asked, ["environment"]), {"environment": {"name": "e", "signers": null}})
}

test_a_failed_test_is_no_test if {
	failed := object.union(evidence("model/privacy", false), {"verdict": "fail"})
	passed := [evidence(check, false) | some check in ready; check != "model/privacy"]
	subject := object.union(model([], false), {"evidence": array.concat(passed, [failed])})
	found := high_risk.violations with input as document(true, [dataset, subject])
	{violation.message | some violation in found} == {"model tests missing for p/m: model/privacy"}
}

test_a_failed_card_is_no_card if {
	failed := object.union(evidence("artifact/card", false), {"verdict": "error"})
	passed := [evidence(check, false) | some check in ready; check != "artifact/card"]
	subject := object.union(model([], false), {"evidence": array.concat(passed, [failed])})
	rules(high_risk.violations) == {"policy/high-risk/card-missing"} with input as document(true, [dataset, subject])
}

test_each_kind_has_its_tests if {
	base := document(true, [model(["artifact/card", "trust/signature"], false)])
	some kind, word in {
		"vision": "model/backdoor",
		"text": "model/text-attack",
		"audio": "model/backdoor",
		"generative": "model/red-team",
	}
	found := high_risk.violations with input as object.union(base, {"project": {"kind": kind}})
	some violation in found
	contains(violation.message, word)
}

test_an_unknown_kind_is_asked_for_everything if {
	base := document(true, [model(ready, false)])
	found := high_risk.violations with input as object.union(base, {"project": {"kind": "quantum"}})
	{violation.message | some violation in found} == {"model tests missing for p/m: model/backdoor, model/output-safety, model/red-team, model/text-attack"}
}

test_a_signature_is_asked_for_once_the_signer_is_real if {
	unsigned := [check | some check in ready; check != "trust/signature"]
	rules(high_risk.violations) == {"policy/high-risk/model-unsigned"} with input as document(true, [dataset, model(unsigned, false)])
	rules(high_risk.violations) == {"policy/high-risk/local-signer"} with input as document(true, [dataset, model(unsigned, true)])
}

test_named_signers_leave_the_local_key_to_the_baseline if {
	named := object.union(document(true, [dataset, model(ready, true)]), {"environment": {"signers": ["k9"]}})
	count(high_risk.violations) == 0 with input as named
}

test_owners_and_contracts_are_asked_for_everywhere if {
	bare := object.union(dataset, {"declared": []})
	asked := object.remove(document(false, [bare]), ["project"])
	found := high_risk.violations with input as object.union(asked, {"project": {"kind": "tabular", "owners": {"model": "a@x"}}})
	{violation.message | some violation in found} == {
		"nobody is named who answers for the role security",
		"p/d has no contract that says what its table must look like",
	}
}

test_another_schema_is_refused if {
	rules(high_risk.violations) == {"policy/high-risk/input-unknown"} with input as {"schema": 2}
}

metric(name, field, value, low, high) := {"name": name, "field": field, "value": value, "low": low, "high": high}

with_metrics(check, metrics) := object.union(evidence(check, false), {"metrics": metrics, "metrics_omitted": 0})

# Everything is ready, and the card claims an accuracy of 0.9 on `all`.
claiming(others) := object.union(model(ready, false), {"evidence": array.concat(
	[evidence(check, false) | some check in ready; check != "artifact/card"],
	array.concat([with_metrics("artifact/card", [metric("accuracy", "all", 0.9, null, null), metric("risk-score", null, 3, null, null)])], others),
)})

test_a_claim_that_nothing_measured_is_refused if {
	found := high_risk.violations with input as document(true, [dataset, claiming([])])
	{violation.message | some violation in found} == {"the card of p/m claims what no evidence measured: accuracy 0.9"}
	count(high_risk.violations) == 0 with input as document(false, [dataset, claiming([])])
}

test_a_measured_claim_passes if {
	equal := with_metrics("model/quality", [metric("accuracy", "all", 0.9, null, null)])
	count(high_risk.violations) == 0 with input as document(true, [dataset, claiming([equal])])
	inside := with_metrics("model/quality", [metric("accuracy", "all", 0.88, 0.85, 0.91)])
	count(high_risk.violations) == 0 with input as document(true, [dataset, claiming([inside])])
}

test_a_better_claim_or_one_about_another_slice_is_refused if {
	worse := with_metrics("model/quality", [metric("accuracy", "all", 0.8, 0.75, 0.85)])
	rules(high_risk.violations) == {"policy/high-risk/claim-unmeasured"} with input as document(true, [dataset, claiming([worse])])
	other := with_metrics("model/quality", [metric("accuracy", "age<30", 0.9, null, null)])
	rules(high_risk.violations) == {"policy/high-risk/claim-unmeasured"} with input as document(true, [dataset, claiming([other])])
}

test_a_card_with_more_claims_than_a_policy_sees_is_refused if {
	measured := with_metrics("model/quality", [metric("accuracy", "all", 0.9, null, null)])
	full := object.union(evidence("artifact/card", false), {"metrics": [], "metrics_omitted": 1})
	cut := object.union(model(ready, false), {"evidence": array.concat(
		[evidence(check, false) | some check in ready; check != "artifact/card"],
		[full, measured],
	)})
	rules(high_risk.violations) == {"policy/high-risk/claim-unmeasured"} with input as document(true, [dataset, cut])
}
