//! Plans of a backtest, and what became of each.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, U256};
use gannet_engine::flight::{Flight, Outcome, Settlement};
use gannet_engine::loans::Order;
use gannet_engine::plan::Plan;
use gannet_engine::world::World;
use serde::Serialize;
use serde_json::Value;

use super::delay::Delay;
use super::desk::Paid;
use super::forensics::Taken;
use crate::scribe;

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// It pays where it would have landed.
    Won,
    /// Somebody else moved its pools in the block where it would have landed, and at its end it
    /// pays no more.
    Contested,
    /// It does not pay there any more, or what it follows did not come.
    Vanished,
    /// The quote holds, but the executor reverts in the EVM.
    Reverted,
    /// The recording does not say.
    Unknown,
}

/// One leg of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PlannedLeg {
    pub(crate) pool: Address,
    pub(crate) zero_for_one: bool,
    #[serde(serialize_with = "text")]
    pub(crate) amount_in: u128,
    #[serde(serialize_with = "text")]
    pub(crate) amount_out: u128,
}

/// Whom a plan liquidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Liquidated {
    /// The contract that is called.
    pub(crate) market: Option<Address>,
    pub(crate) borrower: Option<Address>,
    /// The rest as a run's journal has it.
    #[serde(flatten)]
    pub(crate) order: Value,
}

impl Liquidated {
    fn of(order: &Order, world: &World) -> Self {
        let call = world.loans.call(order.loan, order.size);
        let (market, borrower) = call.map(|call| (call.market, call.borrower)).unzip();
        let token = |token| Some(world.tokens.get(token).address);
        Self { market, borrower, order: scribe::liquidation(order, token) }
    }
}

/// Who took what a plan was after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rival {
    pub(crate) tx_hash: B256,
    pub(crate) tx_index: u32,
    pub(crate) profit_token: Address,
    /// What it made, before gas.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) profit: Option<u128>,
    /// What its gas cost, in wei, where that is recorded.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) gas_paid: Option<u128>,
}

/// A plan that passed risk, and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Planned {
    /// The block that it was planned on.
    pub(crate) planned_at: u64,
    /// The first block that it could land in.
    pub(crate) block: u64,
    pub(crate) strategy: &'static str,
    pub(crate) legs: Vec<PlannedLeg>,
    /// Whom it liquidates, with its legs around that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) liquidation: Option<Liquidated>,
    pub(crate) profit_token: Address,
    /// What it promised, in the profit token's smallest unit.
    #[serde(serialize_with = "text")]
    pub(crate) profit: u128,
    /// The same in wei, before gas and tip.
    #[serde(serialize_with = "text")]
    pub(crate) profit_wei: u128,
    /// The same after gas and tip.
    #[serde(serialize_with = "text")]
    pub(crate) net_wei: u128,
    /// The transaction that it follows.
    pub(crate) follows: Option<B256>,
    pub(crate) end: End,
    pub(crate) why: String,
    /// What it paid where it would have landed, in the profit token's smallest unit.
    #[serde(serialize_with = "maybe_text")]
    pub(crate) gained: Option<u128>,
    /// Whether that was paid by the executor in the EVM.
    pub(crate) executed: bool,
    pub(crate) gas_used: u64,
    /// What a unit of gas costs it, in wei.
    #[serde(skip)]
    gas_price: u128,
    /// What the gas would have cost, in wei.
    #[serde(serialize_with = "text")]
    pub(crate) gas_wei: u128,
    pub(crate) rival: Option<Rival>,
    /// How long before its block was first heard of it was made, in nanoseconds, where that is
    /// recorded.
    pub(crate) slack_ns: Option<u64>,
}

impl Planned {
    /// A plan whose end is not known yet.
    pub(super) fn new(flight: &Flight, world: &World, names: &[&'static str]) -> Self {
        let plan = &flight.admitted.plan;
        Self {
            planned_at: flight.first_block.0.saturating_sub(1),
            block: flight.first_block.0,
            strategy: names.get(plan.strategy.index()).copied().unwrap_or("?"),
            legs: legs_of(plan, world),
            liquidation: plan.order.map(|order| Liquidated::of(&order, world)),
            profit_token: world.tokens.get(plan.profit_token).address,
            profit: plan.profit,
            profit_wei: plan.profit_wei.0,
            net_wei: flight.admitted.net_wei.0,
            follows: plan.follows().map(|follow| follow.hash),
            end: End::Unknown,
            why: "its run of blocks ends before it could land".to_owned(),
            gained: None,
            executed: false,
            gas_used: 0,
            gas_price: flight.admitted.gas_price.0,
            gas_wei: 0,
            rival: None,
            slack_ns: None,
        }
    }

    /// Makes it later; one that is then made after its block was heard of is lost.
    pub(super) fn delay(&mut self, delay: &Delay) {
        let later_ns = delay.of(self);
        let is_late = self.slack_ns.is_some_and(|slack| slack < later_ns);
        if is_late && self.end == End::Won {
            self.end = End::Vanished;
            let later = later_ns / 1_000;
            self.why = format!("made {later} µs later, it comes after its block was heard of");
        }
    }

    /// Its end by the pools' arithmetic.
    pub(super) fn settle(&mut self, end: &Settlement) {
        let (end, why) = match end.outcome {
            Outcome::Won => {
                self.gained = u128::try_from(end.gained).ok();
                self.gas_used = end.gas_used.0;
                self.gas_wei = end.gas_paid().0;
                (End::Won, "it pays where it would have landed")
            }
            Outcome::Contested => (End::Contested, "others moved its pools, and it pays no more"),
            Outcome::TargetMissing => (End::Vanished, "what it follows did not come"),
            Outcome::Vanished => (End::Vanished, "it does not pay where it would have landed"),
            Outcome::Landed
            | Outcome::Reverted
            | Outcome::Cancelled
            | Outcome::Replaced
            | Outcome::Dropped
            | Outcome::Refused
            | Outcome::Unsent => (End::Unknown, end.outcome.name()),
        };
        self.end = end;
        why.clone_into(&mut self.why);
    }

    /// Its end by the executor in the EVM; where that is unknown, the pools' arithmetic stands.
    pub(super) fn execute(&mut self, paid: Result<Paid, String>) {
        match paid {
            Ok(Paid { profit, gas_used }) => {
                self.executed = true;
                self.gas_used = gas_used;
                self.gas_wei = self.gas_price.saturating_mul(u128::from(gas_used));
                self.gained = profit.as_ref().ok().copied();
                if let Err(error) = profit {
                    self.end = End::Reverted;
                    self.why = format!("the executor reverts: {error}");
                }
            }
            Err(unknown) => self.why = format!("{}; not executed: {unknown}", self.why),
        }
    }

    /// What it brought after gas, in wei, at the price that it was planned at; less than nothing if
    /// it reverted, and none if it was neither.
    pub(crate) fn net_profit(&self) -> Option<i128> {
        let gross = match self.end {
            End::Won => {
                let share = U256::from(self.profit_wei).checked_mul(U256::from(self.gained?))?;
                let share = share.checked_div(U256::from(self.profit))?;
                i128::try_from(u128::try_from(share).ok()?).ok()?
            }
            End::Reverted => 0,
            End::Contested | End::Vanished | End::Unknown => return None,
        };
        gross.checked_sub_unsigned(self.gas_wei)
    }

    /// Names who took it: an arbitrage in its block through all of its pools, or through no others;
    /// nobody of whoever liquidated its borrower.
    pub(super) fn contest(&mut self, taken: &[Taken]) {
        if self.end != End::Contested || self.liquidation.is_some() {
            return;
        }
        let has = |pool: &Address| self.legs.iter().any(|leg| leg.pool == *pool);
        let is_it = |taken: &&Taken| {
            self.legs.iter().all(|leg| taken.pools.contains(&leg.pool))
                || taken.pools.iter().all(has)
        };
        self.rival = taken.iter().find(is_it).map(|taken| Rival {
            tx_hash: taken.tx_hash,
            tx_index: taken.tx_index,
            profit_token: taken.profit_token,
            profit: taken.gross_profit,
            gas_paid: taken.gas_paid,
        });
    }

    /// Whether it is a plan of what somebody took.
    pub(super) fn is_of(&self, taken: &Taken) -> bool {
        let through = |pool: &Address| self.legs.iter().any(|leg| leg.pool == *pool);
        self.block == taken.block
            && self.liquidation.is_none()
            && taken.pools.iter().all(through)
            && self.legs.iter().all(|leg| taken.pools.contains(&leg.pool))
    }

    /// For the digest: everything but what depends on a signature.
    pub(super) fn line(&self) -> String {
        let Self { planned_at, block, strategy, legs, profit, end, gained, follows, .. } = self;
        let (net, executed) = (self.net_profit(), self.executed);
        let whom = self.liquidation.as_ref().map(|of| format!(" {of:?}")).unwrap_or_default();
        format!(
            "{planned_at} {block} {strategy} {legs:?} {profit} {end:?} {gained:?} {follows:?} \
             {net:?} {executed}{whom}\n"
        )
    }
}

fn legs_of(plan: &Plan, world: &World) -> Vec<PlannedLeg> {
    let leg = |leg: &gannet_engine::plan::Leg| PlannedLeg {
        pool: world.pools.get(leg.pool).address,
        zero_for_one: leg.direction.index_in() == 0,
        amount_in: leg.amount_in,
        amount_out: leg.amount_out,
    };
    plan.legs().iter().map(leg).collect()
}

/// Amounts in JSON are decimal strings of the smallest unit.
fn text<S: serde::Serializer>(value: &u128, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&value.to_string())
}

pub(super) fn maybe_text<S: serde::Serializer>(
    value: &Option<u128>,
    out: S,
) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string()).serialize(out)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A plan on a block, that nothing else is known of.
    pub(in crate::backtest) fn planned(block: u64) -> Planned {
        Planned {
            planned_at: block.saturating_sub(1),
            block,
            strategy: "arbitrage",
            legs: Vec::new(),
            liquidation: None,
            profit_token: Address::ZERO,
            profit: 1,
            profit_wei: 1,
            net_wei: 1,
            follows: None,
            end: End::Won,
            why: String::new(),
            gained: Some(1),
            executed: false,
            gas_used: 0,
            gas_price: 0,
            gas_wei: 0,
            rival: None,
            slack_ns: Some(2_000_000),
        }
    }

    #[test]
    fn a_plan_that_is_made_after_its_block_was_heard_of_is_lost() {
        let ends = [1, 2, 3].map(|ms| {
            let mut plan = planned(1);
            plan.delay(&Delay::constant(ms));
            plan.end
        });
        assert_eq!(ends, [End::Won, End::Won, End::Vanished]);
    }
}
