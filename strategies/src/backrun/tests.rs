//! What the backrun strategy proposes behind pending swaps, and what it does not.
//!
//! Temperature: cold.

use gannet_engine::amm::ConstantProduct;
use gannet_engine::ids::{Direction, PoolId};
use gannet_engine::plan::Bid;
use gannet_engine::strategy::Strategy;
use gannet_engine::units::{BlockNumber, Bps, Wei};
use gannet_engine::world::World;

use super::{Backrun, Config};
use crate::market::{ETHER, assert_exact, market, on_block, on_pending, swap};

fn started(world: &World) -> Backrun {
    let mut strategy = Backrun::new(Config::default());
    strategy.init(world).unwrap();
    strategy
}

fn even() -> World {
    market().pool("WETH/USDC", 1_000, 2_000_000).pool("WETH/USDC", 1_000, 2_000_000).build()
}

#[test]
fn a_swap_that_opens_a_gap_is_followed() {
    let mut world = even();
    let mut strategy = started(&world);
    let target = swap(0, Direction::ZeroForOne, 50 * ETHER);
    let plans = on_pending(&mut strategy, &mut world, &target);
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].bid, Bid::Behind(target.follow));
    assert_eq!(plans[0].last_block, BlockNumber(102));
    assert!(plans[0].profit_wei > Wei(ETHER));
    // Buys back what the target sold, where the target sold it.
    assert_eq!(plans[0].legs()[1].pool, PoolId(0));
    assert_eq!(plans[0].legs()[1].direction, Direction::OneForZero);
    world.apply_target(&target).unwrap();
    assert_exact(&world, &plans[0]);
}

#[test]
fn a_swap_too_small_to_open_a_gap_is_not_followed() {
    let mut world = even();
    let mut strategy = started(&world);
    let target = swap(0, Direction::ZeroForOne, ETHER / 10);
    assert!(on_pending(&mut strategy, &mut world, &target).is_empty());
}

#[test]
fn a_gap_that_was_open_before_is_left_to_arbitrage() {
    let mut world =
        market().pool("WETH/USDC", 1_000, 2_000_000).pool("WETH/USDC", 1_000, 1_900_000).build();
    let mut strategy = started(&world);
    let small = swap(1, Direction::ZeroForOne, ETHER / 10);
    assert!(on_pending(&mut strategy, &mut world, &small).is_empty());
    let large = swap(1, Direction::ZeroForOne, 50 * ETHER);
    assert_eq!(on_pending(&mut strategy, &mut world, &large).len(), 1);
}

#[test]
fn a_swap_elsewhere_does_not_make_an_open_gap_a_backrun() {
    let mut world = market()
        .pool("WETH/USDC", 1_000, 2_000_000)
        .pool("WETH/USDC", 1_000, 1_900_000)
        .pool("WETH/DAI", 1_000, 2_000_000)
        .build();
    let mut strategy = started(&world);
    let elsewhere = swap(2, Direction::ZeroForOne, 50 * ETHER);
    assert!(on_pending(&mut strategy, &mut world, &elsewhere).is_empty());
}

#[test]
fn a_swap_that_did_not_land_leaves_no_trace() {
    let mut world = even();
    let mut strategy = started(&world);
    let large = swap(0, Direction::ZeroForOne, 50 * ETHER);
    let first = on_pending(&mut strategy, &mut world, &large);
    let small = swap(1, Direction::ZeroForOne, ETHER / 10);
    assert!(on_pending(&mut strategy, &mut world, &small).is_empty());
    let again = on_pending(&mut strategy, &mut world, &large);
    assert_eq!(first[0].legs(), again[0].legs());
}

#[test]
fn blocks_are_read_and_nothing_is_proposed_for_them() {
    let mut world = even();
    let mut strategy = started(&world);
    let pool = ConstantProduct::new([1_050 * ETHER, 1_904_763_000_000], 3_000).unwrap();
    world.pools.entry_mut(PoolId(0)).state = pool.into();
    assert!(on_block(&mut strategy, &world, &[0]).is_empty());
    // The gap is old news now: a swap that hardly moves it is not its cause.
    let small = swap(0, Direction::ZeroForOne, ETHER / 10);
    assert!(on_pending(&mut strategy, &mut world, &small).is_empty());
}

#[test]
fn a_table_says_only_what_differs() {
    let read = |text: &str| toml::from_str::<Config>(text);
    assert_eq!(read("").unwrap(), Config::default());
    assert_eq!(read("target_share_bps = 1").unwrap().target_share_bps, Bps(1));
    assert!(read("tip_share_bps = 1").is_err());
}
