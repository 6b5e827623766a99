package gauntlet.lib_test

import data.gauntlet.lib

model := {"name": "p/m", "kind": "model", "declared": [], "evidence": [], "approvals": []}

dataset := {"name": "p/d", "kind": "dataset", "declared": ["manifest", "contract"], "evidence": [], "approvals": []}

approval := {"role": "security", "person": "ana", "environment": "production", "expires": null}

asked(approvals) := object.union(model, {"approvals": approvals})

document := {
	"time": "2026-01-31T12:00:00Z",
	"environment": {"name": "production"},
	"subjects": [model, dataset],
}

test_a_declared_card_is_required if {
	lib.required_checks(object.union(model, {"declared": ["card"]})) == {"artifact/card"}
	lib.required_checks(model) == set()
}

test_a_declared_contract_is_required if {
	lib.required_checks(dataset) == {"data/manifest", "data/personal-data", "data/secrets", "data/contract"}
	lib.required_checks(object.union(dataset, {"declared": []})) == {"data/manifest", "data/personal-data", "data/secrets"}
}

test_a_kind_without_a_list_requires_nothing if lib.required_checks(model) == set()

test_only_pass_and_warn_have_passed if {
	evidence := [{"check": check, "verdict": verdict} |
		some check, verdict in {"a/pass": "pass", "a/warn": "warn", "a/fail": "fail", "a/error": "error", "a/odd": "odd"}
	]
	lib.passed_checks({"evidence": evidence}) == {"a/pass", "a/warn"}
	count(lib.checks({"evidence": evidence})) == 5
}

test_a_check_that_saw_nothing_did_not_look if {
	subject := {"evidence": [
		{"check": "artifact/onnx", "coverage": {"looked_at": 1}},
		{"check": "artifact/pickle", "coverage": {"looked_at": 0}},
		{"check": "artifacts/fake", "coverage": {"looked_at": 9}},
	]}
	lib.looking_checks(subject, "artifact") == {"artifact/onnx"}
}

# The engine loses a rule that the value of `with` has used before; so whatever an expression needs is bound before it.
test_models_are_approved_or_else_datasets if {
	models := lib.approvable with input as document
	models == [model]
	datasets := lib.approvable with input as object.union(document, {"subjects": [dataset]})
	datasets == [dataset]
}

test_an_approval_counts if {
	subject := asked([approval])
	lib.approved_roles(subject) == {"security"} with input as document
}

test_an_approval_for_elsewhere_does_not_count if {
	subject := asked([object.union(approval, {"environment": "staging"})])
	lib.approved_roles(subject) == set() with input as document
}

test_an_approval_ends if {
	ended := asked([object.union(approval, {"expires": "2026-01-31T12:00:00Z"})])
	lib.approved_roles(ended) == set() with input as document
	running := asked([object.union(approval, {"expires": "2026-01-31T13:00:01+01:00"})])
	lib.approved_roles(running) == {"security"} with input as document
}

test_one_person_does_not_speak_for_two_roles if {
	alone := asked([approval, object.union(approval, {"role": "legal"})])
	lib.approved_roles(alone) == set() with input as document
	two := asked([approval, object.union(approval, {"role": "legal", "person": "bo"})])
	lib.approved_roles(two) == {"security", "legal"} with input as document
}

test_words_are_sorted if lib.listed({"b", "a"}) == "a, b"

test_classes_are_ordered if {
	report := {"check": "data/personal-data", "metrics": [
		{"name": "column-class", "field": "mail", "value": 2},
		{"name": "column-class", "field": "key", "value": 4},
		{"name": "email-share", "field": "mail", "value": 4},
	]}
	lib.columns_of_class({"evidence": [report]}, "personal") == {"mail", "key"}
	lib.columns_of_class({"evidence": [report]}, "secret") == {"key"}
	lib.columns_of_class({"evidence": []}, "public") == set()
}

test_reports_are_those_of_one_check if {
	subject := {"evidence": [{"check": "data/manifest", "verdict": "pass"}, {"check": "data/secrets", "verdict": "fail"}]}
	lib.reports(subject, "data/secrets") == [{"check": "data/secrets", "verdict": "fail"}]
	lib.reports(subject, "data/contract") == []
}
