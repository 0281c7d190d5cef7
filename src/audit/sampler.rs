//! Which pools are compared after which block: all in turn, and first those that were traded.
//!
//! Runs on the hot thread behind everything that an input has to do, once in some blocks; what it
//! takes is copied into a ring.
//!
//! Temperature: warm.

use gannet_engine::ids::PoolId;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::World;
use gannet_engine::world::audit::Sample;
use rtrb::Producer;

/// Pools traded since the last audit that are remembered.
const TRADED_MAX: usize = 64;

/// Takes samples.
#[derive(Debug)]
pub(super) struct Sampler {
    every_blocks: u64,
    pools: usize,
    next: BlockNumber,
    /// The block after which samples were last taken.
    taken_at: BlockNumber,
    /// A pool waits to be put right: that is not put off.
    is_urgent: bool,
    cursor: usize,
    turn: usize,
    traded: [PoolId; TRADED_MAX],
    traded_count: usize,
}

impl Sampler {
    pub(super) const fn new(every_blocks: u64, pools: usize) -> Self {
        Self {
            every_blocks,
            pools,
            next: BlockNumber(0),
            taken_at: BlockNumber(0),
            is_urgent: false,
            cursor: 0,
            turn: 0,
            traded: [PoolId(0); TRADED_MAX],
            traded_count: 0,
        }
    }

    /// A pool was traded: it is compared the next time.
    pub(super) fn note(&mut self, pool: PoolId) {
        let is_known = self.traded[..self.traded_count].contains(&pool);
        if !is_known && self.traded_count < TRADED_MAX {
            self.traded[self.traded_count] = pool;
            self.traded_count += 1;
        }
    }

    /// A pool is to be put right: it is compared after the next block.
    pub(super) fn hurry(&mut self, pool: PoolId) {
        self.note(pool);
        self.is_urgent = true;
    }

    /// Takes samples if it is time and the world stands at a block.
    pub(super) fn work(&mut self, world: &World, ring: &mut Producer<Sample>) {
        let tip = world.tip().number;
        // A chain that began anew, far below, does not end the audit.
        let is_due = tip >= self.next || tip.plus(self.every_blocks) < self.next;
        let is_urgent = self.is_urgent && tip != self.taken_at;
        if !(is_due || is_urgent) || world.open_block().is_some() || !world.freshness().is_fresh() {
            return;
        }
        (self.taken_at, self.is_urgent) = (tip, false);
        self.turn = self.turn.wrapping_add(1);
        let mut take = |pool: PoolId| match world.sample(pool, self.turn) {
            // What the ring has no room for is compared another time.
            Some(sample) => ring.push(sample).is_ok(),
            None => false,
        };
        for pool in &self.traded[..self.traded_count] {
            take(*pool);
        }
        self.traded_count = 0;
        if !is_due {
            return;
        }
        self.next = tip.plus(self.every_blocks);
        let ids = world.pools.ids();
        for _ in 0..self.pools.min(ids.len()) {
            self.cursor = (self.cursor + 1) % ids.len();
            if !take(ids[self.cursor]) {
                break;
            }
        }
    }
}
