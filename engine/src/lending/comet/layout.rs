//! Comet's storage: which word holds what, for reading accounts and totals at a block's hash.
//!
//! The storage base comes first in every deployed form, so these places hold behind its proxy too.
//!
//! Temperature: warm.

use alloy_primitives::{Address, B256, U256, keccak256};

use super::Totals;
use crate::lending::math::Fault;

/// The indices: see [`totals`].
pub const INDICES: U256 = U256::ZERO;
/// The totals, the time of the last touch, and what is paused: see [`totals`].
pub const TOTALS: U256 = U256::ONE;
/// Where a collateral's total is, by its token.
const COLLATERAL_TOTALS: u8 = 2;
/// Where an account's principal is, by its address.
const ACCOUNTS: u8 = 5;
/// Where an account's collateral is, by its address and the token.
const COLLATERAL: u8 = 6;

/// The place of a collateral's total: its low 128 bits.
#[must_use]
pub fn collateral_total_slot(token: Address) -> U256 {
    mapping_slot(token, B256::with_last_byte(COLLATERAL_TOTALS)).into()
}

/// The place of an account's principal and of its bits for collateral: see [`account`].
#[must_use]
pub fn account_slot(owner: Address) -> U256 {
    mapping_slot(owner, B256::with_last_byte(ACCOUNTS)).into()
}

/// The place of an account's balance of a collateral: its low 128 bits.
#[must_use]
pub fn balance_slot(owner: Address, token: Address) -> U256 {
    mapping_slot(token, mapping_slot(owner, B256::with_last_byte(COLLATERAL))).into()
}

/// The low 128 bits of a word: a balance or a total of collateral.
#[must_use]
pub fn amount(word: U256) -> u128 {
    let [low, high, ..] = *word.as_limbs();
    join(low, high)
}

/// What the words at [`INDICES`] and [`TOTALS`] say, with the base tokens that the market holds.
#[must_use]
pub fn totals(indices: U256, totals: U256, held: u128) -> Totals {
    let [supply_index, borrow_index, ..] = *indices.as_limbs();
    let bits = |from: usize, count: usize| {
        let [low, high, ..] = *totals.wrapping_shr(from).as_limbs();
        join(low, high) & (1_u128 << count).wrapping_sub(1)
    };
    Totals {
        supply_index,
        borrow_index,
        supply: bits(0, 104),
        borrow: bits(104, 104),
        last_accrual: u64::try_from(bits(208, 40)).unwrap_or(u64::MAX),
        pause: totals.byte(31),
        held,
    }
}

/// An account's principal and its bits for collateral, from the word at [`account_slot`].
///
/// The bits from 16 on stand in a byte of their own, which forms with up to 15 kinds of collateral
/// leave zero.
#[must_use]
pub fn account(word: U256) -> (i128, u32) {
    // The sign is bit 103: the number goes to the top of 128 bits and comes back with its sign.
    let principal = amount(word.wrapping_shl(24)).cast_signed() >> 24;
    let assets_in = (u32::from(word.byte(31)) << 16) | (u32::from(word.byte(30)) << 8);
    (principal, assets_in | u32::from(word.byte(29)))
}

fn join(low: u64, high: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

/// The value that a mapping has for a key, as a place in storage.
fn mapping_slot(key: Address, mapping: B256) -> B256 {
    let mut preimage = [0; 64];
    let (left, right) = preimage.split_at_mut(32);
    left.copy_from_slice(key.into_word().as_slice());
    right.copy_from_slice(mapping.as_slice());
    keccak256(preimage)
}

/// The low half of a word that must be no more: what a token says that somebody holds.
///
/// # Errors
/// When it has more than 128 bits; no token that a market lists has so many.
pub fn held(word: U256) -> Result<u128, Fault> {
    u128::try_from(word).ok().ok_or(Fault::Overflow)
}
