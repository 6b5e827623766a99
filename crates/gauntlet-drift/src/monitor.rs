//! Windowed monitoring: an alarm needs several bad windows among the last ones.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Alarm when at least `needed` of the last `window` results were over their limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    needed: usize,
    window: usize,
    last: VecDeque<bool>,
}

/// Parameters that make no monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MonitorError {
    /// `needed` is zero or above `window`, or the window is too long.
    #[error("{needed} of {window} windows cannot raise an alarm; 1 to 1,000 windows, at least one of them bad")]
    Parameters {
        /// Bad windows needed.
        needed: usize,
        /// Windows looked at.
        window: usize,
    },
}

impl Monitor {
    /// A monitor without history.
    ///
    /// # Errors
    /// When `needed` is not between 1 and `window`, or `window` above 1,000.
    pub fn new(needed: usize, window: usize) -> Result<Self, MonitorError> {
        if needed == 0 || needed > window || window > 1_000 {
            return Err(MonitorError::Parameters { needed, window });
        }
        Ok(Self { needed, window, last: VecDeque::new() })
    }

    /// Takes the result of one window; true when the alarm is on.
    pub fn push(&mut self, over: bool) -> bool {
        self.last.push_back(over);
        while self.last.len() > self.window {
            self.last.pop_front();
        }
        self.bad() >= self.needed
    }

    /// Bad windows among the last ones.
    #[must_use]
    pub fn bad(&self) -> usize {
        self.last.iter().filter(|over| **over).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three() {
        let mut monitor = Monitor::new(2, 3).unwrap();
        let alarms: Vec<bool> = [true, false, true, false, false, true].into_iter().map(|x| monitor.push(x)).collect();
        assert_eq!(alarms, [false, false, true, false, false, false]);
        assert!(Monitor::new(0, 3).is_err() && Monitor::new(4, 3).is_err());
    }
}
