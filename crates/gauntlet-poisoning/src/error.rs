//! What may be wrong with the arguments.

/// Arguments that no answer can be computed from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Lengths that do not belong together.
    #[error("{what}: expected {expected}, got {actual}")]
    Shape {
        /// Which length.
        what: &'static str,
        /// What it has to be.
        expected: usize,
        /// What it is.
        actual: usize,
    },
    /// A label that is no class.
    #[error("row {row} has the label {label} of {classes} classes")]
    Label {
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// Too little to learn from.
    #[error("{what}: at least {least} are needed, there are {actual}")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// The least number.
        least: usize,
        /// How many there are.
        actual: usize,
    },
    /// More than the method is meant for.
    #[error("{what}: at most {most} are allowed, there are {actual}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The largest number.
        most: usize,
        /// How many there are.
        actual: usize,
    },
    /// A predicted probability that is none.
    #[error("row {row} of the predicted probabilities {what}")]
    Probability {
        /// The row.
        row: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Holds labels against the number of rows and classes.
///
/// # Errors
/// Another length, or a label that is no class.
pub(crate) fn check_labels(labels: &[u32], rows: usize, classes: usize) -> Result<(), Error> {
    if labels.len() != rows {
        return Err(Error::Shape { what: "labels", expected: rows, actual: labels.len() });
    }
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(row) => Err(Error::Label { row, label: labels[row], classes }),
        None => Ok(()),
    }
}
