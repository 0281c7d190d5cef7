//! A market of Compound III as it is followed, against its own code: who can be absorbed, what is
//! paid and had for it, and what the executor gains by the program that the engine makes of it, for
//! an absorption and for the shop alone, to the unit.
//!
//! The market is mainnet's for USDC. The book is read from its views and storage, follows what its
//! transactions log, and is read again where it says so.
//!
//! Temperature: cold.

use alloy::primitives::{Address, I256};
use alloy::sol_types::{SolCall, SolEvent};
use gannet_engine::ids::{LoanId, PoolId};
use gannet_engine::lending::comet::table::{CometTable, MarketId, Room};
use gannet_engine::lending::comet::{Account, Asset, Priced, Totals, layout};
use gannet_engine::lending::math::Fault;
use gannet_engine::lending::price::{FeedSpec, Node, PriceLimits, Prices};
use gannet_engine::lending::transmission::Route;
use gannet_engine::lending::{comet, price};
use gannet_engine::loans::comet::CometBook;
use gannet_engine::loans::reread::{CometAccount, CometTotals, Reread};
use gannet_engine::loans::{Book, Loans, Order, Size, Want, Way};
use gannet_engine::plan::{Bid, Leg, Plan};
use gannet_engine::sign::liquidation::Funding;
use gannet_engine::units::{BlockNumber, Bps, Wei};
use gannet_engine::world::{BlockRef, Tip};

use crate::comet::abi::Comet;
use crate::comet::read_market;
use crate::differential::{Random, SEED};
use crate::evm::abi::Erc20;
use crate::evm::{BLOCK, Market, OPERATOR, Receipt, STRANGER, Trade};
use crate::lenders::{BORROWER, COLLATERAL, DEBT, LOW_PRICE, Lenders};

const ETHER: u128 = 1_000_000_000_000_000_000;
const SECONDS: u64 = 12;
/// Amounts that are tried of each.
const AMOUNTS: u32 = 24;

struct Scene {
    market: Market,
    lenders: Lenders,
    pool: PoolId,
    /// The market's collateral, in its order, and the number of that which is used.
    assets: Vec<Address>,
    used: u8,
}

impl Scene {
    fn new() -> Option<Self> {
        let mut market = Market::new();
        let lenders = Lenders::new(&mut market)?;
        let tokens = [lenders.collateral, lenders.debt];
        let is_sorted = market.address(tokens[0]) < market.address(tokens[1]);
        let reserves = [4_000 * ETHER, 4_000 * u128::from(LOW_PRICE) * 1_000_000];
        let sorted = if is_sorted { reserves } else { [reserves[1], reserves[0]] };
        let pool = market.pool(tokens, sorted);
        let mut scene = Self { market, lenders, pool, assets: vec![], used: 0 };
        scene.lend();
        Some(scene)
    }

    fn ask<C: SolCall>(&mut self, call: &C) -> C::Return {
        self.market.chain.read(self.lenders.comet, call).expect("a view")
    }

    /// Reads the market into a book, and gives it to the world.
    fn lend(&mut self) {
        let (terms, listed) = read_market(&mut self.market.chain, self.lenders.comet);
        self.assets = listed.iter().map(|asset| asset.token).collect();
        let collateral = self.market.address(self.lenders.collateral);
        let used = self.assets.iter().position(|asset| *asset == collateral);
        self.used = u8::try_from(used.expect("it is listed")).expect("few");
        let CometTotals { totals, stocks } = self.totals();
        let assets: Vec<_> = listed
            .iter()
            .zip(&stocks)
            .map(|(asset, (held, total))| Asset { total: *total, held: *held, ..*asset })
            .collect();
        let count = u8::try_from(assets.len()).expect("few");
        let room = Room { markets: 1, assets: count, accounts: 4 };
        let mut table = CometTable::new(room);
        let id = table.insert_market(self.lenders.comet).expect("room");
        let state = comet::Market { terms, totals };
        table.set_market(id, &state, &assets, &mut |_| ()).expect("room");
        let read = self.account(BORROWER);
        let account = table.add_account(id, BORROWER, &mut |_| ()).expect("a market");
        let (principal, assets_in) = (read.principal, read.assets_in);
        let held = Account { principal, assets_in, balances: &read.balances };
        table.set_account(account.expect("room"), &held, &mut |_| ()).expect("it is there");
        let feed = listed[usize::from(self.used)].feed;
        let loans = self.loans(table, id, [terms.base_feed, feed]);
        drop(self.market.world.lend(loans));
    }

    fn loans(&mut self, table: CometTable, id: MarketId, feeds: [Address; 2]) -> Loans {
        let mut prices = Prices::new(PriceLimits { feeds: 4, nodes: 2, prices: 2, leaves: 2 });
        let mut book = CometBook::new(table, id, self.lenders.comet);
        let used = [
            (Priced::Base, self.lenders.debt),
            (Priced::Asset(self.used), self.lenders.collateral),
        ];
        for ((what, token), proxy) in used.into_iter().zip(feeds) {
            let price = self.ask(&Comet::getPriceCall { feed: proxy });
            let (route, answer) = (Route::Primary, I256::from_raw(price));
            let spec = FeedSpec { proxy, aggregator: proxy, route, weight: 1, answer };
            let feed = prices.add_feed(&spec).expect("room");
            let node = prices.add_node(Node::Feed(feed)).expect("room");
            let priced = prices.add_price(Some(node), 1).expect("room");
            prices.verify(priced, Some(price), 0, &mut |_| ());
            assert_eq!(prices.mark(priced), price::Mark::Modelled);
            book.set_token(what, Some(token), Some(priced));
        }
        Loans::new(prices, vec![Book::Comet(book)], vec![])
    }

    /// What of the market moves, as it is in storage.
    fn totals(&mut self) -> CometTotals {
        let comet = self.lenders.comet;
        let chain = &mut self.market.chain;
        let [indices, sums] = [layout::INDICES, layout::TOTALS].map(|slot| chain.slot(comet, slot));
        let held = |scene: &mut Self, token: Address| scene.market.balance(token, comet);
        let base = self.market.address(self.lenders.debt);
        let totals: Totals = layout::totals(indices, sums, held(self, base));
        let stocks = self.assets.clone().into_iter().map(|token| {
            let total = self.market.chain.slot(comet, layout::collateral_total_slot(token));
            // Nobody has made the tokens that are not used.
            let is_used = token == self.assets[usize::from(self.used)];
            let held = if is_used { held(self, token) } else { 0 };
            (held, layout::amount(total))
        });
        CometTotals { totals, stocks: stocks.collect() }
    }

    fn account(&mut self, owner: Address) -> CometAccount {
        let chain = &mut self.market.chain;
        let word = chain.slot(self.lenders.comet, layout::account_slot(owner));
        let (principal, assets_in) = layout::account(word);
        let slots = self.assets.iter().map(|asset| layout::balance_slot(owner, *asset));
        let balances =
            slots.map(|slot| layout::amount(chain.slot(self.lenders.comet, slot))).collect();
        CometAccount { owner, principal, assets_in, balances }
    }

    /// The book follows what a transaction has logged, and is read again where it asks for it.
    fn follow(&mut self, receipt: &Receipt) {
        let at = self.now();
        let comet = self.lenders.comet;
        for log in receipt.logs.iter().filter(|log| log.address == comet) {
            let text = crate::loans_fixture::Written {
                by: log.address,
                topics: log.topics().to_vec(),
                data: log.data.data.to_vec(),
            };
            let loans = &mut self.market.world.loans;
            if let Some(heard) = loans.hear(&text.log(alloy::primitives::B256::ZERO, 0)) {
                loans.apply(&heard, at, &mut |_| ());
            }
        }
        let mut wants = vec![];
        self.market.world.loans.wants(|_, want| wants.push(want));
        let Tip { number, hash, .. } = *self.market.world.tip();
        let mut read = Reread { block: Some(BlockRef { number, hash }), ..Reread::default() };
        for want in wants {
            match want {
                Want::Account(owner) => read.comet_accounts.push((0, self.account(owner))),
                Want::Totals => read.comet_totals.push((0, self.totals())),
                Want::Reserve(_) | Want::Market(_) | Want::Position(..) => panic!("{want:?}"),
            }
        }
        assert!(self.market.world.reread(&read));
        assert!(!self.market.world.loans.is_unread());
        self.market.world.loans.wants(|_, want| panic!("{want:?} was read"));
    }

    /// The time that the world takes the next block for, which is the chain's.
    fn now(&self) -> u64 {
        self.market.world.loan_time()
    }

    fn loan(&self, owner: Address) -> LoanId {
        self.market.world.loans.loan_of(0, None, &owner).expect("it is there")
    }

    fn way(&self) -> Way {
        Way { collateral: self.used.into(), debt: 0 }
    }

    /// A plan that spends so much, and the order in it.
    fn plan(&self, loan: LoanId, paid: u128) -> Option<(Plan, Order)> {
        let Self { market, lenders, pool, .. } = self;
        let (way, size) = (self.way(), Size::Debt(paid));
        let deal = market.world.loans.deal(loan, (way, size), self.now()).ok()?;
        let trade = Trade::new(lenders.collateral, &[*pool], deal.seized);
        let [leg] = market.legs(&trade)[..] else { panic!("one pool") };
        let mut legs = [Leg::NONE; gannet_engine::limits::HOPS_MAX];
        legs[0] = leg;
        let order = Order {
            loan,
            way,
            size,
            debt: lenders.debt,
            collateral: lenders.collateral,
            funding: Funding::Morpho(lenders.morpho),
            paid_most: deal.paid,
            premium: 0,
            exit_count: 1,
        };
        let plan = Plan {
            strategy: gannet_engine::ids::StrategyId(0),
            legs,
            leg_count: 1,
            profit_token: lenders.debt,
            amount_in: deal.paid,
            profit: leg.amount_out.checked_sub(deal.paid)?,
            profit_wei: Wei(0),
            bid: Bid::Share(Bps(0)),
            last_block: BlockNumber(BLOCK),
            order: Some(order),
        };
        Some((plan, order))
    }

    /// Runs the program of a plan, and holds what it pays, gets and gains against the book's.
    fn run(&mut self, loan: LoanId, paid: u128, is_kept: bool) -> Receipt {
        let (plan, order) = self.plan(loan, paid).expect("it pays");
        let world = &self.market.world;
        assert_eq!(order.profit(&plan, world), Some(plan.profit));
        let choice = (order.way, order.size);
        let deal = world.loans.deal(loan, choice, world.loan_time()).expect("it can be bought");
        let program = order.program(&plan, plan.profit, world).expect("it is there");
        let mut data = vec![0; program.packed_bytes()];
        program.write(world, &mut data).expect("it is as long as it says");
        let executor = self.market.executor;
        let before = self.market.held(self.lenders.debt);
        let dear = gannet_engine::sign::liquidation::Liquidation {
            least_profit: plan.profit + 1,
            ..program
        };
        let mut too_dear = vec![0; dear.packed_bytes()];
        dear.write(&self.market.world, &mut too_dear).expect("as long");
        self.market.chain.peek(OPERATOR, executor, too_dear).reverts("BelowMinimumProfit");
        let receipt = if is_kept {
            let receipt = self.market.chain.send(OPERATOR, executor, data);
            assert_eq!(self.market.held(self.lenders.debt), before + plan.profit);
            let reserves = self.market.reserves(self.pool);
            self.market.set_reserves(self.pool, reserves, 3_000);
            receipt
        } else {
            self.market.chain.peek(OPERATOR, executor, data)
        };
        let receipt = receipt.lands();
        let comet = self.lenders.comet;
        let [debt, collateral] =
            [self.lenders.debt, self.lenders.collateral].map(|token| self.market.address(token));
        let moved = |token: Address, from: Address, to: Address| {
            let logs = receipt.logs.iter().filter(|log| log.address == token);
            let events = logs.filter_map(|log| Erc20::Transfer::decode_log(log).ok());
            let of = events.filter(|event| (event.from, event.to) == (from, to));
            of.map(|event| event.amount.to::<u128>()).collect::<Vec<_>>()
        };
        assert_eq!(moved(debt, executor, comet), [deal.paid]);
        assert_eq!(moved(collateral, comet, executor), [deal.seized]);
        receipt
    }

    /// Amounts of all sizes up to all that can be bought, each run and taken back; and one more
    /// than all, which nobody sells.
    fn each_amount(&mut self, loan: LoanId) -> u128 {
        let at = self.now();
        let sizes = self.market.world.loans.sizes(loan, self.way(), at).expect("it sells");
        let Size::Debt(most) = sizes.most else { panic!("base tokens are paid") };
        assert!(sizes.pays_exactly && sizes.part_most == most && sizes.whole_least.is_none());
        let mut random = Random(SEED);
        let mut amounts = vec![most, most - 1, most / 2];
        amounts.extend((0..AMOUNTS).map(|_| random.share(most - 1) + 1));
        let mut ran = 0;
        for amount in amounts {
            if self.plan(loan, amount).is_some_and(|(plan, _)| plan.profit > 0) {
                self.run(loan, amount, false);
                ran += 1;
            }
        }
        println!("comet book: {ran} amounts of {most} at most");
        assert!(ran > AMOUNTS / 2, "{ran}");
        let more = (self.way(), Size::Debt(most + 1));
        let refused = self.market.world.loans.deal(loan, more, at);
        assert_eq!(refused, Err(Fault::NoLiquidity));
        most
    }
}

#[test]
fn an_absorption_and_then_the_shop_gain_what_the_book_says_to_the_unit() {
    let Some(mut scene) = Scene::new() else { return };
    let at = scene.now();
    scene.market.chain.set_time(at);
    let (borrower, shop) = (scene.loan(BORROWER), scene.loan(Address::ZERO));
    let is_liquidatable =
        |scene: &Scene, loan| scene.market.world.loans.is_liquidatable(loan, scene.now());
    assert_eq!(is_liquidatable(&scene, borrower), Ok(true));
    assert_eq!(is_liquidatable(&scene, shop), Ok(false), "it has nothing yet");
    let most = scene.each_amount(borrower);
    assert!(most > DEBT / 2, "the collateral is worth more than the debt");

    // A part is bought with the absorption; the rest is the shop's.
    let receipt = scene.run(borrower, most / 3, true);
    scene.follow(&receipt);
    assert_eq!(is_liquidatable(&scene, borrower), Ok(false));
    assert_eq!(is_liquidatable(&scene, shop), Ok(true));
    let rest = scene.each_amount(shop);
    assert!(rest < most && rest > most / 2, "{rest} of {most}");
    let receipt = scene.run(shop, rest / 2, true);
    scene.follow(&receipt);
    let last = scene.each_amount(shop);
    let receipt = scene.run(shop, last, true);
    scene.follow(&receipt);
    // What is left is less than a unit of the base token buys.
    let world = &scene.market.world;
    let sizes = world.loans.sizes(shop, scene.way(), scene.now()).expect("it sells");
    assert_eq!(sizes.most, Size::Debt(0));
    let Book::Comet(book) = &world.loans.books()[0] else { panic!("Compound's") };
    let (_, assets) = book.table.market(book.market()).expect("it is read");
    let sold = assets[usize::from(scene.used)];
    assert!(sold.total == 0 && sold.held < COLLATERAL / 1_000_000_000, "{sold:?}");
}

#[test]
fn what_somebody_else_has_absorbed_is_the_shops() {
    let Some(mut scene) = Scene::new() else { return };
    let at = scene.now();
    scene.market.chain.set_time(at);
    let accounts = vec![BORROWER];
    let call = Comet::absorbCall { absorber: STRANGER, accounts }.abi_encode();
    let receipt = scene.market.chain.send(STRANGER, scene.lenders.comet, call).lands();
    scene.follow(&receipt);
    let (borrower, shop) = (scene.loan(BORROWER), scene.loan(Address::ZERO));
    let loans = &scene.market.world.loans;
    assert_eq!(loans.is_liquidatable(borrower, at), Ok(false));
    assert_eq!(loans.is_liquidatable(shop, at), Ok(true));
    let most = scene.each_amount(shop);
    let receipt = scene.run(shop, most, true);
    scene.follow(&receipt);
    assert_eq!(scene.market.world.loans.is_liquidatable(shop, at), Ok(false));
}

/// At prices around the border, and as interest accrues, the book says who can be absorbed just as
/// the market does in a block of that time, whether or not anybody has touched it.
#[test]
fn the_book_and_the_market_agree_who_can_be_absorbed_to_the_second() {
    let Some(mut scene) = Scene::new() else { return };
    let mut random = Random(SEED ^ 7);
    let mut counts = [0_u32; 2];
    let start = scene.now();
    let snapshot = scene.market.chain.snapshot();
    for round in 0..400 {
        scene.market.chain.restore(&snapshot);
        // 15,000 are owed for ten, which count for 83 to 90 per cent.
        let price = 1_600 + u64::try_from(random.below(220)).expect("small");
        scene.lenders.set_price(&mut scene.market, price);
        let later = SECONDS * (1 + u64::try_from(random.below(3_000_000)).expect("small"));
        scene.lend();
        let loan = scene.loan(BORROWER);
        let at = start + later;
        scene.market.chain.set_time(at);
        let ours = scene.market.world.loans.is_liquidatable(loan, at).expect("it is known");
        let touch = Comet::accrueAccountCall { account: STRANGER }.abi_encode();
        scene.market.chain.send(STRANGER, scene.lenders.comet, touch).lands();
        let theirs = scene.ask(&Comet::isLiquidatableCall { account: BORROWER });
        assert_eq!(ours, theirs, "round {round}: {price} after {later} seconds");
        counts[usize::from(ours)] += 1;
    }
    println!("comet book: {counts:?} healthy and not");
    assert!(counts.iter().all(|count| *count > 40), "{counts:?}");
}
