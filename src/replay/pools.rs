//! The pools of a run at each of its blocks: as it began with them, and as their logs moved them
//! since.
//!
//! A run keeps of its pools what quoting takes and not their contracts, so only what follows from
//! that is known.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_primitives::{Address, I256, U256};
use gannet_engine::amm::Tick;
use gannet_engine::decode::topics;

use super::ledger::{Ledger, Missing};
use crate::bootstrap::{Kind, Known, Reading};
use crate::recording::rows::LogRow;

/// A pool's state at the end of a block.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) reading: Reading,
    /// In order.
    pub(super) ticks: Arc<Vec<Tick>>,
    /// When it was last written, by the chain's time; none if that was before the run.
    pub(super) written_at: Option<u64>,
}

/// A pool through time.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) known: Known,
    pub(super) factory: Address,
    /// What it had of its tokens when the run began.
    pub(super) held: [u128; 2],
    /// By the height from which each holds.
    states: Vec<(u64, State)>,
}

impl Track {
    /// Its state at the end of a block; none before the run.
    pub(super) fn at(&self, number: u64) -> Option<&State> {
        let after = self.states.partition_point(|(from, _)| *from <= number);
        let (_, state) = self.states.get(after.checked_sub(1)?)?;
        Some(state)
    }
}

/// The pools and tokens of a run.
#[derive(Debug)]
pub(super) struct Pools {
    tracks: HashMap<Address, Track>,
    /// What each token said of its decimals.
    decimals: HashMap<Address, Option<u8>>,
    /// The block that the run began at.
    pub(super) anchor: u64,
}

impl Pools {
    /// Those of a run; none of another recording.
    pub(super) fn of(ledger: &Ledger) -> Option<Self> {
        let start = ledger.start.as_ref()?;
        let anchor = start.height();
        let factories = start.factories();
        let mut tracks = HashMap::new();
        for read in start.universe().pools() {
            let state = State {
                reading: read.reading,
                ticks: Arc::new(read.ticks.clone().unwrap_or_default()),
                written_at: None,
            };
            let factory = factories.get(usize::from(read.known.factory)).copied();
            let (known, held) = (read.known, read.held);
            let factory = factory.unwrap_or_default();
            let track = Track { known, factory, held, states: vec![(anchor, state)] };
            tracks.insert(known.address, track);
        }
        let decimals = start.universe().told().iter().copied().collect();
        let mut pools = Self { tracks, decimals, anchor };
        for held in ledger.blocks.iter().filter(|held| held.number() > anchor) {
            let time = held.block.header.timestamp.map(|time| time.0);
            for log in &held.block.logs {
                pools.apply(log, time);
            }
        }
        Some(pools)
    }

    /// A pool.
    ///
    /// # Errors
    /// When it is none of the run's.
    pub(super) fn get(&self, pool: &Address) -> Result<&Track, Missing> {
        self.tracks.get(pool).ok_or_else(|| Missing(format!("what {pool} answers is")))
    }

    pub(super) fn has(&self, pool: &Address) -> bool {
        self.tracks.contains_key(pool)
    }

    /// What a token said of its decimals, and whether it was asked.
    pub(super) fn decimals(&self, token: &Address) -> Result<Option<u8>, Missing> {
        let told = self.decimals.get(token).copied();
        told.ok_or_else(|| Missing(format!("what token {token} says of its decimals is")))
    }

    pub(super) fn knows_token(&self, token: &Address) -> bool {
        self.decimals.contains_key(token)
    }

    fn apply(&mut self, log: &LogRow, time: Option<u64>) {
        let Some(track) = self.tracks.get_mut(&log.address) else { return };
        let Some((from, last)) = track.states.last() else { return };
        let mut state = last.clone();
        if moved(&mut state, log).is_some() {
            state.written_at = time;
            if *from == log.block_number {
                track.states.pop();
            }
            track.states.push((log.block_number, state));
        }
    }
}

/// Applies a log to the state of the pool that wrote it; none if it says nothing of it.
fn moved(state: &mut State, log: &LogRow) -> Option<()> {
    let word = |place: usize| log.data.get(place * 32..place * 32 + 32).map(U256::from_be_slice);
    let number = |place: usize| u128::try_from(word(place)?).ok();
    let small = |word: U256| i32::try_from(I256::from_raw(word)).ok();
    let tick_of = |place: usize| small((*log.topics.get(place)?).into());
    let topic = *log.topics.first()?;
    match &mut state.reading {
        Reading::Pair { reserves } => {
            (topic == topics::SYNC).then_some(())?;
            *reserves = [number(0)?, number(1)?];
        }
        Reading::Solidly { reserves, .. } => {
            (topic == topics::SOLIDLY_SYNC || topic == topics::SYNC).then_some(())?;
            *reserves = [number(0)?, number(1)?];
        }
        Reading::Concentrated { sqrt_price, tick, liquidity, .. } => match topic {
            topics::V3_SWAP | topics::PANCAKE_V3_SWAP => {
                (*sqrt_price, *liquidity, *tick) = (word(2)?, number(3)?, small(word(4)?)?);
            }
            topics::V3_INITIALIZE => {
                (*sqrt_price, *tick) = (word(0)?, small(word(1)?)?);
            }
            topics::V3_MINT | topics::V3_BURN => {
                let is_mint = topic == topics::V3_MINT;
                let (lower, upper) = (tick_of(2)?, tick_of(3)?);
                let amount = number(usize::from(is_mint))?;
                let ticks = Arc::make_mut(&mut state.ticks);
                change(ticks, (lower, amount), is_mint, true)?;
                change(ticks, (upper, amount), is_mint, false)?;
                if (lower..upper).contains(tick) {
                    *liquidity = if is_mint {
                        liquidity.checked_add(amount)?
                    } else {
                        liquidity.checked_sub(amount)?
                    };
                }
            }
            _ => return None,
        },
    }
    Some(())
}

/// Puts liquidity at a tick, or takes it from there.
fn change(
    ticks: &mut Vec<Tick>,
    (index, amount): (i32, u128),
    is_mint: bool,
    is_lower: bool,
) -> Option<()> {
    if amount == 0 {
        return Some(());
    }
    let place = ticks.binary_search_by_key(&index, |tick| tick.index);
    let place = place.unwrap_or_else(|place| {
        ticks.insert(place, Tick { index, net: 0, gross: 0 });
        place
    });
    let tick = ticks.get_mut(place)?;
    let signed = i128::try_from(amount).ok()?;
    // What is put at the lower end comes into range there, and leaves it at the upper.
    let signed = if is_mint == is_lower { signed } else { -signed };
    tick.net = tick.net.checked_add(signed)?;
    tick.gross =
        if is_mint { tick.gross.checked_add(amount)? } else { tick.gross.checked_sub(amount)? };
    if tick.gross == 0 {
        ticks.remove(place);
    }
    Some(())
}

impl Track {
    /// Whether it was written since the run began, by the end of a block.
    pub(super) fn has_moved(&self, number: u64) -> bool {
        self.states.get(1).is_some_and(|(from, _)| *from <= number)
    }

    /// Whether it is of Solidly's kind and for tokens of about one value.
    pub(super) const fn is_stable(&self) -> bool {
        matches!(self.known.kind, Kind::Solidly { is_stable: true })
    }
}
