//! Zip and tar containers read twice, so that two readings which disagree become visible.
