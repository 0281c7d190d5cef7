//! Pools of Uniswap V3's shape in real blocks: what they are, whether the world that follows their
//! logs holds what the EVM holds, and whether each of their swaps is quoted to the wei.
//!
//! A recording knows the ticks that its block touched, so a swap may leave what is known; then
//! nothing is said of it.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use gannet_engine::amm::{Concentrated, ConcentratedState, Exact, Pool, PoolView, Swapped, Ticks};
use gannet_engine::decode::topics::{PANCAKE_V3_SWAP, V3_BURN, V3_MINT, V3_SWAP};
use gannet_engine::ids::Direction;

use super::blocks::{logs_of, run_to};
use super::mirror::Mirror;
use crate::backtest::swaps::{Shape, Swap, word};
use crate::evm::{Fork, Scene};
use crate::recording::rows::LogRow;
use crate::venue::ranged::Ranged;
use crate::venue::{Because, Venue};

/// Fees above are not looked for, in pips.
const FEE_PIPS_MAX: u32 = 10_000;

/// A pool of V3's shape, as it is before its block.
#[derive(Clone, Debug)]
pub(super) struct RangedPool {
    pub(super) venue: Venue,
    /// By how many slots its layout is shifted: 0 is Uniswap's, 1 Pancake's.
    shift: u64,
}

impl RangedPool {
    /// Looks at a contract.
    pub(super) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        let venue = Ranged::look(fork, address)?.venue();
        let liquidity = U256::from(concentrated(&venue.state).liquidity());
        let mut held = |shift| fork.slot(address, U256::from(4 + shift));
        let shift = [0, 1].into_iter().find(|shift| held(*shift) == Ok(liquidity));
        Ok(Self { venue, shift: shift.expect("its layout was found") })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let layout = if self.shift == 0 { "V3" } else { "V3 (Pancake)" };
        let fee_pips = concentrated(&self.venue.state).fee_pips();
        format!("{:.2} % {layout}", f64::from(fee_pips) / 10_000.0)
    }

    /// Its price, tick and liquidity as the EVM has them.
    fn read(&self, fork: &mut Fork<'_>) -> (U256, i32, u128) {
        let mut slot = |place: u64| {
            let held = fork.slot(self.venue.address, U256::from(place));
            held.expect("a block knows what it reads")
        };
        let slot0 = slot(0);
        let tick = ((slot0 >> 160_usize).wrapping_to::<u32>() << 8).cast_signed() >> 8;
        (slot0 & (U256::MAX >> 96_usize), tick, slot(4 + self.shift).to())
    }
}

fn concentrated(state: &Pool) -> Concentrated {
    let Pool::Concentrated(pool) = state else { panic!("{state:?} has no ranges") };
    *pool
}

/// What a `Swap` log says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) direction: Direction,
    pub(super) amount_in: u128,
    pub(super) amount_out: u128,
    pub(super) sqrt_price: U256,
    pub(super) liquidity: u128,
    pub(super) tick: i32,
}

impl Said {
    /// Reads a swap of V3's shape; `None` if nothing moved.
    pub(super) fn of(log: &LogRow) -> Option<Self> {
        let Swap { paid, given, .. } = Swap::of(log).filter(|swap| swap.shape == Shape::V3)?;
        let direction =
            if paid[0] > 0 || given[1] > 0 { Direction::ZeroForOne } else { Direction::OneForZero };
        let (side_in, side_out) = (direction.index_in(), direction.index_out());
        let (amount_in, amount_out) = (paid[side_in], given[side_out]);
        if paid[side_out] > 0 || given[side_in] > 0 || (amount_in, amount_out) == (0, 0) {
            return None;
        }
        Some(Self {
            direction,
            amount_in,
            amount_out,
            sqrt_price: word(log, 2)?,
            liquidity: word(log, 3)?.try_into().ok()?,
            tick: word(log, 4)?.wrapping_to::<u32>().cast_signed(),
        })
    }

    /// What the engine makes of it on this state: an exact input, an exact output, or a swap that
    /// stopped at its price; `None` where what is known ends.
    pub(super) fn judge(
        &self,
        pool: &Concentrated,
        ticks: Ticks<'_>,
    ) -> Option<Result<(), String>> {
        let Self { direction, amount_in, amount_out, .. } = *self;
        let view = PoolView { pool: &Pool::from(*pool), ticks };
        let stopped = pool.is_ahead(self.sqrt_price, direction).then(|| {
            let exact = Exact::In(u128::MAX >> 1);
            pool.swap_to(ticks, exact, direction, self.sqrt_price)
        });
        let found = [
            view.swap_in(amount_in, direction),
            view.swap_out(amount_out, direction),
            stopped.flatten().map(|stopped| Swapped {
                amount_in: stopped.amount_in,
                amount_out: stopped.amount_out,
                after: stopped.after.into(),
            }),
        ];
        let is_so = |swapped: &Swapped<Pool>| {
            let Pool::Concentrated(after) = swapped.after else { return false };
            let amounts = (swapped.amount_in, swapped.amount_out);
            let state = (after.sqrt_price(), after.liquidity(), after.tick());
            amounts == (amount_in, amount_out)
                && state == (self.sqrt_price, self.liquidity, self.tick)
        };
        if found.iter().flatten().any(is_so) {
            return Some(Ok(()));
        }
        // One of them may lead further than the swap did.
        let all = found.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Err(format!("{self:?}: engine {all:?}")))
    }
}

impl Said {
    /// Whether some other fee explains it: there are forks whose fee is not what they say.
    fn has_other_fee(&self, pool: &Concentrated, ticks: Ticks<'_>) -> bool {
        let mut fees = (0..=FEE_PIPS_MAX).filter(|fee| *fee != pool.fee_pips());
        fees.any(|fee_pips| {
            let other = Concentrated::new(&ConcentratedState { fee_pips, ..pool.state() });
            other.is_some_and(|other| self.judge(&other, ticks) == Some(Ok(())))
        })
    }
}

/// Whether a topic is that of a swap of V3's shape.
pub(super) fn is_swap(topic: Option<&B256>) -> bool {
    topic.is_some_and(|topic| [V3_SWAP, PANCAKE_V3_SWAP].contains(topic))
}

/// A block's pools of V3's shape, followed to its end.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Pools that were followed, and comparisons with the EVM.
    pub(super) pools: usize,
    pub(super) compared: usize,
    /// Swaps that were quoted to the wei, with the state after them.
    pub(super) exact: usize,
    /// Swaps of which nothing can be said, and why.
    pub(super) unknown: BTreeMap<String, usize>,
    pub(super) wrong: Vec<String>,
}

impl Ranges {
    /// Follows a block. It must have been run: what it reads is known then.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let mut ranges = Self::default();
        let (pools, mut lost) = pools_of(scene);
        ranges.pools = pools.len();
        let venues: Vec<Venue> = pools.iter().map(|pool| pool.venue.clone()).collect();
        let mut mirror = Mirror::new(scene.block, &venues);
        mirror.head();
        let mut replay = run_to(scene, 0);
        for tx in 0..scene.block.transactions.len() {
            replay.run_to(tx + 1).expect("it has run before");
            for log in logs_of(scene.block, tx) {
                if is_swap(log.topics.first()) {
                    ranges.judge(&mirror, log, &lost);
                }
                let before = mirror.world.contradicted();
                if mirror.try_log(log).is_none() {
                    lost.insert(log.address, "a log is not what its topic says".into());
                }
                if mirror.world.contradicted() > before {
                    ranges.contradict(log, &venues, &mut lost);
                }
            }
            let mut fork = replay.fork();
            for pool in pools.iter().filter(|pool| !lost.contains_key(&pool.venue.address)) {
                ranges.compare(tx, pool, &mut fork, &mirror);
            }
        }
        ranges
    }

    fn judge(&mut self, mirror: &Mirror<'_>, log: &LogRow, lost: &BTreeMap<Address, String>) {
        let mut leave = |reason: &str| *self.unknown.entry(reason.to_owned()).or_default() += 1;
        if let Some(reason) = lost.get(&log.address) {
            return leave(reason);
        }
        let Some(id) = mirror.pool(&log.address) else {
            return leave("it was no pool before the block");
        };
        let pool = concentrated(mirror.world.state(id));
        if Swap::of(log).is_none() {
            return leave("its log is not what its topic says");
        }
        let Some(said) = Said::of(log) else { return leave("it moved nothing") };
        match said.judge(&pool, mirror.world.pools.ticks(id)) {
            Some(Ok(())) => self.exact += 1,
            Some(Err(_)) if said.has_other_fee(&pool, mirror.world.pools.ticks(id)) => {
                leave("it is charged another fee than its pool says");
            }
            Some(Err(why)) => {
                let tx = log.transaction_index;
                self.wrong.push(format!("{} in transaction {tx}: {why}", log.address));
            }
            None => {
                // Where it went beyond them, the ticks there are not known either.
                leave("it leaves the ticks that are known");
            }
        }
    }

    /// A `Mint` or `Burn` cannot be applied: an error, unless its ends are not known.
    fn contradict(&mut self, log: &LogRow, venues: &[Venue], lost: &mut BTreeMap<Address, String>) {
        let is_liquidity = [V3_MINT, V3_BURN].contains(&log.topics[0]);
        let pool = venues.iter().find(|pool| pool.address == log.address);
        let known = pool.map_or([0; 2], |pool| pool.known);
        let ends = [2, 3].map(|place: usize| {
            let topic = log.topics.get(place).copied().unwrap_or_default();
            U256::from_be_bytes(topic.0).wrapping_to::<u32>().cast_signed()
        });
        let is_inside = ends.iter().all(|end| *end > known[0] && *end < known[1]);
        if is_liquidity && is_inside {
            self.wrong.push(format!("{}: liquidity between {ends:?} is contradicted", log.address));
        }
        lost.insert(log.address, "liquidity beyond the ticks that are known".into());
    }

    fn compare(&mut self, tx: usize, pool: &RangedPool, fork: &mut Fork<'_>, mirror: &Mirror<'_>) {
        let address = pool.venue.address;
        let Some(id) = mirror.pool(&address) else { return };
        let ours = concentrated(mirror.world.state(id));
        let held = (ours.sqrt_price(), ours.tick(), ours.liquidity());
        let evm = pool.read(fork);
        self.compared += 1;
        if held != evm {
            self.wrong.push(format!("{address} after transaction {tx}: {held:?}, the EVM {evm:?}"));
        }
    }
}

/// The contracts of a block that write swaps of V3's shape, as they are before it; and those that
/// are not followed, with the reason.
fn pools_of(scene: &Scene<'_>) -> (Vec<RangedPool>, BTreeMap<Address, String>) {
    let swaps = scene.block.logs.iter().filter(|log| is_swap(log.topics.first()));
    let addresses: BTreeSet<Address> = swaps.map(|log| log.address).collect();
    let mut fork = run_to(scene, 0).fork();
    let (mut pools, mut unknown) = (vec![], BTreeMap::new());
    for address in addresses {
        match RangedPool::look(&mut fork, address) {
            Ok(pool) => pools.push(pool),
            Err(Because(reason)) => {
                unknown.insert(address, reason);
            }
        }
    }
    (pools, unknown)
}
