//! The search over universes of mainnet's shape and size: what it finds after ten thousand moves is
//! what it finds afresh, nothing that pays is passed over, and the index stays small.
//!
//! Temperature: cold.

use gannet_engine::ids::PoolId;
use gannet_engine::search::{Found, SearchLimits, Searcher};
use gannet_engine::world::pools::PoolTable;

use crate::universe::{BASES, Chance, Market, graph_of};

fn found(
    searcher: &mut Searcher,
    pools: &PoolTable,
    touched: &[PoolId],
    limits: &SearchLimits,
) -> Vec<Found> {
    let mut all = Vec::new();
    searcher.look_again(touched);
    searcher.search(pools, touched, limits, &mut |cycle| all.push(*cycle));
    all
}

#[test]
fn prices_that_were_kept_up_to_date_are_those_read_afresh() {
    let Market { mut sketch, mut pools, searcher: mut kept, limits } = Market::new(1, 3_000);
    let mut chance = Chance(2);
    let hub = sketch.pools_of(BASES[0], BASES[1])[0];
    let count = u64::try_from(sketch.len()).unwrap();
    let any = |chance: &mut Chance| PoolId(u32::try_from(chance.below(count)).unwrap());
    let mut paying = 0;
    for round in 0..2_000 {
        let moved = any(&mut chance);
        pools.entry_mut(moved).is_quarantined = chance.below(20) == 0;
        if let Some(after) = sketch.trade(&pools, moved) {
            pools.entry_mut(moved).state = after;
        }
        kept.refresh(&pools, &[moved]);
        if round % 100 == 0 {
            let mut fresh = Searcher::over(&pools, &graph_of(&pools));
            for touched in [moved, any(&mut chance), hub] {
                for limits in [limits, SearchLimits::NONE] {
                    let expected = found(&mut fresh, &pools, &[touched], &limits);
                    assert_eq!(found(&mut kept, &pools, &[touched], &limits), expected);
                    paying += expected.len();
                }
            }
        }
    }
    assert!(paying > 0, "some cycles pay");
}

#[test]
fn a_market_at_rest_has_nothing_that_pays_and_a_trade_through_a_hub_is_found() {
    let mut market = Market::new(3, 5_000);
    let before = *market.searcher.counts();
    for pool in market.pools.ids().to_vec() {
        assert_eq!(market.search_again(pool).0, 0, "{pool:?}");
    }
    let skipped = market.searcher.counts().skipped - before.skipped;
    assert_eq!(skipped, 0, "every cycle that could pay was looked at");
    let hubs = market.sketch.pools_of(BASES[0], BASES[1]);
    let mut opened = 0;
    for pool in hubs.iter().cycle().take(200) {
        if let Some(after) = market.sketch.trade(&market.pools, *pool) {
            market.pools.entry_mut(*pool).state = after;
        }
        market.searcher.refresh(&market.pools, &[*pool]);
        let mut fresh = Searcher::over(&market.pools, &graph_of(&market.pools));
        let expected = found(&mut fresh, &market.pools, &[*pool], &market.limits);
        let ours = found(&mut market.searcher, &market.pools, &[*pool], &market.limits);
        assert_eq!(ours, expected);
        opened += usize::from(!ours.is_empty());
        market.settle(&mut vec![*pool]);
    }
    assert!(opened > 0, "some trades open a gap");
}
