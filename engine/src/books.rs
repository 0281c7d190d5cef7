//! The books: what was tried, what it cost, what it brought.
//!
//! Amounts are kept in each profit token's smallest unit and never rounded; only the summary values
//! them, at the price at which the executor could sell them now.
//!
//! Temperature: warm.

use crate::flight::{Flight, Outcome, Settlement};
use crate::ids::{Direction, StrategyId, TokenId};
use crate::limits::BASE_TOKENS_MAX;
use crate::risk::Reject;
use crate::units::Wei;
use crate::world::World;

/// Strategies that are told apart; later ones share the last line.
pub const STRATEGY_LINES: usize = 16;

/// One strategy's line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Distinct opportunities that would have paid.
    pub opportunities: u64,
    /// Submitted.
    pub sent: u64,
    /// Mined and paid.
    pub landed: u64,
    /// Mined and reverted.
    pub reverted: u64,
    /// Replaced, dropped, refused or never sent.
    pub lost: u64,
    /// Taken back.
    pub cancelled: u64,
    /// Landed right behind the transaction that they followed.
    pub behind_target: u64,
    /// Dry-run: would have paid.
    pub won: u64,
    /// Dry-run: somebody else took it.
    pub contested: u64,
    /// Dry-run: was gone, or its target was.
    pub vanished: u64,
    /// What it brought of each base token, by rank, before gas.
    pub gained: [i128; BASE_TOKENS_MAX],
    /// Gas paid, priority fee included, of what landed and what reverted.
    pub gas_paid: Wei,
    /// What was expected of what landed, after gas.
    pub expected_wei: u128,
}

/// All lines, and the count of every reason to reject.
#[derive(Clone, Copy, Debug)]
pub struct Books {
    lines: [Line; STRATEGY_LINES],
    /// Rejections by reason.
    pub rejects: [u64; Reject::ALL.len()],
}

impl Default for Books {
    fn default() -> Self {
        Self { lines: [Line::default(); STRATEGY_LINES], rejects: [0; Reject::ALL.len()] }
    }
}

impl Books {
    /// A strategy's line.
    #[must_use]
    pub fn line(&self, strategy: StrategyId) -> &Line {
        &self.lines[strategy.index().min(STRATEGY_LINES - 1)]
    }

    /// All lines.
    #[must_use]
    pub const fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A strategy's line, to be written.
    pub fn line_mut(&mut self, strategy: StrategyId) -> &mut Line {
        &mut self.lines[strategy.index().min(STRATEGY_LINES - 1)]
    }

    /// Counts a rejection.
    pub const fn reject(&mut self, reason: Reject) {
        self.rejects[reason as usize] += 1;
    }

    /// Enters the end of a submission.
    pub fn settle(&mut self, flight: &Flight, end: &Settlement, rank: Option<usize>) {
        let line = self.line_mut(flight.admitted.plan.strategy);
        line.gas_paid = line.gas_paid.plus(end.gas_paid());
        line.behind_target += u64::from(end.is_behind_target);
        if let Some(gained) = rank.and_then(|rank| line.gained.get_mut(rank)) {
            *gained = gained.saturating_add(end.gained);
        }
        if end.outcome == Outcome::Landed {
            line.expected_wei = line.expected_wei.saturating_add(flight.admitted.net_wei.0);
        }
        *line.count_of(end.outcome) += 1;
    }

    /// Takes an entry back: a reorg left the block.
    pub fn reverse(&mut self, flight: &Flight, end: &Settlement, rank: Option<usize>) {
        let line = self.line_mut(flight.admitted.plan.strategy);
        line.gas_paid = line.gas_paid.less(end.gas_paid()).unwrap_or_default();
        line.behind_target -= u64::from(end.is_behind_target).min(line.behind_target);
        if let Some(gained) = rank.and_then(|rank| line.gained.get_mut(rank)) {
            *gained = gained.saturating_sub(end.gained);
        }
        if end.outcome == Outcome::Landed {
            line.expected_wei = line.expected_wei.saturating_sub(flight.admitted.net_wei.0);
        }
        let count = line.count_of(end.outcome);
        *count = count.saturating_sub(1);
    }
}

impl Line {
    /// This line and another.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add, u128::saturating_add, i128::saturating_add)
    }

    /// What was added to this line since it was `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub, u128::saturating_sub, i128::saturating_sub)
    }

    fn with(
        &self,
        other: &Self,
        count: fn(u64, u64) -> u64,
        wei: fn(u128, u128) -> u128,
        gained: fn(i128, i128) -> i128,
    ) -> Self {
        Self {
            opportunities: count(self.opportunities, other.opportunities),
            sent: count(self.sent, other.sent),
            landed: count(self.landed, other.landed),
            reverted: count(self.reverted, other.reverted),
            lost: count(self.lost, other.lost),
            cancelled: count(self.cancelled, other.cancelled),
            behind_target: count(self.behind_target, other.behind_target),
            won: count(self.won, other.won),
            contested: count(self.contested, other.contested),
            vanished: count(self.vanished, other.vanished),
            gained: core::array::from_fn(|rank| gained(self.gained[rank], other.gained[rank])),
            gas_paid: Wei(wei(self.gas_paid.0, other.gas_paid.0)),
            expected_wei: wei(self.expected_wei, other.expected_wei),
        }
    }

    const fn count_of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Landed => &mut self.landed,
            Outcome::Reverted => &mut self.reverted,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::Replaced | Outcome::Dropped | Outcome::Refused | Outcome::Unsent => {
                &mut self.lost
            }
            Outcome::Won => &mut self.won,
            Outcome::Contested => &mut self.contested,
            Outcome::Vanished | Outcome::TargetMissing => &mut self.vanished,
        }
    }
}

/// What a line brought, in wei, net of gas: native amounts as they are, other base tokens at the
/// price at which one pool of the world would take them now. `None` if a token
/// that was lost cannot be bought back.
#[must_use]
pub fn profit_wei(line: &Line, world: &World) -> Option<i128> {
    let gas = i128::try_from(line.gas_paid.0).ok()?;
    let mut total = 0_i128.checked_sub(gas)?;
    for (rank, gained) in line.gained.iter().enumerate() {
        if *gained != 0 {
            let token = *world.bases.get(rank)?;
            total = total.checked_add(exit_value(world, token, *gained)?)?;
        }
    }
    Some(total)
}

/// What selling `amount` of a token through the best single pool brings in the native token; for a
/// negative amount, what buying it back costs, as a negative number.
#[must_use]
pub fn exit_value(world: &World, token: TokenId, amount: i128) -> Option<i128> {
    if token == world.native {
        return Some(amount);
    }
    let pools = world.pools.pools_of_pair(token, world.native).iter();
    let states = pools.map(|pool| {
        let entry = world.pools.get(*pool);
        let sells_first = entry.tokens[0] == token;
        (
            world.pools.view(*pool),
            if sells_first { Direction::ZeroForOne } else { Direction::OneForZero },
        )
    });
    let size = amount.unsigned_abs();
    if amount >= 0 {
        let best = states.filter_map(|(state, sell)| state.quote_out(size, sell)).max();
        i128::try_from(best.unwrap_or(0)).ok()
    } else {
        let best = states.filter_map(|(state, sell)| state.quote_in(size, sell.reversed())).min();
        i128::try_from(best?).ok()?.checked_neg()
    }
}
