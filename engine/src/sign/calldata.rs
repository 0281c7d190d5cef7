//! The executor's calldata: a packed program, as `abi/Executor.sol` reads it.
//!
//! ```text
//! selector 4 | flags 1 | last block 8 | profit token 20 | amount in 16 | least profit 16 | tip 16
//! then per leg: kind 1 | pool 20 | fee in pips 3 | direction 1 | token that goes in 20
//! ```
//!
//! All numbers are big-endian. A pool whose kind has a fee of its own to ask for has no fee here,
//! and a pair, whose tokens the executor never touches, no token.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use crate::amm::Pool;
use crate::flight::Admitted;
use crate::ids::Direction;
use crate::limits::{CALLDATA_HEADER_BYTES, LEG_BYTES};
use crate::plan::Leg;
use crate::units::BlockNumber;
use crate::world::World;

/// First four bytes of `keccak256("execute()")`.
pub const EXECUTE: [u8; 4] = [0x61, 0x46, 0x19, 0x54];
const FLAG_FLASH: u8 = 1;
const KIND_CONSTANT_PRODUCT: u8 = 0;
const KIND_CONCENTRATED: u8 = 1;
const KIND_SOLIDLY: u8 = 2;

/// A program of the executor, before it is packed.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Whether the last pool lends the input.
    pub is_flash: bool,
    /// Later than this block it reverts.
    pub last_block: BlockNumber,
    /// The token that goes in first and comes out last.
    pub profit_token: Address,
    /// Input, in the profit token's smallest unit.
    pub amount_in: u128,
    /// Below this profit, in the profit token's smallest unit, it reverts.
    pub least_profit: u128,
    /// Paid to the block's producer by a call, in wei.
    pub tip: u128,
    /// The swaps.
    pub legs: &'a [Leg],
    /// Where the pools' addresses and fees are.
    pub world: &'a World,
}

impl<'a> Program<'a> {
    /// The program of an admitted plan.
    #[must_use]
    pub fn of(admitted: &'a Admitted, world: &'a World) -> Self {
        let plan = &admitted.plan;
        Self {
            is_flash: admitted.is_flash,
            last_block: plan.last_block,
            profit_token: world.tokens.get(plan.profit_token).address,
            amount_in: plan.amount_in,
            least_profit: admitted.least_profit,
            tip: 0,
            legs: plan.legs(),
            world,
        }
    }

    /// Its length when it is packed, in bytes.
    #[must_use]
    pub const fn packed_bytes(&self) -> usize {
        CALLDATA_HEADER_BYTES + self.legs.len() * LEG_BYTES
    }

    /// Packs the program into `out`; `None` if that is not as long as it.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<()> {
        if out.len() != self.packed_bytes() {
            return None;
        }
        let mut text = Packer::into(out);
        text.put(&EXECUTE)?;
        text.put(&[if self.is_flash { FLAG_FLASH } else { 0 }])?;
        text.put(&self.last_block.0.to_be_bytes())?;
        text.put(self.profit_token.as_slice())?;
        text.put(&self.amount_in.to_be_bytes())?;
        text.put(&self.least_profit.to_be_bytes())?;
        text.put(&self.tip.to_be_bytes())?;
        self.legs.iter().try_for_each(|leg| text.put_leg(leg, self.world))?;
        text.end()
    }
}

/// Writes a program front to back, each part where the last one ended.
pub(super) struct Packer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Packer<'a> {
    pub(super) const fn into(out: &'a mut [u8]) -> Self {
        Self { rest: out }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (space, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len())?;
        space.copy_from_slice(bytes);
        self.rest = rest;
        Some(())
    }

    pub(super) fn put_leg(&mut self, leg: &Leg, world: &World) -> Option<()> {
        let entry = world.pools.get(leg.pool);
        let token_in = world.tokens.get(entry.tokens[leg.direction.index_in()]).address;
        let (kind, fee_pips, token) = match entry.state {
            Pool::ConstantProduct(pool) => (KIND_CONSTANT_PRODUCT, pool.fee_pips(), Address::ZERO),
            Pool::Concentrated(_) => (KIND_CONCENTRATED, 0, token_in),
            Pool::Solidly(_) => (KIND_SOLIDLY, 0, token_in),
        };
        self.put(&[kind])?;
        self.put(entry.address.as_slice())?;
        self.put(&fee_pips.to_be_bytes()[1..])?;
        self.put(&[match leg.direction {
            Direction::ZeroForOne => 1,
            Direction::OneForZero => 0,
        }])?;
        self.put(token.as_slice())
    }

    /// Whether all is written: what stood there before is in no part of the program.
    pub(super) fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selector_is_that_of_execute() {
        assert_eq!(EXECUTE, alloy_primitives::keccak256("execute()")[..4]);
    }
}
