//! What the arbitrage strategy proposes on small markets, and what it does not.
//!
//! Temperature: cold.

use std::vec::Vec;

use gannet_engine::ids::PoolId;
use gannet_engine::plan::{Bid, Plan};
use gannet_engine::search::FOUND_MAX;
use gannet_engine::strategy::{InitError, Strategy};
use gannet_engine::units::{BlockNumber, Bps, Wei};
use gannet_engine::world::World;

use super::{Arbitrage, Config};
use crate::market::{ETHER, assert_exact, market, on_block, on_block_asking};

fn started(world: &World, config: Config) -> Arbitrage {
    let mut strategy = Arbitrage::new(config);
    strategy.init(world).unwrap();
    strategy
}

fn two_prices() -> World {
    market().pool("WETH/USDC", 1_000, 2_000_000).pool("WETH/USDC", 1_000, 1_900_000).build()
}

#[test]
fn two_prices_of_one_pair_are_a_plan_for_the_next_blocks() {
    let world = two_prices();
    let mut strategy = started(&world, Config::default());
    let plans = on_block(&mut strategy, &world, &[0]);
    assert_eq!(plans.len(), 1);
    assert_exact(&world, &plans[0]);
    assert_eq!(plans[0].profit_wei, Wei(256_654_733_122_117_753));
    assert_eq!(plans[0].bid, Bid::Share(Bps(5_000)));
    assert_eq!(plans[0].last_block, BlockNumber(102));
}

#[test]
fn a_gap_that_nobody_moved_is_proposed_at_the_start_and_until_it_closes() {
    let mut world = two_prices();
    let mut strategy = started(&world, Config::default());
    assert_eq!(on_block(&mut strategy, &world, &[]).len(), 1, "at the start");
    assert_eq!(on_block(&mut strategy, &world, &[]).len(), 1, "still open");
    let even = world.pools.get(PoolId(0)).state;
    world.pools.entry_mut(PoolId(1)).state = even;
    assert!(on_block(&mut strategy, &world, &[1]).is_empty(), "closed");
    assert!(on_block(&mut strategy, &world, &[]).is_empty());
}

#[test]
fn what_had_a_better_pool_beside_it_is_proposed_once_somebody_has_taken_that() {
    let mut world = market()
        .pool("WETH/USDC", 1_000, 2_000_000)
        .pool("WETH/USDC", 1_000, 1_990_000)
        .pool("WETH/USDC", 1_000, 1_900_000)
        .build();
    let mut strategy = started(&world, Config::default());
    let pools_of = |plan: &Plan| [0, 1].map(|leg: usize| plan.legs()[leg].pool.0);
    assert_eq!(pools_of(&on_block(&mut strategy, &world, &[])[0]), [0, 2]);
    let even = world.pools.get(PoolId(2)).state;
    world.pools.entry_mut(PoolId(0)).state = even;
    let plans = on_block(&mut strategy, &world, &[0]);
    assert_eq!(pools_of(&plans[0]), [1, 2], "neither of them has moved");
    assert_exact(&world, &plans[0]);
}

#[test]
fn what_pays_once_less_is_asked_is_proposed_then_though_nothing_has_moved() {
    let worth = 256_654_733_122_117_753;
    for (asked_first, count) in [(worth * 3 / 2, 1), (worth * 3, 0)] {
        let world = two_prices();
        let mut strategy = started(&world, Config::default());
        assert!(on_block_asking(Wei(asked_first), &mut strategy, &world, &[]).is_empty());
        let part = worth / 1_000;
        assert!(on_block_asking(Wei(worth + part), &mut strategy, &world, &[]).is_empty());
        let plans = on_block_asking(Wei(worth - part), &mut strategy, &world, &[]);
        assert_eq!(plans.len(), count, "what was worth less than half is not kept in mind");
    }
}

#[test]
fn what_more_valuable_ones_left_no_place_for_is_proposed_behind_them() {
    let count = FOUND_MAX + 4;
    let mut market = market();
    for place in 0..count {
        let pair = std::format!("WETH/T{place}");
        let gap = 100 * u128::try_from(place + 1).unwrap();
        market = market.pool(&pair, 1_000, 2_000_000).pool(&pair, 1_000, 1_900_000 - gap);
    }
    let mut world = market.build();
    let mut strategy = started(&world, Config::default());
    let best = on_block(&mut strategy, &world, &[]);
    assert_eq!(best.len(), FOUND_MAX);
    // Each pair's pools come one after the other.
    let mut moved = Vec::new();
    for plan in &best {
        let pool = plan.legs()[0].pool.0 & !1;
        world.pools.entry_mut(PoolId(pool)).state = world.pools.get(PoolId(pool + 1)).state;
        moved.push(pool);
    }
    let rest = on_block(&mut strategy, &world, &moved);
    assert_eq!(rest.len(), count - FOUND_MAX);
    assert!(rest[0].profit_wei < best[FOUND_MAX - 1].profit_wei);
}

#[test]
fn three_tokens_whose_prices_disagree_are_a_plan_of_three_swaps() {
    let world = market()
        .pool("WETH/USDC", 500, 1_000_000)
        .pool("USDC/WBTC", 3_000_000, 50)
        .pool("WBTC/WETH", 60, 1_860)
        .build();
    let mut strategy = started(&world, Config::default());
    let plans = on_block(&mut strategy, &world, &[2]);
    assert_eq!((plans.len(), plans[0].leg_count), (1, 3));
    assert_eq!(plans[0].profit_wei, Wei(44_592_782_819_914_686));
    assert_exact(&world, &plans[0]);
    let short = Arbitrage::new(Config { hops_max: 2, ..Config::default() }).init(&world);
    assert_eq!(short, Err(InitError::NoCycles), "longer than hops_max");
}

#[test]
fn prices_within_the_fees_are_no_plan() {
    let world =
        market().pool("WETH/USDC", 1_000, 2_000_000).pool("WETH/USDC", 500, 1_005_000).build();
    let mut strategy = started(&world, Config::default());
    assert!(on_block(&mut strategy, &world, &[0, 1]).is_empty());
}

#[test]
fn the_input_is_capped_by_its_worth() {
    let world = two_prices();
    let mut strategy = started(&world, Config { max_input: Wei(ETHER), ..Config::default() });
    let plans = on_block(&mut strategy, &world, &[0]);
    assert!(plans[0].amount_in <= ETHER && plans[0].amount_in > ETHER * 9 / 10);
    assert_exact(&world, &plans[0]);
}

#[test]
fn a_universe_without_a_cycle_is_refused() {
    let world = market().pool("WETH/USDC", 1, 2_000).pool("WETH/DAI", 1, 2_000).build();
    let refused = Arbitrage::new(Config::default()).init(&world);
    assert_eq!(refused, Err(InitError::NoCycles));
}

#[test]
fn a_table_says_only_what_differs_and_wrong_values_are_named() {
    let read = |text: &str| toml::from_str::<Config>(text);
    let config = read("hops_max = 4\nmax_input = \"0.5 ether\"\ntip_share_bps = 9000").unwrap();
    assert_eq!((config.hops_max, config.max_input), (4, Wei(ETHER / 2)));
    assert_eq!((config.tip_share_bps, config.valid_blocks), (Bps(9_000), 2));
    assert_eq!(read("").unwrap(), Config::default());
    for (wrong, part) in [
        ("hops_max = 5", "2 to 4 swaps"),
        ("max_input = \"5 eth\"", "no such unit"),
        ("tip_share_bps = 10001", "all of it"),
        ("valid_blocks = 0", "1 to 100 blocks"),
        ("tip_share = 1", "unknown field"),
    ] {
        let error = read(wrong).unwrap_err();
        assert!(error.message().contains(part), "{wrong}: {error}");
    }
}
