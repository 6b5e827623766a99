//! `moments(value)`: count, sum, mean, standard deviation, smallest and largest of a numeric column, to the same bits
//! however the rows were spread.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::function::aggregate;
use super::rows::{decode_all, encode, internal};
use crate::contract::Statistic;

/// What `moments` answers. Floats are kept by their bits, so that a partial result survives its way between threads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moments {
    /// Values that are no null and no NaN.
    pub(crate) count: u64,
    /// Rows that are null or NaN.
    pub(crate) nulls: u64,
    /// Values that are infinite, or whose square is.
    infinite: u64,
    sum: ExactSum,
    squares: ExactSum,
    least: Option<u64>,
    most: Option<u64>,
}

impl Moments {
    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nulls += 1;
            return;
        }
        self.count += 1;
        let square = value * value;
        if square.is_finite() {
            self.sum.add(value);
            // The rounding error of the square is a float, so the sum of squares is exact.
            self.squares.add(square);
            self.squares.add(value.mul_add(value, -square));
        } else {
            self.infinite += 1;
        }
        self.widen(value, value);
    }

    fn widen(&mut self, least: f64, most: f64) {
        // -0.0 equals 0.0.
        let (least, most) = (least + 0.0, most + 0.0);
        if self.least.is_none_or(|known| least < f64::from_bits(known)) {
            self.least = Some(least.to_bits());
        }
        if self.most.is_none_or(|known| most > f64::from_bits(known)) {
            self.most = Some(most.to_bits());
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.nulls += other.nulls;
        self.infinite += other.infinite;
        self.sum.merge(other.sum);
        self.squares.merge(other.squares);
        if let (Some(least), Some(most)) = (other.least, other.most) {
            self.widen(f64::from_bits(least), f64::from_bits(most));
        }
    }

    /// The number asked for; `None` when there are too few values or they are too large.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    pub(crate) fn statistic(&self, statistic: Statistic) -> Option<f64> {
        let n = self.count as f64;
        let finite = |value: f64| value.is_finite().then_some(value);
        match statistic {
            Statistic::Min => self.least.map(f64::from_bits),
            Statistic::Max => self.most.map(f64::from_bits),
            _ if self.infinite > 0 || self.count == 0 => None,
            Statistic::Sum => finite(self.sum.value().0),
            Statistic::Mean => finite(self.sum.value().0 / n),
            Statistic::Stdev => {
                if self.count < 2 {
                    return None;
                }
                // M2 = S2 - S1² / n in two floats, because the terms nearly cancel.
                let ((high, low), (squares, squares_low)) = (self.sum.value(), self.squares.value());
                let product = high * high;
                let product_low = high.mul_add(high, -product) + 2.0 * high * low;
                let quotient = product / n;
                let quotient_low = ((-quotient).mul_add(n, product) + product_low) / n;
                let difference = squares - quotient;
                let m2 = difference + ((squares - difference) - quotient) + (squares_low - quotient_low);
                finite((m2.max(0.0) / (n - 1.0)).sqrt())
            }
        }
    }
}

/// The function for the engine.
pub(crate) fn moments() -> AggregateUDF {
    aggregate::<State>("moments", Signature::any(1, Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State(Moments);

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return Err(internal("moments takes one argument")) };
        let values = cast(values, &DataType::Float64)?;
        let values = values.as_primitive_opt::<Float64Type>().ok_or_else(|| internal("no numbers"))?;
        for value in values {
            match value {
                Some(value) => self.0.add(value),
                None => self.0.nulls += 1,
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + 2 * 70 * 8
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.sum.settle();
        self.0.squares.settle();
        Ok(vec![encode(&self.0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for state in decode_all::<Moments>(states)? {
            self.0.merge(state);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|&value| moments.add(value));
        moments
    }

    #[test]
    fn statistics_are_exact_where_naive_sums_cancel() {
        let far: Vec<f64> = (0..1_000).map(|i| 1e9 + f64::from(i % 10)).collect();
        let moments = of(&far);
        assert!((moments.statistic(Statistic::Mean).unwrap() - 1_000_000_004.5).abs() < 1e-6);
        let expected = (8.25f64 * 1_000.0 / 999.0).sqrt();
        assert!((moments.statistic(Statistic::Stdev).unwrap() - expected).abs() < 1e-12);
        assert_eq!(moments.statistic(Statistic::Min), Some(1e9));
        assert_eq!(moments.statistic(Statistic::Max), Some(1e9 + 9.0));
    }

    #[test]
    fn what_has_no_value_is_none() {
        assert_eq!(of(&[]).statistic(Statistic::Mean), None);
        assert_eq!(of(&[1.0]).statistic(Statistic::Stdev), None);
        assert_eq!(of(&[1.0, f64::INFINITY]).statistic(Statistic::Sum), None);
        let nan = of(&[1.0, f64::NAN]);
        assert_eq!((nan.count, nan.nulls, nan.statistic(Statistic::Sum)), (1, 1, Some(1.0)));
    }

    #[test]
    fn parts_merge_to_the_same_bits() {
        let values: Vec<f64> = (0..5_000).map(|i| (f64::from(i) * 0.37).sin() * 1e6 + 0.1).collect();
        let whole = of(&values);
        for parts in [2, 7, 49] {
            let mut merged = Moments::default();
            values.chunks(values.len() / parts).rev().for_each(|chunk| merged.merge(of(chunk)));
            for statistic in [Statistic::Sum, Statistic::Mean, Statistic::Stdev, Statistic::Min, Statistic::Max] {
                assert_eq!(merged.statistic(statistic), whole.statistic(statistic));
            }
        }
    }
}
