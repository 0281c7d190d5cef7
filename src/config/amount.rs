//! Amounts of the native token for people.
//!
//! Temperature: cold.

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
    fn ether_is_shown_with_its_sign() {
        assert_eq!(in_ether(-1_500_000_000_000_000_000), "-1.500000");
        assert_eq!(in_ether(999_999_999_999), "0.000000");
    }
}
