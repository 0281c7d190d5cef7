//! A trial of one direction of one pool: which sizes are tried, and what is made of what came.
//!
//! Temperature: cold.

use gannet_engine::amm::{Amm, Pool, Ticks};
use gannet_engine::ids::Direction;
use gannet_engine::world::Standing;

use super::probe::{Shape, Shown, Trial};

/// The largest size that is tried is this part of what the pool has.
const LARGEST: u128 = 20;
/// The others are these parts of the largest.
const OTHERS: [u128; 2] = [5_000, 50];
/// What a plain token's transfer to a pool uses, as the probe measures it.
pub(super) const PLAIN_TRANSFER_GAS: u32 = 6_400;

/// A pool as the engine quotes it, with its ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    pub(super) pool: &'a Pool,
    pub(super) ticks: Ticks<'a>,
}

impl Quoted<'_> {
    /// Three sizes that it can be traded at, and what it pays for each; the largest last. `most` is
    /// what can be lent. `None` if there are none: it has nothing to pay with.
    pub(super) fn sizes(&self, direction: Direction, most: u128) -> Option<[(u128, u128); 3]> {
        let base = self.depth(direction)? / LARGEST;
        let quote = |amount: u128| {
            let out = self.pool.quote_out(self.ticks, amount, direction)?;
            (out > 0).then_some((amount, out))
        };
        // A pool that is thin at its price is tried with less.
        let largest = (0..16).find_map(|halvings| quote(base.min(most) >> (4 * halvings)))?;
        let other = |part: u128| {
            let amounts = (0..8).map(|step| (largest.0 / part).max(1) << (4 * step));
            let mut smaller = amounts.take_while(|amount| *amount < largest.0);
            smaller.find_map(quote).unwrap_or(largest)
        };
        Some([other(OTHERS[0]), other(OTHERS[1]), largest])
    }

    /// About how much of the token that goes in the pool trades with near its price.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturating is meant"
    )]
    fn depth(&self, direction: Direction) -> Option<u128> {
        // The input that halves the price is what a pair has of it.
        let bend = self.pool.mobius(self.ticks, direction)?.bend;
        (bend > 0.0).then(|| (1.0 / bend) as u128)
    }
}

/// What the chain said when the quotes were made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// What the pool says that it has of the token that goes in, if it lives on that.
    pub(super) reserve: Option<u128>,
}

/// What a trial shows of its pool; of a pool that passes, what a transfer of the token that goes
/// in uses beyond a plain one's. `None` if its lender did not lend.
pub(super) fn judge(trial: &Trial, claim: Claim, shown: &Shown) -> Option<Result<u32, Standing>> {
    if !is_known_layout(trial.shape, shown.words) {
        return Some(Err(Standing::UnknownLayout));
    }
    if !shown.is_lent {
        return None;
    }
    Some(judge_tokens(trial, claim, shown).and_then(|gas| {
        for (swap, size) in shown.swaps.iter().zip(trial.sizes) {
            judge_swap(trial.shape, swap, size)?;
        }
        Ok(gas)
    }))
}

/// Words that a kind's view of its state has: Uniswap V3 and Pancake V3 answer seven, forks without
/// a protocol's fee in slot 0 six; a pair answers its reserves and their time.
const fn is_known_layout(shape: Shape, words: u8) -> bool {
    match shape {
        Shape::Pair | Shape::Solidly => words == 3,
        Shape::Concentrated => matches!(words, 6 | 7),
    }
}

fn judge_tokens(trial: &Trial, claim: Claim, shown: &Shown) -> Result<u32, Standing> {
    let [_, _, (most, _)] = trial.sizes;
    if shown.lent != most {
        // All of it is there, or some of it was kept.
        return Err(if shown.lent == 0 {
            Standing::TransferRefused
        } else {
            Standing::TransferFee
        });
    }
    if claim.reserve.is_some_and(|reserve| shown.held < reserve) {
        return Err(Standing::Rebasing);
    }
    for transfer in &shown.transfers {
        if !transfer.is_made || transfer.arrived == 0 {
            return Err(Standing::TransferRefused);
        }
        if transfer.arrived != most || transfer.sent != most {
            return Err(Standing::TransferFee);
        }
    }
    Ok(shown.transfers[0].gas.saturating_sub(PLAIN_TRANSFER_GAS))
}

fn judge_swap(
    shape: Shape,
    swap: &super::probe::Swap,
    (_, expected): (u128, u128),
) -> Result<(), Standing> {
    if !swap.is_made {
        return Err(Standing::SwapRefused);
    }
    let is_exact = match shape {
        Shape::Pair => !swap.has_more,
        Shape::Concentrated => swap.paid == expected,
        // What a stable curve pays is what its view says; it would let a little more go.
        Shape::Solidly => swap.is_said,
    };
    if !is_exact {
        return Err(Standing::QuoteDiffers);
    }
    // Solidly pools hand their fee on at once.
    let is_miscredited = swap.is_miscredited && shape != Shape::Solidly;
    if is_miscredited || swap.arrived != expected {
        return Err(Standing::TransferFee);
    }
    Ok(())
}
