# The commands that CI runs, for people to run the same.

default:
    @just --list

# The README's test command.
test:
    cargo test --workspace

# Format and lints, warnings denied.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Documentation of the crates, warnings denied.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, bans and sources of all dependencies (needs cargo-deny).
deny:
    cargo deny --all-features --offline check licenses bans sources

# OpenSSF signatures against the reference implementation, both ways.
interop:
    bash tests/interop/run.sh

# The examples through the built program.
examples:
    cargo build
    bash tests/examples.sh

# Copied vectors, models and generators are equal to their origin.
same SHARED="../shared":
    bash .ci/same.sh {{SHARED}}

# Update what is generated: schemas and snapshots.
update:
    UPDATE_SCHEMAS=1 cargo test -p gauntlet --test schemas
    INSTA_UPDATE=always cargo test --workspace

# Measurements; results go to benches/results.
bench:
    bash benches/run.sh

# All that CI runs.
ci:
    bash .ci/run
