//! How amounts, counts and shares are spelled in the report.
//!
//! Everything is in ether; the exact wei stand beside it in a `title`. A minus is the sign of that
//! name, which is as wide as a digit and does not break a line.
//!
//! Temperature: cold.

/// Decimals of a whole ether.
const ETHER_DECIMALS: u32 = 18;
/// Digits that a glance takes in.
const DIGITS: u32 = 4;

/// With so many decimals, so that a column lines up. What is too small for them says so.
pub(super) fn fixed(wei: i128, decimals: u32) -> String {
    let decimals = decimals.min(ETHER_DECIMALS);
    let unit = 10_u128.pow(ETHER_DECIMALS - decimals);
    let rounded = wei.unsigned_abs().saturating_add(unit / 2) / unit;
    if rounded == 0 && wei != 0 {
        return "≈0".to_owned();
    }
    let sign = if wei < 0 { "−" } else { "" };
    let scale = 10_u128.pow(decimals);
    let (whole, rest) = (rounded / scale, rounded % scale);
    match decimals {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = decimals as usize),
    }
}

/// With as many decimals as four digits need.
pub(super) fn short(wei: i128) -> String {
    let Some(magnitude) = wei.unsigned_abs().checked_ilog10() else { return "0".to_owned() };
    let text = fixed(wei, (ETHER_DECIMALS + DIGITS - 1).saturating_sub(magnitude));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Decimals that suit all of these in one column.
pub(super) fn column_decimals(amounts: impl Iterator<Item = i128>) -> u32 {
    const MILLIETHER: u128 = 1_000_000_000_000_000;
    let largest = amounts.map(i128::unsigned_abs).max().unwrap_or_default();
    if largest == 0 || largest >= MILLIETHER { 6 } else { 9 }
}

/// As a floating-point number, for a chart.
pub(super) fn in_ether(wei: i128) -> f64 {
    wei as f64 / 1e18
}

/// A count, its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length as a count.
pub(super) fn count_of<T>(list: &[T]) -> String {
    count(list.len() as u64)
}

/// A count of something, in words.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A part of a whole, as a percentage; a dash when there is no whole.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = (u128::from(part) * 1_000 + u128::from(whole) / 2) / u128::from(whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_a_column_have_the_same_decimals_and_round_to_the_nearest() {
        assert_eq!(fixed(1_234_567_890_000_000_000, 6), "1.234568");
        assert_eq!(fixed(-500_000_000_000_000, 6), "−0.000500");
        assert_eq!(fixed(0, 6), "0.000000");
        assert_eq!(fixed(-1, 6), "≈0");
        assert_eq!(fixed(2_500_000_000_000_000_000, 0), "3");
        assert_eq!(fixed(i128::MIN, 6), "−170141183460469231731.687304");
    }

    #[test]
    fn amounts_at_a_glance_have_four_digits() {
        let of = [1_234_567_890_000_000_000, 500_000_000_000_000_000, -12_345_600_000_000, 0, 1];
        assert_eq!(of.map(short), ["1.235", "0.5", "−0.00001235", "0", "0.000000000000000001"]);
        assert_eq!(short(12_345_678_900_000_000_000_000), "12346");
    }

    #[test]
    fn small_amounts_get_more_decimals() {
        assert_eq!(column_decimals([1, -1_000_000_000_000_000].into_iter()), 6);
        assert_eq!(column_decimals([1, 999_999_999_999_999].into_iter()), 9);
        assert_eq!(column_decimals(std::iter::empty()), 6);
    }

    #[test]
    fn counts_and_shares_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "plan", "plans"), "1 plan");
        assert_eq!(share(1, 3), "33.3%");
        assert_eq!(share(2, 2), "100.0%");
        assert_eq!(share(0, 0), "–");
    }
}
