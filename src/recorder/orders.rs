//! Orders of the shell to the engine, as they are kept in a recording.
//!
//! Cycle indexes are not kept: they follow from the pools, and are built anew. Loans that a reload
//! brings are not kept either, and such a reload is an input that is lost.
//!
//! Temperature: cold.

use std::borrow::Cow;

use alloy_primitives::{Address, B256, U256};
use anyhow::{Context as _, Result, anyhow};
use gannet_engine::amm::{
    Concentrated, ConcentratedState, ConstantProduct, Pool, Solidly, SolidlyState, Tick,
};
use gannet_engine::growth::Growth;
use gannet_engine::ids::{FactoryId, PoolId, TokenId};
use gannet_engine::input::{Command, Loaded, Reloaded};
use gannet_engine::lending::aave::RESERVES_MAX;
use gannet_engine::loans::Loans;
use gannet_engine::loans::reread::Reread;
use gannet_engine::search::Tables;
use gannet_engine::search::cycles::Graph;
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::audit::{Drift, Sample};
use gannet_engine::world::pools::{PairIndex, PoolEntry};
use gannet_engine::world::{BlockRef, Standing, Tip, Tried, World};
use serde::{Deserialize, Serialize};

/// A pool's state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum State {
    Pair { reserves: [u128; 2], fee_pips: u32 },
    Concentrated { price: U256, tick: i32, liquidity: u128, fee_pips: u32, spacing: i32 },
    Solidly { reserves: [u128; 2], decimals: [u8; 2], fee_pips: u32, is_stable: bool },
}

impl From<&Pool> for State {
    fn from(pool: &Pool) -> Self {
        match pool {
            Pool::ConstantProduct(pool) => {
                Self::Pair { reserves: pool.reserves(), fee_pips: pool.fee_pips() }
            }
            Pool::Concentrated(pool) => {
                let ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing } =
                    pool.state();
                let (price, spacing) = (sqrt_price, tick_spacing);
                Self::Concentrated { price, tick, liquidity, fee_pips, spacing }
            }
            Pool::Solidly(pool) => {
                let SolidlyState { reserves, decimals, fee_pips, is_stable } = pool.state();
                Self::Solidly { reserves, decimals, fee_pips, is_stable }
            }
        }
    }
}

impl State {
    fn pool(self) -> Result<Pool> {
        let pool = match self {
            Self::Pair { reserves, fee_pips } => {
                ConstantProduct::new(reserves, fee_pips).map(Pool::from)
            }
            Self::Concentrated { price, tick, liquidity, fee_pips, spacing } => {
                let (sqrt_price, tick_spacing) = (price, spacing);
                let state =
                    ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing };
                Concentrated::new(&state).map(Pool::from)
            }
            Self::Solidly { reserves, decimals, fee_pips, is_stable } => {
                let state = SolidlyState { reserves, decimals, fee_pips, is_stable };
                Solidly::new(&state).map(Pool::from)
            }
        };
        pool.ok_or_else(|| anyhow!("a pool is in a state that its kind cannot have"))
    }
}

/// A block's height, hash, time and the next base fee.
pub(super) type KeptTip = (u64, B256, u64, u128);

pub(super) const fn kept_tip(tip: &Tip) -> KeptTip {
    (tip.number.0, tip.hash, tip.timestamp, tip.next_base_fee.0)
}

pub(super) const fn tip_of((number, hash, timestamp, fee): KeptTip) -> Tip {
    Tip { number: BlockNumber(number), hash, timestamp, next_base_fee: Wei(fee) }
}

/// A pool with its ticks.
type KeptPool = (State, Vec<Tick>);

fn loaded((state, ticks): KeptPool) -> Result<Loaded> {
    Ok(Loaded { state: state.pool()?, ticks })
}

/// An order.
#[derive(Debug, Serialize, Deserialize)]
enum Order<'a> {
    Drain,
    Halt(bool),
    Reload { anchor: KeptTip, pools: Vec<KeptPool>, unread: Vec<u32> },
    Admit { pools: Vec<(u32, u8)>, transfers: Vec<(u32, u32)> },
    Drift(Box<KeptDrift>),
    Grow { follows: [usize; 2], tokens: Vec<(Address, u8)>, pools: Vec<New>, base_fee: u128 },
    Lend(Cow<'a, Reread>),
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptDrift {
    block: (u64, B256),
    pool: u32,
    version: u32,
    state: State,
    word: i16,
    ticks: u64,
    is_quarantined: bool,
    chain: Option<KeptPool>,
}

/// A pool that is taken in.
#[derive(Debug, Serialize, Deserialize)]
struct New {
    address: Address,
    factory: u8,
    tokens: [u32; 2],
    state: State,
    ticks: Vec<Tick>,
}

/// An order as bytes; `None` if it cannot be kept.
pub(super) fn write(order: &Command) -> Option<Vec<u8>> {
    let order = match order {
        // It comes once a block, and whoever it makes liquidatable waits for this: no copy is made.
        Command::Lend(read) => Order::Lend(Cow::Borrowed(read)),
        Command::Drain => Order::Drain,
        Command::Halt(is_halted) => Order::Halt(*is_halted),
        Command::Reload(reloaded) => {
            // Not the loans, all tables of all books: what the node was asked for them is not at
            // hand here. [`is_partial`] says so.
            let Reloaded { anchor, pools, unread, .. } = &**reloaded;
            let pools = pools.iter().map(|pool| (State::from(&pool.state), pool.ticks.clone()));
            let unread = unread.iter().map(|pool| pool.0).collect();
            Order::Reload { anchor: kept_tip(anchor), pools: pools.collect(), unread }
        }
        Command::Admit(tried) => {
            let pools = tried.pools.iter().map(|(pool, standing)| (pool.0, *standing as u8));
            let transfers = tried.transfers.iter().map(|(token, gas)| (token.0, *gas));
            Order::Admit { pools: pools.collect(), transfers: transfers.collect() }
        }
        Command::Drift(drift) => Order::Drift(Box::new(kept_drift(drift))),
        Command::Grow(growth) => {
            let new = |(entry, ticks): &(PoolEntry, Vec<Tick>)| New {
                address: entry.address,
                factory: entry.factory.0,
                tokens: entry.tokens.map(|token| token.0),
                state: State::from(&entry.chain),
                ticks: ticks.clone(),
            };
            let pools = growth.pools.iter().map(new).collect();
            let Growth { follows, tokens, base_fee, .. } = &**growth;
            let tokens = tokens.clone();
            Order::Grow { follows: *follows, tokens, pools, base_fee: base_fee.0 }
        }
    };
    postcard::to_stdvec(&order).ok()
}

/// Whether an order is kept without a part of it.
pub(super) fn is_partial(order: &Command) -> bool {
    matches!(order, Command::Reload(reloaded) if reloaded.loans.is_some())
}

fn kept_drift(drift: &Drift) -> KeptDrift {
    let Drift { sample, chain } = drift;
    KeptDrift {
        block: (sample.block.number.0, sample.block.hash),
        pool: sample.pool.0,
        version: sample.version,
        state: State::from(&sample.chain),
        word: sample.word,
        ticks: sample.ticks,
        is_quarantined: sample.is_quarantined,
        chain: chain.as_ref().map(|pool| (State::from(&pool.state), pool.ticks.clone())),
    }
}

/// An order out of its bytes. `hops` are the longest cycles that the strategies search for.
pub(super) fn read(bytes: &[u8], world: &World, hops: &[usize]) -> Result<Command> {
    let order: Order<'_> = postcard::from_bytes(bytes).context("an order cannot be read")?;
    Ok(match order {
        Order::Drain => Command::Drain,
        Order::Halt(is_halted) => Command::Halt(is_halted),
        Order::Reload { anchor, pools, unread } => {
            let pools = pools.into_iter().map(loaded).collect::<Result<_>>()?;
            let unread = unread.into_iter().map(PoolId).collect();
            Command::Reload(Box::new(Reloaded {
                anchor: tip_of(anchor),
                pools,
                unread,
                // What they were by then is not known: nobody is liquidated from here on.
                loans: (!world.loans.is_empty()).then(Loans::none),
            }))
        }
        Order::Admit { pools, transfers } => {
            let standing = |(pool, number): (u32, u8)| {
                let found = Standing::ALL.into_iter().find(|found| *found as u8 == number);
                found.map(|found| (PoolId(pool), found)).context("a standing that there is not")
            };
            let pools = pools.into_iter().map(standing).collect::<Result<_>>()?;
            let transfers = transfers.into_iter().map(|(token, gas)| (TokenId(token), gas));
            Command::Admit(Box::new(Tried { pools, transfers: transfers.collect() }))
        }
        Order::Drift(kept) => Command::Drift(Box::new(drift(*kept)?)),
        Order::Grow { follows, tokens, pools, base_fee } => {
            Command::Grow(Box::new(growth((follows, tokens, pools), Wei(base_fee), world, hops)?))
        }
        Order::Lend(read) => Command::Lend(Box::new(of_these(read.into_owned(), &world.loans))),
    })
}

/// What was read of prices and reserves that these loans have: a backtest may fly without any.
fn of_these(mut read: Reread, loans: &Loans) -> Reread {
    let (prices, feeds) = (loans.prices.price_count(), loans.prices.feeds().count());
    read.prices.retain(|(price, _)| price.0 < prices);
    read.feeds.retain(|(feed, ..)| feed.index() < feeds);
    for (_, account) in &mut read.accounts {
        account.entries.retain(|entry| entry.reserve < RESERVES_MAX);
    }
    read
}

fn drift(kept: KeptDrift) -> Result<Drift> {
    let (number, hash) = kept.block;
    let sample = Sample {
        block: BlockRef { number: BlockNumber(number), hash },
        pool: PoolId(kept.pool),
        version: kept.version,
        chain: kept.state.pool()?,
        word: kept.word,
        ticks: kept.ticks,
        is_quarantined: kept.is_quarantined,
    };
    Ok(Drift { sample, chain: kept.chain.map(loaded).transpose()? })
}

fn growth(
    (follows, tokens, new): ([usize; 2], Vec<(Address, u8)>, Vec<New>),
    base_fee: Wei,
    world: &World,
    hops: &[usize],
) -> Result<Growth> {
    let mut pools = Vec::new();
    for New { address, factory, tokens, state, ticks } in new {
        let pair = tokens.map(TokenId);
        pools.push((PoolEntry::new(address, FactoryId(factory), pair, state.pool()?), ticks));
    }
    let held = world.pools.ids().iter().map(|id| world.pools.get(*id).tokens);
    let all: Vec<_> = held.chain(pools.iter().map(|(entry, _)| entry.tokens)).collect();
    let table = |hops: &usize| {
        let graph = Graph::new(all.clone(), &world.bases, world.native, *hops);
        Some(Box::new(Tables::build(&graph.paying_gas(base_fee))))
    };
    let tables = hops.iter().map(table).collect();
    let pairs = PairIndex::build(&all);
    Ok(Growth { follows, tokens, pools, pairs, tables, base_fee, outcome: None })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::I256;
    use gannet_engine::lending::price::{FeedId, PriceId};
    use gannet_engine::lending::{aave, comet, morpho};
    use gannet_engine::loans::reread::{Account, CometAccount, CometTotals, VaultState};
    use gannet_engine::loans::source::{Sender, Source};
    use gannet_engine::world::pools::PoolTable;

    use super::*;
    use crate::fixture;

    /// A world whose loans have so many prices, and as many feeds.
    fn world(prices: u16) -> World {
        let mut world = fixture::world(1, PoolTable::new(1, 0), 0);
        drop(world.lend(Loans::new(fixture::prices(prices), Vec::new(), Vec::new())));
        world
    }

    /// Something of everything.
    fn reread() -> Reread {
        let (user, name) = (Address::repeat_byte(2), B256::repeat_byte(3));
        let entry = aave::Entry { collateral: u128::MAX, debt: 5, reserve: 6, is_collateral: true };
        let account = Account { user, category: 7, entries: vec![entry] };
        let total = morpho::Total { assets: 8, shares: 9 };
        let market = morpho::Market {
            supply: total,
            borrow: total,
            last_update: 10,
            fee: 11,
            rate_at_target: 12,
            lltv: 13,
            irm: morpho::Irm::AdaptiveCurve,
        };
        let position = morpho::Position { borrow_shares: 14, collateral: 15 };
        let balances = vec![u128::MAX, 20];
        let debtor = CometAccount { owner: user, principal: i128::MIN, assets_in: 21, balances };
        let totals = comet::Totals { borrow: u128::MAX, pause: 22, ..comet::Totals::default() };
        let of_market = CometTotals { totals, stocks: vec![(23, u128::MAX)] };
        let sender = Sender { contract: Address::repeat_byte(16), account: user };
        let bounds = [I256::MINUS_ONE, I256::MAX];
        let senders = vec![sender; 3];
        Reread {
            block: Some(BlockRef { number: BlockNumber(17), hash: name }),
            accounts: vec![(0, account)],
            reserves: vec![(1, 18, 19)],
            markets: vec![(2, name, market)],
            positions: vec![(2, name, user, position)],
            comet_accounts: vec![(3, debtor)],
            comet_totals: vec![(3, of_market)],
            vaults: vec![(0, VaultState { fee: u64::MAX, holds: vec![24, u128::MAX] })],
            prices: vec![(PriceId(0), Some(U256::MAX)), (PriceId(1), None)],
            feeds: vec![(FeedId(1), user, I256::MIN)],
            sources: vec![Source { aggregator: user, config: name, bounds, senders, newest: 7 }],
            is_whole: true,
        }
    }

    /// What comes of an order that is kept, for a world of so many prices.
    fn again(order: &Command, prices: u16) -> Reread {
        let bytes = write(order).expect("it can be kept");
        let Command::Lend(read) = read(&bytes, &world(prices), &[]).unwrap() else {
            panic!("it is another order");
        };
        *read
    }

    #[test]
    fn what_was_read_anew_of_loans_is_kept_whole() {
        let order = Command::Lend(Box::new(reread()));
        assert_eq!(format!("{:?}", again(&order, 2)), format!("{:?}", reread()));
        let bytes = write(&order).expect("it can be kept");
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], &world(2), &[]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_was_read_of_loans_that_are_not_there_is_left_out() {
        let mut hostile = reread();
        hostile.accounts[0].1.entries[0].reserve = RESERVES_MAX;
        let order = Command::Lend(Box::new(hostile));
        for (prices, kept) in [(0, [0, 0]), (1, [1, 0]), (2, [2, 1])] {
            let read = again(&order, prices);
            assert_eq!([read.prices.len(), read.feeds.len()], kept);
            assert!(read.accounts[0].1.entries.is_empty());
        }
    }

    #[test]
    fn a_reload_is_kept_without_its_loans_and_says_so() {
        for (loans, is_whole) in [(None, true), (Some(Loans::none()), false)] {
            let anchor = Tip::default();
            let reloaded = Reloaded { anchor, pools: Vec::new(), unread: Vec::new(), loans };
            let order = Command::Reload(Box::new(reloaded));
            assert_eq!(is_partial(&order), !is_whole);
            assert!(write(&order).is_some());
        }
    }
}
