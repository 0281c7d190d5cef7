//! What differs from chain to chain, in one place. Nothing else knows what chain it is on.
//!
//! Temperature: warm.

use alloy_primitives::Address;

use crate::decode::head::Head;
use crate::units::{Gas, Wei};

/// How the next block's base fee follows from the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFeeRule {
    /// EIP-1559: the target is `gas_limit / elasticity`, the largest step is one `denominator`-th.
    Eip1559 {
        /// Gas limit over gas target (2 on mainnet).
        elasticity: u64,
        /// Inverse of the largest change per block (8 on mainnet).
        denominator: u64,
    },
    /// The chain has no base fee.
    None,
}

/// How a block's producer orders transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// By what they pay: a higher tip stands earlier.
    TipAuction,
    /// By when they came: a tip buys nothing.
    FirstComeFirstServed,
}

/// The rules of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// EIP-155 chain id.
    pub id: u64,
    /// The ERC-20 that wraps the native token one to one (WETH).
    pub wrapped_native: Address,
    /// Time between blocks, in milliseconds.
    pub block_time_ms: u64,
    /// Base fee rule.
    pub base_fee: BaseFeeRule,
    /// Ordering rule.
    pub ordering: Ordering,
    /// Largest gas limit of one transaction (EIP-7825: 16,777,216).
    pub tx_gas_max: Gas,
}

impl ChainSpec {
    /// Ethereum mainnet's rules, which most test chains share.
    #[must_use]
    pub const fn ethereum(id: u64, wrapped_native: Address) -> Self {
        Self {
            id,
            wrapped_native,
            block_time_ms: 12_000,
            base_fee: BaseFeeRule::Eip1559 { elasticity: 2, denominator: 8 },
            ordering: Ordering::TipAuction,
            tx_gas_max: Gas(16_777_216),
        }
    }

    /// The base fee of the block after `head`, computed by EIP-1559's rule and never asked for.
    #[must_use]
    pub fn next_base_fee(&self, head: &Head) -> Wei {
        match (self.base_fee, head.base_fee) {
            (BaseFeeRule::Eip1559 { elasticity, denominator }, Some(base)) => {
                next_base_fee(base, head.gas_used, head.gas_limit, (elasticity, denominator))
            }
            (BaseFeeRule::Eip1559 { .. }, None) | (BaseFeeRule::None, _) => Wei(0),
        }
    }

    /// The highest base fee that a block `ahead` blocks after the next one can have.
    #[must_use]
    pub fn base_fee_bound(&self, next: Wei, ahead: u64) -> Wei {
        match self.base_fee {
            BaseFeeRule::None => Wei(0),
            BaseFeeRule::Eip1559 { elasticity, denominator } => {
                let mut bound = next.0;
                for _ in 0..ahead.min(64) {
                    let step = bound.saturating_mul(u128::from(elasticity.saturating_sub(1)))
                        / u128::from(denominator.max(1));
                    bound = bound.saturating_add(step.max(1));
                }
                Wei(bound)
            }
        }
    }
}

/// EIP-1559's formula, every division rounding down.
fn next_base_fee(base: u128, used: u64, limit: u64, (elasticity, denominator): (u64, u64)) -> Wei {
    let target = u128::from(limit / elasticity.max(1));
    let (used, denominator) = (u128::from(used), u128::from(denominator.max(1)));
    if target == 0 || used == target {
        return Wei(base);
    }
    if used > target {
        let step = base.saturating_mul(used - target) / target / denominator;
        Wei(base.saturating_add(step.max(1)))
    } else {
        Wei(base - base.saturating_mul(target - used) / target / denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAINNET: (u64, u64) = (2, 8);

    #[test]
    fn a_full_block_raises_the_base_fee_by_an_eighth() {
        assert_eq!(next_base_fee(8_000, 30_000_000, 30_000_000, MAINNET), Wei(9_000));
    }

    #[test]
    fn an_empty_block_lowers_the_base_fee_by_an_eighth() {
        assert_eq!(next_base_fee(8_000, 0, 30_000_000, MAINNET), Wei(7_000));
    }

    #[test]
    fn a_block_at_its_target_keeps_the_base_fee() {
        assert_eq!(next_base_fee(7, 15_000_000, 30_000_000, MAINNET), Wei(7));
    }

    #[test]
    fn a_rise_is_at_least_one_wei() {
        assert_eq!(next_base_fee(7, 15_000_001, 30_000_000, MAINNET), Wei(8));
    }

    #[test]
    fn the_bound_holds_for_full_blocks() {
        let spec = ChainSpec::ethereum(1, Address::ZERO);
        let mut base = 1_000_000_007;
        for ahead in 0..5 {
            assert!(spec.base_fee_bound(Wei(1_000_000_007), ahead).0 >= base);
            base = next_base_fee(base, 30_000_000, 30_000_000, MAINNET).0;
        }
    }

    #[test]
    fn a_block_above_its_target_raises_in_proportion() {
        // 42,000 of 60,000 gas used: 40 % above the target, so 5 % up.
        assert_eq!(next_base_fee(7_000_000_000, 42_000, 60_000, MAINNET), Wei(7_350_000_000));
    }
}
