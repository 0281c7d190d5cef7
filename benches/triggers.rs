//! An oracle update over 100,000 positions of three lending protocols: which of them it makes
//! liquidatable.
//!
//! A time is that of one update of the feed that most positions rest on, from the answer that is
//! set to the last position that is handed out, each recomputed exactly and watched again if it is
//! healthy. Cases: an update that makes none, ten and a thousand liquidatable, and a look at all
//! positions, exactly and behind a screen of floats. Afterwards all is as it was, unmeasured.
//!
//! The positions are made from a seed, in the shape of the protocols: pools where an account is one
//! health over up to six assets, markets with one debt and up to four collaterals, and isolated
//! pairs with a price of their own. Their arithmetic is of the same cost as the protocols'
//! ([`Health`]): balances from shares by an index, values by a price, everything rounded by hand.
//!
//! Temperature: cold.

#![expect(clippy::expect_used, reason = "what cannot be made cannot be measured")]

#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use alloy_primitives::{Address, I256, U256};
use gannet_engine::lending::math::{Fault, RAY, WAD, mul_div_down, mul_div_half_up, mul_div_up};
use gannet_engine::lending::price::{FeedId, FeedSpec, Node, PriceId, PriceLimits, Prices};
use gannet_engine::lending::screen::{Screen, float_of};
use gannet_engine::lending::transmission::Route;
use gannet_engine::lending::trigger::watch::share_of;
use gannet_engine::lending::trigger::{Budget, Hits, Side, TriggerIndex, TriggerLimits, Watch};
use serde_json::json;

use self::measure::{Options, Times, title};

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its contract")]
// SAFETY: every call is passed on as it came; counting needs no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const NOW: u64 = 1_800_000_000;
/// A watch's length, in seconds.
const VALID_SECONDS: u64 = 600;
const FEEDS: u64 = 40;
/// The feed that moves, as ether's does.
const MOVED: FeedId = FeedId(0);
/// Feeds that hardly move, as those of stable coins.
const STABLE: std::ops::Range<u64> = 30..40;
const ASSETS_MAX: usize = 6;

/// What a position has of an asset, or owes.
#[derive(Clone, Copy)]
struct Holding {
    price: PriceId,
    side: Side,
    /// Ten-thousandths that count as support.
    threshold: u64,
    shares: U256,
}

#[derive(Clone, Copy)]
enum Protocol {
    Pool,
    Market,
    Isolated,
}

#[derive(Clone, Copy)]
struct Account {
    protocol: Protocol,
    holdings: [Holding; ASSETS_MAX],
    count: usize,
}

impl Account {
    fn holdings(&self) -> &[Holding] {
        self.holdings.get(..self.count).unwrap_or(&self.holdings)
    }
}

/// How a protocol sees an account: what its collateral supports and what it owes, in one unit.
trait Health {
    fn balance(
        &self,
        account: &Account,
        price: impl Fn(PriceId) -> Result<U256, Fault>,
    ) -> Result<[U256; 2], Fault>;
}

/// The three protocols, with their indices as they are now.
struct Book {
    /// Of supplies and of debts, 27 decimals.
    pool: [U256; 2],
    /// Of debts, 15 decimals.
    market: U256,
    /// All debts, and all their shares.
    isolated: [U256; 2],
}

impl Health for Book {
    #[inline]
    fn balance(
        &self,
        account: &Account,
        price: impl Fn(PriceId) -> Result<U256, Fault>,
    ) -> Result<[U256; 2], Fault> {
        let mut sums = [U256::ZERO; 2];
        for held in account.holdings() {
            let (price, is_debt) = (price(held.price)?, held.side == Side::Debt);
            let value = match (account.protocol, held.side) {
                (Protocol::Pool, side) => {
                    let amount = mul_div_half_up(held.shares, self.pool[side as usize], RAY)?;
                    mul_div_down(amount, price, WAD)?
                }
                (Protocol::Market, Side::Debt) => {
                    let amount = mul_div_up(held.shares, self.market, U256::from(10_u64.pow(15)))?;
                    mul_div_down(amount, price, WAD)?
                }
                (Protocol::Isolated, Side::Debt) => {
                    mul_div_up(held.shares, self.isolated[0], self.isolated[1])?
                }
                (Protocol::Market | Protocol::Isolated, Side::Collateral) => {
                    mul_div_down(held.shares, price, WAD)?
                }
            };
            let weighted = value.checked_mul(U256::from(held.threshold)).ok_or(Fault::Overflow)?;
            let sum = &mut sums[usize::from(is_debt)];
            *sum = sum.checked_add(weighted).ok_or(Fault::Overflow)?;
        }
        Ok(sums)
    }
}

/// Random numbers from a seed.
struct Chance(u64);

impl Chance {
    const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

struct Scene {
    prices: Prices,
    /// By feed: dollars; and of the feed that moves in each stable one.
    dollars: Vec<PriceId>,
    pairs: Vec<PriceId>,
    book: Book,
    accounts: Vec<Account>,
    index: TriggerIndex,
    screen: Screen,
    hits: Hits,
}

fn prices_of() -> (Prices, Vec<PriceId>, Vec<PriceId>) {
    let limits = PriceLimits { feeds: 256, nodes: 256, prices: 128, leaves: 512 };
    let mut prices = Prices::new(limits);
    let mut leaves = vec![];
    for number in 0..FEEDS {
        let (weight, dollars) = if STABLE.contains(&number) { (1, 1) } else { (16, 40 + number) };
        let spec = FeedSpec {
            proxy: Address::ZERO,
            aggregator: Address::with_last_byte(u8::try_from(number).expect("few") + 1),
            route: Route::Primary,
            weight,
            answer: I256::try_from(dollars * 100_000_000).expect("small"),
        };
        let feed = prices.add_feed(&spec).expect("there is room");
        leaves.push(prices.add_node(Node::Feed(feed)).expect("there is room"));
    }
    let price = |prices: &mut Prices, node| prices.add_price(Some(node), 16).expect("room");
    let dollars = leaves.iter().map(|leaf| price(&mut prices, *leaf)).collect();
    let mut pairs = vec![];
    for number in STABLE {
        let quote = leaves[usize::try_from(number).expect("few")];
        let node = prices.add_node(Node::Market {
            scale: WAD,
            base: [None, Some(leaves[MOVED.index()]), None],
            quote: [None, Some(quote), None],
        });
        pairs.push(price(&mut prices, node.expect("there is room")));
    }
    (prices, dollars, pairs)
}

impl Scene {
    fn new(count: u32) -> Self {
        let (prices, dollars, pairs) = prices_of();
        let positions = count as usize;
        let limits = TriggerLimits { positions, feeds: 256, terms: positions * 8 };
        let book = Book {
            pool: [RAY + RAY / U256::from(20), RAY + RAY / U256::from(9)],
            market: U256::from(1_090_005_449_060_904_u64),
            isolated: [U256::from(10_u128.pow(25)), U256::from(9 * 10_u128.pow(30))],
        };
        let mut scene = Self {
            prices,
            dollars,
            pairs,
            book,
            accounts: vec![],
            index: TriggerIndex::new(limits),
            screen: Screen::new(positions, ASSETS_MAX),
            hits: Hits::new(positions),
        };
        let mut chance = Chance(5);
        for position in 0..count {
            let account = scene.account(&mut chance, position);
            scene.accounts.push(account);
            scene.put_on_screen(position);
            assert!(scene.look(position), "everybody is healthy at first");
        }
        scene
    }

    /// Some position: of three protocols in turn, and from half a per cent away to far away.
    fn account(&self, chance: &mut Chance, position: u32) -> Account {
        let place = |number: u64| usize::try_from(number).expect("few");
        let stable = STABLE.start + chance.below(STABLE.end - STABLE.start);
        let pair = self.pairs[place(stable - STABLE.start)];
        let any = |chance: &mut Chance| {
            // Half of all collateral is of the feed that moves.
            let feed = if chance.below(2) == 0 { 0 } else { chance.below(STABLE.start) };
            self.dollars[place(feed)]
        };
        let (protocol, collaterals, debts) = match position % 3 {
            0 => (Protocol::Pool, 1 + chance.below(4), 1 + chance.below(2)),
            1 => (Protocol::Market, 1 + chance.below(4), 1),
            _ => (Protocol::Isolated, 1, 1),
        };
        let is_isolated = matches!(protocol, Protocol::Isolated);
        let none =
            Holding { price: pair, side: Side::Collateral, threshold: 10_000, shares: U256::ZERO };
        let mut account =
            Account { protocol, holdings: [none; ASSETS_MAX], count: place(collaterals) };
        for held in account.holdings.iter_mut().take(place(collaterals)) {
            held.price = if is_isolated { pair } else { any(chance) };
            held.threshold = 7_500 + chance.below(2_000);
            held.shares = U256::from(10_u128.pow(18)) * U256::from(1 + chance.below(1_000));
        }
        let [support, _] = self.balance(&account).expect("there are prices");
        let share = U256::from(995_000 - chance.below(800_000));
        for number in 0..debts {
            let price = if is_isolated { pair } else { self.dollars[place(stable)] };
            let debt = Holding { price, side: Side::Debt, threshold: 10_000, shares: WAD };
            let mut one = Account { protocol, holdings: [debt; ASSETS_MAX], count: 1 };
            let [_, unit] = self.balance(&one).expect("there are prices");
            let owed = support / U256::from(debts) * share / U256::from(1_000_000);
            // Of isolated pairs a unit of shares is hardly anything.
            one.holdings[0].shares = owed * WAD / unit.max(U256::ONE);
            account.holdings[place(collaterals + number)] = one.holdings[0];
            account.count += 1;
        }
        account
    }

    #[inline]
    fn balance(&self, account: &Account) -> Result<[U256; 2], Fault> {
        self.book.balance(account, |price| self.prices.value(price, NOW))
    }

    /// Keeps a position for [`Self::screened`], by what a unit of each price is worth to it.
    fn put_on_screen(&mut self, position: u32) {
        let account = &self.accounts[position as usize];
        let unpriced = self.unpriced();
        let worth = |held: &Holding| {
            let mut alone = Account { count: 1, ..*account };
            alone.holdings[0] = *held;
            // A large price, so that the value is exact to many digits.
            let price = U256::from(10_u128.pow(30));
            let [support, debt] = self.book.balance(&alone, |_| Ok(price)).expect("it fits");
            let value = float_of(support + debt);
            match (account.protocol, held.side) {
                (Protocol::Isolated, Side::Debt) => (held.side, unpriced, value),
                (Protocol::Pool | Protocol::Market | Protocol::Isolated, side) => {
                    (side, held.price, value / 1e30)
                }
            }
        };
        let holdings = account.holdings().iter().map(worth);
        self.screen.set(position, holdings, 80_000.0);
    }

    /// Stands for a price of one: it is the first that there is not.
    fn unpriced(&self) -> PriceId {
        PriceId(u16::try_from(self.dollars.len() + self.pairs.len()).expect("few"))
    }

    /// All positions: floats choose, and exact arithmetic decides.
    fn screened(&self, floats: &mut Vec<f64>) -> usize {
        floats.clear();
        let count = self.dollars.len() + self.pairs.len();
        let ids = (0..count).filter_map(|id| u16::try_from(id).ok());
        floats.extend(ids.map(|id| self.prices.value(PriceId(id), NOW).map_or(f64::NAN, float_of)));
        // What an isolated pair owes has no price.
        floats.push(1.0);
        let mut unhealthy = 0;
        self.screen.candidates(floats, |position| {
            let balance = self.balance(&self.accounts[position as usize]);
            unhealthy += usize::from(balance.is_ok_and(|[support, debt]| support < debt));
        });
        unhealthy
    }

    /// Recomputes a position, and watches it if it is healthy; whether it is.
    #[inline]
    fn look(&mut self, position: u32) -> bool {
        let account = &self.accounts[position as usize];
        let Ok([support, debt]) = self.balance(account) else { return false };
        if support < debt {
            return false;
        }
        let mut watch = Watch::new();
        let mut rounding = 0;
        for held in account.holdings() {
            let leaves = self.prices.leaves(held.price);
            // What an isolated pair owes is in the unit of its price.
            if !matches!((account.protocol, held.side), (Protocol::Isolated, Side::Debt)) {
                watch.add(held.side, leaves, |feed| {
                    let feed = self.prices.feed(feed);
                    (feed.weight, feed.price().unwrap_or_default())
                });
                rounding = self.prices.rounding(held.price, NOW).unwrap_or(u64::MAX).max(rounding);
            }
        }
        // A tenth a year is a little more than two millionths in the watch's time.
        let debt = debt + debt / U256::from(400_000);
        let errors = U256::from(80_000) + share_of(rounding, support) + share_of(rounding, debt);
        let until = NOW + VALID_SECONDS;
        let Some(budget) = Budget::new(support, debt, errors) else { return true };
        self.index.set(position, &watch, budget, until).is_ok()
    }

    /// The feed answers something else: how many positions this makes liquidatable.
    #[inline]
    fn update(&mut self, answer: U256) -> usize {
        self.prices.set_answer(MOVED, I256::from_raw(answer), &mut |_| ());
        assert!(self.index.moved(MOVED, answer, &mut self.hits), "there is room for all");
        let mut unhealthy = 0;
        for place in 0..self.hits.as_slice().len() {
            let position = self.hits.as_slice()[place];
            unhealthy += usize::from(!self.look(position));
        }
        unhealthy
    }

    /// Everything is as it was at `answer`; how many were handed out since.
    fn restore(&mut self, answer: U256) -> usize {
        let count = self.hits.as_slice().len();
        self.prices.set_answer(MOVED, I256::from_raw(answer), &mut |_| ());
        assert!(self.index.moved(MOVED, answer, &mut self.hits), "there is room for all");
        for place in 0..self.hits.as_slice().len() {
            let position = self.hits.as_slice()[place];
            self.look(position);
        }
        self.hits.clear();
        count
    }

    /// All positions, one by one: how many are liquidatable.
    fn recheck(&self, values: &mut Vec<Result<U256, Fault>>) -> usize {
        values.clear();
        let count = self.dollars.len() + self.pairs.len();
        let ids = (0..count).filter_map(|id| u16::try_from(id).ok());
        values.extend(ids.map(|id| self.prices.value(PriceId(id), NOW)));
        let value = |price: PriceId| values[price.index()];
        let is_bad = |account: &&Account| {
            self.book.balance(account, value).is_ok_and(|[support, debt]| support < debt)
        };
        self.accounts.iter().filter(is_bad).count()
    }

    /// The highest answer at which `wanted` positions are liquidatable, or a few more.
    fn answer_for(&mut self, wanted: usize, from: U256) -> U256 {
        let mut values = Vec::with_capacity(256);
        let (mut low, mut high) = (from / U256::from(2), from);
        while high - low > U256::ONE {
            let middle = (low + high) / U256::from(2);
            self.prices.set_answer(MOVED, I256::from_raw(middle), &mut |_| ());
            let is_enough = self.recheck(&mut values) >= wanted;
            *(if is_enough { &mut low } else { &mut high }) = middle;
        }
        self.prices.set_answer(MOVED, I256::from_raw(from), &mut |_| ());
        low
    }
}

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn measure(options: &Options) -> Result<(), String> {
    let count = options.pick(2_000, 100_000, 100_000);
    let mut scene = Scene::new(count);
    let bytes = scene.index.bytes();
    println!("{count} positions, index of {} KiB", bytes / 1_024);
    let from = scene.prices.feed(MOVED).price().expect("it has an answer");
    let mut section = BTreeMap::from([("bytes", json!(bytes))]);
    println!("{}", title("an update makes"));
    let turns = options.pick(2, 200, 1_000);
    let mut allocated = 0;
    for (name, wanted) in [("none", 0), ("ten", 10), ("thousand", 1_000)] {
        let wanted = wanted.min(count as usize / 20);
        // None: a tenth of a per cent, as a feed of ether moves.
        let answer = match wanted {
            0 => from - from / U256::from(1_000),
            wanted => scene.answer_for(wanted, from),
        };
        let (mut times, mut found, mut looked) = (Times::new(), 0, 0);
        for _ in 0..turns {
            let before = allocations();
            let start = Instant::now();
            found = black_box(scene.update(black_box(answer)));
            times.add(start.elapsed());
            allocated += allocations() - before;
            looked = scene.restore(from);
        }
        println!("{}  {found} liquidatable, {looked} recomputed", times.line(name));
        section.insert(name, times.to_json(&["p50_ns", "p99_ns"]));
    }
    let (mut values, mut floats) = (Vec::with_capacity(256), Vec::with_capacity(256));
    let (mut exactly, mut screened) = (Times::new(), Times::new());
    for turn in 0..options.pick(2, 20, 100) {
        // At rest, and with a thousand to be found.
        let answer = if turn % 2 == 0 { from } else { from - from / U256::from(50) };
        scene.prices.set_answer(MOVED, I256::from_raw(answer), &mut |_| ());
        let start = Instant::now();
        let found = black_box(scene.recheck(&mut values));
        exactly.add(start.elapsed());
        let before = allocations();
        let start = Instant::now();
        let chosen = black_box(scene.screened(&mut floats));
        screened.add(start.elapsed());
        allocated += allocations() - before;
        if found != chosen {
            return Err(format!("{found} are liquidatable, and the screen says {chosen}"));
        }
    }
    println!("{}", exactly.line("all, exactly"));
    println!("{}  {} KiB", screened.line("all, screened"), scene.screen.bytes() / 1_024);
    section.insert("all_exactly", exactly.to_json(&["p50_ns", "p99_ns"]));
    section.insert("all_screened", screened.to_json(&["p50_ns", "p99_ns"]));
    println!("allocations: {allocated}");
    section.insert("allocations", json!(allocated));
    options.put("triggers", json!(section))
}

fn main() -> ExitCode {
    measure::main(measure)
}
