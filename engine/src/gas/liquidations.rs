//! What a liquidation by the executor costs in gas, by protocol and funding, with its swaps.
//!
//! Measured on cold state, as all of [`gas`](super) is: Aave V3 as npm has it (revision 1), Morpho
//! Blue, a Comet and Balancer's vault as they are on mainnet, a plain stand-in for
//! pre-liquidations. A newer pool of Aave's, an interest rate model that is called, or a debt that
//! is written off cost more, which receipts teach.
//!
//! Temperature: hot.

use super::{Learnt, Shape as Swaps};
use crate::sign::liquidation::{Funding, Liquidation, Protocol};
use crate::units::Gas;

/// A liquidation without swaps whose tokens are all one, by the numbers of its protocol and of its
/// funding: a transaction with its calldata, the executor's own work, the loan, and what the market
/// does. Aave lends from the pool that liquidates, Morpho Blue from the singleton that does. What
/// cannot call back is priced as if it were paid from own funds, and reverts.
const CALLS: [[u64; Funding::KINDS]; Protocol::NUMBERS] = [
    [349_000, 375_000, 404_000, 406_000, 349_000],
    [96_000, 132_000, 150_000, 220_000, 96_000],
    [156_000, 189_000, 210_000, 280_000, 156_000],
    [94_000, 128_000, 146_000, 215_000, 96_000],
    [97_000, 128_000, 151_000, 220_000, 99_000],
    [85_000, 122_000, 138_000, 207_000, 87_000],
    [85_000, 122_000, 138_000, 207_000, 87_000],
];
/// An exit or an entry beside its legs: its place in calldata, and a token that is counted before
/// and after because it is not the profit token.
const PATH: u64 = 11_300;
/// A program that reverts uses at most this share of the table, in per cent: all may have been done
/// before, and nothing is refunded. The dearest revert measured, and some more.
const REVERT_PER_CENT: u64 = 135;

/// What the gas of a liquidation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    protocol: u8,
    funding: u8,
    /// How many of the debt token and the collateral are not the profit token.
    paths: u8,
    swaps: Swaps,
}

impl Shape {
    /// The shape of a liquidation. `swaps` is that of its exit and its entry together
    /// ([`Swaps::and`]).
    #[must_use]
    pub fn of(program: &Liquidation, swaps: Swaps) -> Self {
        let counted = [program.debt_token, program.collateral];
        Self {
            protocol: program.protocol.number(),
            funding: program.funding.number(),
            paths: counted.map(|token| u8::from(token != program.profit_token)).into_iter().sum(),
            swaps,
        }
    }

    /// Its numbers, to be written down: the protocol's, the funding's, the tokens that are counted
    /// apart; and its swaps.
    #[must_use]
    pub const fn parts(&self) -> ([u8; 3], &Swaps) {
        ([self.protocol, self.funding, self.paths], &self.swaps)
    }

    /// From what was written down; `None` if it is of no liquidation.
    #[must_use]
    pub fn from_parts([protocol, funding, paths]: [u8; 3], swaps: Swaps) -> Option<Self> {
        let is_known = usize::from(protocol) < Protocol::NUMBERS
            && usize::from(funding) < Funding::KINDS
            && paths <= 2;
        is_known.then_some(Self { protocol, funding, paths, swaps })
    }

    fn place(&self) -> [usize; 2] {
        [self.protocol.into(), self.funding.into()]
    }

    /// What it costs by the table.
    fn table(&self) -> u64 {
        let [protocol, funding] = self.place();
        CALLS[protocol][funding] + PATH * u64::from(self.paths) + self.swaps.swaps()
    }

    /// What it uses at most if it reverts.
    #[must_use]
    pub fn revert(&self) -> Gas {
        Gas(self.table().saturating_mul(REVERT_PER_CENT) / 100)
    }
}

/// Expected gas by protocol and funding.
#[derive(Clone, Debug, Default)]
pub struct GasTable {
    /// How far receipts are from the table.
    off: [[Learnt; Funding::KINDS]; Protocol::NUMBERS],
}

impl GasTable {
    /// What a liquidation is expected to use.
    #[must_use]
    pub fn expected(&self, shape: &Shape) -> Gas {
        let [protocol, funding] = shape.place();
        self.off[protocol][funding].expected(shape.table())
    }

    /// The gas limit that is signed: an upper bound, never learnt from receipts alone.
    #[must_use]
    pub fn limit(&self, shape: &Shape) -> Gas {
        let [protocol, funding] = shape.place();
        self.off[protocol][funding].limit(shape.table())
    }

    /// Learns from the receipt of a liquidation that landed, as the table of swaps does.
    pub fn learn(&mut self, shape: &Shape, used: Gas, limit: Gas) {
        let [protocol, funding] = shape.place();
        self.off[protocol][funding].learn(shape.table(), used, limit);
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::sign::liquidation::{Path, Size};
    use crate::units::BlockNumber;

    fn shape(protocol: Protocol, funding: Funding) -> Shape {
        let program = Liquidation {
            funding,
            last_block: BlockNumber(0),
            profit_token: Address::ZERO,
            amount_in: 0,
            least_profit: 0,
            tip: 0,
            protocol,
            market: Address::ZERO,
            borrower: Address::ZERO,
            debt_token: Address::ZERO,
            collateral: Address::repeat_byte(1),
            paid: 0,
            exit: Path::NONE,
            entry: Path::NONE,
        };
        Shape::of(&program, Swaps::default())
    }

    #[test]
    fn receipts_teach_about_their_own_protocol_and_funding_only() {
        let mut table = GasTable::default();
        let dear = shape(Protocol::Aave, Funding::Own);
        let lent = shape(Protocol::Aave, Funding::Aave(Address::ZERO));
        let limit = table.limit(&dear);
        let before = table.expected(&lent);
        for _ in 0..100 {
            table.learn(&dear, Gas(500_000), limit);
        }
        assert!(table.expected(&dear) > Gas(490_000));
        assert!(table.limit(&dear) > limit);
        assert_eq!(table.expected(&lent), before);
    }

    #[test]
    fn lenders_are_numbered_by_the_gas_that_they_cost() {
        let none = Address::ZERO;
        let lenders = [Funding::Morpho(none), Funding::Balancer(none), Funding::Aave(none)];
        let columns = lenders.map(|lender| usize::from(lender.number()));
        assert!(columns.is_sorted());
        for of_protocol in CALLS {
            assert!(columns.map(|column| of_protocol[column]).is_sorted());
        }
    }

    #[test]
    fn a_token_that_is_counted_apart_costs_more() {
        let one = shape(Protocol::PreLiquidation(Size::Shares(1)), Funding::Market);
        assert_eq!(GasTable::default().expected(&one), Gas(87_000 + PATH));
    }
}
