//! The arbitrages that traders made, by the ground truth and by the logs; and whether every cycle
//! that the finder sees pays what it promised, when the executor takes it in the EVM.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use alloy_primitives::{Address, B256, U256};
use gannet_engine::amm::Pool;
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::search::Found;
use gannet_engine::world::World;
use serde::Deserialize;

use super::blocks::{each_block, run_to};
use super::mirror::{WETH, reserves_of, world_of};
use super::ranged::RangedPool;
use super::shaped::{Kind, LaidOut};
use crate::backtest::arbitrages::{Arbitrage, arbitrages};
use crate::backtest::desk::{Desk, balance};
use crate::backtest::forensics::known_tokens;
use crate::backtest::hunt::{Hunt, cycles, lossy};
use crate::evm::{Fork, Scene};
use crate::recording::RecordedBlock;
use crate::venue::{Because, Venue};

/// How the reason begins why an arbitrage must not be made.
pub(super) const REFUSED: &str = "refused, for a token arrives in part";

/// What really happened in the blocks.
#[derive(Deserialize)]
pub(super) struct GroundTruth {
    cyclic_arbitrage: Arbitrages,
    pub(super) liquidations: Vec<Liquidated>,
}

#[derive(Deserialize)]
struct Arbitrages {
    items: Vec<Made>,
}

/// An arbitrage that a trader made.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Made {
    pub(super) block_number: u64,
    pub(super) tx_index: u32,
    transaction_hash: B256,
    /// By token, before gas and what the block's producer was paid.
    pub(super) gross_profit: BTreeMap<Address, u128>,
    swaps: Vec<Through>,
    /// Whether its block can be run.
    pub(super) has_full_prestate: bool,
}

/// A trader's swap.
#[derive(Clone, Debug, Deserialize)]
struct Through {
    pool: Address,
}

/// A liquidation; the names of some fields differ from protocol to protocol.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Liquidated {
    pub(super) block_number: u64,
    pub(super) tx_index: u32,
    pub(super) transaction_hash: B256,
    pub(super) log_index: u32,
    pub(super) protocol: String,
    pub(super) contract: Address,
    /// Where the log names it.
    pub(super) debt_asset: Option<Address>,
    #[serde(alias = "ctoken_collateral")]
    pub(super) collateral_asset: Address,
    #[serde(alias = "borrower")]
    pub(super) user: Address,
    pub(super) liquidator: Address,
    #[serde(alias = "purchase_amount", alias = "repay_amount")]
    pub(super) debt_to_cover: u128,
    #[serde(alias = "seize_tokens")]
    pub(super) liquidated_collateral: u128,
}

/// What tells an arbitrage from all others: where it is, its pools in order, and what it made.
pub(super) type Told = ((u64, u32), B256, Vec<Address>, BTreeMap<Address, u128>);

impl GroundTruth {
    pub(super) fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join("ground_truth.json")).expect("the ground truth");
        serde_json::from_slice(&text).expect("the ground truth's layout")
    }

    /// The arbitrages, in order.
    pub(super) fn arbitrages(&self) -> Vec<&Made> {
        let mut items: Vec<_> = self.cyclic_arbitrage.items.iter().collect();
        items.sort_by_key(|item| (item.block_number, item.tx_index));
        items
    }
}

impl Made {
    pub(super) fn told(&self) -> Told {
        let mut pools = vec![];
        for swap in &self.swaps {
            if !pools.contains(&swap.pool) {
                pools.push(swap.pool);
            }
        }
        let place = (self.block_number, self.tx_index);
        (place, self.transaction_hash, pools, self.gross_profit.clone())
    }
}

/// The arbitrages of a block, by its logs. The block must have been run: what it reads is known
/// then.
fn arbitrages_of(scene: &Scene<'_>) -> Vec<Arbitrage> {
    let mut fork = run_to(scene, scene.block.transactions.len()).fork();
    let tokens = known_tokens(scene.block, Some(&mut fork));
    arbitrages(&scene.block.logs, &tokens)
}

/// Visits each arbitrage, on the state right before it.
pub(super) fn each_arbitrage(
    folder: &Path,
    mut visit: impl FnMut(&RecordedBlock, &Arbitrage, Fork<'_>),
) {
    each_block(folder, |scene| {
        for item in arbitrages_of(scene) {
            let fork = run_to(scene, item.tx_index as usize).fork();
            visit(scene.block, &item, fork);
        }
    });
}

/// Its pools, in the order in which they were swapped through; or why not all are known.
pub(super) fn venues_of(item: &Arbitrage, fork: &mut Fork<'_>) -> Result<Vec<Venue>, Because> {
    item.pools().into_iter().map(|pool| Venue::look(fork, pool)).collect()
}

/// What its pools are, for people.
pub(super) fn kinds_of(item: &Arbitrage, fork: &mut Fork<'_>) -> String {
    let mut kind = |pool| match Venue::look(fork, pool) {
        Ok(Venue { state: Pool::ConstantProduct(pair), address, .. }) => {
            let layout = LaidOut::look(fork, address).expect("it was looked at").layout;
            Kind(pair.fee_pips(), layout).to_string()
        }
        Ok(_) => RangedPool::look(fork, pool).expect("it was looked at").name(),
        Err(_) => "not known".into(),
    };
    item.pools().into_iter().map(&mut kind).collect::<Vec<_>>().join(", ")
}

/// What came of a hunt, for people; and whether it fell short.
pub(super) fn verdict(item: &Arbitrage, hunt: &Hunt) -> (String, bool) {
    let least = item.gross_profit.get(&hunt.profit_token).copied();
    match &hunt.why_not {
        None if hunt.is_executed && hunt.our_profit >= least => ("matched".into(), false),
        None => ("SHORT: less than the trader's in the same token".into(), true),
        Some(why) if why.starts_with(REFUSED) => (why.clone(), false),
        Some(_) if item.swaps.len() > HOPS_MAX => ("longer than the finder's cycles".into(), false),
        Some(why) if hunt.is_seen.is_none() => (format!("unknown: {why}"), false),
        Some(why) => (format!("SHORT: {why}"), true),
    }
}

/// How the cycles through these pools end if they are taken whatever their tokens do.
pub(super) fn ends(block: &RecordedBlock, venues: &[Venue], fork: &Fork<'_>) -> Vec<String> {
    let world = world_of(block, venues);
    let end = |found: &Found| match take(fork, &world, found) {
        Ok(Ok(profit)) => format!("it pays {profit}"),
        Ok(Err(error)) => format!("it reverts ({error})"),
        Err(Because(unknown)) => format!("nobody knows: {unknown}"),
    };
    cycles(&world).iter().map(end).collect()
}

/// Whether the finder sees no cycle through these pools once those that hold `token` are in
/// quarantine.
pub(super) fn is_left_alone(block: &RecordedBlock, venues: &[Venue], token: Address) -> bool {
    let mut world = world_of(block, venues);
    for venue in venues {
        let pool = world.pools.id_of(&venue.address).expect("it was put in");
        world.pools.entry_mut(pool).is_quarantined = venue.tokens.contains(&token);
    }
    cycles(&world).is_empty()
}

/// Takes a cycle for no less than what was promised, on a copy of the state; what it paid, or the
/// error that it reverted with.
fn take(fork: &Fork<'_>, world: &World, found: &Found) -> Result<Result<u128, String>, Because> {
    let cycle = (found.profit_token, found.amount_in, found.legs());
    let paid = Desk::new(fork.clone(), WETH)?.execute(world, cycle, found.profit)?;
    Ok(paid.profit)
}

/// What became of the cycles that the finder saw in a block, after any of its transactions.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Paid what was promised, to the wei.
    pub(super) exact: usize,
    /// Reverted, because a token arrives in part, or a pair has less than it says.
    pub(super) lossy: BTreeMap<String, usize>,
    pub(super) unknown: BTreeMap<Because, usize>,
    /// Paid something else, or reverted for no reason that shows.
    pub(super) wrong: Vec<String>,
}

impl Survey {
    /// Runs a block, and takes every cycle through its pairs that the finder sees after each
    /// transaction, each on a fork of its own.
    pub(super) fn new(scene: &Scene<'_>, mut venues: Vec<Venue>) -> Self {
        let mut survey = Self::default();
        let mut replay = run_to(scene, 0);
        while replay.done < scene.block.transactions.len() {
            replay.step().expect("it has run before");
            let mut fork = replay.fork();
            for venue in &mut venues {
                if let Ok(seen) = venue.again(&mut fork) {
                    *venue = seen;
                }
            }
            let world = world_of(scene.block, &venues);
            for found in cycles(&world) {
                if let Err(reason) = survey.judge(&world, &fork, &found) {
                    *survey.unknown.entry(reason).or_default() += 1;
                }
            }
        }
        survey
    }

    fn judge(&mut self, world: &World, fork: &Fork<'_>, found: &Found) -> Result<(), Because> {
        let error = match take(fork, world, found)? {
            Ok(profit) if profit == found.profit => {
                self.exact += 1;
                return Ok(());
            }
            Ok(profit) => format!("paid {profit}"),
            Err(error) => error,
        };
        let hops = found.legs().windows(2).map(|hop| {
            let [from, to] = [0, 1].map(|leg| world.pools.get(hop[leg].pool));
            let token = from.tokens[hop[0].direction.index_out()];
            let token = world.tokens.get(token).address;
            (token, [from.address, to.address], hop[0].amount_out)
        });
        let mut fork = fork.clone();
        let reason = match lossy(&mut fork, &hops.collect::<Vec<_>>())? {
            Some(reason) => Some(reason),
            None => deficit(&mut fork, world, found)?,
        };
        match reason {
            Some(reason) => *self.lossy.entry(reason).or_default() += 1,
            None => self.wrong.push(format!("{error}: {found:?}")),
        }
        Ok(())
    }
}

/// A pair of a cycle that has less of a token than its reserves say, as where a token shrinks.
fn deficit(fork: &mut Fork<'_>, world: &World, found: &Found) -> Result<Option<String>, Because> {
    for pool in found.legs().iter().map(|leg| world.pools.get(leg.pool)) {
        for (token, reserve) in pool.tokens.into_iter().zip(reserves_of(&pool.state)) {
            let token = world.tokens.get(token).address;
            let held = balance(fork, token, pool.address)?;
            if held < U256::from(reserve) {
                let pair = pool.address;
                return Ok(Some(format!("{pair} has {held} of {reserve} {token}")));
            }
        }
    }
    Ok(None)
}
