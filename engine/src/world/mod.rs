//! The world: the state of every pool and head that decisions rest on, and its single writer.
//!
//! ```text
//! head ──► open block ──► logs applied as they come ──► sealed by the node's own list of logs
//!            │                     │
//!            └── parent unknown: ask for it, stale until the gap is closed
//! ```
//!
//! Invariants: the world always stands at one sealed block or inside one open block, and knows
//! which; every change is in the undo log; strategies see sealed blocks only.
//!
//! Temperature: hot.

pub mod audit;
pub mod follow;
pub mod freshness;
pub mod hash;
mod lend;
mod moves;
pub mod nodes;
pub mod pools;
pub mod standing;
mod target;
pub mod tokens;
pub mod undo;

use alloc::vec::Vec;

use alloy_primitives::{Address, B256};

pub use self::follow::{BlockRef, Follower};
pub use self::freshness::{Freshness, Stale};
use self::nodes::Nodes;
use self::pools::PoolTable;
pub use self::standing::{Standing, Tried};
use self::tokens::TokenTable;
use self::undo::{Mark, TooFarBack, UndoLog};
use crate::amm::{Amm, Pool};
use crate::chain::ChainSpec;
use crate::ids::{Direction, FactoryId, PoolId, TokenId};
use crate::limits::{TOUCHED_MAX, UNDO_ENTRIES_MAX};
use crate::loans::Loans;
use crate::plan::Leg;
use crate::units::{BlockNumber, Wei};

/// The shape of a factory's pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FactoryKind {
    /// Uniswap V2 and its forks.
    #[default]
    UniswapV2,
    /// Uniswap V3, and forks with its events.
    UniswapV3,
    /// Pancake V3: V3 with two more fields in `Swap`.
    PancakeV3,
    /// Solidly, Velodrome V2, Aerodrome.
    Solidly,
}

/// A factory of the configuration: where its pools are and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factory {
    /// The factory.
    pub address: Address,
    /// The router whose swaps go through this factory's pools; zero if none is followed.
    pub router: Address,
    /// The pairs' fee in pips (3,000 is 0.3 %), for kinds whose pools do not say it themselves.
    /// Configured, never derived.
    pub fee_pips: u32,
    /// The shape of its pools.
    pub kind: FactoryKind,
}

/// What a router that goes through several factories speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterKind {
    /// Uniswap V3's first `SwapRouter`.
    SwapRouter,
    /// `SwapRouter02`: V2 and V3.
    SwapRouter02,
    /// The Universal Router: V2 and V3 by commands.
    Universal,
}

/// A router of the configuration, and the factories that it goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// The router.
    pub address: Address,
    /// What it speaks.
    pub kind: RouterKind,
    /// Where its V2 swaps go.
    pub v2: Option<FactoryId>,
    /// Where its V3 swaps go.
    pub v3: Option<FactoryId>,
}

/// The block that the world stands at, and what follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// Height of the last sealed block.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// The next block's base fee, by the chain's rule.
    pub next_base_fee: Wei,
}

/// Why a pending swap cannot be applied: it would not land, or not as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unfit {
    /// A pool cannot give the amount.
    NoLiquidity,
    /// The sender's bound is not met on our state, or the router cannot pay: it would revert.
    LimitMissed,
    /// The router's deadline is over in the next block, or it must land behind another one.
    PastDeadline,
    /// Its fee cap is below the next base fee.
    Underpriced,
    /// The undo log has no room for it.
    TooLong,
    /// A pool on its way is in quarantine.
    Doubted,
}

impl Unfit {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::NoLiquidity,
        Self::LimitMissed,
        Self::PastDeadline,
        Self::Underpriced,
        Self::TooLong,
        Self::Doubted,
    ];

    /// The name used in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLiquidity => "no-liquidity",
            Self::LimitMissed => "limit-missed",
            Self::PastDeadline => "past-deadline",
            Self::Underpriced => "underpriced",
            Self::TooLong => "too-long",
            Self::Doubted => "doubted",
        }
    }
}

/// Everything that decisions rest on.
#[derive(Debug)]
pub struct World {
    /// The chain's rules.
    pub chain: ChainSpec,
    /// Tokens, by handle.
    pub tokens: TokenTable,
    /// Pools, by handle.
    pub pools: PoolTable,
    /// Factories, by handle.
    pub factories: Vec<Factory>,
    /// Routers that go through several factories.
    pub routers: Vec<Router>,
    /// Base tokens: what profit is kept in, most preferred first.
    pub bases: Vec<TokenId>,
    /// The wrapped native token.
    pub native: TokenId,
    /// Borrowers of lending protocols, and the prices that they depend on.
    pub loans: Loans,
    tip: Tip,
    freshness: Freshness,
    follower: Follower,
    nodes: Nodes,
    undo: UndoLog,
    touched: Touched,
    supposed: Touched,
    contradicted: u64,
    drifted: u64,
}

/// What a world is made of; see [`World::new`].
#[derive(Debug)]
pub struct Universe {
    /// The chain's rules.
    pub chain: ChainSpec,
    /// Tokens.
    pub tokens: TokenTable,
    /// Pools, with their state at `anchor`.
    pub pools: PoolTable,
    /// Factories.
    pub factories: Vec<Factory>,
    /// Routers that go through several factories.
    pub routers: Vec<Router>,
    /// Base tokens, most preferred first.
    pub bases: Vec<TokenId>,
    /// The wrapped native token.
    pub native: TokenId,
    /// The block whose state the pools are in.
    pub anchor: Tip,
}

impl World {
    /// A world that stands at `universe.anchor` and is stale until the feed is up.
    #[must_use]
    #[cold]
    pub fn new(universe: Universe) -> Self {
        let Universe { chain, tokens, pools, factories, routers, bases, native, anchor } = universe;
        let [touched, supposed] = [(); 2].map(|()| Touched::new(pools.capacity()));
        let undo = UndoLog::new(UNDO_ENTRIES_MAX);
        let follower = Follower::new(anchor, undo.mark());
        let freshness = Freshness::default();
        let tip = anchor;
        Self {
            chain,
            tokens,
            pools,
            factories,
            routers,
            bases,
            native,
            loans: Loans::none(),
            tip,
            freshness,
            follower,
            nodes: Nodes::default(),
            undo,
            touched,
            supposed,
            contradicted: 0,
            drifted: 0,
        }
    }

    /// The last sealed block.
    #[must_use]
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The number of the block that a transaction sent now can land in first.
    #[must_use]
    pub const fn next_block(&self) -> BlockNumber {
        self.tip.number.plus(1)
    }

    /// Whether trading is allowed, and if not, why.
    #[must_use]
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Raises or clears a reason not to trade.
    pub const fn set_stale(&mut self, why: Stale, is_stale: bool) {
        self.freshness.set(why, is_stale);
    }

    /// The nodes that feed it.
    #[must_use]
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The same, to count what they brought.
    pub const fn nodes_mut(&mut self) -> &mut Nodes {
        &mut self.nodes
    }

    /// The block that is open, if one is.
    #[must_use]
    pub const fn open_block(&self) -> Option<BlockRef> {
        self.follower.open()
    }

    /// Pools that moved since the list was last taken by [`World::clear_touched`].
    #[must_use]
    pub fn touched(&self) -> &[PoolId] {
        self.touched.as_slice()
    }

    /// Starts new lists of touched pools and loans.
    pub fn clear_touched(&mut self) {
        self.touched.clear();
        self.loans.clear_touched();
    }

    /// The time at which loans are judged, in seconds: of the open block, or of the next one if it
    /// comes when it should.
    #[must_use]
    pub fn loan_time(&self) -> u64 {
        let block_time_s = (self.chain.block_time_ms / 1_000).max(1);
        self.follower.open_time().unwrap_or_else(|| self.tip.timestamp.saturating_add(block_time_s))
    }

    /// Pools that the pending swap moves which is supposed to have landed.
    #[must_use]
    pub fn supposed(&self) -> &[PoolId] {
        self.supposed.as_slice()
    }

    /// Forgets how to take back what has happened: a recorded chain never does. A fork after it
    /// is [`Stale::Lost`].
    pub const fn forget_past(&mut self) {
        self.undo.forget();
    }

    /// Logs that contradicted what was held of their pool, since the start: it is quarantined.
    #[must_use]
    pub const fn contradicted(&self) -> u64 {
        self.contradicted
    }

    /// Adds a trade of ours that the chain does not contain (dry-run, backtest): it stays in the
    /// pools until a trade on the chain moves them the same way by at least half as much, which
    /// means that somebody else took what we had taken.
    pub fn overlay(&mut self, legs: &[Leg]) {
        let before = self.undo.mark();
        for leg in legs {
            let view = self.pools.view(leg.pool);
            let Some(state) = after_leg(view.pool, view.ticks, leg) else { continue };
            let entry = self.pools.entry_mut(leg.pool);
            self.undo.remember(leg.pool, entry);
            entry.state = state;
            let (paid, taken) = (leg.direction.index_in(), leg.direction.index_out());
            entry.overlay[paid] = entry.overlay[paid].saturating_add_unsigned(leg.amount_in);
            entry.overlay[taken] = entry.overlay[taken].saturating_sub_unsigned(leg.amount_out);
            self.touched.push(leg.pool);
        }
        self.follower.move_marks(BlockNumber(0), [before, self.undo.mark()]);
    }

    /// What `amount` of a pool's input token gives, on the state as it is.
    #[must_use]
    pub fn quote(&self, pool: PoolId, direction: Direction, amount: u128) -> Option<u128> {
        self.pools.view(pool).quote_out(amount, direction)
    }

    /// Starts new lists of the pools and feeds that pending transactions are supposed to move.
    pub fn suppose_nothing(&mut self) {
        self.supposed.clear();
        self.loans.suppose_nothing();
    }

    /// Here, to come back to by [`World::take_back`].
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.undo.mark()
    }

    /// Takes back what [`World::apply_target`] did since `mark`.
    ///
    /// # Errors
    /// When the log does not reach back to `mark`; the world must be resynchronised then.
    pub fn take_back(&mut self, mark: Mark) -> Result<(), TooFarBack> {
        self.roll_back(mark)
    }

    fn roll_back(&mut self, mark: Mark) -> Result<(), TooFarBack> {
        self.undo.roll_back((&mut self.pools, &mut self.loans), mark)
    }
}

/// The pool after a leg of ours. A constant-product pool takes any amounts that its invariant
/// allows, so what was really traded counts there.
fn after_leg(pool: &Pool, ticks: crate::amm::Ticks<'_>, leg: &Leg) -> Option<Pool> {
    let Leg { amount_in, amount_out, direction, .. } = *leg;
    match pool {
        Pool::ConstantProduct(pool) => {
            pool.after_swap(amount_in, amount_out, direction).map(Pool::from)
        }
        Pool::Concentrated(_) | Pool::Solidly(_) => {
            pool.swap_in(ticks, amount_in, direction).map(|swapped| swapped.after)
        }
    }
}

/// The pools that moved, each once, in the order in which they first moved.
#[derive(Debug)]
struct Touched {
    list: Vec<PoolId>,
    /// Per pool, the round in which it was last listed.
    listed_in: Vec<u32>,
    round: u32,
    /// Moves that did not fit the list, since the start.
    dropped: u64,
}

impl Touched {
    fn new(pools: usize) -> Self {
        let list = Vec::with_capacity(TOUCHED_MAX);
        Self { list, listed_in: alloc::vec![0; pools], round: 1, dropped: 0 }
    }

    fn push(&mut self, pool: PoolId) {
        let listed_in = &mut self.listed_in[pool.index()];
        if *listed_in == self.round {
            return;
        }
        if self.list.len() == TOUCHED_MAX {
            self.dropped += 1;
            return;
        }
        *listed_in = self.round;
        self.list.push(pool);
    }

    fn clear(&mut self) {
        self.list.clear();
        self.round = match self.round.checked_add(1) {
            Some(round) => round,
            None => {
                self.listed_in.fill(0);
                1
            }
        };
    }

    fn as_slice(&self) -> &[PoolId] {
        &self.list
    }
}

impl World {
    /// The factory whose router this is.
    #[must_use]
    pub fn factory_of_router(&self, router: &Address) -> Option<FactoryId> {
        if router.is_zero() {
            return None;
        }
        let place = self.factories.iter().position(|factory| factory.router == *router)?;
        u8::try_from(place).ok().map(FactoryId)
    }

    /// The pool of two tokens that came from `factory`, and the way from the first to the second.
    #[must_use]
    pub fn pair_of(
        &self,
        factory: FactoryId,
        from: TokenId,
        to: TokenId,
    ) -> Option<(PoolId, Direction)> {
        let candidates = self.pools.pools_of_pair(from, to);
        let pool = candidates.iter().find(|pool| self.pools.get(**pool).factory == factory)?;
        let direction = if self.pools.get(*pool).tokens[0] == from {
            Direction::ZeroForOne
        } else {
            Direction::OneForZero
        };
        Some((*pool, direction))
    }

    /// The pool of two tokens with this fee (in pips) that came from `factory`, and the way from
    /// the first to the second.
    #[must_use]
    pub fn pool_of(
        &self,
        factory: FactoryId,
        [from, to]: [TokenId; 2],
        fee_pips: u32,
    ) -> Option<(PoolId, Direction)> {
        let candidates = self.pools.pools_of_pair(from, to);
        let pool = candidates.iter().find(|pool| {
            let entry = self.pools.get(**pool);
            let Pool::Concentrated(state) = entry.state else { return false };
            entry.factory == factory && state.fee_pips() == fee_pips
        })?;
        let direction = if self.pools.get(*pool).tokens[0] == from {
            Direction::ZeroForOne
        } else {
            Direction::OneForZero
        };
        Some((*pool, direction))
    }

    /// The state of a pool.
    #[must_use]
    pub fn state(&self, pool: PoolId) -> &Pool {
        &self.pools.get(pool).state
    }
}
