//! Which pools are compared after which block: all in turn, and first those that were traded. What
//! is in quarantine is looked for after every block.
//!
//! Runs on the hot thread behind everything that an input has to do, once in some blocks; what it
//! takes is copied into a ring.
//!
//! Temperature: warm.

use gannet_engine::ids::PoolId;
use gannet_engine::limits::GROWTH_POOLS_MAX;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::World;
use gannet_engine::world::audit::Sample;
use rtrb::Producer;

/// Pools traded since the last audit that are remembered.
const TRADED_MAX: usize = 64;

/// Pools in quarantine that are read after one block, and pools that are looked at for some.
const DOUBTED_MAX: usize = 32;
const LOOKED_AT: usize = 2_048;

/// Takes samples.
#[derive(Debug)]
pub(super) struct Sampler {
    every_blocks: u64,
    pools: usize,
    next: BlockNumber,
    /// The block after which samples were last taken.
    taken_at: BlockNumber,
    /// Where the next look for pools in quarantine begins.
    doubted: usize,
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
            doubted: 0,
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

    /// Takes samples if it is time and the world stands at a block.
    pub(super) fn work(&mut self, world: &World, ring: &mut Producer<Sample>) {
        let tip = world.tip().number;
        if tip == self.taken_at || world.open_block().is_some() || !world.freshness().is_fresh() {
            return;
        }
        self.taken_at = tip;
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        // What the ring has no room for is compared another time.
        let mut take =
            |pool: PoolId| world.sample(pool, turn).is_some_and(|sample| ring.push(sample).is_ok());
        self.take_doubted(world, &mut take);
        // A chain that began anew, far below, does not end the audit.
        let is_due = tip >= self.next || tip.plus(self.every_blocks) < self.next;
        if !is_due {
            return;
        }
        self.next = tip.plus(self.every_blocks);
        for pool in &self.traded[..self.traded_count] {
            take(*pool);
        }
        self.traded_count = 0;
        let ids = world.pools.ids();
        for _ in 0..self.pools.min(ids.len()) {
            self.cursor = (self.cursor + 1) % ids.len();
            if !take(ids[self.cursor]) {
                break;
            }
        }
    }

    /// Pools in quarantine do not wait for their turn: those that are newest, and others as far as
    /// one block's look goes.
    fn take_doubted(&mut self, world: &World, take: &mut impl FnMut(PoolId) -> bool) {
        let ids = world.pools.ids();
        let is_doubted = |pool: &PoolId| world.pools.get(*pool).is_quarantined;
        let newest = ids.len().saturating_sub(GROWTH_POOLS_MAX);
        ids[newest..].iter().copied().filter(is_doubted).take(DOUBTED_MAX).for_each(|pool| {
            take(pool);
        });
        let mut left = DOUBTED_MAX;
        for _ in 0..LOOKED_AT.min(newest) {
            self.doubted = (self.doubted + 1) % newest;
            if is_doubted(&ids[self.doubted]) {
                left -= 1;
                if !take(ids[self.doubted]) || left == 0 {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use gannet_engine::amm::ConstantProduct;
    use gannet_engine::ids::{FactoryId, TokenId};
    use gannet_engine::world::pools::{PoolEntry, PoolTable};
    use rtrb::RingBuffer;

    use super::*;
    use crate::fixture;

    /// A world of so many pools that stands fresh at a block.
    fn world(count: u32, number: u64) -> World {
        let mut pools = PoolTable::new(count as usize, 0);
        let state = ConstantProduct::new([1_000; 2], 3_000).unwrap().into();
        for place in 0..count {
            let address = Address::left_padding_from(&place.to_be_bytes());
            let pair = [TokenId(0), TokenId(1)];
            pools.insert(PoolEntry::new(address, FactoryId(0), pair, state)).unwrap();
        }
        fixture::world(2, pools, number)
    }

    #[test]
    fn pools_in_quarantine_are_sampled_after_every_block_and_all_others_in_turn() {
        const COUNT: u32 = 6_000;
        let (mut ring, mut taken) = RingBuffer::new(1_024);
        let mut sampler = Sampler::new(10, 4);
        let mut samples = |sampler: &mut Sampler, world: &World| -> Vec<u32> {
            sampler.work(world, &mut ring);
            std::iter::from_fn(|| taken.pop().ok()).map(|sample| sample.pool.0).collect()
        };
        let mut seen = Vec::new();
        let doubted = [0, 17, 3_000, 5_900, COUNT - 1].map(PoolId);
        for number in 100..110 {
            let mut world = world(COUNT, number);
            world.quarantine(&doubted);
            let now = samples(&mut sampler, &world);
            assert!(samples(&mut sampler, &world).is_empty(), "once for each block");
            assert!(now.contains(&(COUNT - 1)), "what is newest after every block: {now:?}");
            seen.extend(now);
        }
        for pool in doubted {
            assert!(
                seen.iter().filter(|found| **found == pool.0).count() >= 3,
                "{pool:?} {seen:?}"
            );
        }
        let in_turn = seen.iter().filter(|found| !doubted.contains(&PoolId(**found))).count();
        assert_eq!(in_turn, 4, "as the plan says, after the first of ten blocks");
    }

    #[test]
    fn more_pools_in_quarantine_than_one_block_takes_get_their_turn_in_the_next() {
        let (mut ring, mut taken) = RingBuffer::new(1_024);
        let mut sampler = Sampler::new(1_000, 0);
        let mut seen = std::collections::BTreeSet::new();
        for number in 1..=20 {
            let mut world = world(600, number);
            world.quarantine(&(0..500).map(PoolId).collect::<Vec<_>>());
            sampler.work(&world, &mut ring);
            let now: Vec<_> = std::iter::from_fn(|| taken.pop().ok()).collect();
            assert!(now.len() <= DOUBTED_MAX, "{}", now.len());
            seen.extend(now.iter().map(|sample| sample.pool.0));
        }
        assert_eq!(seen.len(), 500);
    }
}
