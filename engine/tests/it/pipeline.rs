//! The whole path, from a node's frames to signed bytes and to the books: one promise a test.
//!
//! Temperature: cold.

use alloy::primitives::{Address, B256, TxKind, U256};
use gannet_engine::amm::PoolKind;
use gannet_engine::flight::{Attempt, Outcome};
use gannet_engine::gas::{Shape, Work};
use gannet_engine::ids::{NodeId, PoolId, WalletId};
use gannet_engine::input::{Command, Happening, Source};
use gannet_engine::loans::Followed;
use gannet_engine::pipeline::Engine;
use gannet_engine::plan::{Bid, Follow, Plan};
use gannet_engine::query::Query;
use gannet_engine::risk::Reject;
use gannet_engine::units::{BlockNumber, Bps, Gas, Wei};
use gannet_engine::world::{Stale, Unfit};
use proptest::prelude::*;

use crate::stage::{
    BASE_FEE, Block, CHAIN, DAI, ETHER, EVEN, EXECUTOR, FOLLOWER, GAP, GWEI, Live, Mined, NONCE,
    POOLS, ROUTERS, Sent, Setup, Stage, Swap, Sync, TAKER, TKN, WETH, dry, hash, live, sync,
};

/// The executor's program, unpacked.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    is_flash: bool,
    last_block: u64,
    token: Address,
    amount_in: u128,
    least_profit: u128,
    tip: u128,
    /// Pool, fee in pips, and whether token 0 goes in.
    legs: Vec<(Address, u32, bool)>,
}

fn unpack(input: &[u8]) -> Program {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte));
    let (head, legs) = input.split_at(81);
    assert_eq!(head[..4], alloy::primitives::keccak256("execute()")[..4]);
    let (legs, rest) = legs.as_chunks::<45>();
    assert!(rest.is_empty(), "whole legs");
    let leg = |leg: &[u8; 45]| {
        assert_eq!(leg[0], 0, "a constant-product pool");
        let fee = u32::try_from(number(&leg[21..24])).expect("three bytes");
        (Address::from_slice(&leg[1..21]), fee, leg[24] == 1)
    };
    Program {
        is_flash: head[4] == 1,
        last_block: u64::try_from(number(&head[5..13])).expect("eight bytes"),
        token: Address::from_slice(&head[13..33]),
        amount_in: number(&head[33..49]),
        least_profit: number(&head[49..65]),
        tip: number(&head[65..81]),
        legs: legs.iter().map(leg).collect(),
    }
}

/// What the gas of a flash swap through two pairs depends on.
fn two_pairs() -> Work {
    Work::Swaps(Shape::of([PoolKind::ConstantProduct; 2].into_iter(), 0, true))
}

/// The router's own formula, with its 997 and 1,000.
fn swapped(amount: u128, [reserve_in, reserve_out]: [u128; 2]) -> u128 {
    let weighted = U256::from(amount) * U256::from(997);
    let out = weighted * U256::from(reserve_out)
        / (U256::from(reserve_in) * U256::from(1_000) + weighted);
    u128::try_from(out).expect("below the reserve")
}

/// The router's own formula for what must go in, which rounds up by adding one.
fn asked_for(out: u128, [reserve_in, reserve_out]: [u128; 2]) -> u128 {
    let numerator = U256::from(reserve_in) * U256::from(out) * U256::from(1_000);
    let paid = numerator / (U256::from(reserve_out - out) * U256::from(997));
    u128::try_from(paid).expect("fits") + 1
}

/// `swaps` come in the next block while it is open; `moves` seal it.
fn in_open_block<const DRY: bool>(stage: &mut Stage<DRY>, swaps: &[&Swap], moves: &[Sync]) {
    let block = stage.next();
    stage.head(block);
    for swap in swaps {
        stage.pending(swap);
    }
    assert!(stage.outbox.sent.is_empty(), "nothing is sent while a block is open");
    stage.list(block, moves);
}

mod sending {
    use super::*;

    #[test]
    fn a_sealed_block_with_a_gap_yields_one_signed_transaction() {
        let mut stage = live();
        stage.seal(&[sync(1, GAP)]);
        let (tx, signer) = stage.only().decode();
        let flight = stage.flight();
        assert_eq!((tx.chain_id, tx.nonce, tx.value), (CHAIN, NONCE, U256::ZERO));
        assert_eq!(tx.to, TxKind::Call(EXECUTOR));
        assert_eq!(signer, stage.engine.risk.wallets[0].address);
        assert_eq!((flight.hash, flight.first_block), (stage.only().hash, BlockNumber(102)));

        // WETH buys DAI where it is cheap, in pool 1, and comes back through pool 0.
        let program = unpack(&tx.input);
        assert_eq!(program.legs, [(POOLS[1], 3_000, true), (POOLS[0], 3_000, false)]);
        assert_eq!((program.token, program.is_flash, program.tip), (WETH, true, 0));
        assert_eq!(program.last_block, 101 + Setup::default().valid_blocks);
        let back = swapped(swapped(program.amount_in, GAP), EVEN);
        let profit = back - program.amount_in;
        assert_eq!(profit, flight.admitted.plan.profit);
        assert!(profit > ETHER / 2, "a gap of a tenth on 1,000 ether");

        // Half of the profit after gas is bid, and the cap holds in the last valid block.
        let gas = u128::from(stage.engine.risk.gas.expected(&two_pairs()).0);
        let limit = u128::from(tx.gas_limit);
        let dearest = BASE_FEE + BASE_FEE / 8;
        let wished = (profit - gas * BASE_FEE) / 2 / gas;
        let bid = wished.min(profit / limit - dearest);
        assert_eq!(tx.max_priority_fee_per_gas, bid.min(10_000 * GWEI - dearest));
        assert!(tx.max_fee_per_gas >= dearest + tx.max_priority_fee_per_gas);
        let price = dearest + tx.max_priority_fee_per_gas;
        assert!(limit * price <= profit, "even the dearest end costs no more");
        assert_eq!(program.least_profit, price * gas);
    }

    #[test]
    fn what_strategies_can_put_off_waits_until_their_plans_are_sent() {
        let mut stage = live();
        let before = stage.outbox.settled.get();
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.only().settled, before, "it comes behind the submission");
        assert_eq!(stage.outbox.settled.get(), before + 1);
        stage.pending(&Swap::default());
        assert_eq!(stage.outbox.settled.get(), before + 1, "a pending swap is no block");
        stage.seal(&[]);
        assert_eq!(stage.outbox.settled.get(), before + 2, "with or without plans");
    }

    #[test]
    fn a_pending_swap_is_followed_with_both_its_fee_fields_copied() {
        let mut stage = live();
        let swap = Swap::default();
        stage.pending(&swap);
        let (tx, _) = stage.only().decode();
        assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (40 * GWEI, 3 * GWEI));
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(swap.hash()));
        // The plan is exact on the state behind the swap, and the world is as it was.
        let out = swapped(swap.amount, EVEN);
        let behind = [EVEN[1] - out, EVEN[0] + swap.amount];
        let program = unpack(&tx.input);
        assert_eq!(program.legs, [(POOLS[0], 3_000, true), (POOLS[1], 3_000, false)]);
        let back = swapped(swapped(program.amount_in, EVEN), behind);
        assert_eq!(back - program.amount_in, stage.flight().admitted.plan.profit);
        assert_eq!(stage.engine.books.line(FOLLOWER).sent, 1);
        stage.engine.flights.land(stage.only().attempt.ticket);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 1, "the swap was taken back: there is no gap");
    }

    #[test]
    fn a_swap_that_is_announced_by_its_hash_is_fetched_and_followed() {
        let mut stage = live();
        let swap = Swap::default();
        stage.news(Source::Pending, &format!("\"{}\"", swap.hash()));
        assert!(stage.was_asked(&Query::Transaction(swap.hash())));
        stage.answer(&Query::Transaction(swap.hash()), &swap.body(None));
        stage.answer_for(&swap, swap.nonce);
        stage.only();
        stage.asked.clear();
        stage.news(Source::Pending, &format!("\"{}\"", swap.hash()));
        assert!(stage.asked.is_empty(), "what is known is not fetched again");
    }

    #[test]
    fn a_swap_that_was_mined_before_it_was_fetched_is_not_followed() {
        let mut stage = live();
        let (swap, tip) = (Swap::default(), stage.tip());
        stage.answer(&Query::Transaction(swap.hash()), &swap.body(Some(&tip)));
        assert!(stage.outbox.sent.is_empty());
    }

    #[test]
    fn an_exact_output_swap_leaves_what_the_router_leaves() {
        let mut stage = live();
        let (limit, path) = (100 * ETHER, vec![TKN, WETH, DAI]);
        stage.pending(&Swap { is_exact_out: true, limit, path, ..Swap::default() });
        // The router computes what goes in from the last hop to the first, and pays exactly that.
        let weth = asked_for(50 * ETHER, EVEN);
        let tkn = asked_for(weth, EVEN);
        let reserves = |pool: Address| match POOLS.iter().position(|at| *at == pool) {
            Some(1) => [EVEN[0] + weth, EVEN[1] - 50 * ETHER],
            Some(3) => [EVEN[0] - weth, EVEN[1] + tkn],
            _ => EVEN,
        };
        let program = unpack(&stage.only().decode().0.input);
        let back = program.legs.iter().fold(program.amount_in, |amount, (pool, _, is_weth_in)| {
            let [weth, other] = reserves(*pool);
            swapped(amount, if *is_weth_in { [weth, other] } else { [other, weth] })
        });
        assert_eq!(back - program.amount_in, stage.flight().admitted.plan.profit);
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let storm = |seed: u64| {
            let mut stage = Setup { wallets: 3, ..Setup::default() }.live();
            storm(&mut stage, seed, 60, |_| ());
            stage.outbox.sent
        };
        for seed in 1..=4 {
            let sent = storm(seed);
            assert!(sent.len() > 5, "the storm is one: {}", sent.len());
            assert_eq!(sent, storm(seed));
        }
    }

    #[test]
    fn a_rehearsal_signs_changes_nothing_and_sends_nothing() {
        for seed in 1..=4 {
            let setup = || Setup { wallets: 3, ..Setup::default() }.live();
            let (mut plain, mut rehearsed, mut count) = (setup(), setup(), 0);
            storm(&mut plain, seed, 60, |_| ());
            storm(&mut rehearsed, seed, 60, |stage| {
                let before = told(stage);
                count += usize::from(stage.engine.rehearse());
                assert_eq!(told(stage), before);
            });
            assert!(count > 5, "it came to a signature {count} times");
            assert_eq!(rehearsed.outbox.sent, plain.outbox.sent);
            assert_eq!(told(&rehearsed), told(&plain));
        }
    }

    #[test]
    fn a_swap_far_ahead_of_its_senders_nonce_keeps_no_rehearsal_busy() {
        let mut stage = live();
        let swap = Swap { nonce: 1 << 40, ..Swap::default() };
        stage.announce(&swap);
        stage.answer_for(&swap, 0);
        assert!(!stage.engine.rehearse(), "what would have to land before it is not counted up");
    }

    /// Everything that decisions rest on, and what is counted.
    fn told<const DRY: bool>(stage: &Stage<DRY>) -> String {
        let Engine { world, tally, queries, books, flights, .. } = &stage.engine;
        let pools: Vec<_> = world.pools.ids().iter().map(|id| world.pools.get(*id)).collect();
        let (queries, flights) = (queries.as_slice(), flights.iter().collect::<Vec<_>>());
        format!("{pools:?} {:?} {tally:?} {queries:?} {books:?} {flights:?}", world.freshness())
    }

    #[test]
    fn nothing_in_flight_shares_a_pool_or_a_wallet_whatever_happens() {
        for seed in 1..=10 {
            let mut stage = Setup { wallets: 3, ..Setup::default() }.live();
            storm(&mut stage, seed, 60, |_| ());
            let mut stage = Setup { wallets: 3, ..Setup::default() }.dry();
            storm(&mut stage, seed, 60, |_| ());
        }
    }

    /// Blocks, gaps, swaps and answers in an order that `seed` chooses.
    fn storm<const DRY: bool>(
        stage: &mut Stage<DRY>,
        seed: u64,
        rounds: u64,
        mut between: impl FnMut(&mut Stage<DRY>),
    ) {
        let mut dice = seed;
        let mut roll = move |sides: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for round in 0..rounds {
            let pool = usize::try_from(roll(4)).expect("four pools");
            match roll(4) {
                0 => {
                    let tilt = u128::from(roll(200)) * ETHER;
                    stage.seal(&[sync(pool, [1_000 * ETHER, 900 * ETHER + tilt])]);
                }
                1 => {
                    stage.seal(&[]);
                }
                2 => {
                    let path = if roll(2) == 0 { vec![WETH, DAI] } else { vec![DAI, WETH] };
                    let (amount, router) = (u128::from(1 + roll(90)) * ETHER, ROUTERS[pool % 2]);
                    let trader = u8::try_from(round + 1).expect("a byte");
                    stage.pending(&Swap { amount, path, router, trader, ..Swap::default() });
                }
                _ => {
                    let sent = stage.outbox.sent.last().cloned();
                    if let Some(sent) = sent.filter(|_| !DRY) {
                        stage.receipt(&sent, Some(mined(stage, 0)));
                    }
                }
            }
            assert_disjoint(stage);
            between(stage);
        }
    }

    fn assert_disjoint<const DRY: bool>(stage: &Stage<DRY>) {
        let flights = || stage.engine.flights.iter().filter(|flight| !flight.is_mined);
        let mut pools: Vec<_> =
            flights().flat_map(|it| it.admitted.plan.legs()).map(|leg| leg.pool).collect();
        let mut wallets: Vec<_> = flights().map(|flight| flight.admitted.wallet).collect();
        let counts = (pools.len(), wallets.len());
        pools.sort();
        pools.dedup();
        wallets.sort();
        wallets.dedup();
        assert_eq!((pools.len(), wallets.len()), counts, "each once");
    }
}

mod gates {
    use super::*;

    /// What makes the world stale, and what must mend it.
    type Trouble = (Stale, fn(&mut Live), fn(&mut Live));

    const TROUBLES: [Trouble; 7] = [
        (
            Stale::ChainLink,
            |stage| stage.link(Source::Chain, false),
            |stage| {
                stage.link(Source::Chain, true);
                stage.newest(stage.tip());
            },
        ),
        (
            Stale::RpcLink,
            |stage| stage.link(Source::Rpc, false),
            |stage| {
                stage.link(Source::Rpc, true);
                stage.newest(stage.tip());
            },
        ),
        (
            Stale::Gap,
            |stage| stage.quiet(stage.next().child(102)),
            |stage| {
                let parent = stage.next();
                stage.parent(parent);
                stage.list(parent, &[]);
            },
        ),
        (Stale::Silent, |stage| stage.wait(60_001), |stage| stage.quiet(stage.next())),
        (
            Stale::SealLate,
            |stage| {
                stage.head(stage.next());
                stage.wait(1_001);
            },
            |stage| stage.list(stage.next(), &[]),
        ),
        (
            Stale::Lost,
            |stage| stage.input(Happening::Truncated { node: NodeId(0), source: Source::Rpc }),
            |stage| {
                let block = Block { number: 200, hash: hash(200), ..stage.anchor() };
                stage.reload(block);
                stage.answer(&Query::LatestHead, &block.json(false));
            },
        ),
        (
            Stale::Disagree,
            |stage| {
                let (ours, second) = (stage.next(), stage.second());
                stage.quiet(ours);
                stage.node = second;
                stage.quiet(Block { hash: hash(777), ..ours });
                stage.node = NodeId(0);
            },
            |stage| stage.quiet(stage.next()),
        ),
    ];

    #[test]
    fn nothing_is_sent_while_the_world_is_stale_for_whatever_reason() {
        assert!(Stale::ALL.iter().all(|why| TROUBLES.iter().any(|trouble| trouble.0 == *why)));
        for (why, begin, mend) in TROUBLES {
            let mut stage = live();
            begin(&mut stage);
            assert!(stage.engine.world.freshness().has(why), "{why:?}");
            stage.pending(&Swap::default());
            assert!(stage.outbox.sent.is_empty(), "{why:?}");
            mend(&mut stage);
            assert!(stage.engine.world.freshness().is_fresh(), "{why:?}");
            stage.pending(&Swap { nonce: 1, router: ROUTERS[0], ..Swap::default() });
            assert_eq!(stage.outbox.sent.len(), 1, "trading resumes by itself: {why:?}");
        }
    }

    #[test]
    fn a_swap_that_came_while_the_world_was_stale_is_looked_at_after_the_next_seal() {
        let mut stage = live();
        let block = stage.next();
        stage.quiet(block.child(102));
        stage.pending(&Swap::default());
        assert!(stage.outbox.sent.is_empty());
        stage.parent(block);
        stage.list(block, &[]);
        assert_eq!(
            stage.flight().admitted.plan.follows().map(|it| it.hash),
            Some(Swap::default().hash())
        );
    }

    #[test]
    fn a_gap_that_a_stale_world_sees_is_turned_down() {
        let mut stage = live();
        stage.link(Source::Chain, false);
        let block = stage.next();
        stage.parent(block);
        stage.list(block, &[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        assert!(stage.rejects(Reject::StaleWorld) > 0);
    }

    #[test]
    fn a_link_that_comes_back_is_not_trusted_before_a_head_says_where_the_chain_stands() {
        let mut stage = live();
        stage.link(Source::Chain, false);
        stage.link(Source::Chain, true);
        assert!(stage.was_asked(&Query::LatestHead));
        stage.pending(&Swap::default());
        assert!(stage.outbox.sent.is_empty(), "blocks may have been missed");
        let missed = stage.next();
        stage.newest(missed);
        stage.list(missed, &[]);
        stage.only();
    }

    #[test]
    fn a_refused_list_of_logs_stops_trading_at_once_and_is_asked_for_again_soon() {
        let mut stage = live();
        let block = stage.next();
        stage.head(block);
        let question = *stage.asked.last().expect("its logs were asked for");
        stage.asked.clear();
        stage.fail(&question);
        assert!(stage.engine.world.freshness().has(Stale::SealLate));
        stage.wait(90);
        assert!(stage.asked.is_empty(), "a node that is in trouble is given some time");
        stage.wait(20);
        assert_eq!(stage.asked, [question]);
        for _ in 0..100 {
            stage.fail(&question);
            stage.wait(10);
        }
        assert_eq!(stage.asked.len(), 1, "each error puts it off");
        stage.wait(110);
        stage.list(block, &[sync(1, GAP)]);
        assert!(stage.engine.world.freshness().is_fresh());
        stage.only();
        stage.fail(&question);
        assert!(stage.engine.world.freshness().is_fresh(), "the block is sealed");
    }

    #[test]
    fn nothing_is_sent_after_drain() {
        let mut stage = live();
        stage.input(Happening::Command(Command::Drain));
        stage.seal(&[sync(1, GAP)]);
        stage.pending(&Swap::default());
        assert!(stage.outbox.sent.is_empty());
        assert!(stage.rejects(Reject::Draining) > 0);
    }

    #[test]
    fn nothing_is_sent_while_the_kill_switch_stands() {
        let mut stage = live();
        stage.input(Happening::Command(Command::Halt(true)));
        stage.seal(&[sync(1, GAP)]);
        stage.pending(&Swap::default());
        assert!(stage.outbox.sent.is_empty());
        assert!(stage.rejects(Reject::Halted) > 0);
        stage.input(Happening::Command(Command::Halt(false)));
        stage.seal(&[sync(1, GAP)]);
        stage.only();
    }

    #[test]
    fn what_is_in_flight_is_followed_while_the_kill_switch_stands() {
        let mut stage = live();
        stage.seal(&[sync(1, GAP)]);
        let sent = stage.only();
        stage.input(Happening::Command(Command::Halt(true)));
        stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        assert_eq!((stage.outcomes(), stage.engine.flights.count()), (vec![Outcome::Landed], 0));
    }

    #[test]
    fn a_swap_that_comes_in_an_open_block_is_looked_at_after_the_seal() {
        let mut stage = live();
        in_open_block(&mut stage, &[&Swap::default()], &[]);
        assert_eq!(stage.flight().first_block, BlockNumber(102));
        assert_eq!(stage.engine.tally.queued, 1);
    }

    #[test]
    fn a_swap_that_the_open_block_included_is_not_looked_at() {
        let mut stage = live();
        let swap = Swap::default();
        in_open_block(&mut stage, &[&swap], &[Sync { tx: swap.hash(), ..sync(1, EVEN) }]);
        assert!(stage.outbox.sent.is_empty());
    }

    #[test]
    fn a_swap_that_the_block_before_the_newest_included_is_not_looked_at() {
        let mut stage = live();
        let (swap, block) = (Swap::default(), stage.next());
        stage.head(block);
        stage.pending(&swap);
        stage.quiet(block.child(102));
        stage.list(block, &[Sync { tx: swap.hash(), ..sync(1, EVEN) }]);
        assert_eq!(stage.tip().number, 102, "the quiet block was sealed in the same breath");
        assert!(stage.outbox.sent.is_empty());
    }
}

mod targets {
    use super::*;

    #[test]
    fn a_replaced_swap_is_not_followed() {
        let mut stage = live();
        let first = Swap::default();
        let second = Swap { max_fee: 50 * GWEI, amount: 40 * ETHER, ..Swap::default() };
        in_open_block(&mut stage, &[&first, &second], &[]);
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(second.hash()));
    }

    #[test]
    fn a_swap_that_its_sender_cancelled_is_not_followed() {
        let mut stage = live();
        let cancel = Swap { max_fee: 50 * GWEI, is_plain: true, ..Swap::default() };
        in_open_block(&mut stage, &[&Swap::default(), &cancel], &[]);
        assert!(stage.outbox.sent.is_empty());
    }

    #[test]
    fn an_underpaying_replacement_is_ignored() {
        let mut stage = live();
        let first = Swap::default();
        let second = Swap { max_fee: 30 * GWEI, amount: 90 * ETHER, ..Swap::default() };
        in_open_block(&mut stage, &[&first, &second], &[]);
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(first.hash()));
    }

    #[test]
    fn a_forged_body_is_never_followed_and_hides_nothing() {
        let mut stage = live();
        let swap = Swap::default();
        let (body, fees) = (swap.body(None), format!("{:#x}", swap.max_fee));
        stage.news(Source::Pending, &body.replace(&fees, "0xffffffffff"));
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.engine.tally.pending_forged, 1);
        stage.news(Source::Pending, &body);
        stage.answer_for(&swap, swap.nonce);
        stage.only();
    }

    #[test]
    fn a_forged_body_of_a_known_sender_is_looked_at_and_not_answered() {
        let mut stage = live();
        let small = Swap { amount: 1, ..Swap::default() };
        stage.pending(&small);
        let swap = Swap { nonce: small.nonce + 1, ..Swap::default() };
        let body = swap.body(None);
        let (seen, unfit) = (stage.engine.tally.pending_seen, stage.engine.tally.unfit);
        stage.news(Source::Pending, &body.replace("0x30d40", "0x30d41"));
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.engine.tally.pending_forged, 1);
        assert_eq!(stage.engine.books.rejects[Reject::Forged as usize], 1);
        assert_eq!((stage.engine.tally.pending_seen, stage.engine.tally.pending[0]), (seen, 1));
        assert_eq!(stage.engine.books.line(FOLLOWER).opportunities, 0);
        // One that would not even land is no more than forged either.
        let late = Swap { deadline: 1, nonce: swap.nonce, ..Swap::default() };
        stage.news(Source::Pending, &late.body(None).replace("0x30d40", "0x30d41"));
        assert_eq!(stage.engine.tally.pending_forged, 2);
        assert_eq!(stage.engine.tally.unfit, unfit);
        // What it really is hides behind nothing.
        stage.news(Source::Pending, &body);
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(swap.hash()));
        assert_eq!((stage.engine.tally.pending_seen, stage.engine.tally.pending[0]), (seen + 1, 2));
        assert_eq!(stage.engine.books.line(FOLLOWER).opportunities, 1);
    }

    #[test]
    fn a_forged_replacement_does_not_displace_the_swap() {
        let mut stage = live();
        let (swap, better) = (Swap::default(), Swap { max_fee: 90 * GWEI, ..Swap::default() });
        let block = stage.next();
        stage.head(block);
        stage.pending(&swap);
        stage.news(Source::Pending, &better.body(None).replace("0x30d40", "0x30d41"));
        stage.list(block, &[]);
        assert_eq!(stage.flight().admitted.plan.follows().map(|it| it.hash), Some(swap.hash()));
    }

    #[test]
    fn a_swap_that_would_not_land_is_not_followed() {
        let mut stage = live();
        let limit = swapped(50 * ETHER, EVEN) + 1;
        // The next block comes twelve seconds after the last one.
        stage.pending(&Swap { deadline: 1_800_000_011, ..Swap::default() });
        stage.pending(&Swap { trader: 1, limit, ..Swap::default() });
        let (max_fee, priority_fee) = (BASE_FEE - 1, 1);
        stage.pending(&Swap { trader: 2, max_fee, priority_fee, ..Swap::default() });
        let limit_in = 52 * ETHER;
        let exact_out = Swap { is_exact_out: true, limit: limit_in, ..Swap::default() };
        stage.pending(&Swap { trader: 3, ..exact_out });
        assert!(stage.outbox.sent.is_empty());
        let unfit = |why: Unfit| stage.engine.tally.unfit[why as usize];
        assert_eq!(unfit(Unfit::PastDeadline), 1);
        assert_eq!(unfit(Unfit::LimitMissed), 2);
        assert_eq!(unfit(Unfit::Underpriced), 1);
        let (limit, deadline) = (limit - 1, 1_800_000_012);
        let (max_fee, priority_fee) = (BASE_FEE, 0);
        let barely = Swap { trader: 4, limit, deadline, max_fee, priority_fee, ..Swap::default() };
        stage.pending(&barely);
        stage.only();
    }

    #[test]
    fn a_path_through_one_pool_twice_is_not_followed() {
        let mut stage = live();
        // The pair would pay itself, and then see nothing come in.
        stage.pending(&Swap { path: vec![WETH, DAI, WETH], ..Swap::default() });
        stage.pending(&Swap { nonce: 1, path: vec![WETH, DAI, WETH, DAI], ..Swap::default() });
        assert_eq!((stage.outbox.sent.len(), stage.engine.tally.pending_other), (0, 2));
        stage.pending(&Swap { nonce: 2, ..Swap::default() });
        assert_eq!(stage.outbox.sent.len(), 1, "the same pool once is followed");
    }

    #[test]
    fn the_same_announcement_is_followed_once() {
        let mut stage = Setup { wallets: 2, ..Setup::default() }.live();
        stage.pending(&Swap::default());
        stage.pending(&Swap::default());
        stage.only();
    }

    #[test]
    fn a_swap_that_stands_before_us_and_closes_the_gap_turns_the_plan_down() {
        let mut stage = live();
        // It pays more than any bid, and takes the cheap DAI out of pool 1.
        let (max_fee, priority_fee) = (90_000 * GWEI, 50_000 * GWEI);
        let rival = Swap { amount: 48 * ETHER, max_fee, priority_fee, ..Swap::default() };
        in_open_block(&mut stage, &[&rival], &[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        assert!(stage.rejects(Reject::Outbid) > 0);
    }

    #[test]
    fn a_swap_that_pays_less_stands_behind_us() {
        let mut stage = live();
        let (max_fee, priority_fee) = (2 * GWEI, 1);
        let slow = Swap { amount: 48 * ETHER, max_fee, priority_fee, ..Swap::default() };
        in_open_block(&mut stage, &[&slow], &[sync(1, GAP)]);
        assert_eq!(stage.flight().admitted.plan.strategy, TAKER);
    }
}

mod admission {
    use super::*;

    #[test]
    fn an_opportunity_is_taken_once_until_somebody_moves_its_pools() {
        let mut stage = live();
        let block = stage.seal(&[sync(1, GAP)]);
        let first = stage.only();
        stage.head(block);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 1, "it is on its way");
        let reverted = Mined { is_success: false, ..mined(&stage, 0) };
        stage.nonce(0, NONCE + 1);
        stage.receipt(&first, Some(reverted));
        assert_eq!(stage.outcomes(), [Outcome::Reverted]);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent.len(), 1, "it was taken, and nothing has changed");
        assert!(stage.rejects(Reject::AlreadyTaken) > 0);
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.outbox.sent.len(), 2, "somebody's log makes it a new one");
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 2);
    }

    #[test]
    fn plans_that_share_a_pool_are_not_in_flight_together() {
        let mut stage = Setup { wallets: 2, ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        stage.pending(&Swap { router: ROUTERS[0], amount: 200 * ETHER, ..Swap::default() });
        stage.only();
        assert_eq!(stage.rejects(Reject::PoolsBusy), 1);
    }

    #[test]
    fn one_wallet_sends_one_and_two_wallets_send_two() {
        let gaps = [sync(1, GAP), sync(3, GAP)];
        let mut stage = live();
        stage.seal(&gaps);
        stage.only();
        assert_eq!(stage.rejects(Reject::NonceBusy), 1);
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 2);

        let mut stage = Setup { wallets: 2, ..Setup::default() }.live();
        stage.seal(&gaps);
        let wallets: Vec<_> = stage.outbox.sent.iter().map(|sent| sent.wallet).collect();
        assert_eq!(wallets, [WalletId(0), WalletId(1)]);
        let nonces: Vec<_> = stage.outbox.sent.iter().map(|sent| sent.decode().0.nonce).collect();
        assert_eq!(nonces, [NONCE, NONCE + 1]);
    }

    #[test]
    fn what_a_busy_wallet_had_to_leave_is_taken_later() {
        let mut stage = live();
        stage.seal(&[sync(1, GAP), sync(3, GAP)]);
        let first = stage.only();
        stage.seal(&[Sync { tx: first.hash, ..sync(1, EVEN) }]);
        assert_eq!(stage.outbox.sent.len(), 2, "what is mined blocks nothing any more");
        assert_eq!(stage.outbox.sent[1].decode().0.nonce, NONCE + 1);
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 2, "each is counted once");
    }

    #[test]
    fn a_wallet_that_cannot_pay_its_gas_sends_nothing() {
        let mut stage = Setup { balance: ETHER / 1_000_000, ..Setup::default() }.live();
        stage.seal(&[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.rejects(Reject::WalletEmpty), 1);
    }

    #[test]
    fn the_gas_price_cap_bounds_the_bid() {
        let mut setup = Setup { share: Bps::ALL, ..Setup::default() };
        setup.limits.gas_price_max = Wei(5 * GWEI);
        let mut stage = setup.live();
        stage.seal(&[sync(1, GAP)]);
        let (tx, _) = stage.only().decode();
        assert_eq!(tx.max_fee_per_gas, 5 * GWEI);
        assert_eq!(tx.max_priority_fee_per_gas, 5 * GWEI - (BASE_FEE + BASE_FEE / 8));

        setup.limits.gas_price_max = Wei(BASE_FEE);
        let mut stage = setup.live();
        stage.seal(&[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
        assert_eq!(stage.rejects(Reject::GasPriceCap), 1);
    }

    #[test]
    fn the_notional_cap_and_the_least_profit_turn_plans_down() {
        let mut setup = Setup::default();
        setup.limits.notional_max = Wei(ETHER);
        let mut stage = setup.live();
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.rejects(Reject::NotionalCap), 1);
        setup = Setup::default();
        setup.limits.min_profit = Wei(100 * ETHER);
        let mut stage = setup.live();
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.rejects(Reject::BelowMinProfit), 1);
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 0, "what does not pay is none");
        assert!(stage.outbox.sent.is_empty());
    }

    /// The least profit in wei with which this plan is not turned down for too small a one.
    fn least_admitted(stage: &mut Live, plan: &Plan) -> u128 {
        let engine = &mut stage.engine;
        let (mut low, mut high) = (0, 1_000 * ETHER);
        while high - low > 1 {
            let profit = low.midpoint(high);
            let plan = Plan { profit, profit_wei: Wei(profit), ..*plan };
            let (admitted, _) = engine.risk.admit(&plan, &engine.world, &engine.flights);
            *if admitted.err() == Some(Reject::BelowMinProfit) { &mut low } else { &mut high } =
                profit;
        }
        high
    }

    #[test]
    fn a_search_is_asked_for_what_would_be_admitted_and_for_little_less() {
        let mut stage = airborne();
        let plan = stage.flight().admitted.plan;
        let follow = Follow {
            hash: B256::ZERO,
            max_fee: Wei(2 * BASE_FEE),
            priority_fee: Wei(BASE_FEE / 3),
        };
        for min_profit in [Wei(0), Wei(GWEI), Wei(ETHER / 50), Wei(ETHER)] {
            stage.engine.risk.limits.min_profit = min_profit;
            for ahead in 1..4 {
                let last_block = stage.engine.world.tip().number.plus(ahead);
                for bid in [Bid::Share(Bps(0)), Bid::Share(Bps(9_000)), Bid::Behind(follow)] {
                    let plan = Plan { bid, last_block, ..plan };
                    let least = least_admitted(&mut stage, &plan);
                    let asked =
                        stage.engine.risk.worth_least(&stage.engine.world, bid, last_block)[2].0;
                    let what = format!("{min_profit:?} {ahead} {bid:?}: {asked} of {least}");
                    assert!(asked <= least, "{what}");
                    // Of a profit that is shared, more than the least must be left.
                    let is_all = bid != Bid::Share(Bps(9_000));
                    assert!(!is_all || asked > least * 9 / 10, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_quarantined_pool_is_not_traded_with() {
        let mut stage = live();
        stage.engine.world.pools.entry_mut(PoolId(1)).is_quarantined = true;
        stage.seal(&[sync(1, GAP)]);
        assert!(stage.outbox.sent.is_empty());
    }

    #[test]
    fn what_never_left_may_be_taken_again() {
        let mut stage = live();
        stage.outbox.is_down = true;
        stage.seal(&[sync(1, GAP)]);
        assert_eq!(stage.outcomes(), [Outcome::Unsent]);
        assert_eq!((stage.engine.books.line(TAKER).sent, stage.engine.flights.count()), (0, 0));
        stage.outbox.is_down = false;
        stage.seal(&[]);
        assert_eq!(stage.only().decode().0.nonce, NONCE);
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 1, "it is counted once");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn an_arbitrage_never_costs_more_than_it_brings(
            tilt in 1_u128..3_000,
            base_fee in (0_u32..43).prop_flat_map(|bits| (1_u128 << bits)..(2 << bits)),
            share in 0_u16..=10_000,
            valid_blocks in 1_u64..6,
            cap in 1_u128..5_000,
        ) {
            let mut setup = Setup { share: Bps(share), valid_blocks, ..Setup::default() };
            setup.limits.min_profit = Wei(0);
            setup.limits.gas_price_max = Wei(cap * GWEI);
            setup.limits.notional_max = Wei(u128::MAX);
            let mut stage = setup.live();
            // Half-full blocks: the base fee stands.
            let block = Block { base_fee, ..stage.next() };
            stage.head(block);
            stage.list(block, &[sync(1, [1_000 * ETHER, (1_000 + tilt) * ETHER])]);
            let Some(sent) = stage.outbox.sent.first() else { return Ok(()) };
            let (tx, admitted) = (sent.decode().0, stage.flight().admitted);
            let profit = admitted.plan.profit;
            let dearest = (1..valid_blocks).fold(base_fee, |fee, _| fee + (fee / 8).max(1));
            let price = dearest + tx.max_priority_fee_per_gas;
            prop_assert!(u128::from(tx.gas_limit) * price <= profit);
            // Past its last block it can only revert, which costs at most 51,000 gas.
            prop_assert!(51_000 * tx.max_fee_per_gas <= profit);
            prop_assert!(tx.max_fee_per_gas <= cap * GWEI);
            prop_assert!(tx.max_fee_per_gas >= dearest + tx.max_priority_fee_per_gas);
            let gas = u128::from(stage.engine.risk.gas.expected(&two_pairs()).0);
            let least = unpack(&tx.input).least_profit;
            prop_assert!(least >= gas * (dearest + tx.max_priority_fee_per_gas));
            prop_assert!(least <= profit);
            let net = profit - gas * (base_fee + tx.max_priority_fee_per_gas);
            prop_assert_eq!(admitted.net_wei, Wei(net));
        }

        #[test]
        fn a_follower_pays_by_its_expected_gas_and_never_above_its_target(
            amount in 1_u128..300,
            max_fee in 1_u128..5_000,
            tip in 0_u128..5_000,
        ) {
            let (max_fee, priority_fee) = (max_fee * GWEI, tip.min(max_fee) * GWEI);
            let mut setup = Setup::default();
            setup.limits.min_profit = Wei(0);
            let mut stage = setup.live();
            let amount = amount * ETHER;
            stage.pending(&Swap { amount, max_fee, priority_fee, ..Swap::default() });
            let Some(sent) = stage.outbox.sent.first() else { return Ok(()) };
            let (tx, profit) = (sent.decode().0, stage.flight().admitted.plan.profit);
            let gas = u128::from(stage.engine.risk.gas.expected(&two_pairs()).0);
            let price = max_fee.min(BASE_FEE + priority_fee);
            let fees = (tx.max_fee_per_gas, tx.max_priority_fee_per_gas);
            prop_assert_eq!(fees, (max_fee, priority_fee));
            prop_assert!(gas * price <= profit);
            let least = unpack(&tx.input).least_profit;
            prop_assert!(least >= gas * price && least <= profit);
        }
    }
}

/// A receipt of the newest block: 2 ether more came than left.
pub(crate) fn mined<const DRY: bool>(stage: &Stage<DRY>, index: u32) -> Mined {
    let (came, left) = (30 * ETHER, 28 * ETHER);
    let (gas_used, gas_price) = (140_000, 3 * GWEI);
    Mined { block: stage.tip(), index, is_success: true, gas_used, gas_price, came, left }
}

/// A run with one submission on its way, over the gap in pool 1.
pub(crate) fn airborne() -> Live {
    let mut stage = live();
    stage.seal(&[sync(1, GAP)]);
    stage.asked.clear();
    stage.told.clear();
    stage
}

mod endings {
    use super::*;

    #[test]
    fn what_landed_is_in_the_books_to_the_wei() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        assert!(stage.was_asked(&Query::Receipt(sent.attempt, sent.hash)));
        let net = stage.flight().admitted.net_wei.0;
        stage.receipt(&sent, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        let line = *stage.engine.books.line(TAKER);
        assert_eq!((line.sent, line.landed, line.reverted, line.lost), (1, 1, 0, 0));
        assert_eq!(
            (line.gained[0], line.gas_paid),
            (2_000_000_000_000_000_000, Wei(140_000 * 3 * GWEI))
        );
        assert_eq!((line.expected_wei, line.behind_target), (net, 0));
        let profit = gannet_engine::books::profit_wei(&line, &stage.engine.world);
        assert_eq!(profit, Some(2_000_000_000_000_000_000 - 420_000_000_000_000));
        // The same receipt again changes nothing.
        stage.receipt(&sent, Some(mined(&stage, 4)));
        assert_eq!(stage.engine.books.line(TAKER).landed, 1);
    }

    #[test]
    fn what_reverted_cost_its_gas() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(Mined { is_success: false, ..mined(&stage, 4) }));
        assert_eq!(stage.outcomes(), [Outcome::Reverted]);
        let line = stage.engine.books.line(TAKER);
        assert_eq!((line.reverted, line.gained[0], line.gas_paid), (1, 0, Wei(140_000 * 3 * GWEI)));
        assert_eq!(line.expected_wei, 0);
    }

    #[test]
    fn what_is_not_mined_yet_stays_in_flight() {
        let mut stage = airborne();
        let sent = stage.only();
        for _ in 0..5 {
            stage.seal(&[]);
            stage.receipt(&sent, None);
            if stage.tip().number > 102 {
                stage.known(&sent, true);
                stage.nonce(0, NONCE);
            }
        }
        assert_eq!(stage.flight().hash, sent.hash);
        assert_eq!(stage.engine.risk.wallets[0].nonce, NONCE + 1, "its nonce is taken");
        assert!(stage.outcomes().is_empty());
    }

    #[test]
    fn a_receipt_of_a_block_that_is_not_sealed_here_waits_for_the_seal() {
        let mut stage = live();
        let swap = Swap::default();
        stage.pending(&swap);
        let sent = stage.only();
        stage.seal(&[]);
        let (block, receipt) = (stage.next(), mined(&stage, 5));
        stage.receipt(&sent, Some(Mined { block, ..receipt }));
        assert!(stage.outcomes().is_empty(), "the node is ahead of us");
        stage.seal(&[Sync { tx: swap.hash(), index: 4, ..sync(1, EVEN) }]);
        stage.receipt(&sent, Some(Mined { block, ..receipt }));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, 1);
    }

    #[test]
    fn what_another_transaction_with_its_nonce_displaced_is_replaced() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, None);
        stage.nonce(0, NONCE + 1);
        stage.receipt(&sent, None);
        assert!(stage.outcomes().is_empty(), "a node may know the nonce before the receipt");
        stage.seal(&[]);
        stage.receipt(&sent, None);
        assert_eq!(stage.outcomes(), [Outcome::Replaced]);
        assert_eq!(stage.engine.risk.wallets[0].nonce, NONCE + 1);
        assert_eq!(stage.engine.books.line(TAKER).lost, 1);
    }

    #[test]
    fn a_receipt_that_comes_after_the_nonce_still_counts() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.nonce(0, NONCE + 1);
        stage.receipt(&sent, None);
        stage.receipt(&sent, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn what_the_node_does_not_know_twice_is_dropped_and_its_nonce_used_again() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[]);
        for _ in 0..2 {
            assert!(stage.outcomes().is_empty());
            stage.seal(&[]);
            stage.receipt(&sent, None);
            stage.known(&sent, false);
        }
        assert_eq!(stage.outcomes(), [Outcome::Dropped]);
        // Before the node has answered what the nonce is.
        stage.pending(&Swap { amount: 90 * ETHER, router: ROUTERS[0], ..Swap::default() });
        assert_eq!(stage.outbox.sent[1].decode().0.nonce, NONCE, "no gap is left");
    }

    #[test]
    fn what_the_node_knows_again_is_not_dropped() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[]);
        for is_known in [false, true, false, true] {
            stage.seal(&[]);
            stage.receipt(&sent, None);
            stage.known(&sent, is_known);
        }
        assert_eq!(stage.flight().hash, sent.hash);
    }

    #[test]
    fn what_the_node_refused_ends_and_may_be_tried_again() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.refuse(&sent);
        assert_eq!(stage.engine.flights.count(), 1, "an error alone is not believed");
        stage.known(&sent, false);
        assert_eq!(stage.outcomes(), [Outcome::Refused]);
        let address = stage.engine.risk.wallets[0].address;
        assert!(stage.was_asked(&Query::Nonce(WalletId(0), address)));
        stage.nonce(0, NONCE + 3);
        stage.seal(&[]);
        assert_eq!(stage.outbox.sent[1].decode().0.nonce, NONCE + 3);
        assert_eq!(stage.engine.books.line(TAKER).opportunities, 1);
    }

    #[test]
    fn what_one_node_refused_and_another_holds_stays_in_flight() {
        let mut stage = airborne();
        let second = stage.second();
        let sent = stage.only();
        stage.refuse(&sent);
        stage.known(&sent, false);
        assert_eq!(stage.engine.flights.count(), 1, "the other one was not heard yet");
        stage.node = second;
        stage.known(&sent, true);
        stage.seal(&[]);
        stage.node = NodeId(0);
        stage.known(&sent, false);
        assert!(stage.outcomes().is_empty());
    }

    #[test]
    fn what_every_node_refused_ends() {
        let mut stage = airborne();
        let second = stage.second();
        let sent = stage.only();
        for node in [NodeId(0), second] {
            stage.node = node;
            stage.refuse(&sent);
        }
        for node in [NodeId(0), second] {
            stage.node = node;
            stage.known(&sent, false);
        }
        assert_eq!(stage.outcomes(), [Outcome::Refused]);
    }

    #[test]
    fn a_node_that_is_behind_says_nothing_of_nonces() {
        let mut stage = live();
        let second = stage.second();
        stage.quiet(stage.next());
        stage.node = second;
        stage.nonce(0, NONCE - 1);
        assert_eq!(stage.engine.risk.wallets[0].nonce, NONCE);
        assert_eq!(stage.engine.tally.replies_behind, 1);
        stage.quiet(stage.tip());
        stage.nonce(0, NONCE + 1);
        assert_eq!(stage.engine.risk.wallets[0].nonce, NONCE + 1);
    }

    #[test]
    fn what_the_node_knows_already_stays_in_flight() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.refuse(&sent);
        stage.known(&sent, true);
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&sent, Some(mined(&stage, 4)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn a_follower_counts_as_behind_its_target_only_right_behind_it() {
        for (index, count) in [(5, 1), (6, 0), (3, 0)] {
            let mut stage = live();
            let swap = Swap::default();
            stage.pending(&swap);
            let sent = stage.only();
            stage.seal(&[Sync { tx: swap.hash(), index: 4, ..sync(1, EVEN) }]);
            stage.receipt(&sent, Some(mined(&stage, index)));
            assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, count, "at {index}");
        }
    }

    #[test]
    fn a_follower_in_a_later_block_is_not_behind_its_target() {
        let mut stage = live();
        let swap = Swap::default();
        stage.pending(&swap);
        let sent = stage.only();
        stage.seal(&[Sync { tx: swap.hash(), index: 4, ..sync(1, EVEN) }]);
        stage.seal(&[]);
        stage.receipt(&sent, Some(mined(&stage, 5)));
        assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, 0);
    }

    #[test]
    fn an_odd_receipt_teaches_nothing_impossible() {
        let mut stage = airborne();
        let sent = stage.only();
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(
            &sent,
            Some(Mined { gas_used: u64::MAX, gas_price: u128::MAX, ..mined(&stage, 0) }),
        );
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        let limit = stage.engine.risk.gas.limit(&two_pairs());
        assert!(limit < Gas(10_000_000), "{limit:?}");
    }

    #[test]
    fn a_reorg_takes_nothing_for_landed_that_is_not() {
        let mut stage = airborne();
        let sent = stage.only();
        let fork = stage.tip();
        let left = stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        assert!(stage.flight().is_mined);
        // Its block is left before its receipt was heard of.
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        assert_eq!((stage.tip().hash, stage.flight().is_mined), (hash(202), false));
        let address = stage.engine.risk.wallets[0].address;
        assert!(stage.was_asked(&Query::Nonce(WalletId(0), address)), "its nonce may be free");
        stage.receipt(&sent, None);
        assert_eq!(stage.outbox.sent.len(), 1, "its pools are its own still");
        let landed = stage.seal(&[Sync { tx: sent.hash, ..sync(1, EVEN) }]);
        assert_ne!(landed.hash, left.hash);
        stage.receipt(&sent, Some(mined(&stage, 0)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
    }

    #[test]
    fn after_a_reorg_where_a_target_stands_is_asked_if_no_log_says_it() {
        let mut stage = live();
        let swap = Swap::default();
        stage.pending(&swap);
        let sent = stage.only();
        let fork = stage.tip();
        stage.seal(&[
            Sync { tx: swap.hash(), index: 4, ..sync(1, GAP) },
            Sync { tx: sent.hash, index: 5, ..sync(1, EVEN) },
        ]);
        let other = fork.child(202);
        stage.head(other);
        stage.list(other, &[]);
        let place = Query::Place { ticket: stage.flight().ticket, hash: swap.hash() };
        assert!(!stage.was_asked(&place));
        stage.receipt(&sent, Some(mined(&stage, 8)));
        assert!(stage.was_asked(&place));
        stage.answer(&place, &mined(&stage, 7).json());
        stage.receipt(&sent, Some(mined(&stage, 8)));
        assert_eq!(stage.outcomes(), [Outcome::Landed]);
        assert_eq!(stage.engine.books.line(FOLLOWER).behind_target, 1);
    }

    #[test]
    fn a_drained_run_follows_what_is_in_flight_to_its_end() {
        let mut stage = airborne();
        stage.input(Happening::Command(Command::Drain));
        stage.seal(&[sync(1, EVEN)]);
        stage.receipt(&stage.only(), Some(mined(&stage, 0)));
        assert_eq!((stage.outcomes(), stage.engine.flights.count()), (vec![Outcome::Landed], 0));
    }
}

mod rehearsal {
    use super::*;

    #[test]
    fn a_gap_that_stays_open_is_won_and_taken_once() {
        let mut stage = dry();
        stage.seal(&[sync(1, GAP)]);
        let profit = stage.flight().admitted.plan.profit;
        stage.seal(&[]);
        let [(outcome, end)] = stage.endings()[..] else { panic!("one ended") };
        assert_eq!((outcome, end.gained), (Outcome::Won, i128::try_from(profit).expect("small")));
        for _ in 0..3 {
            stage.seal(&[]);
        }
        // A stranger moves a pool a little: with our own trade laid over it there is no gap.
        stage.seal(&[sync(1, [GAP[0] + ETHER, GAP[1] - ETHER])]);
        stage.seal(&[]);
        stage.only();
        let line = stage.engine.books.line(TAKER);
        assert_eq!((line.opportunities, line.sent, line.won), (1, 1, 1));
    }

    #[test]
    fn our_own_trades_outlive_a_block_that_is_left_for_its_sibling() {
        let mut stage = dry();
        stage.seal(&[sync(1, GAP)]);
        stage.seal(&[]);
        let held = stage.engine.world.pools.get(PoolId(1)).state;
        let fork = stage.tip();
        stage.head(fork.child(103));
        stage.head(fork.child(203));
        stage.list(fork.child(203), &[]);
        assert_eq!(stage.engine.world.pools.get(PoolId(1)).state, held);
        stage.only();
    }

    #[test]
    fn our_own_trades_outlive_the_seal_of_a_block_that_was_waiting() {
        let mut stage = dry();
        stage.seal(&[sync(1, GAP)]);
        let (block, next) = (stage.next(), stage.next().child(103));
        stage.head(block);
        stage.head(next);
        stage.list(block, &[]);
        stage.list(next, &[sync(1, GAP)]);
        assert_ne!(stage.engine.world.pools.get(PoolId(1)).overlay, [0; 2]);
        stage.only();
    }

    #[test]
    fn a_gap_that_somebody_else_closed_in_the_same_block_is_contested() {
        let mut stage = dry();
        stage.seal(&[sync(1, GAP)]);
        stage.seal(&[sync(1, EVEN)]);
        assert_eq!(stage.outcomes(), [Outcome::Contested]);
        assert_eq!(stage.engine.books.line(TAKER).contested, 1);
    }

    #[test]
    fn a_follower_whose_target_comes_is_won_behind_it() {
        let mut stage = dry();
        let swap = Swap::default();
        stage.pending(&swap);
        let out = swapped(swap.amount, EVEN);
        let behind = [EVEN[0] + swap.amount, EVEN[1] - out];
        let profit = stage.flight().admitted.plan.profit;
        stage.seal(&[Sync { tx: swap.hash(), index: 4, ..sync(1, behind) }]);
        let [(outcome, end)] = stage.endings()[..] else { panic!("one ended") };
        assert_eq!((outcome, end.gained), (Outcome::Won, i128::try_from(profit).expect("small")));
        stage.seal(&[]);
        stage.only();
    }

    #[test]
    fn a_follower_whose_gap_its_target_does_not_open_has_vanished() {
        let mut stage = dry();
        let swap = Swap::default();
        stage.pending(&swap);
        stage.seal(&[Sync { tx: swap.hash(), index: 4, ..sync(1, EVEN) }]);
        assert_eq!(stage.outcomes(), [Outcome::Vanished]);
    }

    #[test]
    fn a_follower_whose_target_does_not_come_misses_it_after_its_last_block() {
        let mut stage = dry();
        stage.pending(&Swap::default());
        stage.seal(&[]);
        assert!(stage.outcomes().is_empty(), "it may still come");
        stage.seal(&[]);
        assert_eq!(stage.outcomes(), [Outcome::TargetMissing]);
    }

    #[test]
    fn a_target_in_a_block_that_was_sealed_in_passing_is_seen() {
        let mut stage = dry();
        let swap = Swap::default();
        stage.pending(&swap);
        let out = swapped(swap.amount, EVEN);
        let behind = [EVEN[0] + swap.amount, EVEN[1] - out];
        let block = stage.next();
        stage.head(block);
        stage.quiet(block.child(102));
        stage.list(block, &[Sync { tx: swap.hash(), index: 4, ..sync(1, behind) }]);
        assert_eq!((stage.tip().number, stage.outcomes()), (102, vec![Outcome::Won]));
    }
}

mod hostility {
    use super::*;

    #[test]
    fn a_head_whose_height_is_not_one_more_than_its_parents_is_not_believed() {
        let mut stage = live();
        for number in [0, 1, 100, 102, u64::MAX] {
            let name = 7_000 + (number & 0xff);
            stage.quiet(Block { number, ..stage.tip().child(name) });
            assert_eq!(stage.tip().number, 100, "{number}");
        }
        assert_eq!(stage.engine.tally.undecodable[Source::Chain as usize], 5);
        stage.seal(&[sync(1, GAP)]);
        stage.only();
    }

    #[test]
    fn a_head_from_nowhere_far_ahead_asks_for_a_reload_and_nothing_else() {
        let mut stage = live();
        let parent = hash(0xdead);
        stage.quiet(Block { number: u64::MAX, parent, ..stage.next() });
        assert!(stage.engine.world.freshness().has(Stale::Lost));
        assert!(!stage.engine.world.freshness().has(Stale::Gap));
    }

    #[test]
    fn a_head_whose_parent_never_comes_gates_trading_for_a_while_only() {
        let mut stage = live();
        let orphan = Block { parent: hash(0xdead), ..stage.next().child(0xbeef) };
        stage.quiet(orphan);
        assert!(stage.engine.world.freshness().has(Stale::Gap));
        for _ in 0..12 {
            stage.seal(&[]);
        }
        assert!(stage.engine.world.freshness().is_fresh());
    }

    #[test]
    fn a_head_whose_parent_the_node_denies_three_times_is_dropped() {
        let mut stage = live();
        let parent = Query::Head(hash(0xdead));
        let orphan = Block { parent: hash(0xdead), ..stage.next().child(0xbeef) };
        stage.quiet(orphan);
        stage.quiet(orphan.child(0xbeee));
        for _ in 0..10 {
            stage.answer(&parent, "null");
        }
        stage.wait(1_010);
        stage.answer(&Query::LatestHead, "null");
        stage.answer(&Query::Head(hash(0xdeaf)), "null");
        stage.answer(&parent, "null");
        assert!(stage.engine.world.freshness().has(Stale::Gap), "it may be late");
        stage.wait(1_010);
        stage.asked.clear();
        stage.answer(&parent, "null");
        assert!(stage.was_asked(&Query::LatestHead));
        assert!(stage.was_asked(&Query::Head(orphan.hash)), "its child is told of it too");
        for _ in 0..3 {
            stage.answer(&Query::Head(orphan.hash), "null");
            stage.wait(1_010);
        }
        assert!(!stage.engine.world.freshness().has(Stale::Gap));
        assert!(!stage.engine.world.freshness().is_fresh(), "where does the chain stand?");
        stage.answer(&Query::LatestHead, &stage.tip().json(false));
        assert!(stage.engine.world.freshness().is_fresh());
        stage.seal(&[sync(1, GAP)]);
        stage.only();
    }

    #[test]
    fn a_late_empty_list_from_before_a_reload_seals_nothing() {
        let mut stage = live();
        let first = stage.next();
        stage.head(first);
        let late = *stage.asked.last().expect("its logs were asked for");
        stage.reload(Block { number: 200, hash: hash(200), ..stage.anchor() });
        let second = stage.next();
        stage.head(second);
        stage.answer(&late, "[]");
        assert_eq!(stage.tip().number, 200, "the answer was about another block");
        stage.list(second, &[sync(1, GAP)]);
        assert_eq!(stage.tip().number, 201);
    }

    #[test]
    fn a_world_that_was_loaded_anew_trades_once_a_head_says_that_it_is_the_newest() {
        let mut stage = live();
        let mut block = Block { number: 200, hash: hash(200), ..stage.anchor() };
        stage.asked.clear();
        stage.reload(block);
        assert!(stage.was_asked(&Query::LatestHead));
        stage.pending(&Swap::default());
        assert!(stage.outbox.sent.is_empty(), "blocks may have come while it was read");
        block = block.child(201);
        stage.answer(&Query::LatestHead, &block.json(false));
        stage.list(block, &[]);
        stage.only();
    }

    #[test]
    fn a_node_that_stands_still_is_silent_until_a_block_comes() {
        let mut stage = live();
        for _ in 0..3 {
            stage.asked.clear();
            stage.wait(60_001);
            assert!(stage.was_asked(&Query::LatestHead), "its heads may be what is silent");
            stage.answer(&Query::LatestHead, &stage.anchor().json(false));
            assert!(stage.engine.world.freshness().has(Stale::Silent));
        }
        stage.link(Source::Rpc, false);
        stage.link(Source::Rpc, true);
        stage.answer(&Query::LatestHead, &stage.anchor().json(false));
        assert!(!stage.engine.world.freshness().is_fresh(), "it stands still all the same");
        stage.seal(&[sync(1, GAP)]);
        stage.only();
    }

    #[test]
    fn a_flood_of_forks_asks_a_bounded_number_of_questions() {
        let mut stage = live();
        for fork in 0..500 {
            stage.asked.clear();
            let parent = hash(20_000 + fork % 256);
            let block = Block { parent, ..stage.next().child(10_000 + fork) };
            stage.quiet(Block { number: 130, ..block });
            assert!(stage.asked.len() <= 64, "{}", stage.asked.len());
        }
    }

    #[test]
    fn answers_of_the_wrong_kind_are_counted_and_change_nothing() {
        let mut stage = airborne();
        let sent = stage.only();
        let stranger = Sent { attempt: Attempt { ticket: u32::MAX, number: 0 }, ..sent.clone() };
        let queries = [
            Query::LatestHead,
            Query::BlockLogs { block: B256::ZERO, open: 1, followed: Followed::Pools },
            Query::Transaction(B256::ZERO),
            Query::Receipt(sent.attempt, sent.hash),
            Query::Receipt(stranger.attempt, sent.hash),
            Query::Known(Attempt { ticket: u32::MAX, number: 7 }, sent.hash),
            Query::Nonce(WalletId(255), Address::ZERO),
            Query::Balance(WalletId(255), Address::ZERO),
            Query::Holding { rank: 255, token: WETH, holder: EXECUTOR },
        ];
        for query in queries {
            for result in ["null", "[]", "{}", "true", "\"\"", "\"0x\"", "-1", "[{}]", "\"0xzz\""] {
                stage.answer(&query, result);
            }
        }
        stage.refuse(&stranger);
        assert_eq!((stage.engine.flights.count(), stage.tip().number), (1, 101));
        assert_eq!(stage.engine.risk.wallets[0].nonce, NONCE + 1);
    }

    #[test]
    fn a_nonce_beyond_all_bounds_does_not_end_the_run() {
        let mut stage = airborne();
        stage.nonce(0, u64::MAX);
        stage.seal(&[sync(3, GAP)]);
        assert_eq!(stage.engine.flights.count(), 1);
    }
}
