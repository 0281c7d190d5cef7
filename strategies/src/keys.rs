//! How values in a strategy's table are read: in range, with their unit, or refused with a reason.
//!
//! Each function is named in a `#[serde(deserialize_with = "…")]` of a `config.rs`.
//!
//! Temperature: cold.

use alloc::format;
use alloc::string::String;

use gannet_engine::limits::HOPS_MAX;
use gannet_engine::units::{Bps, Wei};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Blocks in which a plan may be valid, at most.
const VALID_BLOCKS_MAX: u64 = 100;

/// The length of a cycle: 2 to [`HOPS_MAX`] swaps.
pub(crate) fn hops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let hops = usize::deserialize(deserializer)?;
    if (2..=HOPS_MAX).contains(&hops) {
        return Ok(hops);
    }
    Err(D::Error::custom(format_args!("found {hops}; a cycle has 2 to {HOPS_MAX} swaps")))
}

/// A share in basis points: 0 to 10,000.
pub(crate) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bps, D::Error> {
    let share = u16::deserialize(deserializer)?;
    if share <= Bps::ALL.0 {
        return Ok(Bps(share));
    }
    Err(D::Error::custom(format_args!("found {share}; 10000 basis points are all of it")))
}

/// A count of blocks: 1 to 100.
pub(crate) fn blocks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let blocks = u64::deserialize(deserializer)?;
    if (1..=VALID_BLOCKS_MAX).contains(&blocks) {
        return Ok(blocks);
    }
    Err(D::Error::custom(format_args!("found {blocks}; wanted 1 to {VALID_BLOCKS_MAX} blocks")))
}

/// An amount of the native token with its unit, as in `"0.5 ether"` or `"30 gwei"`.
pub(crate) fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Wei, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_amount(&text).map(Wei).ok_or_else(|| {
        D::Error::custom(format_args!("`{text}` is no amount; write for example \"0.5 ether\""))
    })
}

/// Exact: what is finer than one wei is no amount.
fn parse_amount(text: &str) -> Option<u128> {
    let (number, unit) = text.trim().split_once(' ')?;
    let decimals: usize = match unit.trim() {
        "ether" => 18,
        "gwei" => 9,
        "wei" => 0,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > decimals {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(parse_amount("0.05 ether"), Some(50_000_000_000_000_000));
        assert_eq!(parse_amount("1.5 gwei"), Some(1_500_000_000));
        assert_eq!(parse_amount("7 wei"), Some(7));
        for wrong in ["7", "7 eth", "-7 wei", "0.5 wei", ". ether", "1e3 wei", "9 9 wei"] {
            assert_eq!(parse_amount(wrong), None, "{wrong}");
        }
    }
}
