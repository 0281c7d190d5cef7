//! Amounts of the native token for people.
//!
//! Temperature: cold.

use gannet_engine::units::Wei;

/// An amount of the native token, for people: at most six digits after the point.
#[must_use]
pub(crate) fn in_ether(wei: i128) -> String {
    let sign = if wei < 0 { "-" } else { "" };
    let size = wei.unsigned_abs();
    let (whole, rest) = (size / 10_u128.pow(18), size % 10_u128.pow(18));
    format!("{sign}{whole}.{:06}", rest / 10_u128.pow(12))
}

/// An amount as it is written in a configuration: exact, in the largest unit that it reaches.
pub(super) fn spelled(amount: Wei) -> String {
    let Wei(wei) = amount;
    let (size, unit) = match wei {
        0 => return "0 wei".to_owned(),
        100_000_000_000_000.. => (10_u128.pow(18), "ether"),
        1_000_000.. => (10_u128.pow(9), "gwei"),
        _ => (1, "wei"),
    };
    let digits = size.ilog10() as usize;
    let text = format!("{}.{:0digits$}", wei / size, wei % size);
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_is_shown_with_its_sign() {
        assert_eq!(in_ether(-1_500_000_000_000_000_000), "-1.500000");
        assert_eq!(in_ether(999_999_999_999), "0.000000");
    }

    #[test]
    fn an_amount_is_spelled_as_it_is_read() {
        for text in ["0.0005 ether", "100 ether", "1.5 gwei", "30 gwei", "7 wei", "0 wei"] {
            assert_eq!(spelled(text.parse().unwrap()), text);
        }
        assert_eq!(spelled(Wei(10)), "10 wei");
    }
}
