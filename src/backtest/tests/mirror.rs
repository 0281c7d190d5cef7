//! An engine's world over pools of a real block, fed with what a node would send of it.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, address};
use gannet_engine::amm::Pool;
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::Log;
use gannet_engine::ids::{NodeId, PoolId};
use gannet_engine::query::{Queries, Query};
use gannet_engine::units::Nanos;
use gannet_engine::world::World;
use gannet_engine::world::follow::{LogFate, Progress, Visitor, Word};
use serde_json::Value;

use super::doors::log_json;
use crate::backtest::cockpit::{head_of, json_of};
use crate::backtest::forensics::before;
use crate::recording::RecordedBlock;
use crate::recording::rows::LogRow;
use crate::venue::{Setting, Venue, world};

/// Mainnet's wrapped native token.
pub(super) const WETH: Address = address!("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2");

/// Right before a block, with profit in these tokens.
pub(super) fn setting<'a>(block: &RecordedBlock, bases: &'a [Address]) -> Setting<'a> {
    Setting { chain: ChainSpec::ethereum(1, WETH), anchor: before(block), bases }
}

/// A world that stands right before a block, with these pools in the order of their handles.
pub(super) fn world_of(block: &RecordedBlock, venues: &[Venue]) -> World {
    world(venues, &setting(block, &[WETH])).expect("pools differ, and there is room")
}

/// A world and the block that it follows.
pub(super) struct Mirror<'r> {
    block: &'r RecordedBlock,
    head: Head,
    pub(super) world: World,
    queries: Queries,
}

impl<'r> Mirror<'r> {
    /// A world that stands right before the block, with these pools.
    pub(super) fn new(block: &'r RecordedBlock, venues: &[Venue]) -> Self {
        let head = head_of(&block.header, block.header.parent_hash.unwrap_or_default());
        Self { block, head, world: world_of(block, venues), queries: Queries::default() }
    }

    /// Tells the world of the block's header.
    pub(super) fn head(&mut self) {
        let text = json_of(&self.head).to_string();
        let head = Head::parse(text.as_bytes()).expect("a header");
        let known =
            self.world.on_head(&head, Word::Announced(NodeId(0)), Nanos(0), &mut self.queries);
        known.expect("a header that follows its parent");
    }

    /// Tells the world of a log.
    pub(super) fn log(&mut self, log: &LogRow) -> LogFate {
        self.try_log(log).expect("a log that is what its topic says")
    }

    /// Tells the world of a log that may not be what its topic says.
    pub(super) fn try_log(&mut self, log: &LogRow) -> Option<LogFate> {
        let text = log_json(log, self.head.hash).to_string();
        let log = Log::parse(text.as_bytes()).expect("a log as nodes send it");
        self.world.on_log(&log).ok()
    }

    /// Tells the world of the node's own list of the block's logs; `visit` sees it after each
    /// transaction. Nothing is left to tell of a block whose header excludes logs of ours.
    pub(super) fn seal(&mut self, visit: &mut Visitor<'_>) {
        let Some(Query::BlockLogs { open, .. }) = self.queries.as_slice().last().copied() else {
            assert_eq!(self.world.tip().hash, self.hash(), "sealed by its header");
            return;
        };
        let logs: Value = self.block.logs.iter().map(|log| log_json(log, self.hash())).collect();
        let list = logs.to_string();
        let list = (open, list.as_bytes());
        let sealed = self.world.on_block_logs(list, Nanos(0), &mut self.queries, Some(visit));
        assert_eq!(sealed, Ok(Progress::AtHead));
    }

    const fn hash(&self) -> B256 {
        self.head.hash
    }

    /// The reserves of every pair, in the order of their handles.
    pub(super) fn reserves(&self) -> Vec<[u128; 2]> {
        reserves(&self.world)
    }

    /// A pool's handle.
    pub(super) fn pool(&self, pool: &Address) -> Option<PoolId> {
        self.world.pools.id_of(pool)
    }
}

/// The reserves of every pair of a world, in the order of their handles.
pub(super) fn reserves(world: &World) -> Vec<[u128; 2]> {
    world.pools.ids().iter().map(|pool| reserves_of(world.state(*pool))).collect()
}

/// The reserves of a pool.
pub(super) const fn reserves_of(pool: &Pool) -> [u128; 2] {
    pool.reserves().expect("only pairs are mirrored here")
}
