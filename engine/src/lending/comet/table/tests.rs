//! A table against what it was told, and against itself after everything was taken back.
//!
//! Temperature: cold.

use std::vec;
use std::vec::Vec;

use alloy_primitives::Address;
use proptest::prelude::*;

use super::*;
use crate::lending::comet::events::Event;
use crate::lending::comet::{Terms, Totals, pause};

const ROOM: Room = Room { markets: 2, assets: 4, accounts: 5 };

fn address(byte: u8) -> Address {
    Address::with_last_byte(byte)
}

fn asset(byte: u8) -> Asset {
    Asset { token: address(byte), scale: 1, held: 1_000, total: 900, ..Asset::default() }
}

fn terms(feed: u8) -> Market {
    let terms = Terms { base_feed: address(feed), ..Terms::default() };
    let totals = Totals { supply_index: 1, borrow_index: 1, held: 500, ..Totals::default() };
    Market { terms, totals }
}

/// Everything that a table says, but for the counts.
#[derive(Debug, PartialEq)]
struct Picture {
    markets: Vec<(Unread, Market, [Asset; ASSETS_MAX], u8)>,
    accounts: Vec<(MarketId, Address, i128, u32, bool, Vec<u128>)>,
    stale: Vec<AccountId>,
    known: Vec<Option<AccountId>>,
}

fn picture(table: &CometTable) -> Picture {
    let markets = table.markets.iter();
    let numbered = (0_u32..).map(AccountId).zip(&table.records);
    let owners = (0..2).flat_map(|market| (0..8).map(move |owner| (MarketId(market), owner)));
    Picture {
        markets: markets.map(|at| (at.unread, at.market, seen(at), at.asset_count)).collect(),
        accounts: numbered
            .map(|(id, record)| {
                let Record { market, owner, principal, assets_in } = *record;
                let balances = table.balances_of(id).unwrap().to_vec();
                (market, owner, principal, assets_in, table.stale.has(id.0), balances)
            })
            .collect(),
        stale: table.stale().collect(),
        known: owners.map(|(market, owner)| table.account_id(market, address(owner))).collect(),
    }
}

fn seen(place: &Place) -> [Asset; ASSETS_MAX] {
    let mut assets = place.assets;
    assets[usize::from(place.asset_count)..].fill(Asset::default());
    assets
}

fn ignored(_: Undo) {}

/// A table with one market that was read, with three kinds of collateral.
fn table() -> CometTable {
    let mut table = CometTable::new(ROOM);
    let id = table.insert_market(address(100)).unwrap();
    table.set_market(id, &terms(1), &[asset(10), asset(11), asset(12)], &mut ignored).unwrap();
    table
}

const FIRST: MarketId = MarketId(0);

/// An account with 100 of the first collateral and 50 of the third.
fn account(table: &mut CometTable, owner: u8) -> AccountId {
    let id = table.add_account(FIRST, address(owner), &mut ignored).unwrap().unwrap();
    let read = Account { principal: -7, assets_in: 0b101, balances: &[100, 0, 50] };
    table.set_account(id, &read, &mut ignored).unwrap();
    id
}

fn supplied(to: u8, asset: u8, amount: u128) -> Event {
    Event::SupplyCollateral { to: address(to), asset: address(asset), amount }
}

#[test]
fn collateral_is_followed_exactly() {
    let mut table = table();
    let id = account(&mut table, 1);
    let withdrawn = Event::WithdrawCollateral { from: address(1), asset: address(10), amount: 100 };
    table.apply(FIRST, &withdrawn, &mut ignored).unwrap();
    table.apply(FIRST, &supplied(1, 11, 30), &mut ignored).unwrap();
    let now = table.account(id).unwrap();
    assert_eq!((now.principal, now.assets_in), (-7, 0b110));
    assert_eq!(now.balances, [0, 30, 50, 0]);
    let assets = table.market(FIRST).unwrap().1;
    assert_eq!([assets[0].held, assets[0].total], [900, 800]);
    assert_eq!([assets[1].held, assets[1].total], [1_030, 930]);
    assert_eq!(table.unread(FIRST), Ok(Unread::Nothing));
    assert_eq!(table.counts(), Counts::default());
}

#[test]
fn base_tokens_that_move_leave_an_account_to_be_read() {
    let events = [
        Event::Supply { to: address(1), amount: 5 },
        Event::Withdraw { from: address(1), amount: 5 },
        Event::Transfer { from: address(1), to: Address::ZERO },
        Event::Transfer { from: Address::ZERO, to: address(1) },
        Event::AbsorbDebt { borrower: address(1), base_paid_out: 9 },
    ];
    for event in events {
        let mut table = table();
        let [id, other] = [1, 2].map(|owner| account(&mut table, owner));
        table.apply(FIRST, &event, &mut ignored).unwrap();
        assert_eq!(table.account(id), Err(Fault::Unknown), "{event:?}");
        assert!(table.stale().eq([id]), "{event:?}");
        assert_eq!(table.unread(FIRST), Ok(Unread::Totals), "{event:?}");
        assert!(table.account(other).is_ok(), "{event:?}");
        let read = Account { principal: -2, assets_in: 1, balances: &[100] };
        table.set_account(id, &read, &mut ignored).unwrap();
        assert_eq!(table.account(id).unwrap().balances, [100, 0, 0, 0]);
        assert_eq!(table.stale().count(), 0);
        table.set_totals(FIRST, Totals::default(), &mut ignored).unwrap();
        assert_eq!(table.unread(FIRST), Ok(Unread::Nothing));
    }
}

#[test]
fn an_absorption_and_a_purchase_move_the_stock() {
    let mut table = table();
    let id = account(&mut table, 1);
    let (borrower, asset) = (address(1), address(10));
    let seized = Event::AbsorbCollateral { borrower, asset, amount: 100 };
    table.apply(FIRST, &seized, &mut ignored).unwrap();
    assert_eq!(table.account(id).unwrap().assets_in, 0b100);
    let bought = Event::BuyCollateral { asset, base_amount: 40, collateral_amount: 60 };
    table.apply(FIRST, &bought, &mut ignored).unwrap();
    let (market, assets) = table.market(FIRST).unwrap();
    assert_eq!([assets[0].held, assets[0].total], [940, 800]);
    assert_eq!(market.totals.held, 540);
}

#[test]
fn whoever_puts_collateral_in_is_taken_in_until_there_is_no_room() {
    let mut table = table();
    for owner in 1..=8 {
        table.apply(FIRST, &supplied(owner, 10, 1), &mut ignored).unwrap();
    }
    assert_eq!(table.stale().count(), 5);
    assert_eq!(table.counts().dropped, 3);
    let moved = Event::Supply { to: address(9), amount: 1 };
    table.apply(FIRST, &moved, &mut ignored).unwrap();
    assert_eq!(table.account_id(FIRST, address(9)), None, "lenders are not watched");
    assert_eq!(table.owner(AccountId(0)), Ok((FIRST, address(1))));
}

#[test]
fn a_log_that_contradicts_the_mirror_is_not_believed() {
    let mut table = table();
    let id = account(&mut table, 1);
    let from = address(1);
    let too_much = Event::WithdrawCollateral { from, asset: address(10), amount: 101 };
    table.apply(FIRST, &too_much, &mut ignored).unwrap();
    assert_eq!(table.account(id), Err(Fault::Unknown));
    assert_eq!(table.counts().contradicted, 1);

    let id = account(&mut table, 2);
    table.apply(FIRST, &supplied(2, 99, 1), &mut ignored).unwrap();
    assert_eq!(table.account(id), Err(Fault::Unknown), "a collateral that nobody knows");
    assert_eq!(table.unread(FIRST), Ok(Unread::All));
    assert!(table.market(FIRST).is_err());
    assert_eq!(table.counts().contradicted, 2);
}

#[test]
fn an_upgrade_leaves_the_market_to_be_read() {
    let mut table = table();
    let [id, other] = [1, 2].map(|owner| account(&mut table, owner));
    let upgraded = Event::Upgraded { implementation: address(7) };
    table.apply(FIRST, &upgraded, &mut ignored).unwrap();
    assert!(table.market(FIRST).is_err());
    table.set_totals(FIRST, Totals::default(), &mut ignored).unwrap();
    assert!(table.market(FIRST).is_err(), "totals are not enough");
    let more = [asset(10), asset(11), asset(12), asset(13)];
    table.set_market(FIRST, &terms(2), &more, &mut ignored).unwrap();
    assert_eq!(table.market(FIRST).unwrap().1.len(), 4);
    assert!(table.account(id).is_ok(), "more collateral moves nobody's");
    let other_order = [asset(11), asset(10)];
    table.set_market(FIRST, &terms(2), &other_order, &mut ignored).unwrap();
    assert!(table.stale().eq([id, other]));
    let too_many = [asset(1); 5];
    assert!(table.set_market(FIRST, &terms(2), &too_many, &mut ignored).is_err());
}

#[test]
fn what_is_paused_is_what_the_last_log_says() {
    let mut table = table();
    let bits = pause::BUY | pause::SUPPLY;
    table.apply(FIRST, &Event::Pause { bits }, &mut ignored).unwrap();
    assert!(table.market(FIRST).unwrap().0.totals.is_paused(pause::BUY));
    assert_eq!(table.unread(FIRST), Ok(Unread::Nothing));
}

#[test]
fn markets_find_no_more_room_than_there_is() {
    let mut table = table();
    assert!(table.insert_market(address(100)).is_err(), "it is there");
    assert_eq!(table.insert_market(address(101)), Ok(MarketId(1)));
    assert!(table.insert_market(address(102)).is_err());
    assert_eq!(table.market_id(&address(101)), Some(MarketId(1)));
    assert!(table.apply(MarketId(2), &Event::Pause { bits: 0 }, &mut ignored).is_err());
}

/// Something that happens to a table.
#[derive(Clone, Debug)]
enum Step {
    Log(u8, Event),
    Read(u32, i128, u32, Vec<u128>),
    Totals(u8, Totals),
    Market(u8, Vec<u8>),
    Stock(u8, u8, u128, u128),
    Distrust(u8),
    Mark(u32),
    Add(u8, u8),
}

fn any_event() -> impl Strategy<Value = Event> {
    let who = || (0_u8..8).prop_map(address);
    let what = || (9_u8..14).prop_map(address);
    let amount = || prop_oneof![0_u128..200, any::<u128>()];
    prop_oneof![
        (who(), amount()).prop_map(|(to, amount)| Event::Supply { to, amount }),
        (who(), amount()).prop_map(|(from, amount)| Event::Withdraw { from, amount }),
        (who(), who()).prop_map(|(from, to)| Event::Transfer { from, to }),
        (who(), amount())
            .prop_map(|(borrower, base_paid_out)| Event::AbsorbDebt { borrower, base_paid_out }),
        (who(), what(), amount()).prop_map(|(to, asset, amount)| Event::SupplyCollateral {
            to,
            asset,
            amount
        }),
        (who(), who(), what(), amount()).prop_map(|(from, to, asset, amount)| {
            Event::TransferCollateral { from, to, asset, amount }
        }),
        (who(), what(), amount()).prop_map(|(from, asset, amount)| Event::WithdrawCollateral {
            from,
            asset,
            amount
        }),
        (who(), what(), amount()).prop_map(|(borrower, asset, amount)| Event::AbsorbCollateral {
            borrower,
            asset,
            amount
        }),
        (what(), amount(), amount()).prop_map(|(asset, base_amount, collateral_amount)| {
            Event::BuyCollateral { asset, base_amount, collateral_amount }
        }),
        (0_u8..32).prop_map(|bits| Event::Pause { bits }),
        amount().prop_map(|amount| Event::WithdrawReserves { amount }),
        who().prop_map(|implementation| Event::Upgraded { implementation }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let totals = (any::<u64>(), 0_u128..1_000).prop_map(|(borrow_index, held)| Totals {
        borrow_index,
        held,
        ..Totals::default()
    });
    let balances = || prop::collection::vec(0_u128..300, 0..6);
    prop_oneof![
        8 => (0_u8..3, any_event()).prop_map(|(market, event)| Step::Log(market, event)),
        4 => (0_u32..6, -50_i128..50, 0_u32..16, balances())
            .prop_map(|(id, principal, bits, balances)| Step::Read(id, principal, bits, balances)),
        1 => (0_u8..3, totals).prop_map(|(market, totals)| Step::Totals(market, totals)),
        2 => (0_u8..3, prop::collection::vec(9_u8..14, 0..6))
            .prop_map(|(market, assets)| Step::Market(market, assets)),
        1 => (0_u8..3, 0_u8..5, 0_u128..500, 0_u128..500)
            .prop_map(|(market, index, held, total)| Step::Stock(market, index, held, total)),
        1 => (0_u8..3).prop_map(Step::Distrust),
        1 => (0_u32..6).prop_map(Step::Mark),
        1 => (0_u8..3, 0_u8..8).prop_map(|(market, owner)| Step::Add(market, owner)),
    ]
}

fn take(table: &mut CometTable, step: &Step, undo: &mut impl FnMut(Undo)) -> Result<(), Fault> {
    match step {
        Step::Log(market, event) => table.apply(MarketId(*market), event, undo),
        Step::Read(id, principal, assets_in, balances) => {
            let read = Account { principal: *principal, assets_in: *assets_in, balances };
            table.set_account(AccountId(*id), &read, undo)
        }
        Step::Totals(market, totals) => table.set_totals(MarketId(*market), *totals, undo),
        Step::Market(market, tokens) => {
            let assets: Vec<_> = tokens.iter().map(|token| asset(*token)).collect();
            table.set_market(MarketId(*market), &terms(3), &assets, undo)
        }
        Step::Stock(market, index, held, total) => {
            table.set_stock((MarketId(*market), *index), (*held, *total), undo).map(|_moved| ())
        }
        Step::Distrust(market) => table.distrust(MarketId(*market), undo),
        Step::Mark(id) => table.mark(AccountId(*id), undo),
        Step::Add(market, owner) => {
            table.add_account(MarketId(*market), address(*owner), undo).map(|_id| ())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_happened_is_taken_back_exactly(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut table = table();
        table.insert_market(address(101)).unwrap();
        account(&mut table, 1);
        let mut pictures = Vec::new();
        let mut log = Vec::new();
        for step in &steps {
            pictures.push((log.len(), picture(&table)));
            let had = log.len();
            let taken = take(&mut table, step, &mut |change| log.push(change));
            prop_assert!(taken.is_ok() || log.len() == had, "a refusal changes nothing");
            prop_assert!(table.stale().all(|id| id < table.account_end()));
        }
        for (mark, before) in pictures.into_iter().rev() {
            while log.len() > mark {
                table.undo(log.pop().unwrap()).unwrap();
            }
            prop_assert_eq!(picture(&table), before);
        }
    }
}
