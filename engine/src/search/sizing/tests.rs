//! Sizing against published vectors, brute force and an exhaustive search over the pivot.
//!
//! Temperature: cold.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::amm::{ConstantProduct, Mobius, Pool, Ticks};
use crate::ids::Direction;

const ETHER: u128 = 1_000_000_000_000_000_000;

/// A cycle as reserves of (in, out) per hop, at 0.3 %.
fn cycle(reserves: &[(u128, u128)]) -> Vec<Pool> {
    let pool = |(first, second)| ConstantProduct::new([first, second], 3_000).unwrap().into();
    reserves.iter().copied().map(pool).collect()
}

fn hops(pools: &[Pool]) -> Vec<Hop<'_>> {
    let view = |pool| PoolView { pool, ticks: Ticks::NONE };
    pools.iter().map(|pool| Hop { pool: view(pool), direction: Direction::ZeroForOne }).collect()
}

/// What `amount_in` gains, quoted afresh; negative if it loses or a pool refuses.
fn gain(hops: &[Hop<'_>], amount_in: u128) -> i128 {
    let out = hops.iter().try_fold(amount_in, |x, hop| hop.pool.quote_out(x, hop.direction));
    i128::try_from(out.unwrap_or(0)).unwrap() - i128::try_from(amount_in).unwrap()
}

fn gain_of(found: Option<Sizing>) -> i128 {
    found.map_or(0, |sizing| i128::try_from(sizing.profit).unwrap())
}

/// The floored closed form, which the result must never fall short of.
fn closed_form(hops: &[Hop<'_>], amount_in_max: u128) -> i128 {
    let join = |whole: Mobius, hop: &Hop<'_>| whole.then(hop.pool.mobius(hop.direction).unwrap());
    let seed = hops.iter().fold(Mobius::IDENTITY, join).best_input();
    seed.map_or(0, |seed| gain(hops, whole(seed).min(amount_in_max))).max(0)
}

/// The gain of every count at `place`, within `width` of the one that `amount_in` gives there. With
/// a wide window this is the true optimum: every input is dominated by the least one that gives the
/// same count.
fn best_by_counts(hops: &[Hop<'_>], place: usize, amount_in: u128, width: u128) -> i128 {
    let before = &hops[..place];
    let middle =
        before.iter().fold(amount_in, |x, hop| hop.pool.quote_out(x, hop.direction).unwrap());
    let counts = middle.saturating_sub(width).max(1)..=middle + width;
    let gains = counts.filter_map(|count| {
        let back = |y, hop: &Hop<'_>| hop.pool.least_in(y, hop.direction);
        let amount_in = before.iter().rev().try_fold(count, back)?;
        Some(gain(hops, amount_in))
    });
    gains.max().unwrap_or(0)
}

#[test]
fn weth_usdc_weth_takes_the_published_profit_with_less_input() {
    let pools = cycle(&[(1_000 * ETHER, 2_000_000_000_000), (1_900_000_000_000, 1_000 * ETHER)]);
    let hops = hops(&pools);
    assert_eq!(gain(&hops, 11_207_426_170_372_288_674), 256_654_732_987_928_995, "closed form");
    assert_eq!(gain(&hops, 11_207_426_183_057_463_779), 256_654_733_122_117_753, "published");
    let found = best_input(&hops, u128::MAX).unwrap();
    assert_eq!(found.profit, 256_654_733_122_117_753);
    // Twenty-one counts of USDC share that profit; the published one is the dearest of them.
    assert!(found.amount_in <= 11_207_426_183_057_463_779);
}

#[test]
fn weth_usdc_wbtc_weth_takes_the_published_plateau() {
    let pools = cycle(&[
        (500 * ETHER, 1_000_000_000_000),
        (3_000_000_000_000, 5_000_000_000),
        (6_000_000_000, 1_860 * ETHER),
    ]);
    let hops = hops(&pools);
    assert_eq!(gain(&hops, 3_728_776_395_826_351_404), 44_592_714_389_009_020, "closed form");
    let found = best_input(&hops, u128::MAX).unwrap();
    assert_eq!(
        (found.amount_in, found.profit),
        (3_728_766_785_060_470_826, 44_592_782_819_914_686)
    );
    assert_eq!(found.amounts_out[2], found.amount_in + found.profit);
    assert_eq!(found.amounts_out[3], 0);
}

#[test]
fn the_cap_is_kept_and_used() {
    let pools = cycle(&[(1_000 * ETHER, 2_000_000_000_000), (1_900_000_000_000, 1_000 * ETHER)]);
    let hops = hops(&pools);
    let found = best_input(&hops, 5 * ETHER).unwrap();
    assert!(found.amount_in <= 5 * ETHER && found.amount_in > 5 * ETHER - 1_000_000_000);
    assert!(gain_of(Some(found)) >= gain(&hops, 5 * ETHER));
    assert_eq!(best_input(&hops, 0), None);
    assert_eq!(best_input(&hops, 1), None, "a wei buys nothing");
}

#[test]
fn a_cycle_that_loses_has_no_size() {
    let pools = cycle(&[(1_000_000, 1_000_000), (1_000_000, 1_005_000)]);
    assert_eq!(best_input(&hops(&pools), u128::MAX), None);
    let empty = cycle(&[(1_000_000, 2_000_000), (0, 0)]);
    assert_eq!(best_input(&hops(&empty), u128::MAX), None);
}

#[test]
fn an_optimum_below_one_unit_of_the_coarse_token_is_tried_at_one_unit() {
    // A unit of the middle token is worth 10¹⁵ of the first; the closed form wants 0.4 of one.
    let pools = cycle(&[(1_000 * ETHER, 1_000_000), (996_500, 1_002_500_000_000_000_000_000)]);
    let hops = hops(&pools);
    let every_count = best_by_counts(&hops, 1, ETHER, 50_000).max(0);
    assert_eq!(gain_of(best_input(&hops, u128::MAX)), every_count);
}

fn small_cycle() -> impl Strategy<Value = Vec<Pool>> {
    proptest::collection::vec((100_u128..3_000, 100_u128..3_000), 2..=4)
        .prop_map(|reserves| cycle(&reserves))
}

/// A cycle of tokens with 2 to 18 decimals whose prices are about 5 % off.
fn large_cycle() -> impl Strategy<Value = Vec<Pool>> {
    let token = prop_oneof![Just(2_u32), Just(6), Just(8), Just(9), Just(18), Just(18)];
    let hop = (token, 1_000_u128..10_000_000, 950_u128..1_100);
    proptest::collection::vec(hop, 2..=4).prop_map(|tokens| {
        let reserves = tokens.iter().enumerate().map(|(place, (decimals, depth, skew))| {
            let next = tokens[(place + 1) % tokens.len()].0;
            (depth * 10_u128.pow(*decimals), depth * skew * 10_u128.pow(next) / 1_000)
        });
        cycle(&reserves.collect::<Vec<_>>())
    })
}

/// The worth of one smallest unit of every token but the coarsest, in the first token, rounded up:
/// the bound that the module states.
fn bound(hops: &[Hop<'_>], found: &Sizing) -> i128 {
    let mut counts = std::vec![found.amount_in];
    counts.extend(&found.amounts_out[..hops.len() - 1]);
    counts.sort_unstable();
    // The last hop's output rounds too: the first token counts twice.
    let others = counts[1..].iter().chain(core::iter::once(&found.amount_in));
    let worth = others.map(|count| found.amounts_out[hops.len() - 1].div_ceil(*count));
    i128::try_from(worth.sum::<u128>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn cycles_of_small_pools_are_within_the_bound_of_brute_force(
        pools in small_cycle(), amount_in_max in 1_u128..4_000,
    ) {
        let hops = hops(&pools);
        let found = best_input(&hops, amount_in_max);
        let brute = (1..=amount_in_max).map(|x| gain(&hops, x)).max().unwrap().max(0);
        prop_assert!(gain_of(found) <= brute, "nothing beats every input");
        prop_assert!(gain_of(found) >= closed_form(&hops, amount_in_max));
        let slack = found.map_or(4, |found| bound(&hops, &found));
        prop_assert!(gain_of(found) + slack >= brute, "{found:?} {brute}");
    }

    #[test]
    fn cycles_of_large_pools_are_within_the_bound_of_an_exhaustive_search(
        pools in large_cycle(), cap in prop_oneof![Just(u128::MAX), 1_u128..1_000_000_000_000],
    ) {
        let hops = hops(&pools);
        let found = best_input(&hops, cap);
        prop_assert!(gain_of(found) >= closed_form(&hops, cap));
        let Some(found) = found else { return Ok(()) };
        prop_assert!(found.amount_in <= cap);
        prop_assert_eq!(gain(&hops, found.amount_in), gain_of(Some(found)));
        if cap == u128::MAX {
            let best = (0..hops.len())
                .map(|place| best_by_counts(&hops, place, found.amount_in, 400))
                .max()
                .unwrap();
            let slack = bound(&hops, &found);
            prop_assert!(gain_of(Some(found)) + slack >= best, "{found:?} {best} {slack}");
        }
    }
}
