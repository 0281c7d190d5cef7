//! Shares of a total, with the virtual shares and assets that keep an empty market's price fixed.
//!
//! `assets = shares·(A + 1) / (S + 10⁶)`, and the other way round. Rounding up adds the divisor
//! less one before it divides, so it also overflows where the contract does.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use crate::lending::math::{Fault, WAD, add, div, mul, mul_div_down, sub};

/// Shares that nobody holds.
pub const VIRTUAL_SHARES: u64 = 1_000_000;
/// What belongs to them.
pub const VIRTUAL_ASSETS: u64 = 1;

/// A sum of assets that shares divide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Total {
    /// The sum, in units of the loan token.
    pub assets: u128,
    /// All shares in it.
    pub shares: u128,
}

impl Total {
    /// What so many shares are worth, rounded up.
    ///
    /// # Errors
    /// On overflow.
    #[inline]
    pub fn to_assets_up(&self, shares: U256) -> Result<U256, Fault> {
        let (assets, all) = self.with_virtual()?;
        mul_div_up(shares, assets, all)
    }

    /// What so many shares are worth, rounded down.
    ///
    /// # Errors
    /// On overflow.
    #[inline]
    pub fn to_assets_down(&self, shares: U256) -> Result<U256, Fault> {
        let (assets, all) = self.with_virtual()?;
        mul_div_down(shares, assets, all)
    }

    /// The shares for so much, rounded up.
    ///
    /// # Errors
    /// On overflow.
    #[inline]
    pub fn to_shares_up(&self, amount: U256) -> Result<U256, Fault> {
        let (assets, all) = self.with_virtual()?;
        mul_div_up(amount, all, assets)
    }

    /// The shares for so much, rounded down.
    ///
    /// # Errors
    /// On overflow.
    #[inline]
    pub fn to_shares_down(&self, amount: U256) -> Result<U256, Fault> {
        let (assets, all) = self.with_virtual()?;
        mul_div_down(amount, all, assets)
    }

    /// With so much and so many shares more; `None` if that has over 128 bits.
    #[must_use]
    #[inline]
    pub fn plus(&self, assets: u128, shares: u128) -> Option<Self> {
        let assets = self.assets.checked_add(assets)?;
        Some(Self { assets, shares: self.shares.checked_add(shares)? })
    }

    /// With so much and so many shares less; `None` if they are not there.
    #[must_use]
    #[inline]
    pub fn less(&self, assets: u128, shares: u128) -> Option<Self> {
        let assets = self.assets.checked_sub(assets)?;
        Some(Self { assets, shares: self.shares.checked_sub(shares)? })
    }

    /// With so much repaid for so many shares. What is repaid is rounded up, and may be one more
    /// than there is: then nothing is left. `None` if the shares are not there.
    #[must_use]
    #[inline]
    pub fn repaid(&self, assets: u128, shares: u128) -> Option<Self> {
        let assets = self.assets.saturating_sub(assets);
        Some(Self { assets, shares: self.shares.checked_sub(shares)? })
    }

    fn with_virtual(&self) -> Result<(U256, U256), Fault> {
        let assets = add(U256::from(self.assets), U256::from(VIRTUAL_ASSETS))?;
        Ok((assets, add(U256::from(self.shares), U256::from(VIRTUAL_SHARES))?))
    }
}

/// `left · right / divisor`, rounded up; faults where the contract's sum before the division would.
///
/// # Errors
/// When `left · right + divisor − 1` overflows 256 bits, or the divisor is zero.
#[inline]
pub fn mul_div_up(left: U256, right: U256, divisor: U256) -> Result<U256, Fault> {
    let round_up = sub(divisor, U256::ONE)?;
    div(add(mul(left, right)?, round_up)?, divisor)
}

/// `left · right` of two numbers in WAD, rounded down.
///
/// # Errors
/// On overflow.
#[inline]
pub fn wad_mul_down(left: U256, right: U256) -> Result<U256, Fault> {
    mul_div_down(left, right, WAD)
}

/// `left / right` in WAD, rounded down.
///
/// # Errors
/// On overflow, or when the divisor is zero.
#[inline]
pub fn wad_div_down(left: U256, right: U256) -> Result<U256, Fault> {
    mul_div_down(left, WAD, right)
}

/// `left / right` in WAD, rounded up.
///
/// # Errors
/// On overflow, or when the divisor is zero.
#[inline]
pub fn wad_div_up(left: U256, right: U256) -> Result<U256, Fault> {
    mul_div_up(left, WAD, right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_market_gives_a_million_shares_for_one() {
        let empty = Total::default();
        let three = U256::from(3);
        assert_eq!(empty.to_shares_down(three), Ok(U256::from(3_000_000)));
        assert_eq!(empty.to_assets_up(U256::ONE), Ok(U256::ONE));
        assert_eq!(empty.to_assets_down(U256::from(999_999)), Ok(U256::ZERO));
    }

    #[test]
    fn rounding_up_overflows_where_the_contracts_sum_does() {
        let two = U256::from(2);
        assert_eq!(mul_div_up(U256::MAX, U256::ONE, two), Err(Fault::Overflow));
        assert_eq!(mul_div_up(U256::MAX - U256::ONE, U256::ONE, two), Ok(U256::MAX >> 1));
        assert!(mul_div_up(U256::ONE, U256::ONE, U256::ZERO).is_err());
    }

    #[test]
    fn what_is_repaid_may_be_one_more_than_there_is() {
        let total = Total { assets: 10, shares: 5 };
        assert_eq!(total.repaid(11, 5), Some(Total::default()));
        assert_eq!(total.repaid(1, 6), None);
        assert_eq!(total.less(11, 5), None);
    }

    proptest! {
        #[test]
        fn there_and_back_never_gains(
            assets in any::<u128>(), shares in any::<u128>(), amount in any::<u64>()
        ) {
            let total = Total { assets, shares };
            let amount = U256::from(amount);
            let down = total.to_assets_down(total.to_shares_down(amount).unwrap()).unwrap();
            prop_assert!(down <= amount);
            let up = total.to_assets_up(total.to_shares_up(amount).unwrap()).unwrap();
            prop_assert!(up >= amount);
        }
    }
}
