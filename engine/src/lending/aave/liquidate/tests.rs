//! Tests of the amounts of a liquidation and of what amounts there are.
//!
//! Temperature: cold.

use super::super::health::tests::{ENTRIES, RAY_ONE, position, prices, reserves};
use super::*;

fn rules(revision: u64) -> Rules {
    Rules::of(revision).unwrap()
}

#[test]
fn the_references_liquidation_has_the_references_amounts() {
    let reserves = reserves();
    for (revision, seized, fee) in [
        (11, 4_627_817_287_238_474_998, 22_142_666_446_117_106),
        (10, 4_627_817_287_238_475_000, 22_142_666_446_117_105),
        (9, 4_627_817_287_238_475_000, 22_142_666_446_117_105),
    ] {
        let rules = rules(revision);
        let position = position(&rules, &reserves, &[]);
        let got = position.liquidation(&Request::whole(0, 1), &prices).unwrap();
        assert_eq!(got.debt_repaid, wide(8_415_054_755), "revision {revision}");
        assert_eq!(got.collateral_seized, wide(seized), "revision {revision}");
        assert_eq!(got.protocol_fee, wide(fee), "revision {revision}");
        assert!(!got.is_collateral_gone);
    }
}

#[test]
fn before_whole_positions_half_of_the_one_debt_is_repaid() {
    let reserves = reserves();
    for revision in 1..=6 {
        let rules = rules(revision);
        let position = position(&rules, &reserves, &[]);
        let got = position.liquidation(&Request::whole(0, 1), &prices).unwrap();
        assert_eq!(got.debt_repaid, wide(8_415_054_756), "revision {revision}");
        let choices = position.choices(&Request::whole(0, 1), &prices).unwrap();
        assert_eq!(choices.part_most, got.debt_repaid);
    }
}

#[test]
#[expect(clippy::cognitive_complexity, reason = "a list of cases, in one place")]
fn what_forbids_a_liquidation_is_told_apart() {
    let rules = rules(10);
    let ask = |change: &dyn Fn(&mut [Reserve; 2]), request: Request| {
        let mut reserves = reserves();
        change(&mut reserves);
        position(&rules, &reserves, &[]).liquidation(&request, &prices)
    };
    let whole = Request::whole(0, 1);
    assert!(ask(&|_| {}, whole).is_ok());
    for side in [0, 1] {
        assert_eq!(ask(&|all| all[side].is_active = false, whole), Err(Fault::Forbidden));
        assert_eq!(ask(&|all| all[side].is_paused = true, whole), Err(Fault::Forbidden));
        assert_eq!(ask(&|all| all[side].grace_until = 3_600, whole), Err(Fault::Forbidden));
        assert!(ask(&|all| all[side].grace_until = 3_599, whole).is_ok());
    }
    assert_eq!(ask(&|all| all[0].threshold_bps = 9_000, whole), Err(Fault::Healthy));
    assert_eq!(ask(&|all| all[0].available = 1, whole), Err(Fault::NoLiquidity));
    let stays = Request { receives_a_token: true, ..whole };
    assert!(ask(&|all| all[0].available = 1, stays).is_ok());
    let shut = Request { is_sentinel_open: false, ..whole };
    assert_eq!(ask(&|_| {}, shut), Err(Fault::Forbidden));
    assert!(ask(&|all| all[0].threshold_bps = 7_000, shut).is_ok(), "far below one it may");
    assert_eq!(ask(&|_| {}, Request::whole(1, 1)), Err(Fault::NotHeld));
    assert_eq!(ask(&|_| {}, Request::whole(0, 0)), Err(Fault::NotHeld));
    assert_eq!(ask(&|_| {}, Request::whole(0, 7)), Err(Fault::Unknown));
    let nothing = Request { amount: U256::ZERO, ..whole };
    assert_eq!(ask(&|_| {}, nothing), Err(Fault::Forbidden));
    let no_price = |_| Err(Fault::NoPrice);
    let reserves = reserves();
    let position = position(&rules, &reserves, &[]);
    assert_eq!(position.liquidation(&whole, &no_price), Err(Fault::NoPrice));
}

#[test]
fn the_newest_revision_has_no_sentinel() {
    let (rules, reserves) = (rules(11), reserves());
    let shut = Request { is_sentinel_open: false, ..Request::whole(0, 1) };
    assert!(position(&rules, &reserves, &[]).liquidation(&shut, &prices).is_ok());
}

#[test]
fn far_below_one_all_debt_is_repaid_or_all_collateral_taken() {
    let mut reserves = reserves();
    reserves[0].threshold_bps = 7_000;
    for revision in 7..=11 {
        let rules = rules(revision);
        let position = position(&rules, &reserves, &[]);
        let got = position.liquidation(&Request::whole(0, 1), &prices).unwrap();
        assert!(got.debt_repaid >= wide(16_830_109_510), "revision {revision}");
        assert_eq!(got.debt_scaled, wide(ENTRIES[1].debt));
        // At half the price the collateral no longer covers it.
        let halved = |number| Ok(if number == 0 { wide(80_000_000_000) } else { prices(number)? });
        let got = position.liquidation(&Request::whole(0, 1), &halved).unwrap();
        assert!(got.is_collateral_gone, "revision {revision}");
        assert!(got.is_flag_cleared);
        assert!(!got.written_off.is_zero());
        assert_eq!(got.debt_scaled, wide(ENTRIES[1].debt), "the rest is written off");
    }
}

/// A small market in which every amount can be tried: one unit is worth 100 in base.
fn small(collateral: u128, debt: u128, bonus_bps: u16) -> ([Reserve; 2], [Entry; 2]) {
    let reserve = Reserve {
        liquidity_index: RAY_ONE,
        borrow_index: RAY_ONE,
        available: u128::MAX,
        threshold_bps: 8_000,
        bonus_bps,
        fee_bps: 1_000,
        decimals: 1,
        is_active: true,
        ..Reserve::default()
    };
    let entries = [
        Entry { collateral, debt: 0, reserve: 0, is_collateral: true },
        Entry { collateral: 0, debt, reserve: 1, is_collateral: false },
    ];
    ([reserve; 2], entries)
}

#[test]
fn the_amounts_that_are_allowed_are_those_that_a_trial_of_all_finds() {
    // Prices per ten of the smallest unit; so a debt of 300 is worth a few thousand.
    let mut seen = [0_u32; 4];
    for (collateral, debt, price) in [
        (330, 300, 100),
        (330, 300, 102),
        (310, 250, 90),
        (400, 300, 83),
        (190, 150, 97),
        (300, 300, 80),
        (90, 60, 80),
        (600, 470, 97),
        (700, 560, 99),
    ] {
        for (revision, bonus) in
            (1..=11).flat_map(|revision| [(revision, 10_500), (revision, 10_733)])
        {
            let (reserves, entries) = small(collateral, debt, bonus);
            let rules = rules(revision);
            let position =
                Position { entries: &entries, at: 5, ..position(&rules, &reserves, &[]) };
            let prices =
                |number| Ok(wide([price * 1_000_000_000, 99_999_999_999][usize::from(number)]));
            let whole = Request::whole(0, 1);
            let Ok(choices) = position.choices(&whole, &prices) else {
                seen[0] += 1;
                continue;
            };
            for amount in 1..=debt + 5 {
                let request = Request { amount: wide(amount), ..whole };
                let tried = position.liquidation(&request, &prices);
                let allowed = choices.allows(wide(amount));
                // What comes to nothing is refused, too, but not for what it leaves.
                let is_fine = matches!(tried, Ok(_) | Err(Fault::Forbidden));
                assert!(is_fine || tried == Err(Fault::Dust));
                assert_eq!(
                    allowed, is_fine,
                    "revision {revision}, {collateral} for {debt} at {price}: {amount} of \
                     {choices:?}: {tried:?}"
                );
                seen[if allowed { 1 } else { 2 }] += 1;
            }
            let has_hole = !choices.part_most.is_zero()
                && choices.whole_least.is_some_and(|least| least > choices.part_most + U256::ONE);
            seen[3] += u32::from(has_hole);
        }
    }
    assert!(seen[1..].iter().all(|count| *count > 0), "{seen:?}");
}
