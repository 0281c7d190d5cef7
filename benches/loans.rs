//! An oracle update over 100,000 borrowers of Aave V3, Morpho Blue and Compound III: whom it makes
//! liquidatable.
//!
//! | case | what is measured |
//! |---|---|
//! | `pending` | a pending update is applied, and whoever it strikes is found, exactly |
//! | `decided` | as `pending`, until those of them are sized that owe most, and plans are made |
//! | `sealed` | the same of a block's update; nobody is watched anew before plans are sent |
//! | `several` | as `pending`, of updates of eight feeds that one transaction brings |
//! | `all, exactly` | every borrower, one by one |
//! | `all, anew` | the same, and everybody is watched anew, as after a gap |
//!
//! Updates are of the feed that most borrowers depend on, or of it and seven others, and make none,
//! ten and a thousand liquidatable. The borrowers are made from a seed, in the engine's own books:
//! accounts of Aave's with up to six assets of forty, in ten markets of Morpho's, and in a Comet
//! with four kinds of collateral. Afterwards all is as it was, unmeasured.
//!
//! Temperature: cold.

#![expect(clippy::expect_used, reason = "what cannot be made cannot be measured")]

mod borrowers;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod stage;
#[expect(dead_code, reason = "not all of it is wanted here")]
mod universe;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use gannet_engine::ids::LoanId;
use gannet_engine::lending::price::{Answered, FeedId};
use gannet_engine::lending::transmission::Route as Via;
use gannet_engine::loans::Heard;
use gannet_engine::loans::pending::Pending;
use gannet_engine::loans::source::Report;
use gannet_engine::plan::{Follow, Plans};
use gannet_engine::risk::Risk;
use gannet_engine::strategy::{Ctx, Strategy};
use gannet_engine::target::{Route, Target};
use gannet_engine::units::Wei;
use gannet_engine::world::World;
use gannet_strategies::liquidation::{Config, Liquidation, Watchlist};
use serde_json::{Map, json};

use self::borrowers::{MOVED, WAD, aggregator, borrowers, first_answer, signed};
use self::measure::{Options, Times, title};
use self::stage::GWEI;
use self::universe::Market;

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its contract")]
// SAFETY: every call is passed on as it came; counting needs no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Pools of the universe: collateral is worth something in them, no more is asked of them here.
const POOLS: usize = 1_000;
/// A world with borrowers, and who is watched.
struct Scene {
    world: World,
    watchlist: Watchlist,
    strategy: Liquidation,
    risk: Risk,
    plans: Plans,
    count: u32,
    round: u32,
    loan_bytes: usize,
    list_bytes: usize,
}

impl Scene {
    fn new(count: u32) -> Self {
        let mut world = stage::world(&Market::new(1, POOLS));
        let now = world.loan_time();
        let before = BYTES.load(Ordering::Relaxed);
        drop(world.lend(borrowers(count, now)));
        let lent = BYTES.load(Ordering::Relaxed);
        let mut watchlist = Watchlist::of(&world);
        let listed = BYTES.load(Ordering::Relaxed);
        watchlist.sealed(&world);
        world.loans.clear_touched();
        watchlist.settle(&world);
        assert!(watchlist.struck().is_empty(), "everybody is healthy at first");
        let (loan_bytes, list_bytes) = (lent - before, listed - lent);
        let mut strategy = Liquidation::new(Config::default());
        strategy.init(&world).expect("there are loans");
        let mut plans = Plans::default();
        world.loans.touch_all();
        let risk = stage::risk(Vec::new());
        strategy.on_block(&Ctx { world: &world, touched: &[], risk: &risk }, &mut plans);
        world.loans.clear_touched();
        strategy.after_block(&world);
        let round = 0;
        Self { world, watchlist, strategy, risk, plans, count, round, loan_bytes, list_bytes }
    }

    /// Pending transmissions of these answers, in turn, and whom they strike; or what is planned.
    fn pending(&mut self, targets: &[Target], is_decided: bool) -> (Duration, usize) {
        let Self { world, watchlist, strategy, risk, plans, .. } = self;
        plans.clear();
        let start = Instant::now();
        world.suppose_nothing();
        let mut first = None;
        for target in targets {
            let mark = world.apply_next_target(black_box(target)).expect("it could land");
            first.get_or_insert(mark);
        }
        let found = if is_decided {
            let behind = targets.last().expect("there is one");
            strategy.on_pending(&Ctx { world, touched: &[], risk }, behind, plans);
            plans.len()
        } else {
            watchlist.supposed(world);
            watchlist.struck().len()
        };
        let took = start.elapsed();
        black_box(found);
        world.take_back(first.expect("there is one")).expect("a handful of changes");
        (took, found)
    }

    /// Answers of a sealed block, and whom they strike.
    fn sealed(&mut self, answers: &[U256]) -> (Duration, usize) {
        let Self { world, watchlist, round, .. } = self;
        *round += 1;
        let start = Instant::now();
        let at = world.loan_time();
        for (feed, answer) in (0_u8..).zip(answers) {
            let (aggregator, answer) = (aggregator(feed), signed(*answer));
            let heard = Heard::Feed(Answered { aggregator, answer, round: *round });
            world.loans.apply(black_box(&heard), at, &mut drop);
        }
        watchlist.sealed(world);
        let took = start.elapsed();
        let found = black_box(watchlist.struck().len());
        world.loans.clear_touched();
        watchlist.settle(world);
        (took, found)
    }

    /// Everybody, one by one.
    fn all(&self) -> usize {
        let at = self.world.loan_time();
        let can = |loan: &u32| self.world.loans.is_liquidatable(LoanId(*loan), at) == Ok(true);
        (0..self.count).filter(can).count()
    }

    /// Everybody, who is watched anew.
    fn all_anew(&mut self) -> Duration {
        self.world.loans.touch_all();
        let start = Instant::now();
        self.watchlist.sealed(&self.world);
        self.watchlist.settle(&self.world);
        let took = start.elapsed();
        self.world.loans.clear_touched();
        took
    }

    fn set(&mut self, answers: &[U256]) {
        for (feed, answer) in (0_u16..).zip(answers) {
            self.world.loans.prices.set_answer(FeedId(feed), signed(*answer), &mut drop);
        }
    }

    /// The highest answers at which `wanted` are liquidatable, or a few more: all fall alike.
    fn answers_for(&mut self, wanted: usize, feeds: u8) -> Vec<U256> {
        let first: Vec<U256> = (0..feeds).map(|feed| U256::from(first_answer(feed))).collect();
        let fallen = |parts: u64| {
            let fall = |answer: &U256| answer * U256::from(WAD - parts) / U256::from(WAD);
            first.iter().map(fall).collect::<Vec<U256>>()
        };
        if wanted == 0 {
            // A tenth of a per cent, as a feed of ether moves.
            return fallen(WAD / 1_000);
        }
        let (mut low, mut high) = (0, WAD / 2);
        while high - low > 1_000_000 {
            let middle = low.midpoint(high);
            self.set(&fallen(middle));
            let is_enough = self.all() >= wanted;
            *(if is_enough { &mut high } else { &mut low }) = middle;
        }
        self.set(&first);
        fallen(high)
    }
}

/// Pending transmissions of these answers.
fn targets(answers: &[U256]) -> Vec<Target> {
    let follow =
        Follow { hash: B256::repeat_byte(1), max_fee: Wei(1_000 * GWEI), priority_fee: Wei(GWEI) };
    let target = |(source, answer): (u16, &U256)| {
        let report = Report { source, route: Via::Primary, answer: signed(*answer), age: 1 };
        let route = Route::of_loans(Pending::Report(report));
        Target { follow, sender: Address::ZERO, nonce: 0, route }
    };
    (0_u16..).zip(answers).map(target).collect()
}

fn measure(options: &Options) -> Result<(), String> {
    let count = options.pick(3_000, 100_000, 100_000);
    let mut scene = Scene::new(count);
    let kib = |bytes: usize| bytes / 1_024;
    let (loans, list) = (kib(scene.loan_bytes), kib(scene.list_bytes));
    println!("{count} borrowers: {loans} KiB, and who is watched {list} KiB");
    println!("{}", title("liquidatable"));
    let mut cases = Map::new();
    let turns = options.pick(10, 200, 1_000);
    let mut allocated = 0;
    let mut tell = |name: &str, times: &Times, found: usize| {
        println!("{}  {found} found", times.line(name));
        cases.insert(name.to_owned(), times.to_json(&["p50_ns", "p99_ns"]));
    };
    for (words, wanted) in [("none", 0), ("ten", 10), ("thousand", 1_000)] {
        let wanted = wanted.min(count as usize / 20);
        let kinds = [("pending", 1), ("decided", 1), ("several", MOVED), ("sealed", 1)];
        for (kind, feeds) in kinds {
            let answers = scene.answers_for(wanted, feeds);
            let first: Vec<U256> = (0..feeds).map(|feed| U256::from(first_answer(feed))).collect();
            let targets = targets(&answers);
            let (mut times, mut found) = (Times::new(), 0);
            let turns = if kind == "sealed" { turns / 10 } else { turns };
            for _ in 0..turns {
                if kind == "sealed" {
                    // What all others find in the caches from the turn before, a look at everybody
                    // has pushed out.
                    scene.pending(&targets, false);
                }
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                let (took, count) = match kind {
                    "sealed" => scene.sealed(&answers),
                    kind => scene.pending(&targets, kind == "decided"),
                };
                allocated += ALLOCATIONS.load(Ordering::Relaxed) - before;
                times.add(took);
                found = count;
                if kind == "sealed" {
                    // Whoever was looked at is watched from there on: all are watched as at first.
                    scene.sealed(&first);
                    scene.all_anew();
                }
            }
            if found < wanted && kind != "decided" {
                return Err(format!("{kind}: {found} of {wanted} were found"));
            }
            tell(&format!("{kind} {words}"), &times, found);
        }
    }
    let (mut exactly, mut anew) = (Times::new(), Times::new());
    let mut found = 0;
    for _ in 0..options.pick(2, 20, 50) {
        let start = Instant::now();
        found = black_box(scene.all());
        exactly.add(start.elapsed());
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        anew.add(scene.all_anew());
        allocated += ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    tell("all exactly", &exactly, found);
    tell("all anew", &anew, found);
    println!("allocations: {allocated}");
    options.add("allocations", u64::try_from(allocated).unwrap_or(u64::MAX))?;
    let bytes = scene.loan_bytes + scene.list_bytes;
    options.put("loans", json!({ "borrowers": count, "bytes": bytes, "cases": cases }))
}

fn main() -> ExitCode {
    measure::main(measure)
}
