//! Logs move pools: what an event says of a pool of ours, and how it changes the world.
//!
//! `Sync` and V3's `Swap` say what is; V3's `Mint` and `Burn` say what changed, so they must be
//! applied exactly once, which the follower sees to by log index.
//!
//! Invariants: every change is in the undo log; a change of ticks that cannot be made quarantines
//! its pool, for what we hold of it is wrong then.
//!
//! Temperature: hot.

use alloy_primitives::{B256, U256};

use super::{Stale, World};
use crate::amm::ticks::{Range, TICK_MAX};
use crate::amm::{Concentrated, ConcentratedState, Pool};
use crate::decode::DecodeError;
use crate::decode::fields::Field;
use crate::decode::log::Log;
use crate::decode::topics::{
    PANCAKE_V3_SWAP, SOLIDLY_SYNC, SYNC, V3_BURN, V3_INITIALIZE, V3_MINT, V3_SWAP,
};
use crate::ids::PoolId;
use crate::loans;

/// What an event says of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Its reserves are these.
    Reserves([u128; 2]),
    /// Its price, tick and liquidity are these; the pool was paid these amounts, or has paid them.
    Price { price: U256, tick: i32, liquidity: u128, paid: [i128; 2] },
    /// It has its first price.
    First { price: U256, tick: i32 },
    /// Liquidity between two ticks has changed.
    Liquidity(Range),
}

/// What a log says of what we follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    /// Of a pool.
    Pool(PoolId, Move),
    /// Of loans, or of what they are priced by.
    Loan(loans::Heard),
}

impl World {
    /// What a log says of a pool or a loan of ours; `None` if it is of another contract or event.
    pub(super) fn hear(&self, log: &Log<'_>) -> Result<Option<Heard>, DecodeError> {
        match self.pools.id_of(&log.address) {
            Some(pool) => Ok(self.move_of(pool, log)?.map(|moved| Heard::Pool(pool, moved))),
            None => Ok(self.loans.hear(log).map(Heard::Loan)),
        }
    }

    /// Changes what a log says that has changed.
    pub(super) fn apply_heard(&mut self, heard: &Heard) {
        match heard {
            Heard::Pool(pool, moved) => self.apply_move(*pool, moved),
            Heard::Loan(heard) => {
                let at = self.loan_time();
                let Self { loans, undo, .. } = self;
                loans.apply(heard, at, &mut |inverse| undo.remember_loan(inverse));
                if loans.is_unread() {
                    // Its contracts are others than they were: only a reload knows them.
                    self.freshness.set(Stale::Lost, true);
                }
            }
        }
    }

    /// What a log of this pool says; `None` if it is of another event.
    pub(super) fn move_of(&self, pool: PoolId, log: &Log<'_>) -> Result<Option<Move>, DecodeError> {
        let topic = log.topics[0];
        let moved = match &self.pools.get(pool).chain {
            Pool::ConstantProduct(_) if topic == SYNC && log.topic_count == 1 => reserves(log)?,
            Pool::Solidly(_) if topic == SOLIDLY_SYNC && log.topic_count == 1 => {
                wide_reserves(log)?
            }
            Pool::Concentrated(_) => return concentrated(log, topic),
            Pool::ConstantProduct(_) | Pool::Solidly(_) => return Ok(None),
        };
        Ok(Some(moved))
    }

    /// Changes a pool to what its own log says; our overlay, if any, is laid over it.
    pub(super) fn apply_move(&mut self, pool: PoolId, moved: &Move) {
        let Self { pools, undo, .. } = self;
        let mut range = Range::default();
        let (chain, paid) = match (moved, &pools.get(pool).chain) {
            (Move::Reserves(reserves), chain) => with_reserves(chain, *reserves),
            (Move::Price { price, tick, liquidity, paid }, Pool::Concentrated(held)) => {
                let state = ConcentratedState {
                    sqrt_price: *price,
                    tick: *tick,
                    liquidity: *liquidity,
                    ..held.state()
                };
                (Concentrated::new(&state).map(Pool::from), *paid)
            }
            (Move::First { price, tick }, Pool::Concentrated(held)) => {
                let state = ConcentratedState { sqrt_price: *price, tick: *tick, ..held.state() };
                (Concentrated::new(&state).map(Pool::from), [0; 2])
            }
            (Move::Liquidity(change), Pool::Concentrated(held)) => {
                let chain = held.with_liquidity(*change).map(Pool::from);
                let is_changed = chain.is_some() && pools.change_ticks(pool, *change).is_ok();
                if is_changed {
                    range = *change;
                }
                (chain.filter(|_| is_changed), [0; 2])
            }
            (_, Pool::ConstantProduct(_) | Pool::Solidly(_)) => (None, [0; 2]),
        };
        undo.remember_with(pool, pools.get(pool), range);
        let held = pools.get(pool).overlay;
        let is_absorbed = held != [0; 2] && is_absorbed(held, paid);
        let overlay = if is_absorbed { [0; 2] } else { held };
        let ticks = pools.ticks(pool);
        let state = chain.map(|chain| (chain, chain.with_overlay(ticks, overlay)));
        let entry = pools.entry_mut(pool);
        entry.version = entry.version.wrapping_add(1);
        entry.overlay = overlay;
        match state {
            Some((chain, state)) => (entry.chain, entry.state) = (chain, state),
            // The chain cannot be wrong of itself: what we hold is.
            None => {
                self.contradicted += u64::from(!entry.is_quarantined);
                entry.is_quarantined = true;
            }
        }
        self.touched.push(pool);
    }
}

/// The pool with the reserves that the chain reports, and what that paid into it.
fn with_reserves(chain: &Pool, reserves: [u128; 2]) -> (Option<Pool>, [i128; 2]) {
    let held = chain.reserves().unwrap_or_default();
    let paid = [0, 1].map(|token| reserves[token].wrapping_sub(held[token]).cast_signed());
    let pool = match chain {
        Pool::ConstantProduct(pool) => Some(pool.with_reserves(reserves).into()),
        Pool::Solidly(pool) => Some(pool.with_reserves(reserves).into()),
        Pool::Concentrated(_) => None,
    };
    (pool, paid)
}

/// Whether the chain now contains about the trade that our overlay stands for.
fn is_absorbed(overlay: [i128; 2], paid: [i128; 2]) -> bool {
    overlay.iter().zip(paid).all(|(ours, moved)| {
        moved.signum() == ours.signum() && moved.unsigned_abs() >= ours.unsigned_abs() / 2
    })
}

fn reserves(log: &Log<'_>) -> Result<Move, DecodeError> {
    Ok(Move::Reserves([log.word_u112(0)?, log.word_u112(1)?]))
}

/// Reserves of 256 bits: what is past our arithmetic empties the pool.
fn wide_reserves(log: &Log<'_>) -> Result<Move, DecodeError> {
    let [first, second] = [log.word(0)?, log.word(1)?];
    let narrow = |reserve| u128::try_from(reserve).unwrap_or(u128::MAX);
    Ok(Move::Reserves([narrow(first), narrow(second)]))
}

fn concentrated(log: &Log<'_>, topic: B256) -> Result<Option<Move>, DecodeError> {
    let moved = match (topic, log.topic_count) {
        (V3_SWAP | PANCAKE_V3_SWAP, 3) => Move::Price {
            price: log.word(2)?,
            liquidity: narrow(log.word(3)?)?,
            tick: tick(log.word(4)?)?,
            paid: [signed(log.word(0)?), signed(log.word(1)?)],
        },
        (V3_INITIALIZE, 1) => Move::First { price: log.word(0)?, tick: tick(log.word(1)?)? },
        (V3_MINT, 4) => Move::Liquidity(range(log, 1, false)?),
        (V3_BURN, 4) => match range(log, 0, true)? {
            // Collects fees, and moves nothing.
            Range { amount: 0, .. } => return Ok(None),
            range => Move::Liquidity(range),
        },
        _ => return Ok(None),
    };
    Ok(Some(moved))
}

/// The ticks of a `Mint` or `Burn` (its last two topics), and the liquidity in data word `at`.
fn range(log: &Log<'_>, at: usize, is_taken: bool) -> Result<Range, DecodeError> {
    let amount = i128::try_from(narrow(log.word(at)?)?).or(Err(DecodeError::AmountTooLarge))?;
    Ok(Range {
        lower: tick(log.topics[2].into())?,
        upper: tick(log.topics[3].into())?,
        amount: if is_taken { amount.saturating_neg() } else { amount },
    })
}

fn narrow(word: U256) -> Result<u128, DecodeError> {
    u128::try_from(word).or(Err(DecodeError::AmountTooLarge))
}

/// A tick: a sign-extended number of 24 bits.
fn tick(word: U256) -> Result<i32, DecodeError> {
    let is_negative = word.bit(255);
    let size = if is_negative { word.wrapping_neg() } else { word };
    let size = i32::try_from(size).or(Err(DecodeError::Invalid(Field::Data)))?;
    if size > TICK_MAX {
        return Err(DecodeError::Invalid(Field::Data));
    }
    Ok(if is_negative { -size } else { size })
}

/// A signed amount; what needs more than 128 bits saturates, which only weighs an overlay.
fn signed(word: U256) -> i128 {
    let is_negative = word.bit(255);
    let size = if is_negative { word.wrapping_neg() } else { word };
    let size = i128::try_from(size).unwrap_or(i128::MAX);
    if is_negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;
    use crate::decode::log::Data;
    use crate::decode::topics::{MOVES, is_ranged};

    #[test]
    fn of_events_that_are_not_ranged_only_the_first_topic_is_read() {
        // Words that are 1: an amount, a price, and a tick.
        let mut data = [0_u8; 32 * 8];
        data.iter_mut().skip(31).step_by(32).for_each(|last| *last = 1);
        let mut heard = 0;
        for topic in MOVES.into_iter().filter(|topic| !is_ranged(topic)) {
            for topic_count in 1..=4 {
                let topics = |other| [topic, other, other, other];
                let log = |other| Log {
                    address: Address::ZERO,
                    topics: topics(other),
                    topic_count,
                    data: Data::Binary(&data),
                    block_number: 1,
                    block_hash: B256::ZERO,
                    tx_hash: B256::ZERO,
                    tx_index: 0,
                    log_index: 0,
                    removed: false,
                };
                let [read, left] = [B256::repeat_byte(7), B256::ZERO]
                    .map(|other| concentrated(&log(other), topic));
                assert_eq!(read, left);
                heard += usize::from(matches!(read, Ok(Some(_))));
            }
        }
        assert_eq!(heard, 3, "two kinds of swap, and a first price");
    }
}
