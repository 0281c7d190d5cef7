//! Amounts as people write them: `"0.05 ether"`, `"30 gwei"`, `"1 wei"`.
//!
//! Temperature: cold.

use gannet_engine::units::Wei;
use serde::{Deserialize, Deserializer, de::Error};

/// An amount of the native token with its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub Wei);

impl Amount {
    /// Reads an amount exactly; nothing is rounded.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no amount; write for example \"0.05 ether\" or \"30 gwei\"");
        let (number, unit) = text.trim().split_once(' ').ok_or_else(wanted)?;
        let decimals: usize = match unit.trim() {
            "ether" => 18,
            "gwei" => 9,
            "wei" => 0,
            _ => return Err(format!("`{}` is no unit; use wei, gwei or ether", unit.trim())),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return Err(wanted());
        }
        if fraction.len() > decimals {
            return Err(format!("`{text}` is finer than one wei"));
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        let wei = digits.parse().map_err(|_beyond| format!("`{text}` is more than 2^128 wei"))?;
        Ok(Self(Wei(wei)))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// An amount of the native token, for people: at most six digits after the point.
#[must_use]
pub(crate) fn in_ether(wei: i128) -> String {
    let sign = if wei < 0 { "-" } else { "" };
    let size = wei.unsigned_abs();
    let (whole, rest) = (size / 10_u128.pow(18), size % 10_u128.pow(18));
    format!("{sign}{whole}.{:06}", rest / 10_u128.pow(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let wei = |text: &str| Amount::parse(text).unwrap().0.0;
        assert_eq!(wei("0.05 ether"), 50_000_000_000_000_000);
        assert_eq!(wei("30 gwei"), 30_000_000_000);
        assert_eq!(wei("1 wei"), 1);
        assert_eq!(wei("0.000000000000000001 ether"), 1);
        assert_eq!(wei("1.5 gwei"), 1_500_000_000);
    }

    #[test]
    fn what_is_no_amount_is_refused_with_a_reason() {
        for (text, part) in [
            ("1", "no amount"),
            ("1 eth", "no unit"),
            ("-1 ether", "no amount"),
            ("1e3 wei", "no amount"),
            (". ether", "no amount"),
            ("0.5 wei", "finer than one wei"),
            ("999999999999999999999999 ether", "more than 2^128"),
        ] {
            let error = Amount::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn ether_is_shown_with_its_sign() {
        assert_eq!(in_ether(-1_500_000_000_000_000_000), "-1.500000");
        assert_eq!(in_ether(999_999_999_999), "0.000000");
    }
}
