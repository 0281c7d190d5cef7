//! What a plan would have come to: executed where it would have landed, and scored at the end of
//! that block. Dry-runs and backtests settle by it.
//!
//! Temperature: warm.

use crate::flight::{Flight, Flights, Outcome, Settlement};
use crate::gas;
use crate::loans::Order;
use crate::plan::Plan;
use crate::world::World;
use crate::world::follow::Included;

/// Executes the plans on the state where they would land: at the top of the block, or right behind
/// the transaction that they follow.
pub(crate) fn replay(flights: &mut Flights, world: &mut World, after: Option<Included>) {
    for flight in flights.iter_mut() {
        let is_here = match (flight.admitted.plan.follows(), after) {
            (None, None) => true,
            (Some(follow), Some(landed)) => follow.hash == landed.hash,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if is_here {
            flight.replayed = requote(&flight.admitted.plan, world);
        }
    }
}

/// The profit of a plan's program on the world as it is; the executor quotes on chain like this.
pub(crate) fn requote(plan: &Plan, world: &World) -> Option<u128> {
    if let Some(order) = &plan.order {
        return order.profit(plan, world);
    }
    let mut amount = plan.amount_in;
    for leg in plan.legs() {
        amount = world.quote(leg.pool, leg.direction, amount)?;
    }
    amount.checked_sub(plan.amount_in)
}

/// How a dry-run submission ended, once the block where it would have landed is sealed.
pub(crate) fn verdict(flight: &Flight, world: &World) -> Option<Settlement> {
    let plan = &flight.admitted.plan;
    let tip = world.tip();
    if tip.number < flight.first_block {
        return None;
    }
    if plan.follows().is_some() && flight.target_place.is_none() {
        let is_over = tip.number >= plan.last_block;
        return is_over.then(|| Settlement::empty(Outcome::TargetMissing));
    }
    let least = flight.admitted.least_profit;
    let Some(gained) = flight.replayed.filter(|gained| *gained >= least) else {
        return Some(Settlement::empty(Outcome::Vanished));
    };
    // Whoever moved these pools in the same block may have been before us.
    let is_touched = |order: &Order| world.loans.is_touched(order.loan);
    let was_moved = plan.legs().iter().any(|leg| world.touched().contains(&leg.pool))
        || plan.order.as_ref().is_some_and(is_touched);
    let still_pays = requote(plan, world).is_some_and(|profit| profit >= least);
    if plan.follows().is_none() && was_moved && !still_pays {
        return Some(Settlement::empty(Outcome::Contested));
    }
    Some(Settlement {
        outcome: Outcome::Won,
        gained: i128::try_from(gained).unwrap_or(i128::MAX),
        gas_used: gas::Tables::default().expected(&flight.admitted.work),
        gas_price: flight.admitted.gas_price,
        is_behind_target: false,
    })
}
