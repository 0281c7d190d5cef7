//! The guard: how much may be lost, and when trading pauses by itself.
//!
//! Two budgets and a breaker. What submissions on their way can lose at most counts as lost until
//! they end, so a budget holds before the loss and not after it. Gains never give a budget back:
//! "stop when this much is lost" means what it says.
//!
//! Days are the chain's own (UTC, by block timestamps), so that nothing here depends on a clock.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::U256;

use crate::flight::{Outcome, Settlement};
use crate::plan::Plan;
use crate::risk::Reject;
use crate::units::{Nanos, Wei};

/// A day, in seconds.
const DAY_S: u64 = 86_400;

/// What the user is ready to lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// Most that all submissions which may land in one block can lose together.
    pub loss_per_block_max: Wei,
    /// Most that may be lost in one day.
    pub loss_per_day_max: Wei,
    /// Reverts in a row after which trading pauses; 0 for never.
    pub reverts_max: u32,
    /// How long that pause is, in nanoseconds.
    pub reverts_pause_ns: u64,
}

impl GuardLimits {
    /// No limit at all.
    pub const NONE: Self = Self {
        loss_per_block_max: Wei(u128::MAX),
        loss_per_day_max: Wei(u128::MAX),
        reverts_max: 0,
        reverts_pause_ns: 0,
    };
}

/// What the guard remembers, and what outlives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The day that `today` is about, in days since 1970.
    pub day: u64,
    /// What was lost on that day.
    pub today: Wei,
    /// Reverts since the last submission that landed.
    pub reverts_in_a_row: u32,
}

/// Keeps the budgets and the breaker.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// The user's limits.
    pub limits: GuardLimits,
    /// What was lost.
    pub losses: Losses,
    now: Nanos,
    paused_until: Option<Nanos>,
}

impl Guard {
    /// A guard that has seen no loss.
    #[must_use]
    pub fn new(limits: GuardLimits) -> Self {
        Self { limits, losses: Losses::default(), now: Nanos(0), paused_until: None }
    }

    /// Whether a submission that may lose `stake` can be made while others may lose `at_risk`.
    ///
    /// # Errors
    /// The limit that stands against it.
    pub fn admit(&self, at_risk: Wei, stake: Wei) -> Result<(), Reject> {
        if self.paused_until.is_some() {
            return Err(Reject::RevertsPause);
        }
        let together = at_risk.plus(stake);
        if together > self.limits.loss_per_block_max {
            return Err(Reject::LossPerBlock);
        }
        if self.losses.today.plus(together) > self.limits.loss_per_day_max {
            return Err(Reject::LossPerDay);
        }
        Ok(())
    }

    /// Time passed: a pause may be over. True if it just ended.
    pub fn on_time(&mut self, at: Nanos) -> bool {
        self.now = at;
        let is_over = self.paused_until.is_some_and(|until| at >= until);
        if is_over {
            self.paused_until = None;
        }
        is_over
    }

    /// A block with this timestamp (seconds) was sealed: a new day may have begun. Time does not
    /// run backwards here, or a reorg over midnight would give a budget back.
    pub const fn on_block(&mut self, timestamp: u64) {
        let day = match timestamp.checked_div(DAY_S) {
            Some(day) => day,
            None => 0,
        };
        if day > self.losses.day {
            self.losses.day = day;
            self.losses.today = Wei(0);
        }
    }

    /// A submission ended. True if that tripped the breaker.
    pub fn on_end(&mut self, plan: &Plan, end: &Settlement) -> bool {
        self.losses.today = self.losses.today.plus(loss(plan, end));
        match end.outcome {
            Outcome::Landed | Outcome::Won => self.losses.reverts_in_a_row = 0,
            Outcome::Reverted => return self.on_revert(),
            Outcome::Cancelled
            | Outcome::Replaced
            | Outcome::Dropped
            | Outcome::Refused
            | Outcome::Unsent
            | Outcome::Contested
            | Outcome::Vanished
            | Outcome::TargetMissing => {}
        }
        false
    }

    const fn on_revert(&mut self) -> bool {
        self.losses.reverts_in_a_row = self.losses.reverts_in_a_row.saturating_add(1);
        let GuardLimits { reverts_max, reverts_pause_ns, .. } = self.limits;
        let trips = reverts_max > 0 && self.losses.reverts_in_a_row >= reverts_max;
        if trips {
            self.losses.reverts_in_a_row = 0;
            self.paused_until = Some(Nanos(self.now.0.saturating_add(reverts_pause_ns)));
        }
        trips
    }

    /// A reorg took back what a submission did, which was counted on `day` (days since 1970). What
    /// an earlier day lost is not in today's sum.
    pub fn on_reversal(&mut self, plan: &Plan, end: &Settlement, day: u64) {
        if day == self.losses.day {
            let rest = self.losses.today.less(loss(plan, end));
            self.losses.today = rest.unwrap_or_default();
        }
        if end.outcome == Outcome::Reverted {
            self.losses.reverts_in_a_row = self.losses.reverts_in_a_row.saturating_sub(1);
        }
    }
}

/// What a submission cost more than it brought, in wei; what came in is valued like the plan's
/// profit, rounded down.
#[must_use]
pub fn loss(plan: &Plan, end: &Settlement) -> Wei {
    let value = |amount: u128| {
        U256::from(amount)
            .checked_mul(U256::from(plan.profit_wei.0))
            .and_then(|product| product.checked_div(U256::from(plan.profit)))
            .and_then(|value| u128::try_from(value).ok())
    };
    let size = end.gained.unsigned_abs();
    let paid = end.gas_paid();
    if end.gained < 0 {
        // What cannot be valued counts as beyond every budget.
        paid.plus(Wei(value(size).unwrap_or(u128::MAX)))
    } else {
        paid.less(Wei(value(size).unwrap_or(0))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Gas;

    const LIMITS: GuardLimits = GuardLimits {
        loss_per_block_max: Wei(100),
        loss_per_day_max: Wei(250),
        reverts_max: 3,
        reverts_pause_ns: 1_000,
    };

    /// 50 of its token are worth 100 wei.
    fn plan() -> Plan {
        crate::flight::tests::flight().admitted.plan
    }

    fn end(outcome: Outcome, gained: i128, gas: u64) -> Settlement {
        Settlement { gained, gas_used: Gas(gas), gas_price: Wei(1), ..Settlement::empty(outcome) }
    }

    #[test]
    fn what_may_still_be_lost_counts_as_lost() {
        let guard = Guard::new(LIMITS);
        assert_eq!(guard.admit(Wei(60), Wei(40)), Ok(()));
        assert_eq!(guard.admit(Wei(61), Wei(40)), Err(Reject::LossPerBlock));
        assert_eq!(guard.admit(Wei(u128::MAX), Wei(40)), Err(Reject::LossPerBlock));
    }

    #[test]
    fn a_day_s_losses_stop_trading_until_the_chain_s_next_day() {
        let mut guard = Guard::new(LIMITS);
        guard.on_block(10 * DAY_S);
        guard.on_end(&plan(), &end(Outcome::Reverted, 0, 200));
        assert_eq!(guard.admit(Wei(0), Wei(50)), Ok(()));
        assert_eq!(guard.admit(Wei(1), Wei(50)), Err(Reject::LossPerDay));
        guard.on_block(11 * DAY_S - 1);
        assert_eq!(guard.admit(Wei(1), Wei(50)), Err(Reject::LossPerDay));
        guard.on_block(11 * DAY_S);
        assert_eq!(guard.admit(Wei(1), Wei(50)), Ok(()));
        // A reorg over midnight gives nothing back.
        guard.on_end(&plan(), &end(Outcome::Reverted, 0, 200));
        guard.on_block(11 * DAY_S - 1);
        assert_eq!(guard.losses.today, Wei(200));
    }

    #[test]
    fn gains_do_not_give_a_budget_back() {
        let mut guard = Guard::new(LIMITS);
        guard.on_end(&plan(), &end(Outcome::Reverted, 0, 100));
        guard.on_end(&plan(), &end(Outcome::Landed, 1_000_000, 10));
        assert_eq!(guard.losses.today, Wei(100));
    }

    #[test]
    fn what_lands_below_its_gas_is_a_loss() {
        // 20 of the token are 40 wei; the gas was 100.
        assert_eq!(loss(&plan(), &end(Outcome::Landed, 20, 100)), Wei(60));
        assert_eq!(loss(&plan(), &end(Outcome::Landed, 50, 100)), Wei(0));
        assert_eq!(loss(&plan(), &end(Outcome::Landed, -5, 100)), Wei(110));
    }

    #[test]
    fn reverts_in_a_row_pause_trading_for_a_while() {
        let mut guard = Guard::new(LIMITS);
        guard.on_time(Nanos(5_000));
        let revert = end(Outcome::Reverted, 0, 1);
        assert!(!guard.on_end(&plan(), &revert));
        assert!(!guard.on_end(&plan(), &revert));
        assert!(!guard.on_end(&plan(), &end(Outcome::Landed, 50, 1)), "one that lands clears it");
        assert!(!guard.on_end(&plan(), &revert));
        assert!(!guard.on_end(&plan(), &revert));
        assert!(guard.on_end(&plan(), &revert));
        assert_eq!(guard.admit(Wei(0), Wei(1)), Err(Reject::RevertsPause));
        assert!(!guard.on_time(Nanos(5_999)));
        assert!(guard.on_time(Nanos(6_000)));
        assert_eq!(guard.admit(Wei(0), Wei(1)), Ok(()));
    }

    #[test]
    fn only_a_revert_pauses_trading() {
        let mut guard = Guard::new(LIMITS);
        // What an earlier run without a breaker left behind.
        guard.losses.reverts_in_a_row = 7;
        assert!(!guard.on_end(&plan(), &end(Outcome::Dropped, 0, 0)));
        assert!(guard.on_end(&plan(), &end(Outcome::Reverted, 0, 1)));
    }

    #[test]
    fn a_reversal_takes_back_what_was_counted() {
        let mut guard = Guard::new(LIMITS);
        let revert = end(Outcome::Reverted, 0, 70);
        guard.on_end(&plan(), &revert);
        guard.on_reversal(&plan(), &revert, 0);
        assert_eq!(guard.losses, Losses::default());
    }

    #[test]
    fn a_reversal_of_yesterday_s_loss_gives_nothing_of_today_s_budget_back() {
        let mut guard = Guard::new(LIMITS);
        guard.on_block(10 * DAY_S);
        let revert = end(Outcome::Reverted, 0, 70);
        guard.on_end(&plan(), &revert);
        guard.on_block(11 * DAY_S);
        guard.on_end(&plan(), &end(Outcome::Reverted, 0, 50));
        guard.on_reversal(&plan(), &revert, 10);
        assert_eq!(guard.losses.today, Wei(50));
    }
}
