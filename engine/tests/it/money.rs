//! What the engine does with a wallet's money when the world does the wrong thing: submissions that
//! must be taken back, blocks that are left, budgets, wallets that others use, restarts.
//!
//! Temperature: cold.

use alloy::primitives::TxKind;
use gannet_engine::finality::Legacy;
use gannet_engine::flight::Outcome;
use gannet_engine::guard::GuardLimits;
use gannet_engine::ids::WalletId;
use gannet_engine::input::Source;
use gannet_engine::note::{Alert, Note};
use gannet_engine::query::{QUERY_BYTES_MAX, Query};
use gannet_engine::risk::Reject;
use gannet_engine::units::{Bps, Wei};

use crate::pipeline::{airborne, mined};
use crate::stage::{
    Block, ETHER, EVEN, FOLLOWER, GAP, GWEI, Live, Mined, NONCE, ROUTERS, Sent, Setup, Swap, Sync,
    TAKER, hash, live, sync,
};

/// A run with one submission on its way, behind a pending swap.
fn following() -> Live {
    let mut stage = live();
    stage.pending(&Swap::default());
    assert_eq!(stage.outbox.sent.len(), 1);
    stage.asked.clear();
    stage.told.clear();
    stage
}

/// The followed swap as its sender replaced it, by one that opens no gap.
fn replacement() -> Swap {
    Swap { amount: 1, max_fee: 60 * GWEI, priority_fee: 6 * GWEI, ..Swap::default() }
}

/// Whether `cancel` is a transfer of nothing that a node takes in the place of `first`.
fn assert_takes_back(cancel: &Sent, first: &Sent) {
    assert!(cancel.recorded.contains(&(cancel.attempt, cancel.hash)), "written down first");
    let ((cancel, signer), (first, owner)) = (cancel.decode(), first.decode());
    assert_eq!((signer, cancel.nonce), (owner, first.nonce));
    assert_eq!(cancel.to, TxKind::Call(owner), "to itself");
    assert!(cancel.value.is_zero() && cancel.input.is_empty());
    assert_eq!(cancel.gas_limit, 21_000);
    let rise = |after: u128, before: u128| after * 10 > before * 11;
    assert!(rise(cancel.max_fee_per_gas, first.max_fee_per_gas));
    assert!(rise(cancel.max_priority_fee_per_gas, first.max_priority_fee_per_gas));
}

fn alerts(stage: &Live) -> Vec<Alert> {
    let alert = |note: &Note| if let Note::Alert(alert) = note { Some(*alert) } else { None };
    stage.told.iter().filter_map(alert).collect()
}

mod taking_back {
    use super::*;

    #[test]
    fn a_follower_whose_target_was_replaced_is_taken_back_at_once() {
        let plain = Swap { is_plain: true, ..replacement() };
        for news in [replacement(), plain] {
            let mut stage = following();
            stage.pending(&news);
            let [first, cancel] = &stage.outbox.sent[..] else { panic!("one follows the other") };
            assert_takes_back(cancel, first);
            assert_eq!(cancel.serial, first.serial, "it is the same submission");
        }
    }

    #[test]
    fn a_follower_whose_target_the_node_forgot_is_taken_back() {
        let mut stage = following();
        stage.seal(&[]);
        let flight = stage.flight();
        let target = Query::Followed { ticket: flight.ticket, hash: Swap::default().hash() };
        assert!(stage.was_asked(&target));
        stage.answer(&target, &Swap::default().body(None));
        assert_eq!(stage.outbox.sent.len(), 1, "the node still knows it");
        stage.seal(&[]);
        stage.answer(&target, "null");
        assert_takes_back(&stage.outbox.sent[1], &stage.outbox.sent[0]);
    }

    #[test]
    fn a_follower_whose_target_was_mined_and_moved_nothing_is_taken_back() {
        let mut stage = following();
        stage.seal(&[]);
        let ticket = stage.flight().ticket;
        let target = Query::Followed { ticket, hash: Swap::default().hash() };
        let (tip, ahead) = (stage.tip(), stage.next());
        stage.answer(&target, &Swap::default().body(Some(&ahead)));
        assert_eq!(stage.outbox.sent.len(), 1, "the logs of that block will tell");
        stage.answer(&target, &Swap::default().body(Some(&tip)));
        assert_takes_back(&stage.outbox.sent[1], &stage.outbox.sent[0]);
    }

    #[test]
    fn a_follower_whose_target_landed_is_not_taken_back() {
        let mut stage = following();
        stage.seal(&[Sync { tx: Swap::default().hash(), index: 4, ..sync(1, GAP) }]);
        let asked = |query: &Query| matches!(query, Query::Followed { .. });
        assert!(!stage.asked.iter().any(asked));
        assert_eq!(stage.outbox.sent.len(), 1);
    }

    #[test]
    fn what_took_its_nonce_ends_it_and_costs_its_gas() {
        let mut stage = following();
        stage.pending(&replacement());
        let cancel = stage.outbox.sent[1].clone();
        stage.seal(&[]);
        assert!(stage.was_asked(&Query::Receipt(cancel.attempt, cancel.hash)));
        let receipt = mined(&stage, 4);
        stage.receipt(&cancel, Some(Mined { gas_used: 21_000, came: 0, left: 0, ..receipt }));
        assert_eq!(stage.outcomes(), [Outcome::Cancelled]);
        let line = stage.engine.books.line(FOLLOWER);
        assert_eq!((line.cancelled, line.lost, line.gained[0]), (1, 0, 0));
        assert_eq!(line.gas_paid, Wei(21_000 * 3 * GWEI));
        assert_eq!(stage.engine.risk.guard.losses.today, line.gas_paid);
        stage.nonce(0, NONCE + 1);
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.outbox.sent[2].decode().0.nonce, NONCE + 1, "the wallet is free");
    }

    #[test]
    fn one_that_lands_all_the_same_has_landed() {
        let mut stage = following();
        let first = stage.only();
        stage.pending(&replacement());
        stage.seal(&[]);
        let cancel = stage.outbox.sent[1].clone();
        stage.receipt(&cancel, None);
        stage.receipt(&first, Some(mined(&stage, 4)));
        // Its target is said to be gone, and so it may be.
        let ticket = first.attempt.ticket;
        stage.answer(&Query::Place { ticket, hash: Swap::default().hash() }, "null");
        stage.receipt(&first, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, 0);
        assert_eq!(stage.engine.flights.count(), 0);
    }

    #[test]
    fn what_does_not_take_its_nonce_is_repeated_dearer_and_not_for_ever() {
        let mut stage = following();
        stage.pending(&replacement());
        for _ in 0..6 {
            stage.seal(&[]);
            for sent in stage.outbox.sent.clone() {
                stage.receipt(&sent, None);
            }
        }
        assert_eq!(stage.outbox.sent.len(), 4);
        for pair in stage.outbox.sent.windows(2) {
            assert_takes_back(&pair[1], &pair[0]);
        }
        let stuck = Alert::Stuck { wallet: WalletId(0), nonce: NONCE };
        assert!(alerts(&stage).contains(&stuck));
        // Whichever it is that is mined in the end, it ends.
        let second = stage.outbox.sent[2].clone();
        stage.receipt(&second, Some(mined(&stage, 0)));
        assert_eq!(stage.outcomes(), [Outcome::Cancelled]);
    }

    /// Answers whatever was asked about our transactions: the node holds `held` only.
    fn tell_what_is_held(stage: &mut Live, held: &Sent) {
        while let Some(place) = stage.asked.iter().position(|ask| matches!(ask, Query::Known(..))) {
            let query = stage.asked.remove(place);
            let is_held = matches!(query, Query::Known(_, hash) if hash == held.hash);
            let body = Swap::default().body(None);
            stage.answer(&query, if is_held { &body } else { "null" });
        }
    }

    #[test]
    fn one_that_was_refused_is_followed_while_what_takes_it_back_is_held() {
        let mut stage = following();
        let first = stage.only();
        stage.pending(&replacement());
        let cancel = stage.outbox.sent[1].clone();
        stage.refuse(&first);
        tell_what_is_held(&mut stage, &cancel);
        assert!(stage.outcomes().is_empty());
        stage.seal(&[]);
        stage.receipt(&cancel, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Cancelled]);
    }

    #[test]
    fn an_attempt_that_is_held_counts_though_a_dearer_one_was_refused() {
        let mut stage = following();
        stage.pending(&replacement());
        let held = stage.outbox.sent[1].clone();
        for _ in 0..3 {
            stage.seal(&[]);
            for sent in stage.outbox.sent.clone() {
                stage.receipt(&sent, None);
            }
            let last = stage.outbox.sent.last().expect("some").clone();
            if last != held {
                stage.refuse(&last);
            }
            tell_what_is_held(&mut stage, &held);
        }
        assert!(stage.outcomes().is_empty());
        stage.receipt(&held, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Cancelled]);
    }

    #[test]
    fn an_attempt_that_did_not_leave_is_none() {
        let mut stage = following();
        let first = stage.only();
        stage.outbox.is_down = true;
        stage.pending(&replacement());
        for _ in 0..4 {
            stage.seal(&[]);
            stage.receipt(&first, None);
        }
        assert_eq!(alerts(&stage), []);
        stage.outbox.is_down = false;
        stage.seal(&[]);
        stage.receipt(&first, None);
        assert_takes_back(&stage.outbox.sent[1], &first);
    }

    #[test]
    fn a_follower_whose_target_landed_in_a_block_that_was_left_is_watched_again() {
        let mut stage = following();
        let fork = stage.tip();
        stage.seal(&[Sync { tx: Swap::default().hash(), index: 4, ..sync(1, GAP) }]);
        stage.asked.clear();
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        let ticket = stage.flight().ticket;
        let target = Query::Followed { ticket, hash: Swap::default().hash() };
        assert!(stage.was_asked(&target));
        stage.answer(&target, "null");
        assert_takes_back(&stage.outbox.sent[1], &stage.outbox.sent[0]);
    }

    #[test]
    fn what_could_only_revert_from_now_on_is_taken_back() {
        let mut stage = airborne();
        let first = stage.only();
        stage.seal(&[]);
        stage.receipt(&first, None);
        assert_eq!(stage.outbox.sent.len(), 1, "it may still pay in the next block");
        stage.seal(&[]);
        stage.receipt(&first, None);
        stage.known(&first, true);
        assert_takes_back(&stage.outbox.sent[1], &first);
    }

    #[test]
    fn nothing_is_taken_back_while_the_world_is_stale() {
        let mut stage = following();
        stage.link(Source::Chain, false);
        stage.pending(&replacement());
        assert_eq!(stage.outbox.sent.len(), 1);
        stage.link(Source::Chain, true);
        stage.seal(&[]);
        assert_takes_back(&stage.outbox.sent[1], &stage.outbox.sent[0]);
    }

    #[test]
    fn a_nonce_that_was_dropped_below_one_that_waits_is_filled() {
        let mut stage = Setup { share: Bps(0), ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        let first = stage.only();
        let fork = stage.tip();
        stage.seal(&[Sync { tx: first.hash, ..sync(1, EVEN) }]);
        stage.receipt(&first, Some(mined(&stage, 0)));
        stage.nonce(0, NONCE + 1);
        stage.pending(&Swap {
            path: vec![crate::stage::WETH, crate::stage::TKN],
            ..Swap::default()
        });
        assert_eq!(stage.outbox.sent[1].decode().0.nonce, NONCE + 1);
        // The block is left, and the node's pool has lost the first of the two.
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        stage.nonce(0, NONCE);
        let again = stage.engine.flights.iter().find(|flight| flight.hash == first.hash);
        let again = *again.expect("it is followed anew");
        let first = Sent { attempt: again.last_attempt().0, ..first };
        for _ in 0..2 {
            stage.seal(&[]);
            stage.receipt(&first, None);
            stage.known(&first, false);
        }
        let filler = stage.outbox.sent.last().expect("some").clone();
        assert_takes_back(&filler, &first);
        assert_eq!(stage.engine.flights.count(), 2, "both are followed to their ends");
    }
}

mod reorgs {
    use super::*;

    #[test]
    fn an_end_in_a_block_that_is_left_is_reversed_and_learnt_anew() {
        let mut stage = airborne();
        let sent = stage.only();
        let fork = stage.tip();
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        let booked = *stage.engine.books.line(TAKER);
        assert_eq!((booked.landed, booked.gained[0]), (1, 2_000_000_000_000_000_000));
        stage.asked.clear();
        stage.told.clear();

        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        let line = *stage.engine.books.line(TAKER);
        assert_eq!((line.landed, line.gained[0], line.gas_paid), (0, 0, Wei(0)));
        assert!(stage.told.iter().any(|note| matches!(note, Note::Reversed(..))));
        let flight = stage.flight();
        assert_eq!((flight.hash, flight.serial), (sent.hash, sent.serial));
        let sent = Sent { attempt: flight.last_attempt().0, ..sent };
        assert!(stage.was_asked(&Query::Receipt(sent.attempt, sent.hash)));

        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        stage.receipt(&sent, Some(Mined { is_success: false, ..mined(&stage, 3) }));
        let line = stage.engine.books.line(TAKER);
        assert_eq!((line.landed, line.reverted, line.sent), (0, 1, 1));
    }

    #[test]
    fn a_nonce_that_is_followed_anew_is_given_to_nobody_else() {
        let mut stage = airborne();
        let sent = stage.only();
        let fork = stage.tip();
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        // The node is on the other branch already when it is asked.
        stage.nonce(0, NONCE);
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        // Mined again, before the node was heard about the nonce again.
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }, sync(3, GAP)]);
        let [_, next] = &stage.outbox.sent[..] else { panic!("the other gap is taken") };
        assert_eq!(next.decode().0.nonce, NONCE + 1);
    }

    #[test]
    fn an_end_is_final_once_its_block_is_deep_enough() {
        let mut stage = Setup { finality_blocks: 3, ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        for _ in 0..2 {
            stage.seal(&[]);
            assert!(stage.engine.finality.closed.is_empty());
            assert_eq!(stage.engine.finality.books.line(TAKER).landed, 0);
        }
        stage.seal(&[]);
        assert_eq!(stage.engine.finality.closed, [sent.serial]);
        let (now, last) = (stage.engine.books, stage.engine.finality.books);
        assert_eq!((last.line(TAKER).landed, last.line(TAKER).sent), (1, 1));
        assert_eq!(now.line(TAKER).gained, last.line(TAKER).gained);
        assert!(stage.engine.finality.settled().is_empty());
    }

    #[test]
    fn a_receipt_of_another_branch_is_not_believed() {
        let mut stage = airborne();
        let sent = stage.only();
        let elsewhere = stage.tip().child(777);
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(Mined { block: elsewhere, ..mined(&stage, 0) }));
        assert!(stage.outcomes().is_empty());
        stage.receipt(&sent, Some(mined(&stage, 0)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn after_a_reload_every_end_that_is_not_final_is_asked_for_again() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        let block = stage.tip();
        stage.asked.clear();
        stage.reload(block);
        assert_eq!(stage.engine.books.line(TAKER).landed, 0);
        let sent = Sent { attempt: stage.flight().last_attempt().0, ..sent };
        assert!(stage.was_asked(&Query::Receipt(sent.attempt, sent.hash)));
        stage.receipt(&sent, Some(Mined { block, ..mined(&stage, 0) }));
        assert_eq!(stage.engine.books.line(TAKER).landed, 1);
    }
}

mod doubts {
    use super::*;

    #[test]
    fn two_answers_about_one_block_are_one_answer() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[]);
        stage.seal(&[]);
        stage.receipt(&sent, None);
        stage.known(&sent, false);
        stage.known(&sent, false);
        assert!(stage.outcomes().is_empty());
        stage.seal(&[]);
        stage.receipt(&sent, None);
        stage.known(&sent, false);
        assert_eq!(stage.outcomes(), [Outcome::Dropped]);
    }

    #[test]
    fn a_nonce_that_is_free_again_was_not_taken() {
        let mut stage = airborne();
        let sent = stage.only();
        // A block that we never hear of has it, and is left.
        stage.nonce(0, NONCE + 1);
        stage.nonce(0, NONCE);
        stage.seal(&[]);
        stage.receipt(&sent, None);
        assert!(stage.outcomes().is_empty());
        assert_eq!(stage.engine.flights.count(), 1);
    }

    #[test]
    fn one_that_was_displaced_in_a_block_that_is_left_is_followed_anew() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.nonce(0, NONCE + 1);
        let fork = stage.tip();
        stage.seal(&[]);
        stage.receipt(&sent, None);
        assert_eq!(stage.outcomes(), [Outcome::Replaced]);
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        let flight = stage.flight();
        assert_eq!((flight.hash, flight.serial), (sent.hash, sent.serial));
        assert_eq!(stage.engine.books.line(TAKER).lost, 0);
    }

    #[test]
    fn what_a_block_has_logs_of_is_neither_dropped_nor_replaced() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        let receipt = mined(&stage, 0);
        stage.nonce(0, NONCE + 1);
        for _ in 0..4 {
            stage.seal(&[]);
            // The node that answers is behind the one that announced the block.
            stage.receipt(&sent, None);
            let query = Query::Known(sent.attempt, sent.hash);
            stage.answer(&query, "null");
        }
        assert!(stage.outcomes().is_empty());
        stage.receipt(&sent, Some(receipt));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn after_a_reload_nothing_is_taken_to_be_mined() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        assert!(stage.flight().is_mined);
        stage.asked.clear();
        stage.reload(Block { hash: hash(303), ..stage.tip() });
        assert!(!stage.flight().is_mined);
        let address = stage.engine.risk.wallets[0].address;
        assert!(stage.was_asked(&Query::Nonce(WalletId(0), address)));
    }

    #[test]
    fn what_never_left_was_not_sent_in_any_books() {
        let mut stage = live();
        stage.outbox.is_down = true;
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.outcomes()[..1], [Outcome::Unsent]);
        assert_eq!(stage.engine.books.line(TAKER).sent, 0);
        assert_eq!(stage.engine.finality.books.line(TAKER).sent, 0);
    }
}

mod restarts {
    use super::*;

    /// What a run that ended just now leaves behind.
    fn left_by(stage: &Live) -> Legacy {
        let on_their_way = stage.engine.flights.iter().copied();
        let settled = stage.engine.finality.settled().iter().map(|settled| settled.flight);
        Legacy {
            books: stage.engine.finality.books,
            losses: stage.engine.finality.guard.losses,
            booked_serial: stage.engine.flights.newest_serial(),
            newest_serial: stage.engine.flights.newest_serial(),
            flights: on_their_way.chain(settled).collect(),
        }
    }

    fn resumed(legacy: &Legacy) -> Live {
        let mut stage = Setup { wallets: 2, ..Setup::default() }.cold();
        stage.engine.take_up(legacy);
        stage.raise();
        stage
    }

    #[test]
    fn what_was_on_its_way_is_followed_by_the_next_run() {
        let mut first = airborne();
        let sent = first.only();
        let mut stage = resumed(&left_by(&first));
        assert_eq!(stage.flight().serial, sent.serial);
        // Neither its pools nor its wallet are used again.
        stage.seal(&[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        assert!(stage.rejects(Reject::PoolsBusy) > 0);
        let sent = Sent { attempt: stage.flight().last_attempt().0, ..sent };
        stage.receipt(&sent, Some(mined(&stage, 0)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        let line = stage.engine.books.line(TAKER);
        assert_eq!((line.sent, line.landed, line.gained[0]), (1, 1, 2_000_000_000_000_000_000));
        // The first run goes on where it was, and comes to the same books.
        first.seal(&[sync(1, EVEN)]);
        let sent = first.only();
        first.receipt(&sent, Some(mined(&first, 0)));
        assert_eq!(first.engine.books.line(TAKER).gained, line.gained);
    }

    #[test]
    fn what_was_not_final_is_asked_for_again() {
        let mut first = airborne();
        let sent = first.only();
        first.seal(&[sync(1, EVEN)]);
        first.receipt(&sent, Some(mined(&first, 0)));
        let mut stage = resumed(&left_by(&first));
        assert_eq!(stage.engine.books.line(TAKER).landed, 0);
        stage.nonce(0, NONCE + 1);
        let sent = Sent { attempt: stage.flight().last_attempt().0, ..sent };
        assert!(stage.was_asked(&Query::Receipt(sent.attempt, sent.hash)));
        stage.seal(&[]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        assert_eq!(stage.engine.books.line(TAKER).landed, 1);
    }

    #[test]
    fn a_follower_that_landed_meanwhile_is_still_known_to_stand_behind_its_target() {
        for (target_index, is_behind) in [(3, true), (2, false)] {
            let first = following();
            let mut stage = resumed(&left_by(&first));
            let ticket = stage.flight().ticket;
            let sent = Sent { attempt: stage.flight().last_attempt().0, ..first.only() };
            stage.seal(&[]);
            let place = Query::Place { ticket, hash: Swap::default().hash() };
            assert!(!stage.was_asked(&place));
            stage.receipt(&sent, Some(mined(&stage, 4)));
            assert!(stage.was_asked(&place));
            // Whatever else asked for the receipt does not end it either.
            stage.receipt(&sent, Some(mined(&stage, 4)));
            assert!(stage.outcomes().is_empty());
            stage.answer(&place, &mined(&stage, target_index).json());
            assert_eq!(stage.asked.last(), Some(&Query::Receipt(sent.attempt, sent.hash)));
            stage.receipt(&sent, Some(mined(&stage, 4)));
            assert_eq!(stage.outcomes(), [Outcome::Landed]);
            let line = stage.engine.books.line(FOLLOWER);
            assert_eq!(line.behind_target, u64::from(is_behind));
        }
    }

    #[test]
    fn the_place_of_a_target_is_asked_for_until_a_node_knows_it() {
        let first = following();
        let mut stage = resumed(&left_by(&first));
        let ticket = stage.flight().ticket;
        let sent = Sent { attempt: stage.flight().last_attempt().0, ..first.only() };
        let place = Query::Place { ticket, hash: Swap::default().hash() };
        stage.seal(&[]);
        let landed = mined(&stage, 4);
        let target = mined(&stage, 3).json();
        for _ in 0..3 {
            stage.asked.clear();
            stage.receipt(&sent, Some(landed));
            assert!(stage.was_asked(&place));
            stage.answer(&place, "null");
            // A block overtakes the answer.
            stage.seal(&[]);
        }
        assert!(stage.outcomes().is_empty());
        stage.answer(&place, &target);
        stage.receipt(&sent, Some(landed));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, 1);
    }

    #[test]
    fn a_node_that_does_not_say_where_the_target_is_delays_the_end_by_eight_blocks() {
        let first = following();
        let mut stage = resumed(&left_by(&first));
        let sent = Sent { attempt: stage.flight().last_attempt().0, ..first.only() };
        stage.seal(&[]);
        let landed = Some(mined(&stage, 4));
        for _ in 0..8 {
            stage.receipt(&sent, landed);
            assert!(stage.outcomes().is_empty());
            stage.seal(&[]);
        }
        stage.receipt(&sent, landed);
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn what_was_found_after_the_books_were_written_is_an_opportunity_all_the_same() {
        let first = airborne();
        for (booked_serial, opportunities) in [(0, 1), (1, 0)] {
            let stage = resumed(&Legacy { booked_serial, ..left_by(&first) });
            let line = stage.engine.books.line(TAKER);
            assert_eq!((line.sent, line.opportunities), (1, opportunities));
        }
    }

    #[test]
    fn what_never_left_is_not_among_what_was_sent() {
        let mut stage = live();
        stage.outbox.is_down = true;
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.outcomes(), [Outcome::Unsent]);
        let (now, last) = (stage.engine.books, stage.engine.finality.books);
        assert_eq!((now.line(TAKER).sent, last.line(TAKER).sent), (0, 0));
        assert_eq!((now.line(TAKER).lost, last.line(TAKER).lost), (1, 1));
    }

    #[test]
    fn serial_numbers_go_on() {
        let first = airborne();
        let mut stage = resumed(&left_by(&first));
        stage.pending(&Swap {
            path: vec![crate::stage::WETH, crate::stage::TKN],
            ..Swap::default()
        });
        assert_eq!(stage.outbox.sent[0].serial, first.only().serial + 1);
        assert_eq!(stage.outbox.sent[0].wallet, WalletId(1));
    }

    #[test]
    fn a_wallet_with_an_unknown_transaction_in_the_node_s_pool_waits_for_it() {
        let mut stage: Live = Setup::default().cold();
        stage.engine.risk.wallets[0].waits_for = NONCE + 2;
        stage.raise();
        stage.seal(&[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        let address = stage.engine.risk.wallets[0].address;
        assert!(stage.was_asked(&Query::Nonce(WalletId(0), address)));
        stage.nonce(0, NONCE + 1);
        stage.seal(&[]);
        assert!(stage.outbox.sent.is_empty());
        stage.nonce(0, NONCE + 2);
        stage.seal(&[]);
        assert_eq!(stage.only().decode().0.nonce, NONCE + 2);
    }

    #[test]
    fn a_wallet_does_not_wait_for_what_the_node_s_pool_has_dropped() {
        let mut stage: Live = Setup::default().cold();
        stage.engine.risk.wallets[0].waits_for = NONCE + 2;
        stage.raise();
        stage.seal(&[sync(1, GAP)]);
        let address = stage.engine.risk.wallets[0].address;
        let pending = stage.asked.iter().find(|query| {
            let mut out = [0; QUERY_BYTES_MAX];
            let length = query.write(&mut out);
            let text = String::from_utf8_lossy(&out[..length]).into_owned();
            text.contains("\"pending\"") && text.contains(&format!("{address:#x}"))
        });
        let pending = *pending.expect("what the pool holds of the wallet was asked");
        stage.answer(&pending, &format!("\"{NONCE:#x}\""));
        stage.seal(&[]);
        assert_eq!(stage.only().decode().0.nonce, NONCE);
    }
}

mod limits {
    use super::*;

    /// Moves that open a gap in both pairs.
    fn two_gaps() -> [Sync; 2] {
        [sync(1, GAP), sync(3, GAP)]
    }

    #[test]
    fn what_may_land_in_one_block_cannot_lose_more_than_the_budget() {
        let both = Setup { wallets: 2, ..Setup::default() };
        let mut stage = both.live();
        stage.seal(&two_gaps());
        assert_eq!(stage.outbox.sent.len(), 2);
        let stake = stage.engine.flights.iter().map(|flight| flight.admitted.stake).max();
        let guard = GuardLimits { loss_per_block_max: stake.expect("two"), ..GuardLimits::NONE };
        let mut stage = Setup { guard, ..both }.live();
        stage.seal(&two_gaps());
        assert_eq!(stage.outbox.sent.len(), 1);
        assert_eq!(stage.rejects(Reject::LossPerBlock), 1);
    }

    #[test]
    fn a_lost_day_ends_trading_and_is_told_once() {
        let guard = GuardLimits { loss_per_day_max: Wei(ETHER / 1_000), ..GuardLimits::NONE };
        let mut stage = Setup { guard, share: Bps(0), ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        let gas_price = 10 * GWEI;
        stage.receipt(&sent, Some(Mined { is_success: false, gas_price, ..mined(&stage, 0) }));
        stage.nonce(0, NONCE + 1);
        for _ in 0..3 {
            stage.seal(&[sync(1, GAP)]);
            stage.seal(&[sync(1, EVEN)]);
        }
        assert_eq!(stage.outbox.sent.len(), 1);
        assert!(stage.rejects(Reject::LossPerDay) >= 3);
        let lost = Wei(140_000 * gas_price);
        assert_eq!(alerts(&stage), [Alert::LossPerDay { lost }]);
    }

    #[test]
    fn reverts_in_a_row_pause_trading_and_time_ends_the_pause() {
        let guard =
            GuardLimits { reverts_max: 1, reverts_pause_ns: 5_000_000_000, ..GuardLimits::NONE };
        let mut stage = Setup { guard, ..Setup::default() }.live();
        stage.wait(1);
        stage.seal(&[sync(1, GAP)]);
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(Mined { is_success: false, ..mined(&stage, 0) }));
        stage.nonce(0, NONCE + 1);
        assert_eq!(alerts(&stage), [Alert::RevertsPause]);
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.rejects(Reject::RevertsPause), 1);
        stage.wait(4_999);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 1);
        stage.wait(1);
        assert_eq!(alerts(&stage), [Alert::RevertsPause, Alert::RevertsPauseOver]);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 2);
    }

    #[test]
    fn a_wallet_that_runs_dry_is_told_once_and_trades_again_when_it_is_funded() {
        let mut stage = Setup { balance: 1, ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        stage.seal(&[]);
        let wallet = WalletId(0);
        let [Alert::WalletLow { balance, needed, .. }] = alerts(&stage)[..] else {
            panic!("{:?}", alerts(&stage))
        };
        assert_eq!(balance, Wei(1));
        let address = stage.engine.risk.wallets[0].address;
        let query = Query::Balance(wallet, address);
        assert!(stage.was_asked(&query));
        stage.answer(&query, &format!("\"{:#x}\"", needed.0 - 1));
        stage.seal(&[]);
        assert!(stage.outbox.sent.is_empty());
        stage.answer(&query, &format!("\"{:#x}\"", needed.0));
        assert_eq!(alerts(&stage)[1..], [Alert::WalletFunded { wallet, balance: needed }]);
        stage.seal(&[]);
        stage.only();
    }

    #[test]
    fn somebody_else_s_use_of_a_wallet_is_told_and_its_nonce_followed() {
        let mut stage = airborne();
        stage.nonce(0, NONCE + 3);
        let shared = Alert::WalletShared { wallet: WalletId(0), nonce: NONCE + 3 };
        assert_eq!(alerts(&stage), [shared]);
        stage.nonce(0, NONCE + 3);
        assert_eq!(alerts(&stage).len(), 1);
    }

    #[test]
    fn somebody_else_s_use_of_the_very_nonce_that_we_tried_is_told() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.refuse(&sent);
        stage.known(&sent, false);
        assert_eq!(stage.outcomes(), [Outcome::Refused]);
        stage.nonce(0, NONCE + 1);
        let shared = [Alert::WalletShared { wallet: WalletId(0), nonce: NONCE + 1 }];
        assert_eq!(alerts(&stage), shared);

        let mut stage = airborne();
        let sent = stage.only();
        stage.nonce(0, NONCE + 1);
        stage.seal(&[]);
        stage.receipt(&sent, None);
        assert_eq!(alerts(&stage), shared);
        assert_eq!(stage.outcomes(), [Outcome::Replaced]);
    }

    #[test]
    fn a_wallet_that_runs_dry_is_told_although_another_one_pays() {
        let mut stage = Setup { wallets: 2, ..Setup::default() }.live();
        stage.engine.risk.wallets[0].balance = Wei(1);
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.only().wallet, WalletId(1));
        let [Alert::WalletLow { wallet: WalletId(0), balance: Wei(1), .. }] = alerts(&stage)[..]
        else {
            panic!("{:?}", alerts(&stage))
        };
        stage.seal(&[sync(1, EVEN)]);
        assert_eq!(alerts(&stage).len(), 1);
    }

    #[test]
    fn our_own_use_of_a_wallet_is_not_told() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.nonce(0, NONCE + 1);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        stage.nonce(0, NONCE + 1);
        assert_eq!(alerts(&stage), []);
    }

    #[test]
    fn what_the_node_refuses_twice_is_left_until_its_pools_move() {
        let mut stage = airborne();
        for round in 1..=2 {
            let sent = stage.outbox.sent[round - 1].clone();
            stage.refuse(&sent);
            stage.known(&sent, false);
            stage.seal(&[]);
        }
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 2);
        stage.pending(&Swap { router: ROUTERS[0], ..Swap::default() });
        stage.seal(&[sync(1, [GAP[0], GAP[1] + ETHER])]);
        assert_eq!(stage.outbox.sent.len(), 3);
        assert_ne!(stage.tip().hash, hash(0));
    }
}
