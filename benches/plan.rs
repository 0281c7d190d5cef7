//! From the bytes that seal a block to the signed transaction that answers it: the whole path, with
//! the deepest V2 pool of the WETH/USDC pair moved by a tenth.
//!
//! The node's reply with the block's logs goes in; decode, the world, the search over the universe
//! of [`universe`], risk, calldata and signature follow; what is measured ends where the outbox is
//! handed the raw transaction. Sockets are not in it.
//!
//! Temperature: cold.

#[expect(dead_code, reason = "no pending swaps here")]
mod stage;
#[expect(dead_code, reason = "nobody trades here")]
mod universe;

use std::time::Duration;

use alloy_primitives::Address;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gannet_engine::amm::Pool;

use self::stage::Stage;
use self::universe::{BASES, Market};

/// The deepest V2 pool of the WETH/USDC pair, and what it holds at rest.
fn deepest(market: &Market) -> (Address, [u128; 2]) {
    let pairs = market.sketch.pools_of(BASES[0], BASES[1]);
    let pairs = pairs.iter().filter_map(|id| match market.pools.get(*id).state {
        Pool::ConstantProduct(pool) => Some((market.pools.get(*id).address, pool.reserves())),
        Pool::Concentrated(_) | Pool::Solidly(_) => None,
    });
    pairs.max_by_key(|(_, reserves)| reserves[0]).unwrap_or_default()
}

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply to signed transaction");
    group.sample_size(10);
    for size in universe::sizes() {
        let mut made = None;
        group.bench_function(BenchmarkId::new("WETH/USDC", size), |bencher| {
            let ((pair, [first, second]), stage) = made.get_or_insert_with(|| {
                let market = Market::new(7, size);
                (deepest(&market), Stage::new(&market, &["arbitrage"]))
            });
            let mut count = 0;
            bencher.iter_custom(|wanted| {
                let mut sum = Duration::ZERO;
                for _ in 0..wanted {
                    count += 1;
                    stage.open();
                    // A tenth off, and never the same twice.
                    stage.sync(pair, [*first, *second + *second * (100 + count % 10) / 1_000]);
                    sum += stage.seal();
                    assert!(stage.desk.plan.is_some() && stage.desk.bytes > 200, "it is answered");
                    // Somebody puts it right.
                    stage.open();
                    stage.sync(pair, [*first, *second]);
                    stage.seal();
                }
                sum
            });
        });
    }
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
