//! An engine's world over pairs of a real block, fed with what a node would send of it.
//!
//! Temperature: cold.

use alloy::primitives::{Address, address};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{ConstantProduct, Pool, Tick, Ticks};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::decode::log::Log;
use gannet_engine::ids::{FactoryId, NodeId, PoolId};
use gannet_engine::query::{Queries, Query};
use gannet_engine::units::{BlockNumber, Nanos};
use gannet_engine::world::follow::{LogFate, Progress, Visitor, Word};
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Tip, Universe, World};
use serde_json::Value;

use super::pair::Pair;
use super::witness::Witness;

/// Mainnet's wrapped native token.
pub(crate) const WETH: Address = address!("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2");
/// Any: no figure here is shown to anybody.
const DECIMALS: u8 = 18;

/// A pool as a world takes it.
#[derive(Clone, Debug)]
pub(crate) struct Seeded {
    pub(crate) address: Address,
    pub(crate) tokens: [Address; 2],
    pub(crate) state: Pool,
    pub(crate) ticks: Vec<Tick>,
    /// Between which ticks the list is whole.
    pub(crate) known: [i32; 2],
}

impl Seeded {
    /// A pair at this fee, in pips.
    pub(crate) fn pair(pair: &Pair, fee_pips: u32) -> Self {
        let Pair { address, tokens, reserves, .. } = *pair;
        let state = ConstantProduct::new(reserves, fee_pips).expect("reserves have 112 bits");
        let known = Ticks::NONE.known();
        Self { address, tokens, state: state.into(), ticks: vec![], known }
    }
}

/// A world and the block that it follows.
pub(crate) struct Mirror<'w> {
    witness: &'w Witness,
    pub(crate) world: World,
    queries: Queries,
}

impl<'w> Mirror<'w> {
    /// A world that stands before the block, with these pairs at these fees (in pips) in the order
    /// of their handles, and profit in `base`.
    pub(crate) fn new(witness: &'w Witness, pairs: &[(Pair, u32)], base: Address) -> Self {
        let seeded: Vec<Seeded> =
            pairs.iter().map(|(pair, fee)| Seeded::pair(pair, *fee)).collect();
        Self::of(witness, &seeded, base)
    }

    /// The same with pools of any kind.
    pub(crate) fn of(witness: &'w Witness, seeded: &[Seeded], base: Address) -> Self {
        let mut tokens = TokenTable::new(2 * seeded.len() + 2);
        let mut token = |address| {
            tokens
                .id_of(&address)
                .unwrap_or_else(|| tokens.insert(address, DECIMALS).expect("a pair has two tokens"))
        };
        let [native, base] = [WETH, base].map(&mut token);
        let room = seeded.iter().map(|pool| TickArena::room_for(2 * pool.ticks.len() + 64)).sum();
        let mut pools = PoolTable::new(seeded.len(), room);
        for Seeded { address, tokens, state, ticks, known } in seeded {
            let entry = PoolEntry::new(*address, FactoryId(0), tokens.map(&mut token), *state);
            let id = pools.insert(entry).expect("pools differ, and so do their tokens");
            pools.load_ticks(id, ticks).expect("there is room");
            pools.set_known_ticks(id, *known);
        }
        pools.index_pairs();
        tokens.set_bases(&[base]);
        let header = &witness.header;
        let anchor = Tip {
            number: BlockNumber(witness.number() - 1),
            hash: header.parent_hash,
            ..Tip::default()
        };
        let chain = ChainSpec::ethereum(1, WETH);
        let (factories, bases) = (vec![], vec![base]);
        let universe =
            Universe { chain, tokens, pools, factories, routers: vec![], bases, native, anchor };
        Self { witness, world: World::new(universe), queries: Queries::default() }
    }

    /// Tells the world of the block's header.
    pub(crate) fn head(&mut self) {
        let head = Head::parse(&self.witness.head).expect("a header");
        let known =
            self.world.on_head(&head, Word::Announced(NodeId(0)), Nanos(0), &mut self.queries);
        known.expect("a header that follows its parent");
    }

    /// Tells the world of a log.
    pub(crate) fn log(&mut self, log: &Value) -> LogFate {
        self.try_log(log).expect("a log that is what its topic says")
    }

    /// Tells the world of a log that may not be what its topic says.
    pub(crate) fn try_log(&mut self, log: &Value) -> Option<LogFate> {
        let text = log.to_string();
        let log = Log::parse(text.as_bytes()).expect("a log as nodes send it");
        self.world.on_log(&log).ok()
    }

    /// Tells the world of the node's own list of the block's logs; `visit` sees it after each
    /// transaction. Nothing is left to tell of a block whose header excludes logs of ours.
    pub(crate) fn seal(&mut self, visit: &mut Visitor<'_>) {
        let Some(Query::BlockLogs { open, .. }) = self.queries.as_slice().last().copied() else {
            assert_eq!(self.world.tip().hash, self.witness.header.hash, "sealed by its header");
            return;
        };
        let logs = (0..self.witness.txs.len()).flat_map(|tx| self.witness.node_logs(tx));
        let list = Value::Array(logs.collect()).to_string();
        let list = (open, list.as_bytes());
        let sealed = self.world.on_block_logs(list, Nanos(0), &mut self.queries, Some(visit));
        assert_eq!(sealed, Ok(Progress::AtHead));
    }

    /// The reserves of every pair, in the order of their handles.
    pub(crate) fn reserves(&self) -> Vec<[u128; 2]> {
        reserves(&self.world)
    }

    /// A pair's handle.
    pub(crate) fn pool(&self, pair: &Address) -> Option<PoolId> {
        self.world.pools.id_of(pair)
    }
}

/// The reserves of every pair of a world, in the order of their handles.
pub(crate) fn reserves(world: &World) -> Vec<[u128; 2]> {
    world.pools.ids().iter().map(|pool| reserves_of(world.state(*pool))).collect()
}

/// The reserves of a pool.
pub(crate) const fn reserves_of(pool: &Pool) -> [u128; 2] {
    pool.reserves().expect("only pairs are mirrored here")
}
