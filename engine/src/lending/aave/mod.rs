//! Aave V3: balances, health and liquidations to the wei, at any revision of its pool.
//!
//! Every release of the pool rounds a little differently, so the arithmetic asks [`Rules`], which
//! are chosen by what the pool answers to `POOL_REVISION()`. Revision 1 is held against the
//! published bytecode, and what a borrow evaluates at revision 11 against mainnet's. The others
//! rest on the reference and its vectors alone: their bytecode is not to be had.
//!
//! Not modelled: debt at a stable rate (revisions 1 to 4), which governance closed on all chains.
//! An account that still has some must not be loaded.
//!
//! Temperature: hot.

pub mod apply;
pub mod events;
pub mod health;
pub mod index;
pub mod liquidate;
pub mod table;
pub mod topics;

use alloy_primitives::U256;

use self::index::Grown;
use super::math::Fault;
use super::screen::Figure;

/// The newest revision whose arithmetic is known here.
pub const REVISION_MAX: u8 = 11;
/// E-mode categories: their numbers have eight bits, and 0 is none.
pub const CATEGORIES: usize = 256;
/// Reserves that a pool can have.
pub const RESERVES_MAX: u16 = 128;
/// One hundred percent, in basis points.
pub const PERCENT: U256 = U256::from_limbs([10_000, 0, 0, 0]);

/// The key under which the price of a category's own source is asked for (revisions 1 to 4).
#[must_use]
#[inline]
pub const fn price_source_key(category: u8) -> u16 {
    0xff00 | category as u16
}

/// What differs between the pool's revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The pool's revision, 1 to [`REVISION_MAX`].
    pub revision: u8,
    /// Interest is compounded by three terms of the exponential's series; else by three of a
    /// binomial's.
    pub is_exponential: bool,
    /// Collateral is rounded down and debt up; else both to the nearest.
    pub is_directed: bool,
    /// The average threshold is rounded down before the health is computed.
    pub averages_threshold: bool,
    /// A category lists its collateral in a bitmap; else a reserve names its one category.
    pub has_bitmaps: bool,
    /// Collateral counts though its reserve has no threshold of its own.
    pub counts_without_threshold: bool,
    /// Reserves have a time of grace after a pause.
    pub has_grace: bool,
    /// A sequencer's sentinel may forbid liquidations while the health is not below 0.95.
    pub has_sentinel: bool,
    /// At most half of *all* debt, small positions whole, no dust left; else half of one debt.
    pub is_whole_position: bool,
    /// Bonus and fee are rounded against the liquidator; else to the nearest.
    pub is_bonus_directed: bool,
    /// Whether collateral is gone is judged by scaled amounts; else by their value.
    pub counts_scaled: bool,
}

impl Rules {
    /// The rules of a revision; `None` if it is not known, as one that is newer.
    #[must_use]
    pub const fn of(revision: u64) -> Option<Self> {
        if revision == 0 || revision > REVISION_MAX as u64 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is at most 11")]
        let number = revision as u8;
        Some(Self {
            revision: number,
            is_exponential: revision >= 8,
            is_directed: revision >= 9,
            averages_threshold: revision < 9,
            has_bitmaps: revision >= 5,
            counts_without_threshold: revision >= 10,
            has_grace: revision >= 4,
            has_sentinel: revision < 11,
            is_whole_position: revision >= 7,
            is_bonus_directed: revision >= 11,
            counts_scaled: revision >= 11,
        })
    }
}

/// A reserve: what its own events and its configuration say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Underlying per scaled collateral, in ray, when it was updated last.
    pub liquidity_index: u128,
    /// Yearly rate of collateral, in ray.
    pub liquidity_rate: u128,
    /// Underlying per scaled debt, in ray, when it was updated last.
    pub borrow_index: u128,
    /// Yearly rate of debt, in ray.
    pub borrow_rate: u128,
    /// What it can pay out: its virtual balance from revision 4 on, its token balance before.
    pub available: u128,
    /// When it was updated last, in seconds.
    pub updated_at: u64,
    /// No liquidation before this is over, in seconds.
    pub grace_until: u64,
    /// Liquidation threshold, in basis points.
    pub threshold_bps: u16,
    /// What a liquidator gets per debt's worth, in basis points: 10,500 is five percent more.
    pub bonus_bps: u16,
    /// The protocol's part of the bonus, in basis points.
    pub fee_bps: u16,
    /// The underlying's decimals.
    pub decimals: u8,
    /// Its one category (revisions 1 to 4); 0 is none.
    pub category: u8,
    /// Whether it is in use.
    pub is_active: bool,
    /// Whether nothing may be done with it.
    pub is_paused: bool,
    /// Whether it moved since [`Self::available`] was read.
    pub is_available_stale: bool,
}

impl Reserve {
    /// Takes over the fields of a configuration word of the pool's storage.
    #[must_use]
    pub const fn configured(self, word: U256) -> Self {
        let [low, _, third, _] = word.into_limbs();
        #[expect(clippy::cast_possible_truncation, reason = "each field is the bits that it has")]
        Self {
            threshold_bps: (low >> 16) as u16,
            bonus_bps: (low >> 32) as u16,
            decimals: (low >> 48) as u8,
            is_active: (low >> 56) & 1 == 1,
            is_paused: (low >> 60) & 1 == 1,
            fee_bps: (third >> 24) as u16,
            category: (third >> 40) as u8,
            ..self
        }
    }

    /// The underlying's unit: ten to the power of its decimals.
    ///
    /// # Errors
    /// With more than 38 decimals.
    #[inline]
    pub fn unit(&self) -> Result<U256, Fault> {
        UNITS.get(usize::from(self.decimals)).copied().ok_or(Fault::Overflow)
    }
}

/// Powers of ten.
const UNITS: [U256; 39] = {
    let mut units = [U256::ONE; 39];
    let mut power = 1_u128;
    let mut place = 1;
    while place < units.len() {
        power *= 10;
        units[place] = wide(power);
        place += 1;
    }
    units
};

/// A number of 128 bits as one of 256.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
pub const fn wide(number: u128) -> U256 {
    U256::from_limbs([number as u64, (number >> 64) as u64, 0, 0])
}

/// An e-mode category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Category {
    /// The reserves that are its collateral, by number (revisions 5 and later).
    pub collateral_bitmap: u128,
    /// Liquidation threshold of its collateral, in basis points.
    pub threshold_bps: u16,
    /// Bonus of its collateral, in basis points.
    pub bonus_bps: u16,
    /// Whether it has a price of its own (revisions 1 to 4), under [`price_source_key`].
    pub has_price_source: bool,
}

/// What an account has in one reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// Scaled balance of its collateral token.
    pub collateral: u128,
    /// Scaled balance of its debt token.
    pub debt: u128,
    /// The reserve's number.
    pub reserve: u16,
    /// Whether the account uses it as collateral.
    pub is_collateral: bool,
}

/// An account with all that its health depends on but the prices.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// The pool's rules.
    pub rules: &'a Rules,
    /// What the account has, each reserve once, in any order.
    pub entries: &'a [Entry],
    /// The pool's reserves, by number.
    pub reserves: &'a [Reserve],
    /// What their indices have grown to, by number; where there is none, it is reckoned.
    pub grown: &'a [Grown],
    /// The pool's categories, by number.
    pub categories: &'a [Category],
    /// The account's category; 0 is none.
    pub category: u8,
    /// The time of the block it is asked for, in seconds.
    pub at: u64,
}

impl<'a> Position<'a> {
    /// A reserve of the pool.
    ///
    /// # Errors
    /// When there is none of this number.
    #[inline]
    pub fn reserve(&self, number: u16) -> Result<&'a Reserve, Fault> {
        self.reserves.get(usize::from(number)).ok_or(Fault::Unknown)
    }

    /// Underlying per scaled collateral of a reserve, in ray: as [`index::income`].
    #[inline]
    pub(in crate::lending) fn income(&self, number: u16, reserve: &Reserve) -> Figure {
        match self.grown.get(usize::from(number)) {
            Some(grown) => grown.income(reserve, self.at),
            None => Figure::of(index::income(reserve, self.at)),
        }
    }

    /// Underlying per scaled debt of a reserve, in ray: as [`index::debt`].
    #[inline]
    pub(in crate::lending) fn debt_index(&self, number: u16, reserve: &Reserve) -> Figure {
        match self.grown.get(usize::from(number)) {
            Some(grown) => grown.debt(self.rules, reserve, self.at),
            None => Figure::of(index::debt(self.rules, reserve, self.at)),
        }
    }

    /// The account's category, if the reserve of this number is collateral of it.
    #[must_use]
    #[inline]
    pub fn category_of(&self, number: u16, reserve: &Reserve) -> Option<&'a Category> {
        if self.category == 0 {
            return None;
        }
        let category = self.categories.get(usize::from(self.category))?;
        let is_member = if self.rules.has_bitmaps {
            number < RESERVES_MAX && (category.collateral_bitmap >> number) & 1 == 1
        } else {
            reserve.category == self.category
        };
        is_member.then_some(category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_revisions_have_rules() {
        assert_eq!(Rules::of(0), None);
        assert_eq!(Rules::of(12), None);
        assert_eq!(Rules::of(u64::MAX), None);
        for revision in 1..=11 {
            assert_eq!(Rules::of(revision).unwrap().revision, u8::try_from(revision).unwrap());
        }
    }

    #[test]
    fn units_are_powers_of_ten() {
        let of = |decimals| Reserve { decimals, ..Reserve::default() }.unit();
        assert_eq!(of(0), Ok(U256::ONE));
        assert_eq!(of(18), Ok(super::super::math::WAD));
        assert_eq!(of(38), Ok(U256::from(10).pow(U256::from(38))));
        assert_eq!(of(39), Err(Fault::Overflow));
    }

    #[test]
    fn a_configuration_word_is_read_where_its_fields_are() {
        let field = |value: u64, at: usize| U256::from(value) << at;
        let word = field(8_000, 0)
            | field(8_250, 16)
            | field(10_500, 32)
            | field(6, 48)
            | field(1, 56)
            | field(1, 60)
            | ((field(u64::MAX, 64) >> 64) << 64)
            | field(1_000, 152)
            | field(3, 168);
        let reserve = Reserve::default().configured(word);
        let wanted = Reserve {
            threshold_bps: 8_250,
            bonus_bps: 10_500,
            decimals: 6,
            is_active: true,
            is_paused: true,
            fee_bps: 1_000,
            category: 3,
            ..Reserve::default()
        };
        assert_eq!(reserve, wanted);
    }
}
