//! Golden quotes and properties of every kind of pool.
//!
//! Temperature: cold.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use alloy_primitives::{U256, U512};
use proptest::prelude::*;
use serde_json::Value;

use super::constant_product::{PIPS, RESERVE_MAX};
use super::ticks::TickArena;
use super::*;
use crate::ids::PoolId;

fn number(value: &Value) -> u128 {
    value.as_str().expect("amounts are decimal strings").parse().expect("amounts fit 128 bits")
}

/// The pool of a golden case. A new kind adds its arm here.
fn golden_pool(kind: PoolKind, case: &Value, arena: &mut TickArena) -> Pool {
    match kind {
        PoolKind::ConstantProduct => {
            let reserves = [number(&case["reserves"][0]), number(&case["reserves"][1])];
            let fee_pips = case["fee_pips"].as_u64().unwrap().try_into().unwrap();
            ConstantProduct::new(reserves, fee_pips).unwrap().into()
        }
        PoolKind::Concentrated => {
            let ticks = case["ticks"].as_array().unwrap().iter().map(|tick| {
                let net: i128 = tick["net"].as_str().unwrap().parse().unwrap();
                let index = tick["index"].as_i64().unwrap().try_into().unwrap();
                Tick { index, net, gross: net.unsigned_abs() }
            });
            arena.load(PoolId(0), &ticks.collect::<Vec<_>>()).unwrap();
            let integer = |name: &str| case[name].as_i64().unwrap().try_into().unwrap();
            let state = ConcentratedState {
                sqrt_price: case["sqrt_price"].as_str().unwrap().parse().unwrap(),
                tick: integer("tick"),
                liquidity: number(&case["liquidity"]),
                fee_pips: case["fee_pips"].as_u64().unwrap().try_into().unwrap(),
                tick_spacing: integer("tick_spacing"),
            };
            Concentrated::new(&state).unwrap().into()
        }
        PoolKind::Solidly => {
            let reserves = [number(&case["reserves"][0]), number(&case["reserves"][1])];
            let decimals =
                [0, 1].map(|token| case["decimals"][token].as_u64().unwrap().try_into().unwrap());
            let fee_pips = case["fee_pips"].as_u64().unwrap().try_into().unwrap();
            let is_stable = case["is_stable"].as_bool().unwrap();
            let state = SolidlyState { reserves, decimals, fee_pips, is_stable };
            Solidly::new(&state).unwrap().into()
        }
    }
}

fn golden_cases(kind: PoolKind) -> Vec<Value> {
    let path = format!("{}/testdata/amm/{}.json", env!("CARGO_MANIFEST_DIR"), kind.name());
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("golden quotes of {}: {path}: {error}", kind.name()));
    let file: Value = serde_json::from_str(&text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

#[test]
fn every_kind_has_golden_quotes() {
    for kind in Pool::KINDS.iter().copied() {
        let cases = golden_cases(kind);
        assert!(cases.len() >= 10, "{}: ten cases at least", kind.name());
        for case in &cases {
            let mut arena = TickArena::new(1, 64);
            let pool = golden_pool(kind, case, &mut arena);
            let ticks = arena.of(PoolId(0));
            assert_eq!(pool.kind(), kind);
            let direction = match case["direction"].as_str().unwrap() {
                "zero_for_one" => Direction::ZeroForOne,
                "one_for_zero" => Direction::OneForZero,
                other => panic!("unknown direction {other}"),
            };
            let amount = number(&case["amount"]);
            let expected = case["answer"].as_str().map(|text| text.parse::<u128>().unwrap());
            let answer = match case["question"].as_str().unwrap() {
                "quote_out" => pool.quote_out(ticks, amount, direction),
                "quote_in" => pool.quote_in(ticks, amount, direction),
                "least_in" => pool.least_in(ticks, amount, direction),
                other => panic!("unknown question {other}"),
            };
            assert_eq!(answer, expected, "{}: {case}", kind.name());
        }
    }
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: Vec<String> = Pool::KINDS.iter().map(|kind| kind.name().into()).collect();
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{name} twice");
    }
}

#[test]
fn a_pool_refuses_what_its_contract_cannot_hold() {
    assert_eq!(ConstantProduct::new([RESERVE_MAX + 1, 1], 0), None);
    assert_eq!(ConstantProduct::new([1, 1], PIPS + 1), None);
    let full = ConstantProduct::new([RESERVE_MAX - 5, 1_000], 3_000).unwrap();
    assert_eq!(full.quote_out(Ticks::NONE, 6, Direction::ZeroForOne), None);
    assert_eq!(full.after_swap(6, 0, Direction::ZeroForOne), None);
    assert_eq!(full.after_swap(0, 1_001, Direction::ZeroForOne), None);
    assert_eq!(
        full.quote_in(Ticks::NONE, 1_000, Direction::ZeroForOne),
        None,
        "a reserve is never emptied"
    );
}

#[test]
fn reserves_that_the_overlay_makes_impossible_empty_the_pool() {
    let pool = |reserves| Pool::from(ConstantProduct::new(reserves, 3_000).unwrap());
    let over = |reserves, overlay| pool(reserves).with_overlay(Ticks::NONE, overlay);
    let shifted = over([100, 100], [-40, 7]);
    assert_eq!(shifted, ConstantProduct::new([60, 107], 3_000).unwrap().into());
    let empty = ConstantProduct::new([0, 0], 3_000).unwrap().into();
    assert_eq!(over([100, 100], [-101, 0]), empty);
    assert_eq!(over([100, RESERVE_MAX], [0, 1]), empty);
}

#[test]
fn a_pool_that_cannot_trade_has_no_curve() {
    for (reserves, fee_pips) in [([0, 5], 3_000), ([5, 0], 3_000), ([5, 5], PIPS)] {
        let pool = ConstantProduct::new(reserves, fee_pips).unwrap();
        assert_eq!(pool.mobius(Ticks::NONE, Direction::ZeroForOne), None);
        assert_eq!(pool.quote_out(Ticks::NONE, 3, Direction::ZeroForOne), None);
        assert_eq!(pool.least_in(Ticks::NONE, 1, Direction::ZeroForOne), None);
    }
}

/// The whitepaper formula in 512 bits, written without sharing a line with the code under test.
fn formula_out(reserves: [u128; 2], fee_pips: u32, amount_in: u128) -> Option<u128> {
    let kept = U512::from(amount_in) * U512::from(PIPS - fee_pips);
    let out = kept * U512::from(reserves[1]) / (U512::from(reserves[0]) * U512::from(PIPS) + kept);
    let fits = U256::from(reserves[0]) + U256::from(amount_in) <= U256::from(RESERVE_MAX);
    if fits && !out.is_zero() { Some(out.to::<u128>()) } else { None }
}

fn any_reserve() -> impl Strategy<Value = u128> {
    (0_u32..112, 1..=RESERVE_MAX).prop_map(|(shift, bits)| (bits >> shift).max(1))
}

fn any_pool() -> impl Strategy<Value = ConstantProduct> {
    let fee = prop_oneof![Just(3_000_u32), Just(2_500), Just(0), 0..PIPS];
    ([any_reserve(), any_reserve()], fee)
        .prop_map(|(reserves, fee)| ConstantProduct::new(reserves, fee).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn quotes_agree_with_the_formula_in_512_bits(pool in any_pool(), amount in any_reserve()) {
        let expected = formula_out(pool.reserves(), pool.fee_pips(), amount);
        prop_assert_eq!(pool.quote_out(Ticks::NONE, amount, Direction::ZeroForOne), expected);
        let [first, second] = pool.reserves();
        let turned = ConstantProduct::new([second, first], pool.fee_pips()).unwrap();
        prop_assert_eq!(turned.quote_out(Ticks::NONE, amount, Direction::OneForZero), expected);
    }

    #[test]
    fn the_least_input_is_enough_and_one_less_is_not(
        pool in any_pool(), share in 1_u128..1_000_000,
    ) {
        let reserve_out = pool.reserves()[1];
        let wanted = (reserve_out / 1_000_000 * share).max(1);
        let least = pool.least_in(Ticks::NONE, wanted, Direction::ZeroForOne);
        let Some(least) = least else { return Ok(()) };
        prop_assert!(pool.quote_out(Ticks::NONE, least, Direction::ZeroForOne).unwrap() >= wanted);
        let less = pool.quote_out(Ticks::NONE, least - 1, Direction::ZeroForOne).unwrap_or(0);
        prop_assert!(less < wanted);
        let router = pool.quote_in(Ticks::NONE, wanted, Direction::ZeroForOne);
        prop_assert!(router.is_none_or(|asked| asked == least || asked == least + 1));
    }

    #[test]
    fn a_swap_never_lowers_the_product(pool in any_pool(), amount in any_reserve()) {
        let out = pool.quote_out(Ticks::NONE, amount, Direction::OneForZero);
        let Some(out) = out else { return Ok(()) };
        let after = pool.after_swap(amount, out, Direction::OneForZero).unwrap();
        let product = |[left, right]: [u128; 2]| U256::from(left) * U256::from(right);
        prop_assert!(product(after.reserves()) >= product(pool.reserves()));
    }

    #[test]
    fn the_curve_is_the_quote_without_its_rounding(pool in any_pool(), amount in any_reserve()) {
        let out = pool.quote_out(Ticks::NONE, amount, Direction::ZeroForOne);
        let Some(out) = out else { return Ok(()) };
        let Mobius { gain, bend } = pool.mobius(Ticks::NONE, Direction::ZeroForOne).unwrap();
        let estimate = gain * amount as f64 / bend.mul_add(amount as f64, 1.0);
        prop_assert!((estimate - out as f64).abs() <= 1.0 + estimate * 1e-14);
    }
}
