//! The vocabulary: digest, subject, finding, metric, report, verdict, check, clock, project.
