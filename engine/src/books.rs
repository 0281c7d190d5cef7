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
        match end.outcome {
            Outcome::Landed => {
                line.landed += 1;
                line.expected_wei = line.expected_wei.saturating_add(flight.admitted.net_wei.0);
            }
            Outcome::Reverted => line.reverted += 1,
            Outcome::Replaced | Outcome::Dropped | Outcome::Refused | Outcome::Unsent => {
                line.lost += 1;
            }
            Outcome::Won => line.won += 1,
            Outcome::Contested => line.contested += 1,
            Outcome::Vanished | Outcome::TargetMissing => line.vanished += 1,
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
        (entry.state, if sells_first { Direction::ZeroForOne } else { Direction::OneForZero })
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
