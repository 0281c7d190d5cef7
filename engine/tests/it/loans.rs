//! Liquidations, from a pending oracle update's frame to signed bytes and to the books.
//!
//! The town's collateral is DAI here, which both of its pools sell for WETH, and its debt is WETH:
//! a debt that is worth next to nothing beside what is had for it, so that every plan pays.
//!
//! Temperature: cold.

use alloy::primitives::{Address, B256, TxKind};
use gannet_engine::flight::Outcome;
use gannet_engine::ids::{LoanId, TokenId};
use gannet_engine::input::{Command, Happening, Loaded, Reloaded};
use gannet_engine::loans::reread::Reread;
use gannet_engine::loans::{Followed, LoanCounts, Order};
use gannet_engine::plan::Bid;
use gannet_engine::query::Query;
use gannet_engine::risk::{Funding, Limits, Reject};
use gannet_engine::sign::liquidation::{Funding as Lent, LIQUIDATE};
use gannet_engine::units::Wei;
use gannet_engine::world::{BlockRef, Stale, Tip};

use crate::loans_fixture::{
    AAVE, AAVE_BOOK, AGGREGATORS, CONFIG, ETH, FEEDS, MORPHO, MORPHO_BOOK, SHARES, Town, USD,
    Written, answered, deposited, morpho_repay, morpho_supply, params, town, transmit, user,
};
use crate::stage::{
    Block, DAI, EVEN, EXECUTOR, FOLLOWER, GWEI, Setup, Stage, Swap, TAKER, WETH, hash,
};

const TRANSMITTER: u8 = 0x61;
/// Whose key the first borrower's is.
const OWNER: u8 = 0x62;
const STRANGER: u8 = 0x63;

/// A pending call of somebody's.
fn call(trader: u8, router: Address, call: Vec<u8>) -> Swap {
    Swap { trader, router, call, ..Swap::default() }
}

/// The oracle's next answer, on its way.
fn report(amount: u64) -> Swap {
    call(TRANSMITTER, AGGREGATORS[0], transmit(CONFIG, amount))
}

/// The borrower repays so many dollars of what he owes to Morpho.
fn repayment(amount: u128) -> Swap {
    let calldata = morpho_repay(&params([DAI, WETH]), [0, amount * USD * SHARES], 1);
    call(OWNER, MORPHO, calldata)
}

fn market() -> B256 {
    params([DAI, WETH]).id()
}

/// One borrower of Morpho's, 3 % from being liquidated.
fn one() -> Town {
    town().owes(MORPHO_BOOK, 1, ETH, 1_665 * USD)
}

fn with_loans<const DRY: bool>(mut stage: Stage<DRY>, town: Town) -> Stage<DRY> {
    let since = stage.engine.world.tip().timestamp;
    let (tokens, transmitter) = ([TokenId(1), TokenId(0)], report(0).sender());
    let loans = Town { tokens, transmitter, since, ..town }.build(&stage.engine.world);
    stage.engine.world.lend(loans);
    stage.engine.world.clear_touched();
    stage
}

fn live() -> Stage<false> {
    with_loans(Setup::default().live(), one())
}

fn dry() -> Stage<true> {
    with_loans(Setup::default().dry(), one())
}

/// The next block, with these logs, each of its transaction.
fn seal<const DRY: bool>(stage: &mut Stage<DRY>, logs: &[(Written, B256)]) -> Block {
    let block = stage.next();
    stage.head(block);
    let asked = stage
        .asked
        .iter()
        .rev()
        .find(|query| matches!(query, Query::BlockLogs { block: of, .. } if *of == block.hash));
    let query = *asked.expect("its logs were asked for");
    assert!(matches!(query, Query::BlockLogs { followed: Followed::Loans, .. }));
    let logs: Vec<_> = logs
        .iter()
        .zip(0..)
        .map(|((event, tx), index)| event.json(block.hash, (*tx, index)))
        .collect();
    stage.answer(&query, &format!("[{}]", logs.join(",")));
    assert_eq!(stage.tip().hash, block.hash, "the block is sealed");
    block
}

fn counts<const DRY: bool>(stage: &Stage<DRY>) -> LoanCounts {
    stage.engine.world.loans.counts()
}

fn order<const DRY: bool>(stage: &Stage<DRY>) -> Order {
    stage.flight().admitted.plan.order.expect("a liquidation")
}

fn is_liquidatable<const DRY: bool>(stage: &Stage<DRY>, book: u8) -> bool {
    let (world, market) = (&stage.engine.world, market());
    let name = (book == MORPHO_BOOK).then_some(&market);
    let loan = world.loans.loan_of(book, name, &user(1)).expect("a borrower");
    world.loans.is_liquidatable(loan, world.loan_time()).expect("it is known")
}

mod following {
    use super::*;

    #[test]
    fn a_pending_transmission_is_followed_right_behind_it_with_its_fees() {
        let mut stage = live();
        let report = report(1_900);
        stage.announce(&report);
        assert!(stage.outbox.sent.is_empty(), "its nonce may be any");
        stage.answer_for(&report, report.nonce);
        let (tx, signer) = stage.only().decode();
        assert_eq!(signer, stage.engine.risk.wallets[0].address);
        assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (40 * GWEI, 3 * GWEI));
        assert_eq!(tx.to, TxKind::Call(EXECUTOR));
        assert_eq!(tx.input[..4], LIQUIDATE);
        let flight = stage.flight();
        assert_eq!(flight.admitted.plan.follows().map(|it| it.hash), Some(report.hash()));
        assert_eq!(flight.admitted.plan.strategy, FOLLOWER);
        assert_eq!((order(&stage).loan, order(&stage).funding), (LoanId(16), Lent::Market));
        assert_eq!(u128::from(tx.gas_limit), u128::from(flight.admitted.fees.gas_limit.0));
        let wanted = LoanCounts { transmissions: 1, ..LoanCounts::default() };
        assert_eq!(counts(&stage), wanted);
        assert!(!is_liquidatable(&stage, MORPHO_BOOK), "the world is as it was");
        assert_eq!(stage.engine.world.loans.moved(), []);
    }

    #[test]
    fn a_transmission_that_strikes_nobody_or_that_nobody_takes_leads_to_nothing() {
        let mut stage = live();
        stage.pending(&report(1_950));
        stage.pending(&Swap { nonce: 1, ..report(2_000) });
        assert_eq!(counts(&stage).transmissions, 2);
        // Of a stranger, below the bounds, for another configuration, and no transmission at all.
        let strange = call(OWNER, AGGREGATORS[0], transmit(CONFIG, 1_900));
        let other = call(TRANSMITTER, AGGREGATORS[0], transmit(B256::ZERO, 1_900));
        let none = call(TRANSMITTER, AGGREGATORS[0], vec![1, 2, 3, 4]);
        for (swap, nonce) in [(strange, 0), (report(0), 2), (other, 3), (none, 4)] {
            stage.pending(&Swap { nonce, ..swap });
        }
        assert_eq!((counts(&stage).transmissions, counts(&stage).passed_over), (2, 4));
        assert!(stage.outbox.sent.is_empty());
    }

    #[test]
    fn a_transmission_that_came_while_a_block_was_open_is_followed_after_its_seal() {
        let mut stage = live();
        let (block, report) = (stage.next(), report(1_900));
        stage.head(block);
        stage.pending(&report);
        assert!(stage.outbox.sent.is_empty());
        stage.list(block, &[]);
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(report.hash()));
    }

    #[test]
    fn a_loan_that_is_on_its_way_is_not_liquidated_behind_the_next_report_too() {
        let mut stage = with_loans(Setup { wallets: 2, ..Setup::default() }.live(), one());
        stage.pending(&report(1_900));
        stage.pending(&Swap { nonce: 1, ..report(1_890) });
        stage.only();
        assert_eq!(stage.rejects(Reject::PoolsBusy), 1);
        seal(&mut stage, &[(answered(FEEDS[0], 1_900), hash(5))]);
        stage.only();
    }

    #[test]
    fn an_answer_that_a_block_brings_is_answered_with_a_bid() {
        let mut stage = live();
        seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5))]);
        stage.only();
        let plan = stage.flight().admitted.plan;
        assert_eq!((plan.strategy, plan.follows()), (TAKER, None));
        assert!(matches!(plan.bid, Bid::Share(_)));
        assert!(is_liquidatable(&stage, MORPHO_BOOK));
        seal(&mut stage, &[]);
        stage.only();
    }
}

mod rescue {
    use super::*;

    #[test]
    fn a_borrower_who_is_about_to_repay_is_left_to_it() {
        // He pays less than whoever brings the report. Others who help him pay more than we do.
        let much = 20_000 * GWEI;
        let fees = [(OWNER, 2 * GWEI, 1), (STRANGER, much, 1), (STRANGER, much, much)];
        for (helping, (trader, max_fee, priority_fee)) in [
            repayment(100),
            repayment(1_665),
            call(OWNER, MORPHO, morpho_supply(&params([DAI, WETH]), ETH, 1)),
        ]
        .into_iter()
        .zip(fees)
        {
            let mut stage = live();
            stage.pending(&Swap { trader, max_fee, priority_fee, ..helping });
            assert_eq!(counts(&stage).reliefs, 1);
            stage.pending(&report(1_900));
            assert!(stage.outbox.sent.is_empty());
            assert_eq!(stage.rejects(Reject::Rescued), 1);
            assert_eq!(stage.rejects(Reject::Outbid), 0);
            // What was supposed to find that out is taken back.
            assert!(!is_liquidatable(&stage, MORPHO_BOOK));
            seal(&mut stage, &[(answered(FEEDS[0], 1_900), report(1_900).hash())]);
            assert!(stage.outbox.sent.is_empty(), "his help is still pending");
            assert_eq!(stage.rejects(Reject::Rescued), 2);
        }
    }

    #[test]
    fn help_that_is_too_little_or_would_not_land_saves_nobody() {
        for helping in [
            repayment(1_666),
            Swap { max_fee: GWEI - 1, priority_fee: 0, ..repayment(1_665) },
            // It costs a stranger nothing to announce what will not come first.
            Swap { trader: STRANGER, max_fee: 2 * GWEI, priority_fee: 1, ..repayment(1_665) },
            call(OWNER, MORPHO, morpho_supply(&params([DAI, WETH]), 1, 1)),
        ] {
            let mut stage = live();
            stage.pending(&helping);
            assert_eq!(counts(&stage).reliefs, 1);
            stage.pending(&report(1_900));
            assert_eq!(stage.rejects(Reject::Rescued), 0, "{helping:?}");
            assert_eq!(stage.outbox.sent.len(), 1, "{helping:?}");
        }
    }

    #[test]
    fn who_repays_a_little_of_a_debt_keeps_it_from_being_taken_whole() {
        let mut stage = live();
        stage.pending(&repayment(1));
        stage.pending(&report(1_900));
        // Of Morpho all shares are asked for, which he does not have any more.
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.rejects(Reject::Rescued), 1);
    }

    #[test]
    fn help_behind_a_nonce_that_is_missing_saves_nobody() {
        let mut stage = live();
        let helping = Swap { nonce: 1, ..repayment(1_665) };
        stage.announce(&helping);
        stage.answer_for(&helping, 0);
        stage.pending(&report(1_900));
        stage.only();
    }
}

mod funding {
    use super::*;

    fn aave() -> Town {
        town().owes(AAVE_BOOK, 1, ETH, 1_600 * USD)
    }

    #[test]
    fn what_nobody_lends_is_not_sent_unless_the_executor_may_pay_and_can() {
        let poor = || Town { idle: 0, available: [u128::MAX, 0], ..aave() };
        let limits = Limits { funding: Funding::Own, ..Setup::default().limits };
        let own = Setup { limits, ..Setup::default() };
        let logs = [(answered(FEEDS[0], 1_930), hash(5))];
        for (setup, holding, count) in [
            (Setup::default(), u128::MAX, 0),
            (own, 0, 0),
            (own, 800 * USD - 1, 0),
            (own, 800 * USD, 1),
        ] {
            let mut stage = with_loans(setup.live(), poor());
            stage.engine.risk.holdings[0] = holding;
            seal(&mut stage, &logs);
            assert_eq!(stage.outbox.sent.len(), count);
            assert_eq!(stage.rejects(Reject::Unfunded), 1 - count as u64);
        }
    }

    #[test]
    fn own_funds_that_suffice_spare_the_premium() {
        let limits = Limits { funding: Funding::Own, ..Setup::default().limits };
        for (holding, lender) in [(0, Lent::Aave(AAVE.pool)), (800 * USD, Lent::Own)] {
            let setup = Setup { limits, ..Setup::default() };
            let mut stage = with_loans(setup.live(), Town { idle: 0, ..aave() });
            stage.engine.risk.holdings[0] = holding;
            seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5))]);
            let plan = stage.flight().admitted.plan;
            let order = plan.order.expect("a liquidation");
            assert_eq!(order.funding, lender);
            assert_eq!(order.premium, if lender == Lent::Own { 0 } else { 800 * USD / 2_000 });
            assert_eq!(order.profit(&plan, &stage.engine.world), Some(plan.profit));
        }
    }
}

mod dry_run {
    use super::*;

    #[test]
    fn a_follower_has_won_when_the_block_holds_the_transmission_and_is_not_sent_again() {
        let mut stage = dry();
        let report = report(1_900);
        stage.pending(&report);
        let profit = stage.flight().admitted.plan.profit;
        seal(&mut stage, &[(answered(FEEDS[0], 1_900), report.hash())]);
        let endings = stage.endings();
        assert_eq!(endings.len(), 1);
        assert_eq!(endings[0].0, Outcome::Won);
        assert_eq!(endings[0].1.gained, i128::try_from(profit).expect("fits"));
        assert!(!is_liquidatable(&stage, MORPHO_BOOK), "he is ours");
        seal(&mut stage, &[(answered(FEEDS[0], 1_890), hash(5))]);
        stage.pending(&Swap { nonce: 1, ..crate::loans::report(1_880) });
        assert_eq!(stage.outbox.sent.len(), 1);
        // Somebody has changed his position: it is not the one that we took.
        seal(&mut stage, &[(deposited(market(), 1, 1), hash(5))]);
        assert_eq!(stage.outbox.sent.len(), 2);
    }

    #[test]
    fn a_transmission_that_does_not_come_is_missed() {
        let mut stage = dry();
        stage.pending(&report(1_900));
        seal(&mut stage, &[]);
        assert_eq!(stage.outcomes(), []);
        // Another one brings another answer: it is not the one that was followed.
        seal(&mut stage, &[(answered(FEEDS[0], 1_950), hash(5))]);
        assert_eq!(stage.outcomes(), [Outcome::TargetMissing]);
    }

    #[test]
    fn what_somebody_else_did_before_is_not_won() {
        let mut stage = dry();
        let report = report(1_900);
        stage.pending(&report);
        let before = (deposited(market(), 1, ETH), hash(5));
        seal(&mut stage, &[before, (answered(FEEDS[0], 1_900), report.hash())]);
        assert_eq!(stage.outcomes(), [Outcome::Vanished]);
    }

    #[test]
    fn who_is_changed_in_the_block_in_which_he_would_be_liquidated_is_contested() {
        let mut stage = dry();
        seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5))]);
        stage.flight();
        seal(&mut stage, &[(deposited(market(), 1, ETH), hash(6))]);
        assert_eq!(stage.outcomes(), [Outcome::Contested]);
        seal(&mut stage, &[(answered(FEEDS[0], 960), hash(5))]);
        stage.flight();
        seal(&mut stage, &[]);
        assert_eq!(stage.outcomes(), [Outcome::Won]);
    }
}

mod reading {
    use super::*;

    fn lend<const DRY: bool>(stage: &mut Stage<DRY>, read: Reread) {
        stage.input(Happening::Command(Command::Lend(Box::new(read))));
    }

    #[test]
    fn whom_a_reread_makes_liquidatable_does_not_wait_for_the_next_block() {
        let mut stage = live();
        seal(&mut stage, &[]);
        let Tip { number, hash, .. } = *stage.engine.world.tip();
        let held = gannet_engine::lending::morpho::Position {
            borrow_shares: 1_665 * USD * SHARES,
            collateral: ETH / 10 * 9,
        };
        let positions = vec![(MORPHO_BOOK, market(), user(1), held)];
        let read =
            Reread { block: Some(BlockRef { number, hash }), positions, ..Reread::default() };
        lend(&mut stage, Reread { block: None, ..read.clone() });
        assert!(stage.outbox.sent.is_empty());
        lend(&mut stage, read);
        stage.only();
        assert_eq!((counts(&stage).reread, counts(&stage).reread_late), (1, 1));
    }

    #[test]
    fn after_a_malformed_log_nothing_is_sent_until_a_reload_brings_all_loans() {
        let mut stage = live();
        let bent = Written { data: vec![1; 31], ..deposited(market(), 1, ETH) };
        seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5)), (bent, hash(6))]);
        assert!(stage.engine.world.freshness().has(Stale::Lost));
        stage.pending(&report(1_900));
        assert!(stage.outbox.sent.is_empty());
        let anchor = *stage.engine.world.tip();
        let state = gannet_engine::amm::ConstantProduct::new(EVEN, 3_000).expect("fits").into();
        let pools = vec![Loaded { state, ticks: vec![] }; 4];
        let (tokens, since) = ([TokenId(1), TokenId(0)], anchor.timestamp);
        let town = Town { tokens, since, transmitter: report(0).sender(), ..one() };
        let loans = Some(town.build(&stage.engine.world));
        let reloaded = Reloaded { anchor, pools, unread: vec![], loans };
        stage.input(Happening::Command(Command::Reload(Box::new(reloaded))));
        let tip = stage.tip();
        stage.newest(tip);
        assert!(stage.engine.world.freshness().is_fresh());
        seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5))]);
        assert_eq!(stage.outbox.sent.len(), 1);
        assert!(stage.engine.risk.limits.min_profit > Wei(0));
    }

    #[test]
    fn a_reload_leaves_what_is_on_its_way_without_a_loan() {
        let mut stage = dry();
        seal(&mut stage, &[(answered(FEEDS[0], 1_930), hash(5))]);
        let anchor = *stage.engine.world.tip();
        let state = gannet_engine::amm::ConstantProduct::new(EVEN, 3_000).expect("fits").into();
        let pools = vec![Loaded { state, ticks: vec![] }; 4];
        let (tokens, since) = ([TokenId(1), TokenId(0)], anchor.timestamp);
        let loans = Some(Town { tokens, since, ..one() }.build(&stage.engine.world));
        let reloaded = Reloaded { anchor, pools, unread: vec![], loans };
        stage.input(Happening::Command(Command::Reload(Box::new(reloaded))));
        assert_eq!(order(&stage).loan, LoanId(u32::MAX));
        let tip = stage.tip();
        stage.newest(tip);
        seal(&mut stage, &[]);
        assert_eq!(stage.outcomes(), [Outcome::Vanished], "whose it is nobody knows");
    }
}
