//! The liquidation strategy: who is proposed, for how much, and paid by whom.
//!
//! Temperature: cold.

use std::vec;
use std::vec::Vec;

use alloy_primitives::{Address, B256};
use gannet_engine::decode::head::Head;
use gannet_engine::decode::list::Rows;
use gannet_engine::ids::{LoanId, NodeId, TokenId};
use gannet_engine::input::Source;
use gannet_engine::loans::reread::{Account, Reread, VaultState};
use gannet_engine::loans::{Deal, Order, Size, Vault};
use gannet_engine::plan::{Bid, Follow, Plan};
use gannet_engine::query::Queries;
use gannet_engine::sign::liquidation::Funding;
use gannet_engine::strategy::Strategy;
use gannet_engine::target::{Route, Target};
use gannet_engine::units::{BlockNumber, Bps, Nanos, Wei};
use gannet_engine::world::follow::Word;
use gannet_engine::world::{BlockRef, Tip, World};

use super::fixture::{
    AAVE, AAVE_BOOK, AGGREGATORS, CONFIG, ETH, FEEDS, MORPHO, MORPHO_BOOK, RAY, SHARES, Town, USD,
    Written, answered, borrowed, deposited, dollars, entries, minted, params, town, transmit, user,
    withdrawn,
};
use super::{Config, Liquidation};
use crate::market::{Market, market, on_block, on_pending};

const NODE: NodeId = NodeId(0);

/// A world that follows a chain, and the strategy over it.
struct Story {
    world: World,
    strategy: Liquidation,
    queries: Queries,
}

/// WETH and USDC against each other, 2,000 for one, and deep.
fn deep() -> Market {
    market().pool("WETH/USDC", 100_000, 200_000_000)
}

fn story(market: Market, town: &Town) -> Story {
    story_with(market, town, Vec::new())
}

fn story_with(market: Market, town: &Town, vaults: Vec<Vault>) -> Story {
    let mut world = market.build();
    let loans = town.build(&world).with_vaults(vaults);
    world.lend(loans);
    let mut queries = Queries::default();
    for source in [Source::Chain, Source::Rpc] {
        world.on_link((NODE, source), true, &mut queries);
    }
    let mut strategy = Liquidation::new(Config::default());
    strategy.init(&world).unwrap();
    let mut story = Story { world, strategy, queries };
    assert!(story.look().is_empty(), "everybody is healthy");
    story
}

/// One borrower each, 3 % from being liquidated.
fn two() -> Town {
    town().owes(AAVE_BOOK, 1, ETH, 1_600 * USD).owes(MORPHO_BOOK, 1, ETH, 1_665 * USD)
}

fn name(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

impl Story {
    /// The plans over the world as it is; what was touched is looked at.
    fn look(&mut self) -> Vec<Plan> {
        let plans = on_block(&mut self.strategy, &self.world, &[]);
        self.world.clear_touched();
        plans
    }

    /// A block with these events, after so many seconds.
    fn seal(&mut self, seconds: u64, events: &[Written]) {
        let Tip { number, hash: parent_hash, timestamp, .. } = *self.world.tip();
        let number = number.0 + 1;
        let (hash, timestamp) = (name(number), timestamp + seconds);
        let bloom = alloy_primitives::Bloom::repeat_byte(0xff);
        let head = Head { number, hash, parent_hash, timestamp, bloom, ..Head::default() };
        let (at, queries) = (Nanos(0), &mut self.queries);
        self.world.on_head(&head, Word::Announced(NODE), at, queries).unwrap();
        let logs: Vec<_> =
            events.iter().zip(0..).map(|(event, index)| event.log(hash, index)).collect();
        let rows = Rows { logs: &logs, is_empty: logs.is_empty() };
        self.world.on_rows((&hash, &rows), at, queries, None).unwrap();
        assert_eq!(self.world.tip().number, BlockNumber(number));
    }

    fn block(&mut self, events: &[Written]) -> Vec<Plan> {
        self.seal(12, events);
        self.look()
    }

    /// A pending transmission of a price of WETH.
    fn report(&self, amount: u64) -> Target {
        let from = [user(0xf), AGGREGATORS[0]];
        let pending = self.world.loans.pending(from, &transmit(CONFIG, amount)).unwrap();
        let follow = Follow { hash: name(7), max_fee: Wei(40), priority_fee: Wei(3) };
        Target { follow, sender: user(0xf), nonce: 0, route: Route::of_loans(pending) }
    }

    fn pending(&mut self, amount: u64) -> Vec<Plan> {
        let target = self.report(amount);
        on_pending(&mut self.strategy, &mut self.world, &target)
    }

    fn loan(&self, book: u8, who: u8) -> LoanId {
        let [weth, usdc] = [0, 1].map(|token| self.world.tokens.get(TokenId(token)).address);
        let market = params([weth, usdc]).id();
        let market = (book == MORPHO_BOOK).then_some(&market);
        self.world.loans.loan_of(book, market, &user(who)).unwrap()
    }

    fn market(&self) -> B256 {
        params([0, 1].map(|token| self.world.tokens.get(TokenId(token)).address)).id()
    }

    fn deal(&self, plan: &Plan) -> Deal {
        let Order { loan, way, size, .. } = order(plan);
        self.world.loans.deal(loan, (way, size), self.world.loan_time()).unwrap()
    }
}

fn order(plan: &Plan) -> Order {
    plan.order.unwrap()
}

fn whom(plans: &[Plan]) -> Vec<LoanId> {
    let mut loans: Vec<_> = plans.iter().map(|plan| order(plan).loan).collect();
    loans.sort();
    loans
}

/// Asserts that a plan's amounts are what the protocol and the pools give, and that they chain.
fn assert_exact(world: &World, plan: &Plan) {
    let order = order(plan);
    let at = world.loan_time();
    let deal = world.loans.deal(order.loan, (order.way, order.size), at).unwrap();
    let (exit, entry) = order.paths(plan);
    assert_eq!(usize::from(order.exit_count), exit.len());
    let run = |legs: &[gannet_engine::plan::Leg], from: TokenId, amount: u128| {
        legs.iter().fold((from, amount), |(token, amount), leg| {
            let tokens = world.pools.get(leg.pool).tokens;
            assert_eq!(tokens[leg.direction.index_in()], token, "legs join");
            assert_eq!(leg.amount_in, amount);
            assert_eq!(world.quote(leg.pool, leg.direction, amount), Some(leg.amount_out));
            (tokens[leg.direction.index_out()], leg.amount_out)
        })
    };
    let (token, had) = run(exit, order.collateral, deal.seized);
    assert_eq!(token, plan.profit_token);
    assert!(deal.paid <= order.paid_most);
    let spent = if entry.is_empty() {
        assert_eq!(order.debt, plan.profit_token);
        deal.paid
    } else {
        let (token, bought) = run(entry, plan.profit_token, plan.amount_in);
        assert_eq!(token, order.debt);
        assert!(bought >= order.paid_most);
        plan.amount_in
    };
    assert_eq!(plan.profit, had - spent - order.premium);
    assert_eq!(order.profit(plan, world), Some(plan.profit));
    let program = order.program(plan, 1, world).unwrap();
    assert_eq!((program.paid, program.amount_in), (order.paid_most, plan.amount_in));
}

#[test]
fn a_borrower_whom_a_block_makes_liquidatable_is_proposed_with_exact_amounts() {
    let mut story = story(deep(), &two());
    let plans = story.block(&[answered(FEEDS[0], 1_938)]);
    assert_eq!(whom(&plans), [story.loan(AAVE_BOOK, 1)], "the other is healthy");
    assert_exact(&story.world, &plans[0]);
    let order = order(&plans[0]);
    // Health is above 0.95: half of the debt, to the unit.
    assert_eq!((order.size, story.deal(&plans[0]).paid), (Size::Debt(800 * USD), 800 * USD));
    assert_eq!((order.exit_count, plans[0].leg_count), (1, 1));
    assert_eq!(plans[0].bid, Bid::Share(Bps(5_000)));
    assert_eq!(plans[0].last_block, BlockNumber(103));
    // All that may be repaid has grown when it lands.
    assert_eq!(order.paid_most, 800 * USD + 800 * USD / 500_000 + 1);
    let plans = story.block(&[answered(FEEDS[0], 1_930)]);
    assert_eq!(whom(&plans), [AAVE_BOOK, MORPHO_BOOK].map(|book| story.loan(book, 1)));
    plans.iter().for_each(|plan| assert_exact(&story.world, plan));
    assert!(plans[0].profit_wei >= plans[1].profit_wei);
    assert_eq!(whom(&story.block(&[])), whom(&plans), "they are proposed until they are gone");
    assert!(story.block(&[answered(FEEDS[0], 2_000)]).is_empty());
}

#[test]
fn behind_a_pending_report_is_proposed_whom_it_strikes_and_nobody_else() {
    let mut story = story(deep(), &two());
    assert!(story.pending(1_950).is_empty(), "everybody is healthy");
    assert!(story.pending(2_000).is_empty(), "it changes nothing");
    assert_eq!(whom(&story.pending(1_938)), [story.loan(AAVE_BOOK, 1)]);
    let target = story.report(1_900);
    let plans = story.pending(1_900);
    assert_eq!(whom(&plans), [AAVE_BOOK, MORPHO_BOOK].map(|book| story.loan(book, 1)));
    for plan in &plans {
        assert_eq!((plan.bid, plan.last_block), (Bid::Behind(target.follow), BlockNumber(102)));
        assert_eq!(order(plan).profit(plan, &story.world), None, "he is healthy before it");
    }
    let mark = story.world.apply_target(&target).unwrap();
    plans.iter().for_each(|plan| assert_exact(&story.world, plan));
    story.world.take_back(mark).unwrap();
    // Nothing of it is remembered.
    assert!(story.block(&[]).is_empty());
    assert_eq!(whom(&story.pending(1_938)), [story.loan(AAVE_BOOK, 1)]);
    // Who can be liquidated already does not wait for anybody's report, but what is had for it
    // does; a report of a rise leaves him alone.
    assert_eq!(story.block(&[answered(FEEDS[0], 1_930)]).len(), 2);
    assert_eq!(story.pending(1_920).len(), 2);
    assert!(story.pending(2_000).is_empty());
}

#[test]
fn morphos_market_pays_first_and_nothing_is_lent() {
    let mut story = story(deep(), &two());
    let plans = story.block(&[answered(FEEDS[0], 1_930)]);
    let plan = plans.iter().find(|plan| order(plan).loan == story.loan(MORPHO_BOOK, 1)).unwrap();
    let held = order(plan);
    assert_eq!((held.funding, plan.amount_in, held.premium), (Funding::Market, 0, 0));
    assert_eq!(plan.profit_token, TokenId(1), "the debt's own");
    let deal = story.deal(plan);
    assert!(held.paid_most > deal.paid);
    assert_eq!(plan.profit, plan.legs()[0].amount_out - deal.paid);
}

#[test]
fn aave_is_paid_by_whoever_lends_for_least() {
    let [usdc, some] = [800 * USD, 100 * USD];
    let cases = [
        (Town { idle: usdc * 2, ..two() }, Funding::Morpho(MORPHO), 0),
        (Town { idle: some, ..two() }, Funding::Aave(AAVE.pool), 5),
        (Town { idle: some, available: [u128::MAX, some], ..two() }, Funding::Own, 0),
    ];
    for (town, funding, bps) in cases {
        let mut story = story(deep(), &town);
        let plans = story.block(&[answered(FEEDS[0], 1_938)]);
        let order = order(&plans[0]);
        assert_eq!(order.funding, funding);
        assert_eq!(plans[0].amount_in, order.paid_most);
        assert_eq!(order.premium, (order.paid_most * bps).div_ceil(10_000));
        assert_exact(&story.world, &plans[0]);
    }
}

#[test]
fn a_vault_of_balancers_pays_where_aave_is_dear_and_morpho_lacks_the_token() {
    const VAULT: Address = Address::repeat_byte(0xba);
    let (lent, bps) = (800 * USD + 800 * USD / 500_000 + 1, 100_000_000_000_000);
    let (vault, aave) = (Funding::Balancer(VAULT), Funding::Aave(AAVE.pool));
    let cases = [
        (0, 2 * lent, vault, 0),
        (bps, 2 * lent, vault, lent.div_ceil(10_000)),
        // No whole basis points.
        (bps + 1, 2 * lent, vault, (lent * u128::from(bps + 1)).div_ceil(ETH)),
        // Half of what it holds is too little.
        (bps, 2 * lent - 1, aave, (lent * 9).div_ceil(10_000)),
        (10 * bps, 2 * lent, aave, (lent * 9).div_ceil(10_000)),
    ];
    for (fee, usdc, funding, premium) in cases {
        let town = Town { idle: 100 * USD, flash_bps: 9, ..two() };
        let state = VaultState { fee, holds: vec![u128::MAX, usdc] };
        let vaults = vec![Vault::new(VAULT, &[TokenId(0), TokenId(1)], &state)];
        let mut story = story_with(deep(), &town, vaults);
        let plans = story.block(&[answered(FEEDS[0], 1_938)]);
        let order = order(&plans[0]);
        assert_eq!((order.funding, order.premium), (funding, premium));
        assert_eq!(plans[0].amount_in, lent);
        assert_exact(&story.world, &plans[0]);
        assert_eq!(order.program(&plans[0], 1, &story.world).unwrap().funding, funding);
    }
}

#[test]
fn a_debt_that_is_no_base_is_bought_first() {
    // USDT, the third token, is owed for WETH.
    let market = deep().pool("WETH/USDT", 100_000, 200_000_000);
    let town = Town { tokens: [TokenId(0), TokenId(2)], ..two() };
    let mut story = story(market, &town);
    let plans = story.block(&[answered(FEEDS[0], 1_900)]);
    assert_eq!(plans.len(), 2);
    for plan in &plans {
        let order = order(plan);
        assert_eq!((order.debt, order.collateral), (TokenId(2), TokenId(0)));
        assert_eq!((plan.profit_token, order.exit_count), (TokenId(0), 0), "it is kept in WETH");
        assert_eq!(plan.leg_count, 1);
        assert_eq!(order.funding, Funding::Aave(AAVE.pool), "Morpho has no WETH to lend");
        assert!(order.premium > 0 && plan.amount_in > 0);
        assert_exact(&story.world, plan);
    }
}

#[test]
fn less_than_all_is_liquidated_where_the_pool_is_shallow() {
    let mut story = story(market().pool("WETH/USDC", 3, 6_000), &two());
    let plans = story.block(&[answered(FEEDS[0], 1_930)]);
    assert_eq!(plans.len(), 2);
    for plan in &plans {
        assert_exact(&story.world, plan);
        let Order { loan, way, size, .. } = order(plan);
        let at = story.world.loan_time();
        let sizes = story.world.loans.sizes(loan, way, at).unwrap();
        let amount = |size| match size {
            Size::Debt(amount) | Size::Shares(amount) | Size::Seized(amount) => amount,
        };
        let (chosen, most) = (amount(size), amount(sizes.most));
        assert!(chosen < most / 2 && chosen > most / 100, "{chosen} of {most}");
        // Neither much more nor much less brings more.
        for other in [chosen / 10 * 8, chosen / 10 * 12] {
            let deal = story.world.loans.deal(loan, (way, size.with(other)), at).unwrap();
            let leg = plan.legs()[0];
            let had = story.world.quote(leg.pool, leg.direction, deal.seized).unwrap();
            assert!(had.saturating_sub(deal.paid) <= plan.profit + order(plan).premium + USD / 100);
        }
        // What is asked for in debt is taken as it is.
        if matches!(size, Size::Debt(_)) {
            assert_eq!(order(plan).paid_most, chosen);
        }
    }
}

#[test]
fn a_part_is_liquidated_where_no_pool_has_all_of_the_debt() {
    let market = deep().pool("WETH/USDT", 1, 2_000);
    let town = Town { tokens: [TokenId(0), TokenId(2)], ..town() };
    let town = town.owes(AAVE_BOOK, 1, 10 * ETH, 16_000 * USD);
    let mut story = story(market, &town);
    let plans = story.block(&[answered(FEEDS[0], 1_900)]);
    assert_eq!(plans.len(), 1);
    assert_exact(&story.world, &plans[0]);
    assert!(story.deal(&plans[0]).paid < 2_000 * USD, "of 8,000 that might be repaid");
}

#[test]
fn nobody_is_proposed_in_a_world_without_loans() {
    let mut world = deep().build();
    let mut strategy = Liquidation::new(Config::default());
    strategy.init(&world).unwrap();
    assert!(on_block(&mut strategy, &world, &[0]).is_empty());
    let swap = crate::market::swap(0, gannet_engine::ids::Direction::ZeroForOne, ETH);
    assert!(on_pending(&mut strategy, &mut world, &swap).is_empty());
    // Loans that come later are looked at.
    let loans = town().owes(AAVE_BOOK, 1, ETH, 1_700 * USD).build(&world);
    world.lend(loans);
    assert_eq!(on_block(&mut strategy, &world, &[]).len(), 1);
    let more = Town { rooms: [40, 2], ..town() }.owes(AAVE_BOOK, 3, ETH, 1_700 * USD);
    let loans = more.owes(AAVE_BOOK, 4, ETH, 1_700 * USD).build(&world);
    world.lend(loans);
    assert_eq!(on_block(&mut strategy, &world, &[]).len(), 2, "and so is a larger town");
}

#[test]
fn nobody_is_proposed_who_was_taken() {
    let mut story = story(deep(), &two());
    let loans = whom(&story.block(&[answered(FEEDS[0], 1_930)]));
    story.world.loans.take(loans[0]);
    assert_eq!(whom(&story.block(&[])), loans[1..]);
    assert_eq!(whom(&story.pending(1_900)), loans[1..]);
    story.world.loans.take(loans[1]);
    assert!(story.block(&[answered(FEEDS[0], 1_800)]).is_empty());
    assert_eq!(whom(&story.block(&[deposited(story.market(), 1, 1)])), loans[1..]);
}

#[test]
fn a_borrower_is_left_alone_until_he_was_reread() {
    let mut story = story(deep(), &two());
    assert_eq!(story.block(&[answered(FEEDS[0], 1_938)]).len(), 1);
    assert!(story.block(&[minted(1, 0)]).is_empty());
    assert!(story.pending(1_937).is_empty());
    let Tip { number, hash, .. } = *story.world.tip();
    for (weth, count) in [(2 * ETH, 0), (ETH, 1)] {
        let entries = entries(weth, 1_600 * USD).to_vec();
        let accounts = vec![(AAVE_BOOK, Account { user: user(1), category: 0, entries })];
        let block = Some(BlockRef { number, hash });
        assert!(story.world.reread(&Reread { block, accounts, ..Reread::default() }));
        assert_eq!(story.look().len(), count);
    }
}

#[test]
fn what_nobody_will_ever_liquidate_is_not_in_others_way() {
    // More than there is room for have no collateral that anybody would take.
    let count = gannet_engine::limits::LOANS_OPEN_MAX + 10;
    let mut world = deep().build();
    let rooms = [16, u32::try_from(count).unwrap() + 2];
    let crowd = Town { rooms, ..two() };
    let mut loans = crowd.build(&world);
    loans.clear_touched();
    world.lend(loans);
    let mut strategy = Liquidation::new(Config::default());
    strategy.init(&world).unwrap();
    let mut story = Story { world, strategy, queries: Queries::default() };
    for source in [Source::Chain, Source::Rpc] {
        story.world.on_link((NODE, source), true, &mut story.queries);
    }
    let market = story.market();
    let read = |number: usize| {
        let mut bytes = [0x99; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let held =
            gannet_engine::lending::morpho::Position { borrow_shares: SHARES * USD, collateral: 0 };
        (MORPHO_BOOK, market, bytes.into(), held)
    };
    let Tip { number, hash, .. } = *story.world.tip();
    let positions = (0..count).map(read).collect();
    let block = Some(BlockRef { number, hash });
    assert!(story.world.reread(&Reread { block, positions, ..Reread::default() }));
    let _dust = story.look();
    let plans = story.block(&[answered(FEEDS[0], 1_930)]);
    assert_eq!(whom(&plans), [AAVE_BOOK, MORPHO_BOOK].map(|book| story.loan(book, 1)));
}

/// Numbers that a seed chooses.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn below(&mut self, sides: u64) -> u128 {
        self.roll(sides).into()
    }
}

#[test]
fn whom_interest_alone_makes_liquidatable_is_found_in_that_very_block() {
    let town = Town { borrow_rate: 7 * RAY, ..town() }.owes(AAVE_BOOK, 1, ETH, 1_640 * USD);
    let mut story = story(deep(), &town);
    for round in 0..100 {
        story.seal(600, &[]);
        let plans = story.look();
        assert_eq!(whom(&plans), story.brute(), "block {round}");
        if !plans.is_empty() {
            assert!(round > 10, "it took its time");
            return;
        }
    }
    panic!("six parts of a thousand are the interest of hours");
}

/// Whoever can be liquidated is proposed: what the index remembers leaves out nobody.
#[test]
fn nobody_who_can_be_liquidated_is_missed_whatever_happens() {
    for seed in 1..=40 {
        let mut dice = Dice(seed);
        // Half of the towns take five times the debt a year.
        let mut town = Town { borrow_rate: RAY * 5 * u128::from(seed % 2), ..town() };
        for who in 0..6 {
            let weth = ETH / 10 * (5 + dice.below(20));
            let aave = weth * 1_650 / ETH * USD * (80 + dice.below(20)) / 100;
            let morpho = weth * 1_720 / ETH * USD * (80 + dice.below(20)) / 100;
            town = town.owes(AAVE_BOOK, who, weth, aave).owes(MORPHO_BOOK, who, weth, morpho);
        }
        let mut story = story(deep(), &town);
        for round in 0..40 {
            let mut events = Vec::new();
            for _ in 0..dice.roll(3) {
                let who = u8::try_from(dice.roll(6)).unwrap();
                events.push(match dice.roll(8) {
                    0..=3 => answered(FEEDS[0], 1_900 + dice.roll(120)),
                    4 => minted(who, 0),
                    5 => deposited(story.market(), who, ETH / 10),
                    6 => withdrawn(story.market(), who, ETH / 100),
                    _ => borrowed(who, story.world.tokens.get(TokenId(1)).address),
                });
            }
            story.seal(if dice.roll(4) == 0 { 1_000 } else { 12 }, &events);
            if dice.roll(3) == 0 {
                story.reread_all(&mut dice);
            }
            // Blocks pass without anybody who looks, now and then.
            if dice.roll(5) == 0 {
                continue;
            }
            let plans = story.look();
            assert_eq!(whom(&plans), story.brute(), "seed {seed}, round {round}");
            plans.iter().for_each(|plan| assert_exact(&story.world, plan));
            let target = story.report(1_850 + dice.roll(200));
            let plans = on_pending(&mut story.strategy, &mut story.world, &target);
            let mark = story.world.apply_target(&target).unwrap();
            let brute = story.brute();
            let moves = !story.world.loans.supposed().is_empty();
            plans.iter().for_each(|plan| assert_exact(&story.world, plan));
            story.world.take_back(mark).unwrap();
            if moves {
                assert_eq!(whom(&plans), brute, "seed {seed}, round {round}, behind a report");
            } else {
                assert!(plans.is_empty());
            }
        }
    }
}

impl Story {
    /// All who can be liquidated, one by one.
    fn brute(&self) -> Vec<LoanId> {
        let at = self.world.loan_time();
        let all = (0..u32::try_from(self.world.loans.room()).unwrap()).map(LoanId);
        all.filter(|loan| self.world.loans.is_liquidatable(*loan, at) == Ok(true)).collect()
    }

    /// Whatever has to be read is read.
    fn reread_all(&mut self, dice: &mut Dice) {
        let mut accounts = Vec::new();
        self.world.loans.wants(|book, want| {
            if let gannet_engine::loans::Want::Account(user) = want {
                let entries = entries(ETH, USD * (1_500 + dice.below(150))).to_vec();
                accounts.push((book, Account { user, category: 0, entries }));
            }
        });
        let Tip { number, hash, .. } = *self.world.tip();
        let block = Some(BlockRef { number, hash });
        let feeds = vec![(FEEDS[1], AGGREGATORS[1], dollars(1))];
        assert!(self.world.reread(&Reread { block, accounts, feeds, ..Reread::default() }));
    }
}

#[test]
fn who_would_sell_through_a_larger_ones_pool_is_proposed_by_another_way_too() {
    let market = deep().pool("WETH/USDC", 50_000, 100_000_000);
    let town = town().owes(AAVE_BOOK, 1, 2 * ETH, 3_200 * USD).owes(AAVE_BOOK, 2, ETH, 1_600 * USD);
    let mut story = story(market, &town);
    let plans = story.block(&[answered(FEEDS[0], 1_900)]);
    plans.iter().for_each(|plan| assert_exact(&story.world, plan));
    let told: Vec<_> = plans.iter().map(|plan| (order(plan).loan, plan.legs()[0].pool.0)).collect();
    let [large, small] = [1, 2].map(|who| story.loan(AAVE_BOOK, who));
    assert_eq!(told, [(large, 0), (small, 0), (small, 1)]);
}

/// A market of Compound III.
mod comet {
    use gannet_engine::lending::comet::topics;
    use gannet_engine::loans::reread::{CometAccount, CometTotals};
    use gannet_engine::loans::{Book, Want};
    use gannet_engine::sign::liquidation::Protocol;

    use super::*;
    use crate::liquidation::fixture::{COMET_BOOK, COMET_ROOM, comet_says, comet_totals};

    const SHOP: LoanId = LoanId(32 + COMET_ROOM);

    /// One borrower, 3 % from being absorbed.
    fn one() -> Town {
        town().owes(COMET_BOOK, 1, ETH, 1_650 * USD)
    }

    fn weth(story: &Story) -> Address {
        story.world.tokens.get(TokenId(0)).address
    }

    fn seized(story: &Story, who: u8, amount: u128) -> Written {
        let about = [user(9), user(who), weth(story)];
        comet_says(topics::ABSORB_COLLATERAL, &about, &[amount, 0])
    }

    fn put_in(story: &Story, who: u8, amount: u128) -> Written {
        let about = [user(9), user(who), weth(story)];
        comet_says(topics::SUPPLY_COLLATERAL, &about, &[amount])
    }

    fn supplied(who: u8) -> Written {
        comet_says(topics::SUPPLY, &[user(9), user(who)], &[USD])
    }

    /// Reads what is wanted: debts are what `owes` says of whom.
    fn reread(story: &mut Story, mut owes: impl FnMut(u8) -> u128) {
        let Some(Book::Comet(book)) = story.world.loans.books().get(2) else { return };
        let (market, assets) = book.table.market(book.market()).unwrap();
        let stocks = vec![(assets[0].held, assets[0].total)];
        let totals = comet_totals(market.totals.borrow, story.world.tip().timestamp);
        let (mut accounts, mut all) = (Vec::new(), Vec::new());
        story.world.loans.wants(|book, want| match want {
            Want::Account(owner) if book == COMET_BOOK => {
                let principal = -i128::try_from(owes(owner[0] & 0xf)).unwrap();
                let balances = vec![ETH];
                accounts.push((book, CometAccount { owner, principal, assets_in: 1, balances }));
            }
            Want::Totals => all.push((book, CometTotals { totals, stocks: stocks.clone() })),
            Want::Account(_) | Want::Reserve(_) | Want::Market(_) | Want::Position(..) => {}
        });
        let Tip { number, hash, .. } = *story.world.tip();
        let block = Some(BlockRef { number, hash });
        let (comet_accounts, comet_totals) = (accounts, all);
        let read = Reread { block, comet_accounts, comet_totals, ..Reread::default() };
        assert!(story.world.reread(&read));
    }

    #[test]
    fn a_borrower_is_absorbed_and_exactly_what_is_said_is_paid() {
        let mut story = story(deep(), &one());
        let plans = story.block(&[answered(FEEDS[0], 1_940)]);
        assert_eq!(whom(&plans), [story.loan(COMET_BOOK, 1)]);
        assert_exact(&story.world, &plans[0]);
        let order = order(&plans[0]);
        let most = Size::Debt(1_881_800_000);
        assert_eq!((order.size, order.paid_most), (most, 1_881_800_000), "nothing of it grows");
        assert_eq!((order.funding, order.premium), (Funding::Morpho(MORPHO), 0));
        assert_eq!(plans[0].amount_in, order.paid_most);
        let program = order.program(&plans[0], 1, &story.world).unwrap();
        assert_eq!(program.protocol, Protocol::Comet { absorbs: true, least: 1 });
        // Behind a pending report, too.
        assert!(story.block(&[answered(FEEDS[0], 2_000)]).is_empty());
        assert_eq!(whom(&story.pending(1_940)), [story.loan(COMET_BOOK, 1)]);
    }

    #[test]
    fn a_part_is_bought_where_the_pool_is_shallow() {
        let mut story = story(market().pool("WETH/USDC", 3, 6_000), &one());
        let plans = story.block(&[answered(FEEDS[0], 1_900)]);
        assert_exact(&story.world, &plans[0]);
        let Size::Debt(paid) = order(&plans[0]).size else { panic!("base tokens are paid") };
        assert!(paid < 1_843_000_000 / 2 && paid > 10 * USD, "{paid}");
        assert_eq!(order(&plans[0]).paid_most, paid);
    }

    #[test]
    fn the_shop_is_looked_at_in_each_block_and_waits_for_the_totals() {
        let mut story = story(deep(), &one());
        let event = seized(&story, 1, ETH);
        assert_eq!(whom(&story.block(&[event])), [SHOP]);
        let plans = story.block(&[]);
        assert_eq!(whom(&plans), [SHOP]);
        assert_exact(&story.world, &plans[0]);
        let program = order(&plans[0]).program(&plans[0], 1, &story.world).unwrap();
        assert_eq!(program.protocol, Protocol::Comet { absorbs: false, least: 1 });
        assert!(program.borrower.is_zero());
        // Somebody supplies: what is for sale depends on the reserves.
        assert!(story.block(&[supplied(9)]).is_empty());
        reread(&mut story, |_| 0);
        assert_eq!(whom(&story.look()), [SHOP]);
        // In a chain that does not contain our purchase, that is made once.
        story.world.loans.take(SHOP);
        assert!(story.look().is_empty());
        story.block(&[supplied(9)]);
        reread(&mut story, |_| 0);
        assert!(story.look().is_empty(), "its stock is what it was");
        let event = seized(&story, 1, 0);
        assert_eq!(whom(&story.block(&[event])), [SHOP]);
    }

    /// All who can be liquidated now: those whose figures are known, so far as a size needs them.
    fn brute(story: &Story) -> Vec<LoanId> {
        let (loans, at) = (&story.world.loans, story.world.loan_time());
        let mut all = story.brute();
        all.retain(|loan| {
            let mut is_sold = false;
            loans.ways(*loan, |way, _| is_sold |= loans.sizes(*loan, way, at).is_ok());
            is_sold
        });
        all
    }

    #[test]
    fn nobody_is_missed_whatever_happens_while_totals_are_read() {
        for seed in 1..=40 {
            let mut dice = Dice(seed);
            let mut town = Town { borrow_rate: RAY * 5 * u128::from(seed % 2), ..town() };
            for who in 0..6 {
                town = town.owes(COMET_BOOK, who, ETH, USD * (1_400 + dice.below(220)));
            }
            let mut story = story(deep(), &town);
            let mut found = 0;
            for round in 0..60 {
                let mut events = Vec::new();
                for _ in 0..dice.roll(3) {
                    let who = u8::try_from(dice.roll(7)).unwrap();
                    events.push(match dice.roll(7) {
                        0..=2 => answered(FEEDS[0], 1_880 + dice.roll(140)),
                        3 => supplied(who),
                        4 => supplied(9),
                        5 => put_in(&story, who, ETH / 50),
                        _ => comet_says(topics::TRANSFER, &[user(who), user(9)], &[1]),
                    });
                }
                story.seal(if dice.roll(4) == 0 { 1_000 } else { 12 }, &events);
                if dice.roll(2) == 0 {
                    reread(&mut story, |_| USD * (1_500 + dice.below(200)));
                }
                if dice.roll(5) == 0 {
                    continue;
                }
                let plans = story.look();
                assert_eq!(whom(&plans), brute(&story), "seed {seed}, round {round}");
                plans.iter().for_each(|plan| assert_exact(&story.world, plan));
                found += plans.len();
            }
            assert!(found > 0, "seed {seed}");
        }
    }
}
