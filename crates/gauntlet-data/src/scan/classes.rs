//! `classes(text)`: how often each value of a label occurs, up to a number of classes beyond which it is no label.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{ArrayRef, AsArray};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::function::aggregate;
use super::rows::{decode_all, encode, internal};
use crate::contract::Balance;

/// Most classes that are counted.
pub(crate) const MAX_CLASSES: usize = 1_024;
/// Longest value of a class.
const MAX_VALUE: usize = 1_024;

/// What `classes` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Classes {
    /// Rows by class; empty when there are too many.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Rows with a value.
    pub(crate) values: u64,
    /// Rows without.
    pub(crate) nulls: u64,
    /// Whether there are more classes than are counted, or longer ones.
    pub(crate) too_many: bool,
}

impl Classes {
    fn merge(&mut self, other: Self) {
        self.values += other.values;
        self.nulls += other.nulls;
        self.too_many |= other.too_many;
        for (class, count) in other.counts {
            *self.counts.entry(class).or_default() += count;
        }
        self.settle();
    }

    fn settle(&mut self) {
        if self.too_many || self.counts.len() > MAX_CLASSES {
            self.too_many = true;
            self.counts.clear();
        }
    }

    /// Share of a class among the rows with a value.
    #[expect(clippy::cast_precision_loss, reason = "a share of rows")]
    pub(crate) fn share(&self, class: &str) -> f64 {
        let count = self.counts.get(class).copied().unwrap_or(0);
        if self.values == 0 { 0.0 } else { count as f64 / self.values as f64 }
    }

    /// What the spread of classes has wrong, in words; empty when nothing.
    #[expect(clippy::cast_precision_loss, reason = "a share of rows")]
    pub(crate) fn unbalanced(&self, balance: &Balance) -> Vec<String> {
        let mut out = Vec::new();
        if self.too_many {
            return vec![format!("more than {MAX_CLASSES} classes")];
        }
        let k = self.counts.len() as u64;
        if let Some((low, high)) = balance.classes
            && (low.is_some_and(|low| k < low) || high.is_some_and(|high| k > high))
        {
            out.push(format!("{k} classes"));
        }
        let share = |count: u64| count as f64 / self.values.max(1) as f64;
        let smallest = self.counts.iter().min_by_key(|(class, count)| (**count, *class));
        let largest = self.counts.iter().max_by_key(|(class, count)| (**count, std::cmp::Reverse(*class)));
        if let (Some(limit), Some((_, &count))) = (balance.smallest, smallest)
            && share(count) < limit
        {
            out.push(format!("the smallest class has a share of {:.4}", share(count)));
        }
        if let (Some(limit), Some((_, &count))) = (balance.largest, largest)
            && share(count) > limit
        {
            out.push(format!("the largest class has a share of {:.4}", share(count)));
        }
        if let Some(limit) = balance.evenness {
            let evenness = self.evenness();
            if evenness < limit {
                out.push(format!("the evenness is {evenness:.4}"));
            }
        }
        out
    }

    /// Entropy of the shares over the logarithm of the number of classes; 0 for one class.
    #[expect(clippy::cast_precision_loss, reason = "a share of rows")]
    pub(crate) fn evenness(&self) -> f64 {
        if self.counts.len() < 2 {
            return 0.0;
        }
        let entropy: f64 = self
            .counts
            .values()
            .map(|&count| count as f64 / self.values.max(1) as f64)
            .filter(|share| *share > 0.0)
            .map(|share| -share * share.ln())
            .sum();
        entropy / (self.counts.len() as f64).ln()
    }
}

/// The function for the engine.
pub(crate) fn classes() -> AggregateUDF {
    aggregate::<State>("classes", Signature::any(1, Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<String, u64>,
    done: Classes,
}

impl State {
    fn classes(&mut self) -> Classes {
        let mut own = std::mem::take(&mut self.done);
        own.merge(Classes { counts: self.counts.drain().collect(), ..Classes::default() });
        own
    }
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return Err(internal("classes takes one argument")) };
        let texts = values.as_string_opt::<i32>().ok_or_else(|| internal("no texts"))?;
        self.done.nulls += texts.iter().filter(Option::is_none).count() as u64;
        for text in texts.iter().flatten() {
            self.done.values += 1;
            if self.done.too_many {
                continue;
            }
            if let Some(count) = self.counts.get_mut(text) {
                *count += 1;
            } else if self.counts.len() >= MAX_CLASSES || text.len() > MAX_VALUE {
                self.done.too_many = true;
                self.counts.clear();
            } else {
                self.counts.insert(text.to_owned(), 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.classes())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.len() * 96
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.classes())?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<Classes>(states)? {
            self.done.merge(state);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(&str, u64)]) -> Classes {
        let counts: BTreeMap<String, u64> = counts.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
        Classes { values: counts.values().sum(), counts, ..Classes::default() }
    }

    #[test]
    fn balance_is_judged_by_shares_and_entropy() {
        let even = of(&[("a", 50), ("b", 50)]);
        assert!((even.evenness() - 1.0).abs() < 1e-12);
        let skewed = of(&[("a", 99), ("b", 1)]);
        let balance =
            Balance { classes: Some((Some(3), None)), smallest: Some(0.05), largest: Some(0.9), evenness: Some(0.5) };
        assert_eq!(skewed.unbalanced(&balance).len(), 4);
        assert_eq!(even.unbalanced(&Balance { classes: None, ..balance }), Vec::<String>::new());
    }

    #[test]
    fn too_many_classes_are_no_classes() {
        let many: BTreeMap<String, u64> = (0..800).map(|i| (format!("{i:04}"), 1)).collect();
        let mut a = Classes { values: 800, counts: many.clone(), ..Classes::default() };
        let more = many.into_keys().map(|k| (format!("x{k}"), 1)).collect();
        a.merge(Classes { values: 800, counts: more, ..Classes::default() });
        assert!(a.too_many && a.counts.is_empty() && a.values == 1_600);
        assert_eq!(a.unbalanced(&Balance { smallest: Some(0.0), ..Balance::default() }).len(), 1);
    }
}
