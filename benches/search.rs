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
use gannet_engine::ids::PoolId;
use gannet_engine::search::{SearchLimits, Searcher};
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
        PoolId(u32::try_from(place).expect("a pool id is a u32"))
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
                    scene.pools.set_state(*pool, *state);
                    black_box(scene.update(*pool))
                });
            });
        }
    }
    group.finish();
}

/// The time of each of many single updates: its quantiles are what the mean does not say.
fn quantiles(criterion: &mut Criterion) {
    let _ = criterion;
    for size in SIZES {
        let built = Instant::now();
        let mut scene = Scene::new(size);
        println!("{size} pools: built in {:?} (with the universe)", built.elapsed());
        let graph = gannet_engine::search::cycles::Graph::of(&scene.pools, &BASES, NATIVE, 4);
        let built = Instant::now();
        let tables = gannet_engine::search::Tables::build(&graph);
        println!("  tables {:?}, pairs {}, hubs {}, paths {}, dropped {}", built.elapsed(), tables.index().pair_count(), tables.index().hub_count(), tables.index().path_count(), tables.index().dropped());
        drop(tables);
        let mut times = Vec::new();
        let mut total_found = 0;
        for _ in 0..50_000 {
            let pool = scene.any_pool();
            let (pool, state) = scene.next(pool);
            scene.pools.set_state(pool, state);
            let start = Instant::now();
            total_found += scene.update(pool);
            times.push((start.elapsed(), pool));
        }
        report("any", &mut times);
        println!("  found {total_found} counts {:?}", scene.searcher.counts());
        for hub in [[0, 1], [0, 2], [1, 2], [0, 3], [0, 4], [1, 3], [0, 7]] {
            let hubs = scene.sketch.pools_of(gannet_engine::ids::TokenId(hub[0]), gannet_engine::ids::TokenId(hub[1]));
            if hubs.is_empty() { continue }
            let before = *scene.searcher.counts();
            let mut times = Vec::new();
            for turn in 0..2_000 {
                let (pool, state) = scene.next(hubs[turn % hubs.len()]);
                scene.pools.set_state(pool, state);
                let start = Instant::now();
                black_box(scene.update(pool));
                times.push((start.elapsed(), pool));
            }
            report(&format!("hub {hub:?} ({} pools)", hubs.len()), &mut times);
            let after = *scene.searcher.counts();
            println!("    outvalued {} expanded {} skipped {} sized {}", after.outvalued - before.outvalued, after.expanded - before.expanded, after.skipped - before.skipped, after.sized - before.sized);
        }
    }
}

fn report(what: &str, times: &mut [(Duration, PoolId)]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0;
    println!("  {what}: p50 {:?} p90 {:?} p99 {:?} p99.9 {:?} max {:?}", at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
}

criterion_group!(benches, searches, quantiles);
criterion_main!(benches);
