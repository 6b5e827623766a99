//! The functions of our plans by name, for processes that are handed a plan.

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;
use sha2::{Digest as _, Sha256};

use super::log::scan_log;
use crate::contract::Monotone;
use crate::scan::functions as of_scan;

/// Raised whenever an answer of a function, or the form of what it hands on, changes within a version of the product.
const VERSION: u32 = 1;

/// Every aggregate function that needs no parameters besides its arguments.
#[must_use]
pub fn functions() -> Vec<Arc<AggregateUDF>> {
    use of_scan::{classes, column_sketch, expiry, first_rows, moments, monotone, tally};
    let mut all = vec![classes(), column_sketch(), expiry(), first_rows(), moments(), scan_log(), tally()];
    all.extend(
        [Monotone::Increasing, Monotone::StrictlyIncreasing, Monotone::Decreasing, Monotone::StrictlyDecreasing]
            .map(monotone),
    );
    all.into_iter().map(Arc::new).collect()
}

/// What a function needs besides its name to be made again: empty for all but the search for personal data.
#[must_use]
pub fn encode_function(function: &AggregateUDF) -> Vec<u8> {
    of_scan::personal_parameters(function).unwrap_or_default()
}

/// The function of this name; `None` when there is no such.
#[must_use]
pub fn decode_function(name: &str, parameters: &[u8]) -> Option<Arc<AggregateUDF>> {
    match parameters {
        [] => functions().into_iter().find(|function| function.name() == name),
        _ => of_scan::personal_with(parameters).filter(|function| function.name() == name).map(Arc::new),
    }
}

/// Identity of all of this: nodes that differ in it do not work together.
#[must_use]
pub fn registry() -> String {
    let mut names: Vec<String> = functions().iter().map(|function| function.name().to_owned()).collect();
    names.push("personal".to_owned());
    names.sort();
    let text = format!("gauntlet {}\nfunctions {VERSION}\n{}\n", env!("CARGO_PKG_VERSION"), names.join("\n"));
    hex::encode(Sha256::digest(text.as_bytes())).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name_and_parameters() {
        for function in functions() {
            assert!(encode_function(&function).is_empty());
            assert_eq!(decode_function(function.name(), &[]).as_ref(), Some(&function));
        }
        for column in ["api_key", "phone", "notes"] {
            let function = of_scan::personal(column);
            let parameters = encode_function(&function);
            assert_eq!(decode_function(function.name(), &parameters).as_deref(), Some(&function));
            assert_eq!(decode_function("tally", &parameters), None);
        }
        assert_eq!(decode_function("nothing", &[]), None);
        assert_eq!(decode_function("personal", b"{"), None);
        assert_eq!(registry().len(), 16);
    }
}
