//! One value of the file, read as what its key needs.

use std::ops::RangeInclusive;

use super::error::Problem;

/// The text after a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a>(pub(super) &'a str);

impl<'a> Value<'a> {
    /// The text itself, which must not be empty.
    pub(super) fn text(self) -> Result<&'a str, Problem> {
        if self.0.is_empty() { Err(Problem::value("has no value")) } else { Ok(self.0) }
    }

    /// A whole number in `range`, decimal or with a leading `0x`.
    pub(super) fn int<T: TryFrom<i64>>(self, range: RangeInclusive<i64>) -> Result<T, Problem> {
        let wrong = || {
            let (low, high) = (range.start(), range.end());
            Problem::value(format!(
                "expected a whole number from {low} to {high}, found \"{}\"",
                self.0
            ))
        };
        let number = self.number().filter(|n| range.contains(n)).ok_or_else(wrong)?;
        T::try_from(number).map_err(|_| wrong())
    }

    /// A limit: a whole number, where zero and less mean none.
    pub(super) fn limit(self) -> Result<Option<u32>, Problem> {
        let number = self.int::<i32>(INT)?;
        Ok(u32::try_from(number).ok().filter(|&n| n > 0))
    }

    fn number(self) -> Option<i64> {
        let (digits, radix) = match self.0.strip_prefix("0x").or_else(|| self.0.strip_prefix("0X"))
        {
            Some(hex) => (hex, 16),
            None => (self.0, 10),
        };
        i64::from_str_radix(digits, radix).ok()
    }

    /// A number with a fraction, not less than zero.
    pub(super) fn fraction(self) -> Result<f64, Problem> {
        self.0.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0).ok_or_else(|| {
            Problem::value(format!("expected a number of 0 or more, found \"{}\"", self.0))
        })
    }

    /// `true` or `false`, nothing else.
    pub(super) fn bool(self) -> Result<bool, Problem> {
        self.word("true", "false")
    }

    /// `yes` or `no`, nothing else.
    pub(super) fn yes_no(self) -> Result<bool, Problem> {
        self.word("yes", "no")
    }

    fn word(self, yes: &str, no: &str) -> Result<bool, Problem> {
        if self.0.eq_ignore_ascii_case(yes) {
            Ok(true)
        } else if self.0.eq_ignore_ascii_case(no) {
            Ok(false)
        } else {
            Err(Problem::value(format!("expected {yes} or {no}, found \"{}\"", self.0)))
        }
    }

    /// A TCP port; 0 lets the system choose.
    pub(super) fn port(self) -> Result<u16, Problem> {
        self.int(0..=65_535)
    }

    /// The parts between commas, trimmed, empty ones dropped.
    pub(super) fn list(self) -> Vec<String> {
        self.0.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect()
    }
}

/// Every value of a Java `int`.
pub(super) const INT: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
/// The values of a Java `int` that are not negative.
pub(super) const COUNT: RangeInclusive<i64> = 0..=i32::MAX as i64;
/// The values of a Java `int` above zero.
pub(super) const POSITIVE: RangeInclusive<i64> = 1..=i32::MAX as i64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_strict() {
        // `yes`, `1` and typing errors are not taken for true or false.
        for (text, expected) in [("true", Some(true)), ("FALSE", Some(false))] {
            assert_eq!(Value(text).bool().ok(), expected);
        }
        for text in ["yes", "1", "on", "", "treu"] {
            assert!(Value(text).bool().is_err(), "{text}");
        }
        assert!(Value("true").yes_no().is_err());
    }

    #[test]
    fn numbers_keep_their_range() {
        // A number outside the range is refused with the range in the message.
        assert_eq!(Value("0x400000").int::<usize>(POSITIVE), Ok(0x0040_0000));
        let problem = Value("70000").port().unwrap_err();
        let text = "expected a whole number from 0 to 65535, found \"70000\"";
        assert_eq!(problem, Problem::value(text));
        for text in ["", " 1", "1.5", "12a", "99999999999999999999"] {
            assert!(Value(text).int::<i64>(COUNT).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_limit_of_zero_or_less_is_none() {
        // `maxClientCnxns=0` and `-1` both mean no limit.
        assert_eq!(Value("0").limit(), Ok(None));
        assert_eq!(Value("-1").limit(), Ok(None));
        assert_eq!(Value("7").limit(), Ok(Some(7)));
    }
}
