//! Whether the finder sees an arbitrage that somebody made, and what it pays.
//!
//! ```text
//! state right before it ─► its pools ─► Searcher ─► executor in the EVM, or the exact quote
//!                                          ▲                    │
//!                                          └─── again, if it was not all
//! ```
//!
//! The finder has the trader's pools and no others. A trader who took several cycles at once is
//! matched by several, one after another. A token that arrives in part must not be traded, so such
//! an arbitrage is refused.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use gannet_engine::amm::{Amm as _, ConstantProduct, Ticks};
use gannet_engine::ids::Direction;
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::search::{Found, SearchLimits, Searcher, native_value};
use gannet_engine::world::World;

use super::arbitrages::Arbitrage;
use super::desk::{Desk, transfer};
use super::swaps::{Shape, Swap, Transfer, sync};
use crate::evm::Fork;
use crate::recording::rows::LogRow;
use crate::venue::{Because, Setting, Venue, world};

/// A trader's cycles are taken one after another, but not for ever.
const ROUNDS_MAX: usize = 8;
/// The fee of most pairs, in pips, and the step in which factories choose other ones.
const FEE_PIPS: u32 = 3_000;
const FEE_STEP: u32 = 100;

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Hunt {
    /// The token that profits are compared in.
    pub(crate) profit_token: Address,
    /// Whether a cycle over its pools was found; none if their state is not known.
    pub(crate) is_seen: Option<bool>,
    /// What our cycles pay, in the profit token's smallest unit.
    pub(crate) our_profit: Option<u128>,
    /// Whether that was paid by the executor in the EVM, or is quoted.
    pub(crate) is_executed: bool,
    /// Why it is less than the trader's, or nothing.
    pub(crate) why_not: Option<String>,
}

/// What is hunted, and how.
struct Chase<'a> {
    item: &'a Arbitrage,
    setting: Setting<'a>,
    base: [Address; 1],
}

impl<'a> Chase<'a> {
    fn new(item: &'a Arbitrage, setting: &Setting<'a>) -> Self {
        let base = [item.base(setting.chain.wrapped_native)];
        Self { item, setting: *setting, base }
    }

    fn world(&self, venues: &[Venue]) -> Result<World, Because> {
        world(venues, &Setting { bases: &self.base, ..self.setting })
    }

    /// The recorded profit in the base token, with what else was left over at the pools' prices.
    fn recorded(&self, world: &World) -> Result<u128, Because> {
        let unpriced = || Because("a profit in a token of no pool".into());
        let mut sum = 0_u128;
        for (token, amount) in &self.item.gross_profit {
            let [base, token] = [&self.base[0], token].map(|token| world.tokens.id_of(token));
            let (base, token) = base.zip(token).ok_or_else(unpriced)?;
            // What is too little for any pool to give something is worth nothing.
            let worth = native_value(&world.pools, base, token, *amount).unwrap_or(0);
            sum = sum.saturating_add(worth);
        }
        Ok(sum)
    }

    /// Takes cycles until they pay what the trader made.
    fn run(
        &self,
        mut venues: Vec<Venue>,
        hunt: &mut Hunt,
        mut take: impl FnMut(&World, &Found, &mut [Venue]) -> Result<Result<u128, String>, Because>,
    ) -> Result<(), Because> {
        let mut world = self.world(&venues)?;
        let recorded = self.recorded(&world)?;
        let mut ours = 0_u128;
        for _round in 0..ROUNDS_MAX {
            let Some(best) = cycles(&world).into_iter().max_by_key(|found| found.profit) else {
                hunt.is_seen = Some(hunt.is_seen.unwrap_or(false));
                break;
            };
            hunt.is_seen = Some(true);
            match take(&world, &best, &mut venues)? {
                Ok(profit) => ours = ours.saturating_add(profit),
                Err(error) => {
                    hunt.why_not = Some(format!("the executor reverts: {error}"));
                    break;
                }
            }
            hunt.our_profit = Some(ours);
            if ours >= recorded {
                return Ok(());
            }
            world = self.world(&venues)?;
        }
        if hunt.why_not.is_none() {
            let legs = self.item.swaps.len();
            hunt.why_not = Some(if legs > HOPS_MAX {
                format!("it has {legs} swaps; cycles of ours have at most {HOPS_MAX}")
            } else {
                format!("no further cycle pays; the trader took {recorded}")
            });
        }
        Ok(())
    }
}

/// Every cycle that the finder sees in a world.
pub(super) fn cycles(world: &World) -> Vec<Found> {
    let mut searcher = Searcher::new(&world.pools, &world.bases, world.native, HOPS_MAX);
    let mut cycles = vec![];
    let pools = world.pools.ids();
    searcher.search(&world.pools, pools, &SearchLimits::NONE, &mut |found| cycles.push(*found));
    cycles
}

impl Hunt {
    const fn open(chase: &Chase<'_>) -> Self {
        Self {
            profit_token: chase.base[0],
            is_seen: None,
            our_profit: None,
            is_executed: false,
            why_not: None,
        }
    }

    /// Hunts on the state right before the arbitrage; what pays is executed.
    pub(crate) fn on_state(item: &Arbitrage, fork: Fork<'_>, setting: &Setting<'_>) -> Self {
        let chase = Chase::new(item, setting);
        let mut hunt = Self::open(&chase);
        if let Err(Because(why)) = hunt.execute(&chase, fork) {
            hunt.why_not = Some(why);
        }
        hunt.is_executed &= hunt.our_profit.is_some();
        hunt
    }

    fn execute(&mut self, chase: &Chase<'_>, mut fork: Fork<'_>) -> Result<(), Because> {
        let pools = chase.item.pools();
        let venues = pools.iter().map(|pool| Venue::look(&mut fork, *pool));
        let venues: Vec<Venue> = venues.collect::<Result<_, _>>()?;
        if let Some(reason) = lossy(&mut fork, &way(chase.item, &venues))? {
            let world = chase.world(&venues)?;
            self.is_seen = Some(!cycles(&world).is_empty());
            self.why_not = Some(format!("refused, for a token arrives in part: {reason}"));
            return Ok(());
        }
        let mut desk = Desk::new(fork, chase.setting.chain.wrapped_native)?;
        // Whatever comes after it, what was paid was paid in the EVM.
        self.is_executed = true;
        chase.run(venues, self, |world, found, venues| {
            let cycle = (found.profit_token, found.amount_in, found.legs());
            let paid = desk.execute(world, cycle, found.profit)?.profit;
            for venue in venues.iter_mut().filter(|_| paid.is_ok()) {
                *venue = venue.again(&mut desk.fork)?;
            }
            Ok(paid)
        })
    }

    /// Hunts on what the logs of its own transaction say of the state before it; what pays is
    /// quoted.
    pub(crate) fn on_logs(
        item: &Arbitrage,
        logs: &[LogRow],
        tokens: &BTreeMap<Address, [Address; 2]>,
        setting: &Setting<'_>,
    ) -> Self {
        let chase = Chase::new(item, setting);
        let mut hunt = Self::open(&chase);
        if let Err(Because(why)) = hunt.quote(&chase, logs, tokens) {
            hunt.why_not = Some(why);
        }
        hunt
    }

    fn quote(
        &mut self,
        chase: &Chase<'_>,
        logs: &[LogRow],
        tokens: &BTreeMap<Address, [Address; 2]>,
    ) -> Result<(), Because> {
        let pools = chase.item.pools();
        let venues = pools.iter().map(|pool| before(*pool, logs, tokens));
        let venues: Vec<Venue> = venues.collect::<Result<_, _>>()?;
        let transfers: Vec<Transfer> = logs.iter().filter_map(Transfer::of).collect();
        if let Some(reason) = lossy_by_logs(chase.item, &venues, &transfers) {
            let world = chase.world(&venues)?;
            self.is_seen = Some(!cycles(&world).is_empty());
            self.why_not = Some(format!("refused, for a token arrives in part: {reason}"));
            return Ok(());
        }
        chase.run(venues, self, |world, found, venues| {
            for leg in found.legs() {
                let address = world.pools.get(leg.pool).address;
                let venue = venues.iter_mut().find(|venue| venue.address == address);
                let ticks = Ticks::NONE;
                let moved = venue
                    .as_ref()
                    .and_then(|venue| venue.state.swap_in(ticks, leg.amount_in, leg.direction));
                let (Some(venue), Some(moved)) = (venue, moved) else {
                    return Err(Because("a quote does not hold".into()));
                };
                venue.state = moved.after;
            }
            Ok(Ok(found.profit))
        })
    }
}

/// A pair right before its first swap in a transaction: what its `Sync` says, less what was paid,
/// and what was given. Its fee is not in the logs: it is the highest one up to that of most pairs
/// which allows the swap, so quotes are at most what the pair really pays.
fn before(
    pool: Address,
    logs: &[LogRow],
    tokens: &BTreeMap<Address, [Address; 2]>,
) -> Result<Venue, Because> {
    let unknown = |what: &str| Because(format!("{pool}: {what}"));
    let pair = tokens.get(&pool).ok_or_else(|| unknown("its tokens are not in the logs"))?;
    let mut own = logs.iter().filter(|log| log.address == pool);
    let after = own.find_map(sync);
    let swap = own.next().and_then(Swap::of).filter(|swap| swap.shape == Shape::V2);
    let (Some(after), Some(swap)) = (after, swap) else {
        return Err(unknown("its state is not in the logs"));
    };
    let earlier =
        |side: usize| after[side].checked_add(swap.given[side])?.checked_sub(swap.paid[side]);
    let (Some(reserve0), Some(reserve1)) = (earlier(0), earlier(1)) else {
        return Err(unknown("its logs contradict each other"));
    };
    let reserves = [reserve0, reserve1];
    let side = swap.side_in().ok_or_else(|| unknown("its swap does not go one way"))?;
    let way = if side == 0 { Direction::ZeroForOne } else { Direction::OneForZero };
    let allows = |fee: &u32| {
        let quote = ConstantProduct::new(reserves, *fee)
            .and_then(|pair| pair.quote_out(Ticks::NONE, swap.paid[side], way));
        quote >= Some(swap.given[1 - side])
    };
    let mut fees = (0..=FEE_PIPS / FEE_STEP).rev().map(|step| step * FEE_STEP);
    let fee = fees.find(allows).ok_or_else(|| unknown("its swap gives more than the formula"))?;
    Venue::pair(pool, *pair, reserves, fee)
}

/// What a trader's swaps paid out, to each of the pools that could have been next.
fn way(item: &Arbitrage, venues: &[Venue]) -> Vec<(Address, [Address; 2], u128)> {
    let mut way = vec![];
    for swap in &item.swaps {
        let Some(side) = swap.side_in() else { continue };
        let Some(from) = venues.iter().find(|venue| venue.address == swap.pool) else { continue };
        let token = from.tokens[1 - side];
        let next = venues.iter().filter(|to| to.address != swap.pool);
        let next = next.filter(|to| to.tokens.contains(&token));
        way.extend(next.map(|to| (token, [swap.pool, to.address], swap.given[1 - side])));
    }
    way
}

/// A token that does not arrive in full, and the proof.
pub(super) fn lossy(
    fork: &mut Fork<'_>,
    way: &[(Address, [Address; 2], u128)],
) -> Result<Option<String>, Because> {
    for (token, [from, to], amount) in way {
        let mut fork = fork.clone();
        let (arrived, error) = transfer(&mut fork, *token, (*from, *to), *amount)?;
        if arrived < U256::from(*amount) {
            let error = error.map(|error| format!(" ({error})")).unwrap_or_default();
            return Ok(Some(format!("of {amount} {token} arrive {arrived}{error}")));
        }
    }
    Ok(None)
}

/// The same by the transfers of the transaction itself: a pool was sent a token, and saw less.
fn lossy_by_logs(item: &Arbitrage, venues: &[Venue], transfers: &[Transfer]) -> Option<String> {
    item.swaps.iter().find_map(|swap| {
        let side = swap.side_in()?;
        let venue = venues.iter().find(|venue| venue.address == swap.pool)?;
        let (token, seen) = (venue.tokens[side], U256::from(swap.paid[side]));
        let mut sent = transfers.iter().filter(|sent| sent.token == token && sent.to == swap.pool);
        let sent = sent.next().filter(|sent| sent.amount > seen)?;
        Some(format!("of {} {token} arrive {seen}", sent.amount))
    })
}
