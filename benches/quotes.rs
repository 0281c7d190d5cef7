//! An exact quote of a concentrated pool: within a range, and through three ticks.
//!
//! Beside `uniswap_v3_math` from crates.io, put together as its users do: a map of bitmap words, a
//! map of net liquidities, and the contract's loop over `compute_swap_step`. Both are fed the same
//! pool, and must give the same amount before anything is measured. The peer is spared the tick
//! that the contract computes after its last step, as ours is.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::hint::black_box;

use alloy_primitives::{I256, U256};
use criterion::{Criterion, criterion_group, criterion_main};
use gannet_engine::amm::ticks::TickArena;
use gannet_engine::amm::{Concentrated, ConcentratedState, Pool, PoolView, Tick};
use gannet_engine::ids::{Direction, PoolId};
use uniswap_v3_math::swap_math::compute_swap_step;
use uniswap_v3_math::tick_bitmap::{flip_tick, next_initialized_tick_within_one_word};
use uniswap_v3_math::tick_math::{get_sqrt_ratio_at_tick, get_tick_at_sqrt_ratio};

const ETHER: u128 = 1_000_000_000_000_000_000;
const FEE_PIPS: u32 = 3_000;
const SPACING: i32 = 60;
/// Positions around tick 0, each of 1,000 ether of liquidity.
const WIDTHS: [i32; 4] = [60, 120, 180, 6_000];
const LIQUIDITY: u128 = 1_000 * ETHER;

/// The pool as the peer wants it.
struct Peer {
    words: HashMap<i16, U256>,
    nets: HashMap<i32, i128>,
    liquidity: u128,
}

impl Peer {
    fn new(ticks: &[Tick]) -> Self {
        let mut words = HashMap::new();
        for tick in ticks {
            assert!(
                flip_tick(&mut words, tick.index, SPACING).is_ok(),
                "a multiple of the spacing"
            );
        }
        let nets = ticks.iter().map(|tick| (tick.index, tick.net)).collect();
        Self { words, nets, liquidity: LIQUIDITY * 4 }
    }

    /// What comes out of token 1 for an amount of token 0, as `UniswapV3Pool.swap` computes it.
    fn quote(&self, amount: u128) -> Option<U256> {
        let (mut price, mut tick) = (get_sqrt_ratio_at_tick(0).ok()?, 0);
        let (mut remaining, mut liquidity) = (I256::try_from(amount).ok()?, self.liquidity);
        let mut out = U256::ZERO;
        while !remaining.is_zero() {
            let found = next_initialized_tick_within_one_word(&self.words, tick, SPACING, true);
            let (next, is_initialised) = found.ok()?;
            let target = get_sqrt_ratio_at_tick(next).ok()?;
            let step = compute_swap_step(price, target, liquidity, remaining, FEE_PIPS);
            let (after, paid, given, fee) = step.ok()?;
            remaining -= I256::from_raw(paid + fee);
            out += given;
            if after == target {
                if is_initialised {
                    let net = self.nets.get(&next).copied().unwrap_or(0);
                    liquidity = liquidity.checked_add_signed(-net)?;
                }
                tick = next - 1;
            } else if !remaining.is_zero() {
                tick = get_tick_at_sqrt_ratio(after).ok()?;
            }
            price = after;
        }
        Some(out)
    }
}

#[expect(clippy::expect_used, reason = "the pool is one that can be")]
fn quotes(criterion: &mut Criterion) {
    let signed = i128::try_from(LIQUIDITY).expect("fits");
    let tick = |(index, net)| Tick { index, net, gross: LIQUIDITY };
    let sides = WIDTHS.into_iter().flat_map(|width| [(-width, signed), (width, -signed)]);
    let mut ticks: Vec<_> = sides.map(tick).collect();
    ticks.sort_unstable_by_key(|tick| tick.index);
    let mut arena = TickArena::new(1, TickArena::room_for(ticks.len()));
    arena.load(PoolId(0), &ticks).expect("sorted");
    let state = ConcentratedState {
        sqrt_price: U256::from(1) << 96,
        tick: 0,
        liquidity: LIQUIDITY * 4,
        fee_pips: FEE_PIPS,
        tick_spacing: SPACING,
    };
    let pool: Pool = Concentrated::new(&state).expect("a state that pools have").into();
    let view = PoolView { pool: &pool, ticks: arena.of(PoolId(0)) };
    let peer = Peer::new(&ticks);

    let mut group = criterion.benchmark_group("exact quote");
    let way = Direction::ZeroForOne;
    for (case, amount, ends_in) in
        [("within a range", ETHER, -60..0), ("through 3 ticks", 30 * ETHER, -6_000..-180)]
    {
        let Pool::Concentrated(after) = view.swap_in(amount, way).expect("a swap").after else {
            continue;
        };
        assert!(ends_in.contains(&after.tick()), "{case}: ends at {}", after.tick());
        let ours = view.quote_out(amount, way).map(U256::from);
        assert_eq!(ours, peer.quote(amount), "both give the same");
        group.bench_function(format!("{case}/gannet"), |bencher| {
            bencher.iter(|| black_box(&view).quote_out(black_box(amount), way));
        });
        group.bench_function(format!("{case}/uniswap_v3_math"), |bencher| {
            bencher.iter(|| black_box(&peer).quote(black_box(amount)));
        });
    }
    group.finish();
}

criterion_group!(benches, quotes);
criterion_main!(benches);
