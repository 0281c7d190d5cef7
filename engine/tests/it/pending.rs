//! Pending swaps, from their announcement to the strategies: which are followed, which must wait,
//! and what becomes of the others when there are too many.
//!
//! Temperature: cold.

use alloy::primitives::B256;
use gannet_engine::ids::PoolId;
use gannet_engine::input::Source;
use gannet_engine::limits::{LOOKS_PER_INPUT_MAX, PENDING_QUEUE_MAX, PREDECESSORS_MAX};
use gannet_engine::query::Query;
use gannet_engine::risk::Reject;
use gannet_engine::tally::Gone;
use gannet_engine::world::Unfit;

use crate::stage::{
    BASE_FEE, Block, ETHER, EVEN, GAP, GWEI, Live, POOLS, ROUTERS, Stage, Swap, Sync, TAKER, hash,
    live, sync,
};

/// Fees beyond any bid of ours.
const DEAREST: (u128, u128) = (90_000 * GWEI, 50_000 * GWEI);

/// Takes the cheap DAI of a [`GAP`] out of pool 1, before anybody else.
fn rival() -> Swap {
    let (max_fee, priority_fee) = DEAREST;
    Swap { amount: 48 * ETHER, max_fee, priority_fee, ..Swap::default() }
}

fn unfit<const DRY: bool>(stage: &Stage<DRY>, why: Unfit) -> u64 {
    stage.engine.tally.unfit[why as usize]
}

fn followed<const DRY: bool>(stage: &Stage<DRY>) -> Option<B256> {
    stage.flight().admitted.plan.follows().map(|follow| follow.hash)
}

mod nonces {
    use super::*;

    #[test]
    fn a_swap_of_an_unknown_sender_is_followed_the_moment_its_nonce_is_known_to_be_next() {
        let mut stage = live();
        let swap = Swap { nonce: 5, ..Swap::default() };
        stage.announce(&swap);
        assert!(stage.outbox.sent.is_empty(), "its nonce may be any");
        stage.answer_for(&swap, 5);
        assert_eq!(followed(&stage), Some(swap.hash()));
    }

    #[test]
    fn a_swap_whose_nonce_is_used_is_dropped() {
        let mut stage = live();
        let swap = Swap { nonce: 5, ..Swap::default() };
        stage.announce(&swap);
        stage.answer_for(&swap, 6);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.engine.gone(Gone::NonceUsed), 1);
        assert_eq!(stage.engine.unseen_count(), 0);
        stage.announce(&Swap { nonce: 4, ..Swap::default() });
        assert_eq!(stage.engine.gone(Gone::NonceUsed), 2, "what is known is not asked again");
        assert!(stage.question_for(&swap).is_none());
    }

    #[test]
    fn a_swap_behind_a_nonce_gap_waits_until_the_gap_is_mined() {
        let mut stage = live();
        let swap = Swap { nonce: 6, ..Swap::default() };
        stage.announce(&swap);
        stage.answer_for(&swap, 5);
        stage.seal(&[]);
        assert!(stage.outbox.sent.is_empty());
        // What was mined in between was no swap: only the node can say that it was.
        stage.answer_for(&swap, 6);
        assert_eq!(followed(&stage), Some(swap.hash()));
    }

    #[test]
    fn a_swap_that_is_known_to_be_ahead_is_asked_for_once_a_block() {
        let mut stage = live();
        let swap = Swap { nonce: 6, ..Swap::default() };
        stage.announce(&swap);
        stage.answer_for(&swap, 5);
        stage.announce(&Swap { nonce: 7, ..Swap::default() });
        stage.wait(10);
        assert!(stage.question_for(&swap).is_none());
        stage.seal(&[]);
        assert!(stage.question_for(&swap).is_some());
        assert!(stage.question_for(&swap).is_none(), "two swaps of one sender are one question");
    }

    #[test]
    fn an_inclusion_teaches_what_the_senders_next_nonce_is() {
        let mut stage = live();
        let first = Swap { nonce: 5, ..Swap::default() };
        let block = stage.next();
        stage.head(block);
        stage.announce(&first);
        stage.list(block, &[Sync { tx: first.hash(), ..sync(1, EVEN) }]);
        assert_eq!(stage.engine.gone(Gone::Landed), 1);
        stage.asked.clear();
        let second = Swap { nonce: 6, ..Swap::default() };
        stage.announce(&second);
        assert!(stage.question_for(&second).is_none());
        assert_eq!(followed(&stage), Some(second.hash()));
    }

    #[test]
    fn a_replacement_that_came_too_late_is_dropped_when_the_first_one_lands() {
        let mut stage = live();
        let (first, block) = (Swap::default(), stage.next());
        stage.head(block);
        stage.announce(&first);
        stage.announce(&Swap { max_fee: 50 * GWEI, ..Swap::default() });
        assert_eq!(stage.engine.gone(Gone::Replaced), 1);
        stage.list(block, &[Sync { tx: first.hash(), ..sync(1, EVEN) }]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!((stage.engine.gone(Gone::NonceUsed), stage.engine.unseen_count()), (1, 0));
    }

    #[test]
    fn a_reorg_makes_every_nonce_unknown() {
        let mut stage = live();
        let swap = Swap::default();
        let block = stage.next();
        stage.head(block);
        stage.announce(&swap);
        let late = stage.question_for(&swap).expect("it was asked");
        stage.list(block, &[Sync { tx: swap.hash(), ..sync(1, EVEN) }]);
        let sibling = Block { hash: hash(777), ..block };
        stage.head(sibling);
        stage.list(sibling, &[]);
        let again = Swap { amount: 60 * ETHER, max_fee: 60 * GWEI, ..swap };
        stage.announce(&again);
        assert!(stage.outbox.sent.is_empty(), "its nonce may be free again");
        stage.answer(&late, "\"0x1\"");
        assert_eq!(stage.engine.gone(Gone::NonceUsed), 0, "that was true of the other branch");
        stage.answer_for(&again, 0);
        assert_eq!(followed(&stage), Some(again.hash()));
    }

    #[test]
    fn a_reload_makes_every_nonce_unknown() {
        let mut stage = live();
        let swap = Swap { nonce: 5, ..Swap::default() };
        stage.announce(&swap);
        stage.answer_for(&swap, 6);
        stage.reload(stage.anchor());
        stage.answer(&Query::LatestHead, &stage.anchor().json(false));
        let again = Swap { amount: 60 * ETHER, max_fee: 60 * GWEI, ..swap };
        stage.announce(&again);
        stage.answer_for(&again, 5);
        assert_eq!(followed(&stage), Some(again.hash()), "on this branch it is free");
    }

    #[test]
    fn an_answer_that_never_came_is_asked_for_again_after_the_seal() {
        let mut stage = live();
        let swap = Swap::default();
        stage.announce(&swap);
        assert!(stage.question_for(&swap).is_some());
        stage.seal(&[]);
        stage.answer_for(&swap, 0);
        assert_eq!(followed(&stage), Some(swap.hash()));
    }

    #[test]
    fn an_answer_in_an_open_block_waits_for_the_seal() {
        let mut stage = live();
        let (swap, block) = (Swap::default(), stage.next());
        stage.announce(&swap);
        stage.head(block);
        stage.answer_for(&swap, 0);
        assert!(stage.outbox.sent.is_empty());
        assert!(!stage.engine.has_backlog(), "there is nothing to do before the seal");
        stage.list(block, &[]);
        assert_eq!(followed(&stage), Some(swap.hash()));
    }
}

mod predecessors {
    use super::*;

    /// The profit of the only plan is exact on the state behind `swaps` through pool 1.
    fn assert_behind(stage: &Live, swaps: &[&Swap]) {
        let out = |amount: u128, [paid, taken]: [u128; 2]| {
            let weighted = amount * 997;
            weighted * (taken / GWEI) / (paid * 1_000 / GWEI + weighted / GWEI)
        };
        let reserves = swaps.iter().fold(EVEN, |[weth, dai], swap| {
            [weth + swap.amount, dai - out(swap.amount, [weth, dai])]
        });
        let plan = stage.flight().admitted.plan;
        let bought = out(plan.amount_in, EVEN);
        let back = out(bought, [reserves[1], reserves[0]]);
        let profit = back - plan.amount_in;
        assert!(profit.abs_diff(plan.profit) < ETHER / 1_000, "{profit} {}", plan.profit);
    }

    fn two() -> [Swap; 2] {
        let first = Swap { amount: 30 * ETHER, ..Swap::default() };
        [first, Swap { nonce: 1, ..Swap::default() }]
    }

    #[test]
    fn a_swap_whose_predecessor_is_pending_too_is_followed_behind_both() {
        let mut stage = live();
        let [first, second] = two();
        stage.announce(&second);
        stage.answer_for(&second, 0);
        assert!(stage.outbox.sent.is_empty());
        stage.announce(&first);
        assert_eq!(followed(&stage), Some(second.hash()), "it moves more");
        assert_behind(&stage, &[&first, &second]);
        let [even, moved] = [0, 1].map(|pool| *stage.engine.world.state(PoolId(pool)));
        assert_eq!(even, moved, "the world is as it was");
    }

    #[test]
    fn a_predecessor_that_reverts_uses_its_nonce_all_the_same() {
        let mut stage = live();
        let [first, second] = two();
        let first = Swap { limit: u128::MAX, ..first };
        stage.announce(&second);
        stage.answer_for(&second, 0);
        stage.announce(&first);
        assert_eq!(followed(&stage), Some(second.hash()));
        assert_behind(&stage, &[&second]);
    }

    #[test]
    fn a_predecessor_that_pays_too_little_keeps_its_successor_from_landing() {
        let mut stage = live();
        let [first, second] = two();
        let first = Swap { max_fee: BASE_FEE - 1, priority_fee: 0, ..first };
        stage.announce(&first);
        stage.answer_for(&first, 0);
        stage.announce(&second);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(unfit(&stage, Unfit::Underpriced), 2);
    }

    #[test]
    fn a_swap_behind_too_many_waits() {
        let mut stage = live();
        let limit = u64::try_from(PREDECESSORS_MAX).expect("a few");
        for nonce in 0..=limit {
            // Too small to pay for anything behind it.
            stage.announce(&Swap { nonce, amount: ETHER / 1_000, ..Swap::default() });
            stage.answer_for(&Swap::default(), 0);
        }
        stage.announce(&Swap { nonce: limit + 1, ..Swap::default() });
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.engine.unseen_count(), 1);
        let block = stage.next();
        let landed = Swap { nonce: 0, amount: ETHER / 1_000, ..Swap::default() };
        stage.head(block);
        stage.list(block, &[Sync { tx: landed.hash(), ..sync(1, EVEN) }]);
        assert_eq!(stage.outbox.sent.len(), 1, "one fewer is before it");
    }
}

mod bounds {
    use super::*;

    #[test]
    fn a_swap_whose_deadline_passes_while_it_waits_is_not_followed() {
        let mut stage = live();
        let block = stage.next();
        stage.head(block);
        // The open block's own time: it would have landed there.
        stage.pending(&Swap { deadline: 1_800_000_012, ..Swap::default() });
        stage.list(block, &[]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(unfit(&stage, Unfit::PastDeadline), 1);
    }

    #[test]
    fn a_swap_that_the_next_base_fee_outgrows_is_not_followed() {
        let mut stage = live();
        let block = Block { base_fee: 50 * GWEI, ..stage.next() };
        stage.head(block);
        stage.pending(&Swap::default());
        stage.list(block, &[]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(unfit(&stage, Unfit::Underpriced), 1);
    }

    #[test]
    fn a_swap_whose_limit_the_block_before_it_breaks_is_not_followed() {
        let mut stage = live();
        let block = stage.next();
        stage.head(block);
        stage.pending(&Swap { limit: 47 * ETHER, ..Swap::default() });
        // Pool 1 gives only 42 for 50 now, and pool 0 moves along so that no gap opens.
        let dear = [1_000 * ETHER, 900 * ETHER];
        stage.list(block, &[sync(0, dear), sync(1, dear)]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(unfit(&stage, Unfit::LimitMissed), 1);
    }

    #[test]
    fn a_swap_that_lands_nowhere_is_forgotten_after_a_few_blocks() {
        let mut stage = live();
        stage.announce(&Swap { nonce: 1, ..Swap::default() });
        stage.answer_for(&Swap::default(), 0);
        for _ in 0..3 {
            stage.seal(&[]);
        }
        assert_eq!((stage.engine.gone(Gone::Expired), stage.engine.unseen_count()), (1, 0));
    }
}

mod rivals {
    use super::*;

    #[test]
    fn a_rival_that_reverted_unseen_stands_before_nobody_any_more() {
        for is_known in [false, true] {
            let mut stage = live();
            stage.pending(&rival());
            stage.seal(&[]);
            if is_known {
                stage.answer_for(&rival(), 1);
            }
            stage.seal(&[sync(1, GAP)]);
            assert_eq!(stage.outbox.sent.len(), usize::from(is_known));
            assert_eq!(stage.rejects(Reject::Outbid) > 0, !is_known);
        }
    }

    #[test]
    fn a_rival_that_its_sender_cancelled_stands_before_nobody_any_more() {
        let mut stage = live();
        stage.pending(&rival());
        stage.announce(&Swap { max_fee: DEAREST.0 * 2, is_plain: true, ..rival() });
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.flight().admitted.plan.strategy, TAKER);
    }

    #[test]
    fn a_rival_behind_a_nonce_gap_stands_before_nobody() {
        let mut stage = live();
        stage.announce(&Swap { nonce: 1, ..rival() });
        stage.answer_for(&rival(), 0);
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.flight().admitted.plan.strategy, TAKER);
    }
}

mod overload {
    use super::*;

    /// Moves so little that nothing behind it pays.
    fn cheap(nonce: u64) -> Swap {
        let amount = ETHER / 1_000 + u128::from(nonce);
        Swap { trader: 1, nonce, amount, ..Swap::default() }
    }

    /// Every frame has one counter, and so has the fate of every swap.
    fn assert_counted<const DRY: bool>(stage: &Stage<DRY>) {
        let tally = &stage.engine.tally;
        let pending = Source::Pending as usize;
        let [new, replacing, duplicate, underpaying] = tally.pending;
        let counted = tally.undecodable[pending]
            + tally.pending_other
            + tally.pending_forged
            + tally.pending_fetched
            + tally.pending_known
            + (new + replacing + duplicate + underpaying);
        assert_eq!(tally.frames[pending], counted, "{tally:?}");
        let gone = Gone::ALL.iter().map(|why| stage.engine.gone(*why)).sum::<u64>();
        let unfit = tally.unfit.iter().sum::<u64>();
        let unseen = stage.engine.unseen_count() as u64;
        assert_eq!(new + replacing, tally.pending_seen + unfit + gone + unseen, "{tally:?}");
    }

    #[test]
    fn one_valuable_swap_among_five_thousand_cheap_ones_is_followed() {
        let mut stage = live();
        let valuable = Swap::default();
        let mut bodies: Vec<_> = (0..5_000).map(|nonce| cheap(nonce).body(None)).collect();
        bodies.insert(3_000, valuable.body(None));
        stage.burst(&bodies);
        stage.answer_for(&valuable, 0);
        assert_eq!(followed(&stage), Some(valuable.hash()));
        let dropped = 5_001 - PENDING_QUEUE_MAX as u64;
        assert_eq!(stage.engine.gone(Gone::Outranked), dropped);
        assert_counted(&stage);
        // The one sender of all the others is one question.
        stage.asked.retain(|query| matches!(query, Query::SenderNonce { .. }));
        assert_eq!(stage.asked.len(), 1);
    }

    #[test]
    fn of_swaps_that_move_the_same_the_best_tipped_are_kept() {
        let mut stage = live();
        let swap =
            |nonce: u64| Swap { nonce, priority_fee: GWEI + u128::from(nonce), ..Swap::default() };
        let count = PENDING_QUEUE_MAX as u64 + 3;
        let bodies: Vec<_> = (0..count).map(|nonce| swap(nonce).body(None)).collect();
        stage.burst(&bodies);
        assert_eq!(stage.engine.gone(Gone::Outranked), 3);
        stage.answer_for(&swap(0), 0);
        stage.wait(1);
        assert!(stage.outbox.sent.is_empty(), "the first three, which tip least, are gone");
    }

    #[test]
    fn what_one_input_leaves_the_next_goes_on_with() {
        let mut stage = live();
        let swaps: Vec<_> = (1..=20).map(|trader| Swap { trader, ..cheap(0) }).collect();
        let bodies: Vec<_> = swaps.iter().map(|swap| swap.body(None)).collect();
        stage.burst(&bodies);
        let mut asked = LOOKS_PER_INPUT_MAX;
        assert_eq!(stage.asked.len(), asked);
        while stage.engine.has_backlog() {
            stage.wait(0);
            asked = (asked + LOOKS_PER_INPUT_MAX).min(swaps.len());
            assert_eq!(stage.asked.len(), asked);
        }
        assert_eq!(asked, swaps.len());
    }

    #[test]
    fn a_swap_that_names_more_than_a_pool_holds_is_worth_no_more_than_that() {
        let mut stage = live();
        let boast = |nonce: u64| Swap { amount: u128::MAX >> 16, ..cheap(nonce) };
        let rest = (0..PENDING_QUEUE_MAX as u64).map(|nonce| boast(nonce).body(None));
        let real = Swap { amount: EVEN[0], priority_fee: 4 * GWEI, ..Swap::default() };
        let bodies: Vec<_> = rest.chain([real.body(None)]).collect();
        stage.burst(&bodies);
        stage.answer_for(&real, 0);
        assert_eq!(followed(&stage), Some(real.hash()), "it tips more");
    }

    #[test]
    fn every_frame_of_a_mixed_flood_is_counted_with_its_reason() {
        let mut dice = 7_u64;
        let mut roll = move |sides: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let mut stage = live();
        for _ in 0..60 {
            let mut bodies = Vec::new();
            for _ in 0..roll(40) {
                let trader = u8::try_from(1 + roll(30)).expect("a byte");
                let swap = Swap {
                    trader,
                    nonce: roll(4),
                    amount: ETHER + u128::from(roll(90)) * ETHER,
                    max_fee: u128::from(roll(9)) * GWEI,
                    priority_fee: 0,
                    router: ROUTERS[usize::from(trader % 2)],
                    is_plain: roll(6) == 0,
                    ..Swap::default()
                };
                bodies.push(match roll(8) {
                    0 => swap.body(None).replace("0x30d40", "0x30d41"),
                    1 => format!("\"{}\"", swap.hash()),
                    2 => r#"{"hash":"0x1"#.to_owned(),
                    3 => Swap { router: POOLS[0], ..swap }.body(None),
                    _ => swap.body(None),
                });
            }
            stage.burst(&bodies);
            assert_counted(&stage);
            match roll(4) {
                0 => stage.wait(1),
                1 => {
                    let block = stage.seal(&[sync(1, EVEN)]);
                    assert_eq!(stage.tip().hash, block.hash);
                }
                2 => {
                    let landed = Swap { trader: 1, nonce: roll(2), ..Swap::default() };
                    stage.seal(&[Sync { tx: landed.hash(), ..sync(0, EVEN) }]);
                }
                _ => {
                    let of_sender = |query: &Query| matches!(query, Query::SenderNonce { .. });
                    stage.asked.retain(of_sender);
                    for query in core::mem::take(&mut stage.asked) {
                        stage.answer(&query, &format!("\"{:#x}\"", roll(2)));
                    }
                }
            }
            assert_counted(&stage);
        }
        let tally = &stage.engine.tally;
        assert!(tally.pending_seen > 0 && unfit(&stage, Unfit::Underpriced) > 0);
        assert!(tally.pending.iter().all(|count| *count > 0), "{tally:?}");
        assert!(stage.engine.gone(Gone::NonceUsed) > 0 && stage.engine.gone(Gone::Expired) > 0);
    }
}
