//! The gas limit of a block that was recorded without it, as data sets of cryo's are: what a block
//! may use decides the next one's base fee, so it follows from the base fees around it.
//!
//! Temperature: cold.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

use alloy_primitives::Address;
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::units::Wei;

use crate::recording::rows::BlockRow;

/// How far the target that divisions give may be off because they round.
const OFF_MAX: u128 = 4;

/// The header, with such a limit if it has none.
pub(super) fn with_limit<'h>(header: &'h BlockRow, next: Option<&BlockRow>) -> Cow<'h, BlockRow> {
    let found = next.filter(|_| header.gas_limit.is_none());
    match found.and_then(|next| limit_for(header, next)) {
        Some(limit) => Cow::Owned(BlockRow { gas_limit: Some(limit), ..header.clone() }),
        None => Cow::Borrowed(header),
    }
}

/// A limit that gives the next block the base fee that it has (EIP-1559); `None` if there is none,
/// or one of these is not known. Any such limit says as much about the next base fee as the true
/// one, and that is all that it is asked for.
fn limit_for(header: &BlockRow, next: &BlockRow) -> Option<u64> {
    if header.block_number.0.checked_add(1) != Some(next.block_number.0) {
        return None;
    }
    let base = u128::from(header.base_fee_per_gas?);
    let wanted = u128::from(next.base_fee_per_gas?);
    let gas_used = header.gas_used?;
    // What is used beyond the target moves the fee by an eighth of its share of the target.
    let steps = wanted.abs_diff(base).checked_mul(8)?;
    let divisor = if wanted >= base { base.checked_add(steps)? } else { base.checked_sub(steps)? };
    let target = base.checked_mul(u128::from(gas_used))?.checked_div(divisor)?;
    let chain = ChainSpec::ethereum(header.chain_id, Address::ZERO);
    let least = target.saturating_sub(OFF_MAX);
    (least..=target.checked_add(OFF_MAX)?).find_map(|target| {
        let gas_limit = u64::try_from(target.checked_mul(2)?).ok()?;
        let head = Head { base_fee: Some(base), gas_used, gas_limit, ..Head::default() };
        let is_it = gas_used <= gas_limit && chain.next_base_fee(&head) == Wei(wanted);
        is_it.then_some(gas_limit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(number: u64, base_fee: u64, gas_used: u64) -> BlockRow {
        let (base_fee_per_gas, gas_used) = (Some(base_fee), Some(gas_used));
        BlockRow { base_fee_per_gas, gas_used, ..BlockRow::unknown(number, 1) }
    }

    fn next_fee(base: u64, gas_used: u64, gas_limit: u64) -> u64 {
        let head = Head { base_fee: Some(base.into()), gas_used, gas_limit, ..Head::default() };
        let fee = ChainSpec::ethereum(1, Address::ZERO).next_base_fee(&head);
        u64::try_from(fee.0).unwrap()
    }

    proptest! {
        #[test]
        fn a_limit_is_found_that_gives_the_next_base_fee(
            base in 1_000_000_u64..500_000_000_000,
            limit in 5_000_000_u64..60_000_000,
            share in 1_u64..=1_000,
        ) {
            let used = limit / 1_000 * share;
            let wanted = next_fee(base, used, limit);
            let found = limit_for(&row(7, base, used), &row(8, wanted, 0)).unwrap();
            prop_assert_eq!(next_fee(base, used, found), wanted);
        }
    }

    #[test]
    fn what_is_not_known_or_cannot_be_gives_no_limit() {
        let (seven, eight) = (row(7, 8_000_000, 10_000_000), row(8, 8_000_000, 0));
        assert_eq!(with_limit(&seven, Some(&eight)).gas_limit, Some(20_000_000));
        assert_eq!(with_limit(&seven, None).gas_limit, None);
        let told = BlockRow { gas_limit: Some(7), ..seven.clone() };
        assert_eq!(with_limit(&told, Some(&eight)).gas_limit, Some(7), "it is known");
        assert_eq!(limit_for(&seven, &eight), Some(20_000_000));
        assert_eq!(limit_for(&seven, &row(9, 8_000_000, 0)), None, "a block is missing");
        assert_eq!(limit_for(&seven, &row(8, 80_000_000, 0)), None, "no block raises it so far");
        for unknown in [
            BlockRow { base_fee_per_gas: None, ..seven.clone() },
            BlockRow { gas_used: None, ..seven },
        ] {
            assert_eq!(limit_for(&unknown, &eight), None);
        }
    }
}
