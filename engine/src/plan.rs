//! What a strategy proposes: a bounded, `Copy` trade with exact amounts.
//!
//! Strategies write [`Plan`]s into [`Plans`], a fixed buffer that keeps the best. Risk decides
//! which become transactions.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::ids::{Direction, PoolId, StrategyId, TokenId};
use crate::limits::{HOPS_MAX, PLANS_MAX};
use crate::loans::Order;
use crate::units::{BlockNumber, Bps, Wei};

/// One swap of a plan, with the exact amounts that the pool's arithmetic gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The pool that is traded with.
    pub pool: PoolId,
    /// Which of its tokens goes in.
    pub direction: Direction,
    /// What goes in, in the input token's smallest unit.
    pub amount_in: u128,
    /// What comes out, in the output token's smallest unit.
    pub amount_out: u128,
}

impl Leg {
    /// Fills the unused places of a plan.
    pub const NONE: Self = Self {
        pool: PoolId(u32::MAX),
        direction: Direction::OneForZero,
        amount_in: 0,
        amount_out: 0,
    };
}

/// A pending transaction that a plan follows: ours is to stand right behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The transaction's hash.
    pub hash: B256,
    /// Its `maxFeePerGas` (`gasPrice` before EIP-1559).
    pub max_fee: Wei,
    /// Its `maxPriorityFeePerGas` (`gasPrice` before EIP-1559).
    pub priority_fee: Wei,
}

/// How a plan competes for its place in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bid {
    /// A share of the profit after gas, paid as priority fee: for the top of the block.
    Share(Bps),
    /// Both fee fields of the followed transaction, copied: for the place right behind it.
    Behind(Follow),
}

/// A trade that a strategy proposes: a cycle that starts and ends in the profit token.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who proposed it. Set by [`Plans::propose`].
    pub strategy: StrategyId,
    /// The swaps; the first `leg_count` count.
    pub legs: [Leg; HOPS_MAX],
    /// How many of `legs` are used.
    pub leg_count: u8,
    /// The token that goes in first and comes out last.
    pub profit_token: TokenId,
    /// What goes into the first leg, in the profit token's smallest unit.
    pub amount_in: u128,
    /// What comes out of the last leg less `amount_in`, in the profit token's smallest unit; of an
    /// order, less all that it costs.
    pub profit: u128,
    /// The same in wei of the native token, by an exact quote; before gas and tip.
    pub profit_wei: Wei,
    /// The place in the block that it wants, and at what price.
    pub bid: Bid,
    /// The last block in which it may land; later the executor reverts.
    pub last_block: BlockNumber,
    /// The liquidation that it makes, if it does; its legs are the swaps around it then.
    pub order: Option<Order>,
}

impl Plan {
    /// The swaps.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs[..usize::from(self.leg_count).min(HOPS_MAX)]
    }

    /// The transaction that it follows, if it does.
    #[must_use]
    pub const fn follows(&self) -> Option<&Follow> {
        match &self.bid {
            Bid::Behind(follow) => Some(follow),
            Bid::Share(_) => None,
        }
    }
}

/// The plans of one event, best first; when it is full the least valuable is dropped.
#[derive(Debug)]
pub struct Plans {
    plans: [Option<Plan>; PLANS_MAX],
    count: usize,
    strategy: StrategyId,
    dropped: u64,
}

impl Default for Plans {
    fn default() -> Self {
        Self { plans: [None; PLANS_MAX], count: 0, strategy: StrategyId(0), dropped: 0 }
    }
}

impl Plans {
    /// Forgets all plans; `dropped` stands.
    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// Names the strategy whose proposals follow. Called by the strategy set.
    pub const fn proposed_by(&mut self, strategy: StrategyId) {
        self.strategy = strategy;
    }

    /// Adds a plan in its place by profit. Equal profit keeps the order of proposal.
    pub fn propose(&mut self, plan: &Plan) {
        debug_assert!(
            plan.leg_count >= 2 || plan.order.is_some(),
            "a cycle has at least two swaps"
        );
        let rank = self.best_first().take_while(|held| held.profit_wei >= plan.profit_wei).count();
        if rank == PLANS_MAX {
            self.dropped += 1;
            return;
        }
        if self.count == PLANS_MAX {
            self.dropped += 1;
        } else {
            self.count += 1;
        }
        self.plans[rank..self.count].rotate_right(1);
        self.plans[rank] = Some(Plan { strategy: self.strategy, ..*plan });
    }

    /// The plans, most profitable first.
    pub fn best_first(&self) -> impl Iterator<Item = &Plan> {
        self.plans[..self.count].iter().flatten()
    }

    /// The plan at `rank`, the most profitable having rank 0.
    #[must_use]
    pub const fn get(&self, rank: usize) -> Option<Plan> {
        if rank < self.count { self.plans[rank] } else { None }
    }

    /// How many plans there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was proposed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Plans that did not fit, since the start.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_worth(profit: u128) -> Plan {
        Plan {
            strategy: StrategyId(0),
            legs: [Leg::NONE; HOPS_MAX],
            leg_count: 2,
            profit_token: TokenId(0),
            amount_in: 1,
            profit,
            profit_wei: Wei(profit),
            bid: Bid::Share(Bps(0)),
            last_block: BlockNumber(1),
            order: None,
        }
    }

    #[test]
    fn plans_are_kept_best_first() {
        let mut plans = Plans::default();
        for worth in [3, 9, 1, 7] {
            plans.propose(&plan_worth(worth));
        }
        let order: [u128; 4] = core::array::from_fn(|rank| plans.get(rank).unwrap().profit);
        assert_eq!(order, [9, 7, 3, 1]);
    }

    #[test]
    fn a_full_buffer_drops_the_least_valuable_and_counts_it() {
        let mut plans = Plans::default();
        for worth in 1..=20 {
            plans.propose(&plan_worth(worth));
        }
        assert_eq!(plans.len(), PLANS_MAX);
        assert_eq!(plans.get(0).unwrap().profit, 20);
        assert_eq!(plans.get(PLANS_MAX - 1).unwrap().profit, 5);
        assert_eq!(plans.dropped(), 4);
        plans.propose(&plan_worth(1));
        assert_eq!(plans.dropped(), 5);
    }
}
