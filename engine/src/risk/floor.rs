//! What a cycle must be worth so that it is admitted: a search need not look for less.
//!
//! Invariants: of what is worth less nothing would be admitted, whatever its pools.
//!
//! Temperature: hot.

use super::Risk;
use crate::gas::GasUnits;
use crate::limits::HOPS_MAX;
use crate::plan::Bid;
use crate::units::{BlockNumber, Wei};
use crate::world::World;

impl Risk {
    /// What a cycle must be worth at least so that it can be admitted with this bid, in blocks up
    /// to `last_block`, by its swaps.
    #[must_use]
    pub fn worth_least(
        &self,
        world: &World,
        bid: Bid,
        last_block: BlockNumber,
    ) -> [Wei; HOPS_MAX + 1] {
        let next = world.tip().next_base_fee;
        let ahead = last_block.0.saturating_sub(world.next_block().0);
        let dearest = world.chain.base_fee_bound(next, ahead);
        core::array::from_fn(|hop_count| {
            let GasUnits { limit, expected } = self.gas.least(hop_count.max(2));
            let (price, most) = match bid {
                // Even all of the limit must be paid for.
                Bid::Share(_) => (next, dearest.times_gas(limit.min(world.chain.tx_gas_max))),
                Bid::Behind(follow) => {
                    let paid =
                        |base_fee: Wei| base_fee.plus(follow.priority_fee).min(follow.max_fee);
                    (paid(next), paid(dearest).times_gas(expected))
                }
            };
            price.times_gas(expected).plus(self.limits.min_profit).max(most)
        })
    }
}
