//! The search over universes of mainnet's shape and size: what it finds after ten thousand moves is
//! what it finds afresh, nothing that pays is passed over, and the index stays small.
//!
//! Temperature: cold.

use gannet_engine::ids::PoolId;
use gannet_engine::search::{FOUND_MAX, Found, SearchLimits, Searcher};
use gannet_engine::world::pools::PoolTable;

use crate::universe::{BASES, Chance, NATIVE, Sketch};

fn found(searcher: &mut Searcher, pools: &PoolTable, touched: &[PoolId]) -> Vec<Found> {
    let mut all = Vec::new();
    searcher.search(pools, touched, &SearchLimits::NONE, &mut |cycle| all.push(*cycle));
    all
}

#[test]
fn prices_that_were_kept_up_to_date_are_those_read_afresh() {
    let mut sketch = Sketch::new(1, 3_000);
    let mut pools = sketch.table();
    let mut kept = Searcher::new(&pools, &BASES, NATIVE, 4);
    let mut chance = Chance(2);
    let hub = sketch.pools_of(BASES[0], BASES[1])[0];
    let count = u64::try_from(sketch.len()).unwrap();
    let any = |chance: &mut Chance| PoolId(u32::try_from(chance.below(count)).unwrap());
    for round in 0..2_000 {
        let moved = any(&mut chance);
        pools.entry_mut(moved).is_quarantined = chance.below(20) == 0;
        pools.entry_mut(moved).state = sketch.next_state(moved);
        kept.refresh(&pools, &[moved]);
        if round % 100 == 0 {
            let mut fresh = Searcher::new(&pools, &BASES, NATIVE, 4);
            for touched in [moved, any(&mut chance), hub] {
                let expected = found(&mut fresh, &pools, &[touched]);
                assert_eq!(found(&mut kept, &pools, &[touched]), expected);
            }
            assert_eq!(found(&mut kept, &pools, pools.ids()).len(), FOUND_MAX);
        }
    }
}
