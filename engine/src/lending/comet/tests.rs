//! The reference's worked examples, and what the arithmetic promises by itself.
//!
//! Temperature: cold.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use alloy_primitives::U256;
use proptest::prelude::*;

use super::health::debt_value;
use super::*;

const E18: u64 = 1_000_000_000_000_000_000;
const YEAR: u64 = 31_536_000;

/// A market of a token with 6 decimals, as the examples have it.
fn usdc() -> Market {
    let borrow = Curve {
        kink: 9 * E18 / 10,
        slope_low: 35 * (E18 / 1_000) / YEAR,
        slope_high: u64::try_from(3_400 * u128::from(E18 / 1_000) / u128::from(YEAR)).unwrap(),
        base: 15 * (E18 / 1_000) / YEAR,
    };
    Market {
        terms: Terms {
            base_scale: 1_000_000,
            borrow,
            store_front_price_factor: E18 / 2,
            target_reserves: 5_000_000_000_000,
            ..Terms::default()
        },
        totals: Totals {
            supply_index: 1_060_000_000_000_000,
            borrow_index: 1_090_000_000_000_000,
            supply: 50_000_000_000_000,
            borrow: 40_000_000_000_000,
            ..Totals::default()
        },
    }
}

fn weth() -> Asset {
    Asset {
        scale: E18,
        liquidate_factor: 93 * (E18 / 100),
        liquidation_factor: 95 * (E18 / 100),
        total: 6 * u128::from(E18),
        held: 6 * u128::from(E18),
        ..Asset::default()
    }
}

const SIX: [u128; 1] = [6_000_000_000_000_000_000];
const BORROWER: Account<'_> = Account { principal: -10_000_000_000, assets_in: 1, balances: &SIX };

#[expect(clippy::unnecessary_wraps, reason = "prices may be absent")]
fn prices(what: Priced) -> Result<U256, Fault> {
    Ok(U256::from(match what {
        Priced::Base => 100_000_000_u64,
        Priced::Asset(_) => 190_000_000_000,
    }))
}

#[test]
fn interest_is_the_reference_example() {
    let market = usdc();
    let utilization = utilization(&market.totals).unwrap();
    assert_eq!(utilization, U256::from(822_641_509_433_962_264_u64));
    assert_eq!(market.terms.borrow.rate(utilization), Ok(1_388_649_568));
    let later = accrued(&market, 3_600).unwrap();
    assert_eq!(later.totals.borrow_index, 1_090_005_449_060_904);
}

#[test]
fn the_borrower_of_the_reference_example_can_be_absorbed() {
    let health = health(&usdc(), &[weth()], &BORROWER, &prices).unwrap();
    assert!(health.is_liquidatable);
    assert_eq!(health.debt_value - health.collateral_value, U256::from(29_800_000_000_u64));
    assert_eq!(health.weighted[0], health.collateral_value);
    assert_eq!(is_liquidatable(&usdc(), &[weth()], &BORROWER, &prices), Ok(true));
}

#[test]
fn the_absorption_is_the_reference_example() {
    let market = usdc();
    let absorbed = absorb(&market, &[weth()], &BORROWER, &prices).unwrap();
    assert_eq!(absorbed.principal, 0);
    assert_eq!(absorbed.base_paid_out, U256::from(10_900_000_000_u64));
    assert_eq!(absorbed.market.totals.borrow, market.totals.borrow - 10_000_000_000);
    assert_eq!(absorbed.market.totals.supply, market.totals.supply);
}

#[test]
fn the_quote_is_the_reference_example() {
    let thousand = U256::from(1_000_000_000);
    let out = quote_collateral(&usdc(), (0, &weth()), thousand, &prices);
    assert_eq!(out, Ok(U256::from(539_811_066_126_855_600_u64)));
}

#[test]
fn what_an_absorption_seized_is_for_sale_behind_it() {
    let (market, asset) = (usdc(), weth());
    assert_eq!(buy(&market, (0, &asset), 1_000_000_000, &prices), Err(Fault::NoLiquidity));
    let absorbed = absorb(&market, &[asset], &BORROWER, &prices).unwrap();
    let asset = asset.after_seizing(SIX[0]).unwrap();
    let bought = buy(&absorbed.market, (0, &asset), 1_000_000_000, &prices).unwrap();
    assert_eq!(bought.collateral_out, 539_811_066_126_855_600);
    assert_eq!(bought.market.totals.held, market.totals.held + 1_000_000_000);
    assert_eq!(collateral_reserves(&bought.asset), Ok(SIX[0] - bought.collateral_out));
}

#[test]
fn feeds_behind_the_point_where_the_debt_is_covered_are_not_asked() {
    let assets = [weth(), weth()];
    let account = Account { assets_in: 0b11, balances: &[SIX[0] * 2, SIX[0]], ..BORROWER };
    let only = |good: u8| {
        move |what| if what == Priced::Asset(1 - good) { Err(Fault::NoPrice) } else { prices(what) }
    };
    assert_eq!(is_liquidatable(&usdc(), &assets, &account, &only(0)), Ok(false));
    let counted = health(&usdc(), &assets, &account, &only(0)).unwrap();
    assert!(!counted.is_liquidatable);
    assert_eq!(counted.weighted[1], U256::ZERO);
    for asked in [
        is_liquidatable(&usdc(), &assets, &account, &only(1)),
        health(&usdc(), &assets, &account, &only(1)).map(|health| health.is_liquidatable),
    ] {
        assert_eq!(asked, Err(Fault::NoPrice));
    }
}

#[test]
fn answers_of_zero_or_less_are_no_prices() {
    for answer in [U256::ZERO, U256::MAX, U256::ONE << 255] {
        let bad = |_| Ok(answer);
        assert_eq!(is_liquidatable(&usdc(), &[weth()], &BORROWER, &bad), Err(Fault::NoPrice));
        assert_eq!(quote_collateral(&usdc(), (0, &weth()), U256::ONE, &bad), Err(Fault::NoPrice));
    }
    let lender = Account { principal: 1, ..BORROWER };
    assert_eq!(debt_value(&usdc(), &lender, &|_| Err(Fault::NoPrice)), Ok(U256::ZERO));
}

#[test]
fn a_market_does_not_go_back_in_time() {
    let mut market = usdc();
    market.totals.last_accrual = 100;
    assert_eq!(accrued(&market, 99), Err(Fault::Underflow));
    assert_eq!(accrued(&market, 100), Ok(market));
    assert_eq!(accrued(&market, 1 << 40), Err(Fault::Overflow));
}

#[test]
fn words_of_storage_are_read_as_the_contract_packs_them() {
    let word = |parts: &[(u128, usize)]| {
        parts.iter().fold(U256::ZERO, |word, (part, shift)| word | (U256::from(*part) << *shift))
    };
    let indices = word(&[(7, 0), (8, 64), (9, 128)]);
    let sums = word(&[(TOTAL_MAX, 0), (5, 104), (6, 208), (0b1_1010, 248)]);
    let totals = layout::totals(indices, sums, 3);
    let (supply, last_accrual) = (TOTAL_MAX, 6);
    let (supply_index, borrow_index, borrow, pause, held) = (7, 8, 5, 0b1_1010, 3);
    let expected = Totals { supply_index, borrow_index, supply, borrow, last_accrual, pause, held };
    assert_eq!(totals, expected);
    assert!(totals.is_paused(pause::BUY));
    assert!(!totals.is_paused(pause::SUPPLY | pause::WITHDRAW));
    let minus_two = (1_u128 << 104) - 2;
    let basic = word(&[(minus_two, 0), (u128::from(u64::MAX), 104), (0x8001, 232), (0x80, 248)]);
    assert_eq!(layout::account(basic), (-2, 0x80_8001));
    assert_eq!(layout::account(word(&[(PRINCIPAL_MAX, 0)])), (PRINCIPAL_MAX.cast_signed(), 0));
}

proptest! {
    #[test]
    fn the_most_that_can_be_bought_is_the_most(
        reserves in 0_u128..1 << 100,
        price in 1_u64..u64::MAX,
        base_price in 1_u64..u64::MAX,
        liquidation_factor in 0..=E18,
        decimals in 0_u32..=18,
    ) {
        let market = usdc();
        let scale = 10_u64.pow(decimals);
        let asset = Asset { scale, liquidation_factor, held: reserves, ..Asset::default() };
        let prices = |what| Ok(U256::from(match what {
            Priced::Base => base_price,
            Priced::Asset(_) => price,
        }));
        let Ok(most) = most_base(&market, (3, &asset), &prices) else {
            // Only a price of nothing, after the discount, has no answer.
            prop_assert!(price < 3);
            return Ok(());
        };
        let quote = |amount| quote_collateral(&market, (3, &asset), amount, &prices).unwrap();
        prop_assert!(quote(most) <= U256::from(reserves));
        prop_assert!(quote(most + U256::ONE) > U256::from(reserves));
    }

    #[test]
    fn both_ways_to_ask_for_health_agree(
        principal in -(1_i128 << 60)..1 << 30,
        balances in prop::collection::vec(0_u128..1 << 90, 5),
        assets_in in 0_u32..32,
        answers in prop::collection::vec(0_u64..1 << 50, 6),
    ) {
        let assets = [weth(); 5];
        let account = Account { principal, assets_in, balances: &balances };
        let prices = |what| Ok(U256::from(match what {
            Priced::Base => answers[5],
            Priced::Asset(index) => answers[usize::from(index)],
        }));
        let asked = is_liquidatable(&usdc(), &assets, &account, &prices);
        let counted = health(&usdc(), &assets, &account, &prices);
        prop_assert_eq!(asked, counted.map(|health| health.is_liquidatable));
        if let Ok(health) = counted {
            let sum = health.weighted.iter().fold(U256::ZERO, |sum, term| sum + term);
            prop_assert_eq!(sum, health.collateral_value);
        }
    }
}
