//! What was found: for each rule the rows, a score and a reason.

use std::collections::BTreeMap;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suspect {
    /// How suspicious, larger is more; comparable inside one rule.
    pub(crate) score: f64,
    /// Why, without values of the data.
    pub(crate) reason: String,
}

/// The first rows by place, and how many there are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) count: u64,
    pub(crate) first: BTreeMap<u64, Suspect>,
    room: usize,
}

impl Kept {
    pub(crate) fn new(room: usize) -> Self {
        Self { count: 0, first: BTreeMap::new(), room }
    }

    /// Counts a row, and keeps it when it is among the first.
    pub(crate) fn add(&mut self, place: u64, score: f64, reason: impl FnOnce() -> String) {
        self.count += 1;
        let full = self.first.len() >= self.room;
        if self.room == 0 || full && self.first.last_key_value().is_some_and(|(&last, _)| last < place) {
            return;
        }
        self.first.insert(place, Suspect { score, reason: reason() });
        if full {
            self.first.pop_last();
        }
    }
}

/// Rows that one rule names for one reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suspects {
    /// Check and rule, `poisoning/label-error`.
    pub(crate) rule: &'static str,
    /// The column, when it is about one.
    pub(crate) column: Option<String>,
    /// What was seen; values of the data only masked.
    pub(crate) what: String,
    /// Figures behind it.
    pub(crate) figures: BTreeMap<&'static str, f64>,
    /// The rows.
    pub(crate) rows: Kept,
    /// Rows that were looked at for this.
    pub(crate) of: u64,
}

impl Suspects {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>, rows: Kept, of: u64) -> Self {
        Self { rule, column: None, what: what.into(), figures: BTreeMap::new(), rows, of }
    }

    pub(crate) fn column(mut self, name: &str) -> Self {
        self.column = Some(name.to_owned());
        self
    }

    pub(crate) fn figure(mut self, name: &'static str, value: f64) -> Self {
        self.figures.insert(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_kept_in_any_order_of_arrival() {
        let kept = |places: &[u64]| {
            let mut kept = Kept::new(3);
            places.iter().for_each(|&p| kept.add(p, 1.0, || p.to_string()));
            kept
        };
        let rows = kept(&[9, 4, 7, 1, 8]);
        assert_eq!((rows.count, rows.first.keys().copied().collect::<Vec<_>>()), (5, vec![1, 4, 7]));
        assert_eq!(rows, kept(&[1, 4, 7, 8, 9]));
        assert_eq!(Kept::new(0).count, 0);
    }
}
