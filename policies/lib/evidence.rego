# What packs share: questions about the input document. Loaded with every pack as `data.gauntlet.lib`.
package gauntlet.lib

# Which checks every subject of a kind must have evidence for.
required_by_kind := {
	"source": {"source/secrets", "source/deserialization"},
	"dataset": {"data/manifest", "data/personal-data"},
	"image": {"trust/package", "trust/image"},
}

# The checks a subject must have evidence for: by its kind, and by what its project declares for it.
required_checks(subject) := by_kind | declared if {
	by_kind := object.get(required_by_kind, subject.kind, set())
	declared := {check | some word in subject.declared; check := declared_checks[word]}
}

declared_checks := {"contract": "data/contract", "card": "artifact/card"}

# The checks that reported on a subject.
checks(subject) := {evidence.check | some evidence in subject.evidence}

# The checks that reported on a subject and found nothing that fails.
passed_checks(subject) := {evidence.check |
	some evidence in subject.evidence
	evidence.verdict in {"pass", "warn"}
}

# The checks of an area that looked at something inside the subject.
looking_checks(subject, area) := {evidence.check |
	some evidence in subject.evidence
	startswith(evidence.check, concat("", [area, "/"]))
	evidence.coverage.looked_at > 0
}

subjects_of_kind(kind) := [subject | some subject in input.subjects; subject.kind == kind]

# Approvals are given for models; a project without models has its datasets approved.
approvable := subjects_of_kind("model") if count(subjects_of_kind("model")) > 0

approvable := subjects_of_kind("dataset") if count(subjects_of_kind("model")) == 0

# The roles that approved a subject for the environment in question. One person speaks for one role only, and an
# approval ends when it says so. (Its signature and the approver's role were verified before it came into the document.)
approved_roles(subject) := {approval.role |
	some approval in current_approvals(subject)
	roles := {other.role | some other in current_approvals(subject); other.person == approval.person}
	count(roles) == 1
}

current_approvals(subject) := [approval |
	some approval in subject.approvals
	approval.environment == input.environment.name
	valid_now(approval)
]

valid_now(approval) if approval.expires == null

valid_now(approval) if {
	approval.expires != null
	time.parse_rfc3339_ns(approval.expires) > time.parse_rfc3339_ns(input.time)
}

# Words for people.
listed(words) := concat(", ", sort(words))
