package gauntlet.train_test

import data.gauntlet.train

signer := {"key_id": "k1", "local": true, "person": null, "roles": []}

evidence(check) := {
	"check": check,
	"verdict": "pass",
	"signer": signer,
	"counts": {"critical": 0, "high": 0},
	"coverage": {"looked_at": 1, "skipped_count": 0, "complete": true},
	"metrics": [metric | check == "data/manifest"; metric := {"name": "consent-valid", "field": null, "value": 1}],
	"metrics_omitted": 0,
}

subject(name, kind, checks) := {
	"name": name,
	"kind": kind,
	"declared": [],
	"evidence": [evidence(check) | some check in checks],
	"approvals": [],
}

source := subject("p/source", "source", ["source/secrets", "source/deserialization"])

dataset := subject("p/d", "dataset", ["data/manifest", "data/personal-data", "data/secrets"])

run := {
	"inputs": ["p/d"],
	"other_inputs": [],
	"purpose": "train",
	"source_state": "clean",
	"pinned": true,
	"image": null,
	"image_verified": false,
	"limits": {"wall": "1h", "memory": "1GiB", "processes": "64", "disk": "1GiB"},
}

complete := {
	"schema": 1,
	"time": "2026-11-21T12:00:00Z",
	"environment": {"name": "staging", "production": false},
	"project": {"risk": "high"},
	"trust": {"local": true},
	"subjects": [source, dataset],
	"training": run,
}

with_run(members) := object.union(complete, {"training": members})

rules(violations) := {violation.rule | some violation in violations}

test_complete_is_admitted if count(train.violations) == 0 with input as complete

test_nothing_is_not_admitted if {
	"policy/train/no-training" in rules(train.violations) with input as {}
	"policy/train/input-unknown" in rules(train.violations) with input as {}
}

test_missing_evidence_is_named if {
	bare := object.union(complete, {"subjects": [source, subject("p/d", "dataset", ["data/manifest", "data/secrets"])]})
	found := train.violations with input as bare
	{violation.message | some violation in found} == {"there is no evidence of data/personal-data for p/d"}
	rules(train.violations) == {"policy/train/evidence-missing"} with input as object.union(complete, {"subjects": [source]})
}

failing(verdict) := object.union(dataset, {"evidence": [
	object.union(evidence("data/manifest"), {"verdict": verdict}),
	evidence("data/personal-data"),
	evidence("data/secrets"),
]})

test_failed_and_unanswered_checks_refuse if {
	rules(train.violations) == {"policy/train/check-failed"} with input as object.union(complete, {"subjects": [source, failing("fail")]})
	rules(train.violations) == {"policy/train/check-failed"} with input as object.union(complete, {"subjects": [source, failing("error")]})
	count(train.violations) == 0 with input as object.union(complete, {"subjects": [source, failing("warn")]})
}

test_other_datasets_do_not_matter if {
	other := object.union(subject("p/other", "dataset", []), {"evidence": [object.union(evidence("data/manifest"), {"verdict": "fail"})]})
	count(train.violations) == 0 with input as object.union(complete, {"subjects": [source, dataset, other]})
}

test_inputs_without_dataset_need_minimal_risk if {
	bare := with_run({"other_inputs": ["x.csv"]})
	rules(train.violations) == {"policy/train/undeclared-input"} with input as bare
	count(train.violations) == 0 with input as object.union(bare, {"project": {"risk": "minimal"}})
}

test_a_purpose_is_asked_for if {
	rules(train.violations) == {"policy/train/purpose-missing"} with input as with_run({"purpose": null})
}

test_packages_are_pinned_or_in_an_image if {
	rules(train.violations) == {"policy/train/unpinned-environment"} with input as with_run({"pinned": null})
	rules(train.violations) == {"policy/train/unpinned-environment"} with input as with_run({"pinned": false})
	image := {"pinned": null, "image": "x@sha256:00"}
	rules(train.violations) == {"policy/train/image-unverified"} with input as with_run(image)
	count(train.violations) == 0 with input as with_run(object.union(image, {"image_verified": true}))
}

test_organisations_ask_for_a_commit if {
	unknown := with_run({"source_state": "unknown"})
	count(train.violations) == 0 with input as unknown
	rules(train.violations) == {"policy/train/source-unknown"} with input as object.union(unknown, {"trust": {"local": false}})
}

test_production_asks_for_a_clean_commit if {
	changed := with_run({"source_state": "changed"})
	count(train.violations) == 0 with input as changed
	production := object.union(changed, {"environment": {"production": true}})
	rules(train.violations) == {"policy/train/source-changed"} with input as production
}

test_every_limit_is_asked_for if {
	limits := {"wall": "1h", "memory": "1GiB", "disk": "1GiB"}
	unlimited := object.union(object.remove(complete, ["training"]), {"training": object.union(object.remove(run, ["limits"]), {"limits": limits})})
	found := train.violations with input as unlimited
	{violation.message | some violation in found} == {"the run has no limit of processes"}
}

# The dataset with these metrics of one check in place of its own.
measuring(check, metrics) := object.union(complete, {"subjects": [source, object.union(dataset, {"evidence": array.concat(
	[report | some report in dataset.evidence; report.check != check],
	[object.union(evidence(check), {"metrics": metrics})],
)})]})

valid := {"name": "consent-valid", "field": null, "value": 1}

test_consent_has_to_be_proven if {
	rules(train.violations) == {"policy/train/consent-unproven"} with input as measuring("data/manifest", [])
	no := [{"name": "consent-valid", "field": null, "value": 0}]
	rules(train.violations) == {"policy/train/consent-unproven"} with input as measuring("data/manifest", no)
	unknown := [{"name": "consent-valid", "field": null, "value": null}]
	rules(train.violations) == {"policy/train/consent-unproven"} with input as measuring("data/manifest", unknown)
}

test_every_report_has_to_prove_consent if {
	twice := object.union(dataset, {"evidence": array.concat(dataset.evidence, [object.union(evidence("data/manifest"), {"metrics": []})])})
	rules(train.violations) == {"policy/train/consent-unproven"} with input as object.union(complete, {"subjects": [source, twice]})
}

# 2026-11-21 is day 20778.
ending(name, day) := measuring("data/manifest", [valid, {"name": name, "field": null, "value": day}])

test_consent_ends_by_the_clock_of_the_decision if {
	count(train.violations) == 0 with input as ending("consent-expires", 20778)
	count(train.violations) == 0 with input as ending("first-consent-expires", 20778)
	rules(train.violations) == {"policy/train/consent-expired"} with input as ending("consent-expires", 20777)
	rules(train.violations) == {"policy/train/consent-expired"} with input as ending("first-consent-expires", 20777)
	rules(train.violations) == {"policy/train/consent-expired"} with input as ending("consent-expires", null)
}

test_without_a_clock_nothing_is_admitted if {
	rules(train.violations) == {"policy/train/time-unknown"} with input as object.remove(complete, ["time"])
}

test_secret_columns_are_not_trained_on if {
	count(train.violations) == 0 with input as measuring("data/personal-data", class(3))
	rules(train.violations) == {"policy/train/secret-column"} with input as measuring("data/personal-data", class(4))
}

class(rank) := [{"name": "column-class", "field": "key", "value": rank}]

test_columns_that_are_not_shown_refuse if {
	wide := object.union(dataset, {"evidence": array.concat(
		[report | some report in dataset.evidence; report.check != "data/personal-data"],
		[object.union(evidence("data/personal-data"), {"metrics_omitted": 1})],
	)})
	rules(train.violations) == {"policy/train/classes-unknown"} with input as object.union(complete, {"subjects": [source, wide]})
}
