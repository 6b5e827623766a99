//! From when until when something is valid.

use gauntlet_core::ConfigError;
use gauntlet_core::yaml::Located;
use jiff::Timestamp;

/// A span of time: from `from` on, before `until`. An absent end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First moment that is inside.
    pub from: Option<Timestamp>,
    /// First moment that is no longer inside.
    pub until: Option<Timestamp>,
}

/// On which side of a window a moment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Before its first moment, which is given.
    Before(Timestamp),
    /// At or behind its end, which is given.
    After(Timestamp),
}

impl Window {
    /// Whether a moment is inside.
    ///
    /// # Errors
    /// On which side it is outside.
    pub fn check(&self, time: Timestamp) -> Result<(), Outside> {
        match (self.from, self.until) {
            (Some(from), _) if time < from => Err(Outside::Before(from)),
            (_, Some(until)) if time >= until => Err(Outside::After(until)),
            _ => Ok(()),
        }
    }

    /// Reads both ends; mistakes go to `errors`.
    pub(super) fn read(
        file: &str,
        from: Option<&Located<String>>,
        until: Option<&Located<String>>,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        let mut time = |text: Option<&Located<String>>| {
            text.and_then(|text| match gauntlet_core::parse_time(&text.value) {
                Ok(time) => Some(time),
                Err(error) => {
                    errors.push(text.error(file, error.to_string()));
                    None
                }
            })
        };
        let window = Self { from: time(from), until: time(until) };
        if let (Self { from: Some(first), until: Some(end) }, Some(text)) = (window, until)
            && end <= first
        {
            errors.push(text.error(file, "ends before it begins"));
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_is_inside_and_the_end_is_not() {
        let time = |text: &str| gauntlet_core::parse_time(text).unwrap();
        let (from, until) = (time("2026-01-01"), time("2027-01-01"));
        let window = Window { from: Some(from), until: Some(until) };
        for (moment, expected) in [
            ("2025-12-31T23:59:59Z", Err(Outside::Before(from))),
            ("2026-01-01", Ok(())),
            ("2026-12-31T23:59:59Z", Ok(())),
            ("2027-01-01", Err(Outside::After(until))),
        ] {
            assert_eq!(window.check(time(moment)), expected, "{moment}");
        }
        assert_eq!(Window::default().check(time("1970-01-01")), Ok(()));
    }
}
