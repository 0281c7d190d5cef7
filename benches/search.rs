//! One pool moves: prices are brought up to date, and the cycles through it are searched.
//!
//! That is what a strategy does between the log that moved a pool and the plan that answers it,
//! over universes of mainnet's shape (see [`universe`]). Two cases: a pool as pools are on average
//! (most trade a token that has one or two), and a pool of the two largest hubs, through which half
//! of all cycles lead. A turn is a trade of a random size; what it opens is taken before the next.
//!
//! Temperature: cold.

mod universe;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::search::Tables;

use universe::{Chance, Market, graph_of};

/// Pairs whose pools are searched by themselves: of the hubs, and of WETH with a popular token.
const PAIRS: [(&str, [u32; 2]); 4] =
    [("WETH/USDC", [0, 1]), ("WETH/USDT", [0, 2]), ("USDC/USDT", [1, 2]), ("WETH/popular", [0, 5])];

/// A market, and pools to move.
struct Scene {
    market: Market,
    chance: Chance,
}

/// How long one update took, and how many cycles it opened.
type Turn = (Duration, usize);

impl Scene {
    fn new(pool_count: usize) -> Self {
        Self { market: Market::new(7, pool_count), chance: Chance(11) }
    }

    fn any_pool(&mut self) -> PoolId {
        let place = self.chance.below(self.market.sketch.len() as u64);
        PoolId(u32::try_from(place).unwrap_or(0))
    }

    /// A trade, what is measured after it, and the market at rest again.
    fn turn(&mut self, pool: PoolId) -> Turn {
        let Market { sketch, pools, .. } = &mut self.market;
        if let Some(state) = sketch.trade(pools, pool) {
            pools.entry_mut(pool).state = state;
        }
        let start = Instant::now();
        self.market.searcher.refresh(&self.market.pools, &[pool]);
        let (count, first) = black_box(self.market.search(pool));
        let time = start.elapsed();
        if first.is_some() {
            self.market.settle(&mut vec![pool]);
        }
        (time, count)
    }
}

fn searches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    for size in universe::sizes() {
        let mut scene = None;
        for case in ["any pool", "WETH/USDC"] {
            group.bench_function(BenchmarkId::new(case, size), |bencher| {
                let scene = scene.get_or_insert_with(|| Scene::new(size));
                let hubs = scene.market.sketch.pools_of(TokenId(0), TokenId(1));
                bencher.iter_custom(|count| {
                    let mut sum = Duration::ZERO;
                    for turn in 0..count {
                        let hub = usize::try_from(turn).map_or(0, |turn| turn % hubs.len());
                        let pool = if case == "any pool" { scene.any_pool() } else { hubs[hub] };
                        sum += scene.turn(pool).0;
                    }
                    sum
                });
            });
        }
    }
    group.finish();
}

/// The time of each of many single updates: its quantiles are what the mean does not say.
fn quantiles(_criterion: &mut Criterion) {
    // Only when measuring: in test mode each benchmark runs once.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    for size in universe::sizes() {
        let mut scene = Scene::new(size);
        let start = Instant::now();
        let tables = Tables::build(&graph_of(&scene.market.pools));
        let index = tables.index();
        let (paths, hubs) = (index.path_count(), index.hub_count());
        println!("{size} pools: tables in {:?}, {paths} paths, {hubs} hubs", start.elapsed());
        let any: Vec<_> = (0..50_000).map(|_| scene.any_pool()).collect();
        scene.time("any pool", &any);
        for (name, pair) in PAIRS {
            let [first, second] = pair.map(TokenId);
            let pools = scene.market.sketch.pools_of(first, second);
            let turns: Vec<_> = pools.iter().copied().cycle().take(5_000).collect();
            scene.time(&format!("{name}, {} pools", pools.len()), &turns);
        }
    }
}

impl Scene {
    /// Prints the quantiles of one update each: of those that opened nothing, and of the others.
    fn time(&mut self, what: &str, turns: &[PoolId]) {
        let before = self.market.searcher.counts().skipped;
        let turns: Vec<_> = turns.iter().map(|pool| self.turn(*pool)).collect();
        let skipped = self.market.searcher.counts().skipped - before;
        println!("  {what}: {skipped} cycles skipped");
        for (case, is_open) in [("nothing opened", false), ("a gap opened", true)] {
            let turns = turns.iter().filter(|(_, count)| (*count > 0) == is_open);
            let mut times: Vec<_> = turns.map(|(time, _)| *time).collect();
            times.sort_unstable();
            let at = |share: f64| quantile(&times, share).as_nanos();
            let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0));
            println!(
                "    {case}: {} updates, ns: p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}",
                times.len()
            );
        }
    }
}

/// The time below which a share of all are.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list"
)]
fn quantile(times: &[Duration], share: f64) -> Duration {
    let place = (times.len().saturating_sub(1) as f64 * share) as usize;
    times.get(place).copied().unwrap_or_default()
}

criterion_group!(benches, searches, quantiles);
criterion_main!(benches);
