//! A market of Compound III in a town: what is told of its borrowers and of its shop, and when
//! nothing is.
//!
//! Temperature: cold.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use alloy_primitives::{Address, B256};

use crate::ids::{LoanId, TokenId};
use crate::lending::comet::{Totals, topics};
use crate::lending::math::Fault;
use crate::lending::trigger::Budget;
use crate::loans::fixture::{
    AAVE_BOOK, COMET, COMET_BOOK, COMET_ROOM, ETH, FEEDS, RAY, Town, USD, Written, answered,
    comet_says, comet_supply_to, comet_totals, town, user,
};
use crate::loans::pending::{COMET_SUPPLY, Pending};
use crate::loans::reread::{CometAccount, CometTotals, Reread};
use crate::loans::{
    Book, Deal, Followed, Lender as _, Loans, Relief, Size, Sizes, Times, Undo, Want, Way,
};
use crate::sign::liquidation::Protocol;

const WETH: Address = Address::repeat_byte(0x01);
const USDC: Address = Address::repeat_byte(0x02);
const TOKENS: [Address; 2] = [WETH, USDC];
const TIME: u64 = 1_800_000_000;
const NEXT: u64 = TIME + 12;
/// Of Aave's and Morpho's books there are sixteen each.
const FIRST: u32 = 32;
const SHOP: LoanId = LoanId(FIRST + COMET_ROOM);

struct Story {
    loans: Loans,
    undo: Vec<Undo>,
}

/// The first owes 1,650 for one WETH, 3 % from being liquidated; the second next to nothing.
fn two() -> Town {
    let town = Town { since: TIME, ..town() };
    town.owes(COMET_BOOK, 1, ETH, 1_650 * USD).owes(COMET_BOOK, 2, ETH, 100 * USD)
}

fn story(town: &Town) -> Story {
    let mut loans = town.at(TOKENS);
    loans.clear_touched();
    Story { loans, undo: Vec::new() }
}

fn supplied(who: u8, amount: u128) -> Written {
    comet_says(topics::SUPPLY, &[user(9), user(who)], &[amount])
}

fn borrowed(who: u8, amount: u128) -> Written {
    comet_says(topics::WITHDRAW, &[user(who), user(who)], &[amount])
}

fn put_in(who: u8, amount: u128) -> Written {
    comet_says(topics::SUPPLY_COLLATERAL, &[user(9), user(who), WETH], &[amount])
}

fn seized(who: u8, amount: u128) -> Written {
    comet_says(topics::ABSORB_COLLATERAL, &[user(9), user(who), WETH], &[amount, 0])
}

impl Story {
    fn say(&mut self, events: &[Written]) {
        for event in events {
            let heard = self.loans.hear(&event.log(B256::ZERO, 0)).expect("it is heard");
            let Self { loans, undo } = self;
            loans.apply(&heard, TIME, &mut |change| undo.push(change));
        }
    }

    fn reread(&mut self, accounts: &[(u8, u128, u128)], totals: Option<(u128, u128)>) {
        let account = |(who, weth, usdc): &(u8, u128, u128)| {
            let principal = -i128::try_from(*usdc).unwrap();
            let balances = vec![*weth];
            (COMET_BOOK, CometAccount { owner: user(*who), principal, assets_in: 1, balances })
        };
        let of_market = |(held, total)| {
            let totals = comet_totals(2_000 * USD, TIME);
            (COMET_BOOK, CometTotals { totals, stocks: vec![(held, total)] })
        };
        let read = Reread {
            comet_accounts: accounts.iter().map(account).collect(),
            comet_totals: totals.map(of_market).into_iter().collect(),
            ..Reread::default()
        };
        let Self { loans, undo } = self;
        loans.take_reread(&read, TIME, &mut |change| undo.push(change));
    }

    fn loan(&self, who: u8) -> LoanId {
        self.loans.loan_of(COMET_BOOK, None, &user(who)).expect("he is there")
    }

    fn is_liquidatable(&self, who: u8) -> Result<bool, Fault> {
        self.loans.is_liquidatable(self.loan(who), NEXT)
    }

    fn wants(&self) -> Vec<(u8, Want)> {
        let mut wants = Vec::new();
        self.loans.wants(|book, want| wants.push((book, want)));
        wants
    }

    fn touched(&self) -> Vec<LoanId> {
        self.loans.touched().collect()
    }

    fn image(&self) -> String {
        let Book::Comet(book) = &self.loans.books()[2] else { panic!("Compound's") };
        let ids = 0..book.table.account_end().0;
        let accounts = ids.map(|id| {
            let id = crate::lending::comet::table::AccountId(id);
            (book.table.owner(id), format!("{:?}", book.table.account(id)))
        });
        let (market, unread) = (book.table.market(book.market()), book.table.unread(book.market()));
        format!("{market:?} {unread:?} {:?}", accounts.collect::<Vec<_>>())
    }
}

#[test]
fn a_borrower_is_absorbed_and_what_he_had_bought_below_its_price() {
    let mut story = story(&two());
    let one = story.loan(1);
    assert_eq!((one, story.loans.room()), (LoanId(FIRST), 32 + 17));
    assert_eq!(story.is_liquidatable(1), Ok(false));
    assert_eq!(story.loans.sizes(one, Way::default(), NEXT), Err(Fault::Healthy));
    // 85 % of 1,940 is less than 1,650.
    story.say(&[answered(FEEDS[0], 1_940)]);
    assert_eq!([1, 2].map(|who| story.is_liquidatable(who)), [Ok(true), Ok(false)]);
    let mut ways = Vec::new();
    story.loans.ways(one, |way, tokens| ways.push((way, tokens)));
    assert_eq!(ways, [(Way::default(), [TokenId(1), TokenId(0)])]);
    let sizes = story.loans.sizes(one, Way::default(), NEXT).unwrap();
    // Three per cent below 1,940, and what the division leaves for nothing.
    let most = 1_881_800_000;
    let wanted =
        Sizes { most: Size::Debt(most), part_most: most, whole_least: None, pays_exactly: true };
    assert_eq!(sizes, wanted);
    let deal = |amount| story.loans.deal(one, (Way::default(), Size::Debt(amount)), NEXT);
    assert_eq!(deal(most), Ok(Deal { paid: most, seized: ETH }));
    assert_eq!(deal(most / 2), Ok(Deal { paid: most / 2, seized: ETH / 2 }));
    assert_eq!(deal(most + 1), Err(Fault::NoLiquidity));
    let shares = (Way::default(), Size::Shares(1));
    assert_eq!(story.loans.deal(one, shares, NEXT), Err(Fault::Unknown));
    let other = Way { collateral: 1, debt: 0 };
    assert_eq!(story.loans.sizes(one, other, NEXT), Err(Fault::NotHeld));
    let call = story.loans.call(one, Size::Debt(most)).unwrap();
    let protocol = Protocol::Comet { absorbs: true, least: 1 };
    assert_eq!((call.market, call.borrower, call.protocol), (COMET, user(1), protocol));
    // He is the shop's now.
    story.loans.take(one);
    assert_eq!(story.is_liquidatable(1), Ok(false));
}

#[test]
fn the_shop_sells_what_was_taken_before_without_anybody_to_absorb() {
    let mut story = story(&two());
    assert_eq!(story.loans.loan_of(COMET_BOOK, None, &Address::ZERO), Some(SHOP));
    let sells = |story: &Story| story.loans.is_liquidatable(SHOP, NEXT);
    assert_eq!(sells(&story), Ok(false), "it has nothing");
    story.say(&[seized(1, ETH)]);
    assert_eq!(story.touched(), [story.loan(1), SHOP]);
    assert_eq!(sells(&story), Ok(true));
    let mut ways = 0;
    story.loans.ways(SHOP, |_, _| ways += 1);
    let sizes = story.loans.sizes(SHOP, Way::default(), NEXT).unwrap();
    assert_eq!((ways, sizes.most), (1, Size::Debt(1_940 * USD)));
    let deal = story.loans.deal(SHOP, (Way::default(), sizes.most), NEXT);
    assert_eq!(deal, Ok(Deal { paid: 1_940 * USD, seized: ETH }));
    let call = story.loans.call(SHOP, sizes.most).unwrap();
    let protocol = Protocol::Comet { absorbs: false, least: 1 };
    assert_eq!((call.borrower, call.protocol), (Address::ZERO, protocol));
    let times = Times { from: NEXT, until: NEXT + 600 };
    assert_eq!(story.loans.watch(SHOP, times).map(|watch| watch.is_some()), Ok(false));
    // What is sold is gone, and base tokens came: the totals are to be read.
    story.loans.clear_touched();
    story.say(&[comet_says(topics::BUY_COLLATERAL, &[user(9), WETH], &[970 * USD, ETH / 2])]);
    assert_eq!((sells(&story), story.touched()), (Err(Fault::Unsure), vec![SHOP]));
    assert_eq!(story.loans.sizes(SHOP, Way::default(), NEXT), Err(Fault::Unsure));
    assert_eq!(story.wants(), [(COMET_BOOK, Want::Totals)]);
    story.loans.clear_touched();
    // As the events said: nobody has to be looked at for that.
    story.reread(&[], Some((ETH + ETH / 2, ETH)));
    assert_eq!((sells(&story), story.touched(), story.wants()), (Ok(true), vec![], vec![]));
    story.reread(&[], Some((ETH, ETH)));
    assert_eq!((sells(&story), story.touched()), (Ok(false), vec![SHOP]));
}

#[test]
fn nothing_is_sold_while_that_is_paused_or_the_reserves_are_full() {
    let mut story = story(&Town { stock: ETH, ..two() });
    let sells = |story: &Story| story.loans.is_liquidatable(SHOP, NEXT);
    assert_eq!(sells(&story), Ok(true));
    let paused = |bits: [u128; 5]| comet_says(topics::PAUSE_ACTION, &[], &bits);
    story.say(&[answered(FEEDS[0], 1_900), paused([0, 0, 0, 0, 1])]);
    assert_eq!((sells(&story), story.touched()), (Ok(false), vec![SHOP]));
    assert_eq!(story.loans.sizes(SHOP, Way::default(), NEXT), Err(Fault::Forbidden));
    assert_eq!(story.loans.sizes(story.loan(1), Way::default(), NEXT), Err(Fault::Forbidden));
    story.say(&[paused([0, 0, 0, 1, 0])]);
    assert_eq!(sells(&story), Ok(true));
    assert_eq!(story.loans.sizes(story.loan(1), Way::default(), NEXT), Err(Fault::Forbidden));
    story.say(&[paused([0; 5])]);
    assert!(story.loans.sizes(story.loan(1), Way::default(), NEXT).is_ok());
    // At their target nothing is sold; an absorption pays out of them what he is credited with: 95
    // of a hundred of 1,900.
    for (more, is_sold) in [(0, true), (1_805 * USD - 1, true), (1_805 * USD, false)] {
        let held = 1_000_000 * USD + more;
        let totals = Totals { held, ..comet_totals(2_000 * USD, TIME) };
        let comet_totals = vec![(COMET_BOOK, CometTotals { totals, stocks: vec![] })];
        let read = Reread { comet_totals, ..Reread::default() };
        story.loans.take_reread(&read, TIME, &mut |_| ());
        assert_eq!((sells(&story), story.is_liquidatable(1)), (Ok(false), Ok(true)));
        assert_eq!(story.loans.sizes(SHOP, Way::default(), NEXT), Err(Fault::Forbidden));
        let sizes = story.loans.sizes(story.loan(1), Way::default(), NEXT);
        assert_eq!(sizes.is_ok(), is_sold, "{more}");
    }
}

#[test]
fn whoever_moved_base_tokens_is_not_told_of_until_he_was_read_and_others_as_far_as_is_sure() {
    let mut story = story(&two());
    story.say(&[borrowed(1, 10 * USD)]);
    assert_eq!(story.touched(), [story.loan(1)]);
    assert_eq!([1, 2].map(|who| story.is_liquidatable(who)), [Err(Fault::Unknown), Ok(false)]);
    let wants = [(COMET_BOOK, Want::Account(user(1))), (COMET_BOOK, Want::Totals)];
    assert_eq!(story.wants(), wants);
    story.loans.clear_touched();
    story.reread(&[(1, ETH, 1_660 * USD)], None);
    // A part in three millions is what may have come to it: 1,700 against 1,660 is sure.
    assert_eq!((story.is_liquidatable(1), story.touched()), (Ok(false), vec![story.loan(1)]));
    story.reread(&[(1, ETH, 1_700 * USD - 1)], None);
    assert_eq!(story.is_liquidatable(1), Err(Fault::Unsure));
    story.reread(&[(1, ETH, 1_700 * USD + 1)], None);
    assert_eq!(story.is_liquidatable(1), Ok(true), "debts do not shrink");
    assert_eq!(story.loans.sizes(story.loan(1), Way::default(), NEXT), Err(Fault::Unsure));
    story.reread(&[], Some((2 * ETH, 2 * ETH)));
    assert_eq!(story.wants(), []);
    assert!(story.loans.sizes(story.loan(1), Way::default(), NEXT).is_ok());
    // A move of base tokens is told by a transfer alone.
    story.loans.clear_touched();
    story.say(&[comet_says(topics::TRANSFER, &[user(1), user(2)], &[1])]);
    assert_eq!(story.touched(), [story.loan(1), story.loan(2)]);
    assert_eq!([1, 2].map(|who| story.is_liquidatable(who)), [Err(Fault::Unknown); 2]);
}

#[test]
fn a_new_borrower_is_read_first_and_goes_with_his_block() {
    let mut story = story(&two());
    let before = story.image();
    story.say(&[put_in(3, ETH), borrowed(3, 1_690 * USD)]);
    assert_eq!(story.is_liquidatable(3), Err(Fault::Unknown));
    assert!(story.wants().contains(&(COMET_BOOK, Want::Account(user(3)))));
    story.reread(&[(3, ETH, 1_690 * USD)], Some((3 * ETH, 3 * ETH)));
    assert_eq!((story.is_liquidatable(3), story.wants()), (Ok(false), vec![]));
    story.say(&[answered(FEEDS[0], 1_980), put_in(3, ETH)]);
    assert_eq!(story.is_liquidatable(3), Ok(false), "he has put in more");
    story.say(&[comet_says(topics::WITHDRAW_COLLATERAL, &[user(3), user(3), WETH], &[ETH])]);
    assert_eq!(story.is_liquidatable(3), Ok(true));
    while let Some(change) = story.undo.pop() {
        story.loans.undo(change);
    }
    assert_eq!(story.image(), before);
    assert_eq!(story.loans.loan_of(COMET_BOOK, None, &user(3)), None);
}

#[test]
fn a_contradiction_silences_the_market_and_nothing_else() {
    let mut story = story(&two());
    // More is taken out than is there.
    story.say(&[comet_says(topics::WITHDRAW_COLLATERAL, &[user(1), user(1), WETH], &[9 * ETH])]);
    assert!(!story.loans.is_unread());
    assert_eq!([1, 2].map(|who| story.is_liquidatable(who)), [Err(Fault::Unknown); 2]);
    assert!(story.loans.is_liquidatable(SHOP, NEXT).is_err());
}

#[test]
fn an_upgrade_or_an_odd_event_has_the_book_loaded_anew() {
    let code = comet_says(topics::UPGRADED, &[user(9)], &[]);
    let short = comet_says(topics::SUPPLY, &[user(1), user(1)], &[]);
    for event in [code, short] {
        let mut story = story(&two());
        assert_eq!(story.is_liquidatable(1), Ok(false));
        story.say(&[event]);
        assert!(story.loans.is_unread() && story.loans.is_all_touched());
        assert_eq!(story.is_liquidatable(1), Err(Fault::Unknown));
        assert!(story.loans.is_liquidatable(SHOP, NEXT).is_err());
    }
}

#[test]
fn a_watch_holds_the_interest_that_is_reckoned_with_and_ends_where_it_could_be_more() {
    let times = Times { from: NEXT, until: NEXT + 1_800 };
    let of = |town: &Town, who| {
        let story = story(town);
        let found = story.loans.watch(story.loan(who), times).unwrap();
        found.map(|(_, budget)| budget)
    };
    // 50 of 1,700 are spare, less the interest of half an hour at 800 % a year.
    let parts = of(&two(), 1).unwrap().parts();
    assert!((28_900_000_000_000_000..29_000_000_000_000_000).contains(&parts), "{parts}");
    assert!(of(&two(), 2).unwrap().parts() > parts);
    // Whoever owes nothing waits for an event.
    let idle = Town { since: TIME, ..town() }.owes(COMET_BOOK, 1, ETH, 0);
    assert_eq!(of(&idle, 1), Some(Budget::default()));
    // Debts that bear more than that.
    assert_eq!(of(&Town { borrow_rate: 9 * RAY, ..two() }, 1), None);
    assert!(of(&Town { borrow_rate: 7 * RAY, ..two() }, 1).is_some());
    // So near that interest alone might do it.
    let near = Town { since: TIME, ..town() }.owes(COMET_BOOK, 1, ETH, 1_699_500_000);
    assert_eq!(of(&near, 1), None);
    // While the totals are not read, less is sure.
    let mut story = story(&two());
    story.say(&[supplied(9, USD)]);
    let (_, unsure) = story.loans.watch(story.loan(1), times).unwrap().unwrap();
    assert!(unsure.parts() < parts && unsure.parts() > parts / 2, "{unsure:?}");
}

#[test]
fn a_supply_on_its_way_repays_a_debt_or_adds_to_the_collateral() {
    let mut story = story(&two());
    story.say(&[answered(FEEDS[0], 1_940)]);
    let before = story.image();
    let read = |story: &Story, calldata: &[u8]| story.loans.pending([user(9), COMET], calldata);
    assert!(story.loans.is_concerned(&COMET));
    for (asset, amount, helps) in [
        (USDC, 2 * USD, true),
        (USDC, u128::MAX, true),
        (USDC, 1, false),
        (WETH, ETH / 100, true),
        (WETH, 1, false),
    ] {
        let pending = read(&story, &comet_supply_to(asset, amount, 1)).unwrap();
        let Pending::Relief(loan, reserve, relief) = pending else { panic!("{pending:?}") };
        assert_eq!(loan, story.loan(1));
        let mut undo = Vec::new();
        let relieved =
            story.loans.relieve(loan, (reserve, relief), NEXT, &mut |change| undo.push(change));
        assert_eq!((relieved, story.is_liquidatable(1)), (Ok(()), Ok(!helps)), "{amount}");
        undo.into_iter().rev().for_each(|change| story.loans.undo(change));
        assert_eq!(story.image(), before);
    }
    // Of his own, by the shorter call.
    let own = [&COMET_SUPPLY[..], &[0; 12], USDC.as_slice()].concat();
    let own = [own, vec![0; 31], vec![7]].concat();
    let pending = story.loans.pending([user(1), COMET], &own);
    let relief = Relief::Repay(Size::Debt(7));
    assert_eq!(pending, Some(Pending::Relief(story.loan(1), super::BASE, relief)));
    // Of nobody, of no token of the market's, and cut short.
    assert_eq!(read(&story, &own), None);
    assert_eq!(read(&story, &comet_supply_to(USDC, 1, 7)), None);
    assert_eq!(read(&story, &comet_supply_to(COMET, 1, 1)), None);
    let whole = comet_supply_to(USDC, 1, 1);
    (0..whole.len()).for_each(|cut| assert_eq!(read(&story, &whole[..cut]), None));
    // Whoever owes nothing is not helped by base tokens.
    story.reread(&[(1, ETH, 0)], None);
    let relief = (super::BASE, Relief::Repay(Size::Debt(1)));
    let refused = story.loans.relieve(story.loan(1), relief, NEXT, &mut drop);
    assert_eq!(refused, Err(Fault::NotHeld));
}

#[test]
fn transfers_are_asked_for_where_a_market_of_compounds_is_followed() {
    assert_eq!(Loans::none().followed(), Followed::Pools);
    assert_eq!(town().owes(AAVE_BOOK, 1, ETH, USD).at(TOKENS).followed(), Followed::Loans);
    let loans = two().at(TOKENS);
    assert_eq!(loans.followed(), Followed::LoansAndTransfers);
    assert!(loans.books()[2].emits(&COMET) && !loans.books()[2].emits(&USDC));
    assert_eq!(loans.lender(TokenId(1), u128::MAX), None);
    // Another token's transfers are nothing to it.
    let other = Written { by: USDC, ..comet_says(topics::TRANSFER, &[user(1), user(2)], &[1]) };
    assert!(loans.hear(&other.log(B256::ZERO, 0)).is_none());
}
