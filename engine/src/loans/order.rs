//! An order: a liquidation as part of a plan, with the swaps around it.
//!
//! ```text
//! profit token ─ entry ─► debt token ─ liquidation ─► collateral ─ exit ─► profit token
//! ```
//!
//! The legs of its plan are the exit's, then the entry's. Either may be missing, where tokens are
//! the same.
//!
//! Temperature: hot.

use super::book::{Size, Way};
use crate::ids::{LoanId, TokenId};
use crate::limits::HOPS_MAX;
use crate::plan::{Leg, Plan};
use crate::sign::liquidation::{Funding, Liquidation, Path};
use crate::world::World;

/// A liquidation that a plan makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose.
    pub loan: LoanId,
    /// Which debt for which collateral.
    pub way: Way,
    /// How much.
    pub size: Size,
    /// What is repaid.
    pub debt: TokenId,
    /// What is had for it.
    pub collateral: TokenId,
    /// What pays until the collateral is sold.
    pub funding: Funding,
    /// What the market may take at most, in the debt token's smallest unit: a debt that is repaid
    /// whole grows until then.
    pub paid_most: u128,
    /// What whoever lends the input takes for it, in the profit token's smallest unit.
    pub premium: u128,
    /// How many of the plan's legs are the exit's.
    pub exit_count: u8,
}

impl Order {
    /// Its plan's legs: those of the exit, and those of the entry.
    #[must_use]
    pub fn paths<'p>(&self, plan: &'p Plan) -> (&'p [Leg], &'p [Leg]) {
        let legs = plan.legs();
        legs.split_at(usize::from(self.exit_count).min(legs.len()))
    }

    /// The profit of its plan's program on the world as it is, in the profit token's smallest unit;
    /// `None` if it would revert, or lose.
    #[must_use]
    pub fn profit(&self, plan: &Plan, world: &World) -> Option<u128> {
        let at = world.loan_time();
        let deal = world.loans.deal(self.loan, (self.way, self.size), at).ok()?;
        let (exit, entry) = self.paths(plan);
        let had = run(world, exit, deal.seized)?;
        let spent = if entry.is_empty() {
            // What is lent and not paid goes back.
            deal.paid
        } else {
            (run(world, entry, plan.amount_in)? >= deal.paid).then_some(plan.amount_in)?
        };
        had.checked_sub(spent)?.checked_sub(self.premium)
    }

    /// The executor's program for its plan, with the profit below which it reverts; `None` if the
    /// loan is not there any more.
    #[must_use]
    pub fn program(&self, plan: &Plan, least_profit: u128, world: &World) -> Option<Liquidation> {
        let call = world.loans.call(self.loan, self.size)?;
        let token = |token| world.tokens.get(token).address;
        let (exit, entry) = self.paths(plan);
        Some(Liquidation {
            funding: self.funding,
            last_block: plan.last_block,
            profit_token: token(plan.profit_token),
            amount_in: plan.amount_in,
            least_profit,
            tip: 0,
            protocol: call.protocol,
            market: call.market,
            borrower: call.borrower,
            debt_token: token(self.debt),
            collateral: token(self.collateral),
            paid: self.paid_most,
            exit: Path::new(exit, 0)?,
            entry: Path::new(entry, if entry.is_empty() { 0 } else { self.paid_most })?,
        })
    }
}

/// What comes out of some swaps one after the other.
fn run(world: &World, legs: &[Leg], amount: u128) -> Option<u128> {
    debug_assert!(legs.len() <= HOPS_MAX, "a plan has no more");
    legs.iter().try_fold(amount, |amount, leg| world.quote(leg.pool, leg.direction, amount))
}
