# May a training run start? Asked of the evidence about source and inputs, and of what is known about the run itself.
package gauntlet.train

import data.gauntlet.lib

violation(name, message, needs) := {
	"rule": concat("/", ["policy/train", name]),
	"message": message,
	"needs": needs,
}

violations contains violation("input-unknown", message, needs) if {
	not input.schema == 1
	message := "the policy input document is not of schema 1, the one this pack reads"
	needs := "a pack that was written for this version of the program"
}

violations contains violation("no-training", message, needs) if {
	not input.training
	message := "the policy input document describes no training run"
	needs := "a decision that `gauntlet train` asks for"
}

# Source and declared inputs; a project's other datasets do not matter to this run.
concerned contains subject if {
	some subject in input.subjects
	subject.kind == "source"
}

concerned contains subject if {
	some subject in input.subjects
	subject.kind == "dataset"
	subject.name in input.training.inputs
}

violations contains violation("evidence-missing", message, needs) if {
	some subject in concerned
	some check in lib.required_checks(subject) - lib.checks(subject)
	message := sprintf("there is no evidence of %s for %s", [check, subject.name])
	needs := sprintf("evidence in which %s looks at %s; a dataset needs a manifest", [check, subject.name])
}

violations contains violation("evidence-missing", message, needs) if {
	some name in input.training.inputs
	count([subject | some subject in input.subjects; subject.name == name]) == 0
	message := sprintf("nothing is known about the input %s", [name])
	needs := sprintf("evidence about %s", [name])
}

violations contains violation("check-failed", message, needs) if {
	some subject in concerned
	some evidence in subject.evidence
	not evidence.verdict in {"pass", "warn"}
	message := sprintf("%s says `%s` for %s", [evidence.check, evidence.verdict, subject.name])
	needs := sprintf("what %s found in %s to be fixed", [evidence.check, subject.name])
}

# Consent: what data/manifest found of basis, record, purpose, licence, last day, and of every row where the manifest asks.
violations contains violation("consent-unproven", message, needs) if {
	some subject in concerned
	subject.kind == "dataset"
	"data/manifest" in lib.checks(subject)
	not consent_proven(subject)
	message := sprintf("there is no valid evidence of consent for %s", [subject.name])
	needs := sprintf("a manifest of %s whose consent and licence cover this purpose today, and rows that all have it", [subject.name])
}

# Every report has to say so: an older one without the number does not.
consent_proven(subject) if {
	reports := lib.reports(subject, "data/manifest")
	count(reports) > 0
	every report in reports {
		some metric in report.metrics
		metric.name == "consent-valid"
		metric.value == 1
	}
}

# Consent that has ended since the evidence was made ends the matter: days since 1970 by the clock of this decision.
violations contains violation("consent-expired", message, needs) if {
	today := floor(time.parse_rfc3339_ns(input.time) / 86400000000000)
	some subject in concerned
	some name in {"consent-expires", "first-consent-expires"}
	some metric in lib.measured(subject, "data/manifest", name)
	not metric.value >= today
	message := sprintf("the consent behind %s has ended", [subject.name])
	needs := sprintf("renewed consent for %s and a manifest that says so", [subject.name])
}

violations contains violation("time-unknown", message, needs) if {
	not is_string(input.time)
	message := "the policy input document has no time, so nobody can say whether consent has ended"
	needs := "a decision that `gauntlet train` asks for"
}

violations contains violation("secret-column", message, needs) if {
	some subject in concerned
	some column in lib.columns_of_class(subject, "secret")
	message := sprintf("the column %s of %s is classified as secret or holds credentials: a model would repeat them", [column, subject.name])
	needs := sprintf("%s without the column %s", [subject.name, column])
}

# More columns than the document shows may be secret ones.
violations contains violation("classes-unknown", message, needs) if {
	some subject in concerned
	some report in lib.reports(subject, "data/personal-data")
	report.metrics_omitted > 0
	message := sprintf("not all columns of %s are shown with their class", [subject.name])
	needs := sprintf("a table with fewer columns for %s", [subject.name])
}

cautious if not input.project.risk == "minimal"

violations contains violation("undeclared-input", message, needs) if {
	cautious
	some path in input.training.other_inputs
	message := sprintf("the input %s is no dataset of the project, so nothing says where it comes from and what it may be used for", [path])
	needs := sprintf("an entry for %s under `datasets` in gauntlet.yaml, with a manifest", [path])
}

violations contains violation("purpose-missing", message, needs) if {
	cautious
	count(input.training.inputs) > 0
	not is_string(input.training.purpose)
	message := "no purpose is declared, so consent cannot be compared with it"
	needs := "`purpose` under `training` in gauntlet.yaml"
}

violations contains violation("unpinned-environment", message, needs) if {
	cautious
	not input.training.pinned == true
	not is_string(input.training.image)
	message := "the packages of the training environment are not pinned to versions"
	needs := "a requirements file with `==` in each line or a lock file, or an image by digest"
}

violations contains violation("image-unverified", message, needs) if {
	is_string(input.training.image)
	not input.training.image_verified == true
	message := sprintf("nobody's signature on the image %s was verified", [input.training.image])
	needs := "a verified signature of the image"
}

# Where an organisation decides, the source must be one that can be found again.
violations contains violation("source-unknown", message, needs) if {
	not input.trust.local == true
	not input.training.source_state in {"clean", "changed"}
	message := "the source belongs to no commit"
	needs := "the project under version control"
}

violations contains violation("source-changed", message, needs) if {
	not input.environment.production == false
	not input.training.source_state == "clean"
	message := "the source is not what a commit holds"
	needs := "all changes committed"
}

violations contains violation("unbounded", message, needs) if {
	some limit in {"wall", "memory", "processes", "disk"} - {name | some name, _ in input.training.limits}
	message := sprintf("the run has no limit of %s", [limit])
	needs := sprintf("`%s` under `training.limits`", [limit])
}
