//! One pool moves: prices are brought up to date, and the cycles through it are searched.
//!
//! That is what a strategy does between the log that moved a pool and the plan that answers it,
//! over universes of mainnet's shape (see [`universe`]). Two cases: a pool as pools are on average
//! (most trade a token that has one or two), and a pool of the two largest hubs, through which half
//! of all cycles lead. The pool's state moves with each turn, within its fee, as traders leave it.
//!
//! Temperature: cold.

mod universe;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gannet_engine::amm::Pool;
use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::search::cycles::Graph;
use gannet_engine::search::{SearchLimits, Searcher, Tables};
use gannet_engine::units::Wei;
use gannet_engine::world::pools::PoolTable;

use universe::{BASES, Chance, NATIVE, Sketch};

const SIZES: [usize; 3] = [1_000, 10_000, 50_000];
/// What a cycle must be worth, in wei: less does not pay the gas of two swaps at 2 gwei.
const WORTH_LEAST: Wei = Wei(300_000_000_000_000);

/// A searcher over a universe, and pools to move.
struct Scene {
    sketch: Sketch,
    pools: PoolTable,
    searcher: Searcher,
    chance: Chance,
}

impl Scene {
    fn new(pool_count: usize) -> Self {
        let sketch = Sketch::new(7, pool_count);
        let pools = sketch.table();
        let searcher = Searcher::new(&pools, &BASES, NATIVE, 4);
        Self { sketch, pools, searcher, chance: Chance(11) }
    }

    fn any_pool(&mut self) -> PoolId {
        let place = self.chance.below(self.sketch.len() as u64);
        PoolId(u32::try_from(place).unwrap_or(0))
    }

    /// A pool and the state that it moves to.
    fn next(&mut self, pool: PoolId) -> (PoolId, Pool) {
        (pool, self.sketch.next_state(pool))
    }

    /// What is measured: the pool's new state is in the table.
    fn update(&mut self, pool: PoolId) -> u32 {
        self.searcher.refresh(&self.pools, &[pool]);
        let limits = SearchLimits { worth_least: WORTH_LEAST, ..SearchLimits::NONE };
        let mut found = 0;
        self.searcher.search(&self.pools, &[pool], &limits, &mut |_| found += 1);
        found
    }
}

fn searches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    for size in SIZES {
        let mut scene = Scene::new(size);
        let hub = scene.sketch.pools_of(BASES[0], BASES[1])[0];
        for case in ["any pool", "hub pool"] {
            let mut moves: Vec<(PoolId, Pool)> = Vec::new();
            for _ in 0..1_024 {
                let pool = if case == "any pool" { scene.any_pool() } else { hub };
                let moved = scene.next(pool);
                moves.push(moved);
            }
            let mut next = moves.iter().cycle();
            group.bench_function(BenchmarkId::new(case, size), |bencher| {
                bencher.iter(|| {
                    let Some((pool, state)) = next.next() else { return 0 };
                    scene.pools.entry_mut(*pool).state = *state;
                    black_box(scene.update(*pool))
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
    for size in SIZES {
        let mut scene = Scene::new(size);
        let start = Instant::now();
        let tables = Tables::build(&Graph::of(&scene.pools, &BASES, NATIVE, 4));
        let index = tables.index();
        let (paths, hubs) = (index.path_count(), index.hub_count());
        println!("{size} pools: tables in {:?}, {paths} paths, {hubs} hubs", start.elapsed());
        let any: Vec<_> = (0..50_000).map(|_| scene.any_pool()).collect();
        scene.time("any pool", &any);
        for hubs in [[0, 1], [0, 2], [1, 2], [0, 7]] {
            let [first, second] = hubs.map(TokenId);
            let pools = scene.sketch.pools_of(first, second);
            let turns: Vec<_> = pools.iter().copied().cycle().take(2_000).collect();
            scene.time(&format!("pools of hubs {hubs:?}"), &turns);
        }
    }
}

impl Scene {
    /// Prints the quantiles of one update each, and what was done in all of them.
    fn time(&mut self, what: &str, turns: &[PoolId]) {
        let mut times: Vec<Duration> = Vec::with_capacity(turns.len());
        let before = *self.searcher.counts();
        for pool in turns {
            let (pool, state) = self.next(*pool);
            self.pools.entry_mut(pool).state = state;
            let start = Instant::now();
            black_box(self.update(pool));
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100);
        println!("  {what}: p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
        println!("    before {before:?}\n    after {:?}", self.searcher.counts());
    }
}

criterion_group!(benches, searches, quantiles);
criterion_main!(benches);
