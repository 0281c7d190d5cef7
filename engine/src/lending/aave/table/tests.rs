//! Tests of a market's tables, and of taking changes back.
//!
//! Temperature: cold.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails its test")]

use alloy_primitives::U256;

use super::super::apply::Applied;
use super::super::events::{CategoryChange, Event, ReserveChange};
use super::*;

const CONTRACTS: Contracts = Contracts {
    pool: Address::repeat_byte(0xa0),
    configurator: Address::repeat_byte(0xa1),
    oracle: Address::repeat_byte(0xa2),
    provider: Address::repeat_byte(0xa3),
};
const RESERVES: u8 = 4;

fn listing(number: u8) -> Listing {
    let of = |kind: u8| Address::repeat_byte(kind | number);
    Listing { asset: of(0x10), a_token: of(0x20), debt_token: of(0x30) }
}

fn user(number: u8) -> Address {
    Address::repeat_byte(0x40 | number)
}

/// A market with some reserves and no account.
fn market() -> Market {
    let capacity = Capacity { accounts: 6, entries: 3 };
    let mut market = Market::new(CONTRACTS, 11, capacity);
    for number in 0..RESERVES {
        let reserve = Reserve { is_active: true, decimals: 6, ..Reserve::default() };
        market.set_reserve(number.into(), listing(number), reserve, &mut |_| ()).unwrap();
    }
    market
}

/// All that can be seen of a market.
fn image(market: &Market) -> impl PartialEq + core::fmt::Debug + use<> {
    let accounts: Vec<_> = (0..market.account_count())
        .map(|number| (*market.account(number).unwrap(), market.entries(number).to_vec()))
        .collect();
    let found: Vec<_> = (0..16).map(|number| market.account_of(&user(number))).collect();
    let listed: Vec<_> = (0..16)
        .map(|number| {
            let Listing { asset, a_token, debt_token } = listing(number);
            let tokens = [a_token, debt_token].map(|token| market.reserve_of_token(&token));
            (market.reserve_of(&asset), tokens, market.listing(number.into()).copied())
        })
        .collect();
    let stale: Vec<_> = market.stale().collect();
    let marked = accounts.iter().zip(0..).filter(|((account, _), _)| account.is_stale);
    assert!(marked.map(|((account, _), number)| (number, account.address)).eq(stale.clone()));
    let poor: Vec<_> = market.stale_reserves().collect();
    (
        (accounts, found, listed),
        (market.reserves.clone(), market.categories.clone(), market.rules),
        // Entries beyond an account's count are as they were, too.
        (stale, poor, market.entries.clone()),
    )
}

#[test]
#[expect(clippy::cognitive_complexity, reason = "a story, told in one place")]
fn a_borrower_is_added_and_asked_for_and_then_has_a_health() {
    let mut market = market();
    let mut log = vec![];
    let mut undo = |change| log.push(change);
    let event = Event::Borrowed { user: user(1) };
    let applied = market.apply(&CONTRACTS.pool, &event, 9, &mut undo);
    assert_eq!(applied, Ok(Applied::Account(0)));
    assert_eq!(market.stale().collect::<Vec<_>>(), [(0, user(1))]);
    let entry = |reserve, collateral, debt| Entry {
        collateral,
        debt,
        reserve,
        is_collateral: collateral != 0,
    };
    let read = [entry(0, 5_000_000, 0), entry(1, 0, 1_000_000), entry(2, 0, 0)];
    assert_eq!(market.set_account(user(1), 2, &read, &mut undo), Ok(0));
    assert_eq!(market.stale().count(), 0);
    assert_eq!(market.entries(0), &read[..2]);
    assert_eq!(market.account(0).unwrap().category, 2);
    let prices = |_| Ok(U256::from(100_000_000));
    // Without an index, nothing is worth anything.
    let health = market.position(0, 9).unwrap().health(&prices).unwrap();
    assert_eq!(health.health_factor, U256::MAX);
    let ray = 1_000_000_000_000_000_000_000_000_000;
    for number in 0..2 {
        let asset = listing(number).asset;
        let event = Event::Reserve {
            asset,
            change: ReserveChange::Data { liquidity: (0, ray), borrow: (0, ray) },
        };
        let applied = market.apply(&CONTRACTS.pool, &event, 9, &mut undo);
        assert_eq!(applied, Ok(Applied::Reserve(number.into())));
        let event = Event::Reserve {
            asset,
            change: ReserveChange::Collateral { threshold_bps: 8_000, bonus_bps: 1 },
        };
        assert!(market.apply(&CONTRACTS.configurator, &event, 9, &mut undo).is_ok());
    }
    assert_eq!(market.stale_reserves().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(market.set_available(0, 7, &mut undo), Ok(()));
    assert_eq!(market.stale_reserves().collect::<Vec<_>>(), [1]);
    let health = market.position(0, 9).unwrap().health(&prices).unwrap();
    assert_eq!(health.health_factor, U256::from(4_000_000_000_000_000_000_u64));
    market.set_revision(12, &mut undo);
    assert!(market.position(0, 9).is_err_and(|fault| fault == Fault::Unknown));
}

#[test]
fn only_borrowers_are_added_and_others_are_left_alone() {
    let mut market = market();
    let Listing { a_token, debt_token, .. } = listing(1);
    let none = |market: &mut Market, emitter, event| {
        let applied = market.apply(&emitter, &event, 9, &mut |_| panic!("nothing changes"));
        assert_eq!(applied, Ok(Applied::Nothing));
    };
    none(&mut market, CONTRACTS.pool, Event::Moved { user: user(1) });
    none(&mut market, a_token, Event::Minted { user: user(1) });
    none(&mut market, a_token, Event::Transferred { from: user(1), to: user(2) });
    assert_eq!(market.counts().strangers, 0);
    none(&mut market, user(9), Event::Borrowed { user: user(1) });
    none(&mut market, user(9), Event::Upgraded);
    none(&mut market, CONTRACTS.pool, Event::Oracle);
    assert_eq!(market.counts().strangers, 3);
    let minted = Event::Minted { user: user(1) };
    let applied = market.apply(&debt_token, &minted, 9, &mut |_| ());
    assert_eq!(applied, Ok(Applied::Account(0)));
}

#[test]
#[expect(clippy::cognitive_complexity, reason = "a story, told in one place")]
fn what_does_not_fit_is_counted_and_has_no_health() {
    let mut market = market();
    let entry = |reserve| Entry { collateral: 1, debt: 1, reserve, is_collateral: true };
    let four = [0, 1, 2, 3].map(entry);
    assert_eq!(market.set_account(user(0), 0, &four, &mut |_| ()), Err(Refused::Overfull));
    assert_eq!(market.counts().overfull, 1);
    assert_eq!(market.position(0, 1).map(|_| ()), Err(Fault::Unknown));
    assert_eq!(market.set_account(user(0), 0, &four[..3], &mut |_| ()), Ok(0));
    assert!(market.position(0, 1).is_ok());
    assert_eq!(market.set_entry(0, four[3], &mut |_| ()), Err(Refused::Overfull));
    assert!(market.position(0, 1).is_err());
    for number in 1..6 {
        let event = Event::Borrowed { user: user(number) };
        assert!(market.apply(&CONTRACTS.pool, &event, 9, &mut |_| ()).is_ok());
    }
    let event = Event::Borrowed { user: user(6) };
    let applied = market.apply(&CONTRACTS.pool, &event, 9, &mut |_| ());
    assert_eq!(applied, Err(Refused::Full));
    assert_eq!(market.counts().full, 1);
    let mut listed =
        |number, listing| market.set_reserve(number, listing, Reserve::default(), &mut |_| ());
    assert_eq!(listed(RESERVES_MAX, listing(9)), Err(Refused::Reserve));
    assert_eq!(listed(1, listing(9)), Err(Refused::Reserve), "another reserve's number");
    assert_eq!(listed(9, listing(1)), Err(Refused::Reserve), "another number's reserve");
    assert_eq!(listed(9, Listing::default()), Err(Refused::Reserve));
    assert_eq!(listed(1, listing(1)), Ok(()));
}

/// A generator of few enough cases that they meet.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // Knuth's constants.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn byte(&mut self, most: u8) -> u8 {
        u8::try_from(self.below(most.into())).unwrap()
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn entry(&mut self) -> Entry {
        Entry {
            collateral: self.below(3).into(),
            debt: self.below(3).into(),
            reserve: self.byte(RESERVES).into(),
            is_collateral: self.flip(),
        }
    }

    fn event(&mut self) -> (Address, Event) {
        let user = |dice: &mut Self| user(dice.byte(8));
        let tokens = listing(self.byte(RESERVES + 1));
        let asset = tokens.asset;
        let token = if self.flip() { tokens.a_token } else { tokens.debt_token };
        let Contracts { pool, configurator, oracle, provider } = CONTRACTS;
        let bps = u16::try_from(self.below(20_000)).unwrap();
        let number = u128::from(self.below(9));
        match self.below(18) {
            0 => (
                pool,
                Event::Reserve {
                    asset,
                    change: ReserveChange::Data { liquidity: (number, 1), borrow: (2, number) },
                },
            ),
            1 => {
                let (user, is_used) = (user(self), self.flip());
                (pool, Event::CollateralUse { asset, user, is_used })
            }
            2 => (pool, Event::UserCategory { user: user(self), category: self.byte(4) }),
            3 => (pool, Event::Moved { user: user(self) }),
            4 => (pool, Event::Borrowed { user: user(self) }),
            5 => (token, Event::Minted { user: user(self) }),
            6 => (token, Event::Burnt { user: user(self) }),
            7 => (token, Event::Transferred { from: user(self), to: user(self) }),
            8 => (
                configurator,
                Event::Reserve {
                    asset,
                    change: ReserveChange::Collateral { threshold_bps: bps, bonus_bps: bps },
                },
            ),
            9 => {
                (configurator, Event::Reserve { asset, change: ReserveChange::Active(self.flip()) })
            }
            10 => {
                (configurator, Event::Reserve { asset, change: ReserveChange::Paused(self.flip()) })
            }
            11 => (configurator, Event::Reserve { asset, change: ReserveChange::Fee(bps) }),
            12 => (
                configurator,
                Event::Reserve { asset, change: ReserveChange::Grace(self.below(9)) },
            ),
            13 => (
                configurator,
                Event::Category {
                    category: self.byte(4),
                    change: CategoryChange::Numbers {
                        threshold_bps: bps,
                        bonus_bps: bps,
                        has_price_source: self.flip(),
                    },
                },
            ),
            14 => {
                let (category, is_collateral) = (self.byte(4), self.flip());
                let change = CategoryChange::Collateral { asset, is_collateral };
                (configurator, Event::Category { category, change })
            }
            15 => (
                configurator,
                Event::Reserve { asset, change: ReserveChange::Category(self.byte(4)) },
            ),
            16 => (oracle, Event::PriceSource { asset }),
            _ => (provider, Event::Upgraded),
        }
    }

    fn step(&mut self, market: &mut Market, undo: &mut impl FnMut(Undo)) -> bool {
        match self.below(8) {
            0 | 1 => {
                let entries = [self.entry(), self.entry(), self.entry(), self.entry()];
                let count = usize::from(self.byte(5));
                let (user, category) = (user(self.byte(8)), self.byte(4));
                market.set_account(user, category, &entries[..count], undo).is_ok()
            }
            2 => {
                let account = u32::from(self.byte(7));
                market.set_entry(account, self.entry(), undo).is_ok()
            }
            3 => {
                let number = self.byte(RESERVES + 4);
                let named = if self.below(4) == 0 { self.byte(9) } else { number };
                let decimals = self.byte(20);
                let reserve = Reserve { decimals, ..Reserve::default() };
                market.set_reserve(number.into(), listing(named), reserve, undo).is_ok()
            }
            4 => {
                market.set_revision(self.below(13), undo);
                market.set_available(self.byte(9).into(), self.below(9).into(), undo).is_ok()
            }
            _ => {
                let (emitter, event) = self.event();
                market.apply(&emitter, &event, 9, undo).is_ok()
            }
        }
    }
}

#[test]
fn whatever_happened_is_taken_back_exactly() {
    let mut dice = Dice(0x6761_6e6e_6574);
    let (mut done, mut refused, mut undone) = (0_u32, 0_u32, 0_usize);
    for _ in 0..300 {
        let mut market = market();
        let mut log = vec![];
        let mut images = vec![(0, image(&market))];
        for _ in 0..60 {
            let was_done = dice.step(&mut market, &mut |change| log.push(change));
            if was_done {
                done += 1;
            } else {
                refused += 1;
            }
            images.push((log.len(), image(&market)));
            // Now and then a few steps are taken back, and others follow.
            while images.len() > 1 && dice.below(3) == 0 {
                images.pop();
                let (length, image_then) = images.last().unwrap();
                undone += log.len() - length;
                for change in log.drain(*length..).rev() {
                    market.undo(change);
                }
                assert!(image(&market) == *image_then, "{:?}", image(&market));
            }
        }
        while let Some((length, image_then)) = images.pop() {
            undone += log.len() - length;
            for change in log.drain(length..).rev() {
                market.undo(change);
            }
            assert!(image(&market) == image_then, "{:?}", image(&market));
        }
    }
    assert!(done > 5_000);
    assert!(refused > 1_000);
    assert!(undone > 10_000);
}
