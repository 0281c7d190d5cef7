//! The search against brute force over all simple cycles, on small random markets.
//!
//! Temperature: cold.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use alloy_primitives::Address;
use proptest::prelude::*;

use super::sizing::{Hop, best_input};
use super::*;
use crate::amm::tick_math::sqrt_price_at;
use crate::amm::ticks::Range;
use crate::amm::{
    Concentrated, ConcentratedState, ConstantProduct, FALLS, Mobius, Pool, Solidly, SolidlyState,
    Tick,
};
use crate::ids::FactoryId;
use crate::world::pools::PoolEntry;

const WETH: TokenId = TokenId(0);
const USDC: TokenId = TokenId(1);
const BASES: [TokenId; 2] = [WETH, USDC];
/// Decimals of the tokens of the random markets.
const DECIMALS: [u32; 8] = [18, 6, 18, 8, 18, 9, 18, 6];

/// A pool of two tokens with these reserves, at 0.3 %.
type Sketch = ([u32; 2], [u128; 2]);

fn market(pools: &[Sketch]) -> PoolTable {
    let mut table = PoolTable::new(pools.len(), 0);
    for (place, (tokens, reserves)) in (1_u64..).zip(pools) {
        let mut address = Address::ZERO;
        address[..8].copy_from_slice(&place.to_be_bytes());
        let state = ConstantProduct::new(*reserves, 3_000).unwrap().into();
        let entry = PoolEntry::new(address, FactoryId(0), tokens.map(TokenId), state);
        table.insert(entry).unwrap();
    }
    table.index_pairs();
    table
}

/// All that pays through these pools, whether it is new or not.
fn search_all(searcher: &mut Searcher, pools: &PoolTable, touched: &[PoolId]) -> Vec<Found> {
    searcher.look_again(touched);
    search_new(searcher, pools, touched)
}

/// What came to pay since the last search through these pools.
fn search_new(searcher: &mut Searcher, pools: &PoolTable, touched: &[PoolId]) -> Vec<Found> {
    let mut all = Vec::new();
    searcher.search(pools, touched, &SearchLimits::NONE, &mut |found| all.push(*found));
    all
}

/// What the legs say must be what the pools say.
fn assert_exact(pools: &PoolTable, found: &Found) {
    let mut amount = found.amount_in;
    let mut token = found.profit_token;
    let mut seen: Vec<PoolId> = Vec::new();
    for leg in found.legs() {
        let entry = pools.get(leg.pool);
        assert_eq!(entry.tokens[leg.direction.index_in()], token, "legs join");
        assert_eq!(leg.amount_in, amount);
        assert_eq!(pools.view(leg.pool).quote_out(amount, leg.direction), Some(leg.amount_out));
        assert!(!seen.contains(&leg.pool), "a pool is used once");
        assert!(!entry.is_quarantined);
        (amount, token) = (leg.amount_out, entry.tokens[leg.direction.index_out()]);
        seen.push(leg.pool);
    }
    assert_eq!(token, found.profit_token, "the cycle closes");
    assert_eq!(amount - found.amount_in, found.profit);
    assert!(found.profit > 0);
}

/// Every simple cycle through a touched pool by plain recursion, and the best profit of each token
/// cycle and direction, named by its tokens from its most preferred base.
struct Brute<'a> {
    pools: &'a PoolTable,
    touched: &'a [PoolId],
    hops_max: usize,
    /// What a cycle gains at its best input.
    profit: fn(&[Hop<'_>]) -> Option<u128>,
    /// If there are any, only cycles that gain more than they did with these count.
    before: Option<&'a PoolTable>,
    best: BTreeMap<Vec<TokenId>, u128>,
}

impl<'a> Brute<'a> {
    fn new(pools: &'a PoolTable, touched: &'a [PoolId], hops_max: usize) -> Self {
        let profit = |hops: &[Hop<'_>]| Some(best_input(hops, u128::MAX)?.profit);
        Self { pools, touched, hops_max, profit, before: None, best: BTreeMap::new() }
    }

    fn run(mut self) -> BTreeMap<Vec<TokenId>, u128> {
        for (rank, base) in BASES.iter().enumerate() {
            self.extend(rank, *base, &mut Vec::new(), &mut Vec::new());
        }
        self.best
    }

    fn extend(
        &mut self,
        rank: usize,
        at: TokenId,
        path: &mut Vec<(PoolId, Direction)>,
        tokens: &mut Vec<TokenId>,
    ) {
        if at == BASES[rank] && path.len() >= 2 {
            if path.iter().any(|(pool, _)| self.touched.contains(pool)) {
                let profit = |pools: &PoolTable| {
                    let hop = |(pool, direction): &(PoolId, Direction)| Hop {
                        pool: pools.view(*pool),
                        direction: *direction,
                    };
                    let hops: Vec<_> = path.iter().map(hop).collect();
                    (self.profit)(&hops)
                };
                let before = self.before.map(|before| profit(before).unwrap_or_default());
                // A millionth more is no more: depths are known that well.
                let is_more = |now| before.is_none_or(|then| now > then + then / 1_000_000 + 10);
                if let Some(profit) = profit(self.pools).filter(|now| is_more(*now)) {
                    let best = self.best.entry(tokens.clone()).or_default();
                    *best = profit.max(*best);
                }
            }
            return;
        }
        if path.len() == self.hops_max || tokens.contains(&at) {
            return;
        }
        // A cycle through a more preferred base is that base's.
        if BASES[..rank].contains(&at) {
            return;
        }
        tokens.push(at);
        for id in self.pools.ids() {
            let entry = self.pools.get(*id);
            let Some(side) = entry.tokens.iter().position(|token| *token == at) else { continue };
            if entry.is_quarantined || path.iter().any(|(used, _)| used == id) {
                continue;
            }
            let direction = [Direction::ZeroForOne, Direction::OneForZero][side];
            path.push((*id, direction));
            self.extend(rank, entry.tokens[1 - side], path, tokens);
            path.pop();
        }
        tokens.pop();
    }
}

/// What rounding may lose where two combinations of pools gain nearly the same: a unit of a token
/// with six decimals, in the token of the profit.
fn coarsest_unit(tokens: &[TokenId]) -> u128 {
    10_u128.pow(DECIMALS[usize::try_from(tokens[0].0).unwrap()] - 6)
}

/// The same in native wei, as both base tokens are worth about what their decimals say.
const ROUNDING: f64 = 1e12;
/// What sizing may lose of a cycle, in wei: a unit of each of four tokens, of the first one twice.
const SIZING: f64 = 5.0;

/// The best profit by cutting off, again and again, the third of the inputs that is worse, from
/// where rounding decides no more to more than any pool can take.
fn profit_by_thirds(hops: &[Hop<'_>]) -> Option<u128> {
    let gain = |amount_in: u128| {
        let out =
            hops.iter().try_fold(amount_in, |into, hop| hop.pool.quote_out(into, hop.direction));
        // What is refused was too much.
        out.map_or(f64::MIN, |out| float(out) - float(amount_in))
    };
    let (mut low, mut high) = (1_000_000, 1_u128 << 100);
    while high - low > 3 {
        let third = ((high - low) / 3).min(low * 2);
        let (left, right) = (low + third, (high - third).min((low + third) * 2));
        if gain(left) >= gain(right) { high = right } else { low = left }
    }
    (low..=high).map(gain).map(whole).max().filter(|profit| *profit > 0)
}

/// Pools at prices around 1, some markets tighter than others: the tighter, the fewer cycles pay.
fn random_market() -> impl Strategy<Value = Vec<Sketch>> {
    let tokens = (0_u32..8, 1_u32..8).prop_map(|(token, on)| (token, (token + on) % 8));
    let pool = (tokens, 10_u128..1_000, -1_000_i128..=1_000);
    (proptest::collection::vec(pool, 2..32), 1_i128..100).prop_map(|(pools, spread)| {
        let unit = |token: u32| 10_u128.pow(DECIMALS[token as usize]);
        let sketch = |((first, second), depth, skew): ((u32, u32), u128, i128)| {
            let price = u128::try_from(1_000_000 + skew * spread).unwrap();
            ([first, second], [depth * unit(first), depth * price * unit(second) / 1_000_000])
        };
        pools.into_iter().map(sketch).collect()
    })
}

/// Pools from a hundred-thousandth of a token deep to thousands, the shallow ones far off the
/// market: nearly all of what pays by price alone is not worth much.
fn dusty_market() -> impl Strategy<Value = Vec<Sketch>> {
    let tokens = (0_u32..8, 1_u32..8).prop_map(|(token, on)| (token, (token + on) % 8));
    let pool = (tokens, 0_u32..8, 10_u128..100, -100_i32..=100);
    proptest::collection::vec(pool, 4..28).prop_map(|pools| {
        let unit = |token: u32| 10_u128.pow(DECIMALS[token as usize]);
        let sketch = |((first, second), scale, digits, skew): ((u32, u32), u32, u128, i32)| {
            let depth = |token| digits * 10_u128.pow(scale) * unit(token) / 1_000_000;
            let spread = [0.02, 0.02, 0.015, 0.01, 0.003, 0.0003, 0.0001, 0.00004];
            let price = libm::exp(f64::from(skew) * spread[scale as usize]);
            ([first, second], [depth(first).max(1), whole(float(depth(second)) * price).max(1)])
        };
        pools.into_iter().map(sketch).collect()
    })
}

/// A pool of any kind at a price around 1; how deep, and how far off, in thousandths.
type Mixed = ((u32, u32), u8, u128, i32, i32);

/// A market of all kinds of pools. A concentrated one has a thin position over all prices, a thick
/// one somewhere near its own, and sometimes nothing at all where it stands.
fn mixed_market(pools: &[Mixed]) -> PoolTable {
    let mut table = PoolTable::new(pools.len(), pools.len() * 8);
    for (place, ((first, second), kind, depth, skew, shift)) in (1_u64..).zip(pools) {
        let mut address = Address::ZERO;
        address[..8].copy_from_slice(&place.to_be_bytes());
        let amount = depth * ETHER / 100;
        let other = whole(float(amount) * (f64::from(*skew) / 1_000.0).exp());
        let reserves = [amount, other];
        let solidly = |is_stable| {
            let state = SolidlyState { reserves, decimals: [18; 2], fee_pips: 500, is_stable };
            Solidly::new(&state).unwrap().into()
        };
        let mut ticks = Vec::new();
        let state: Pool = match kind {
            0..4 => ConstantProduct::new(reserves, 3_000).unwrap().into(),
            4 => solidly(false),
            5 => solidly(true),
            _ => {
                let signed = i128::try_from(amount).unwrap();
                let tick = skew * 10;
                let wide = if *kind == 6 { 0 } else { signed / 4 };
                let (low, high) = (shift * 60 - 600, shift * 60 + 600);
                let nets = [(-60_000, wide), (low, signed), (high, -signed), (60_000, -wide)];
                let net =
                    |(index, net): (i32, i128)| Tick { index, net, gross: net.unsigned_abs() };
                ticks.extend(nets.into_iter().filter(|(_, net)| *net != 0).map(net));
                let held = ticks.iter().filter(|held| held.index <= tick).map(|held| held.net);
                let state = ConcentratedState {
                    sqrt_price: sqrt_price_at(tick).unwrap(),
                    tick,
                    liquidity: held.sum::<i128>().unsigned_abs(),
                    fee_pips: 500,
                    tick_spacing: 60,
                };
                Concentrated::new(&state).unwrap().into()
            }
        };
        let tokens = [TokenId(*first), TokenId(*second)];
        let entry = PoolEntry::new(address, FactoryId(0), tokens, state);
        table.insert_with_ticks(entry, &ticks).unwrap();
    }
    table.index_pairs();
    table
}

/// Something happens to a pool that is so deep: a swap in either direction, a deposit, or a
/// withdrawal, of so many hundred-thousandths of the depth. Gives the pool if it did.
fn happen(
    pools: &mut PoolTable,
    pool: PoolId,
    depth: u128,
    share: u32,
    kind: u8,
) -> Option<PoolId> {
    let amount = depth / 100_000 * u128::from(share);
    let state = pools.get(pool).state;
    let change = |held: u128| {
        let part = held / 100_000 * u128::from(share);
        if kind == 2 { held + part } else { held - part }
    };
    let after = match (kind, state) {
        (0, _) => pools.view(pool).swap_in(amount, Direction::ZeroForOne)?.after,
        (1, _) => pools.view(pool).swap_in(amount, Direction::OneForZero)?.after,
        (_, Pool::ConstantProduct(_)) => {
            ConstantProduct::new(state.reserves()?.map(change), 3_000)?.into()
        }
        (_, Pool::Solidly(held)) => {
            let held = held.state();
            Solidly::new(&SolidlyState { reserves: held.reserves.map(change), ..held })?.into()
        }
        (_, Pool::Concentrated(held)) => {
            let [low, high] = [held.tick() - 600, held.tick() + 600].map(|tick| tick / 60 * 60);
            let range = Range { lower: low, upper: high, amount: i128::try_from(amount).ok()? };
            pools.change_ticks(pool, range).ok()?;
            let state = ConcentratedState {
                sqrt_price: held.sqrt_price(),
                tick: held.tick(),
                liquidity: held.liquidity() + amount,
                fee_pips: 500,
                tick_spacing: 60,
            };
            Concentrated::new(&state)?.into()
        }
    };
    pools.entry_mut(pool).state = after;
    Some(pool)
}

fn mixed_pools() -> impl Strategy<Value = Vec<Mixed>> {
    let tokens = (0_u32..5, 1_u32..5).prop_map(|(token, on)| (token, (token + on) % 5));
    let pool = (tokens, 0_u8..9, 1_u128..100_000, -60_i32..=60, -12_i32..=12);
    proptest::collection::vec(pool, 2..14)
}

/// The tokens of what was found, in order.
fn tokens_of(pools: &PoolTable, found: &Found) -> Vec<TokenId> {
    let token = |leg: &Leg| pools.get(leg.pool).tokens[leg.direction.index_in()];
    found.legs().iter().map(token).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_search_finds_what_brute_force_finds(
        sketches in random_market(),
        touched_share in 1_usize..12,
        hops_max in 2_usize..=4,
        tail_degree_max in 0_usize..5,
    ) {
        let pools = market(&sketches);
        let touched: Vec<_> = pools.ids().iter().step_by(touched_share).copied().collect();
        let graph = Graph::of(&pools, &BASES, WETH, hops_max);
        let mut searcher = Searcher::over(&pools, &Graph { tail_degree_max, ..graph });
        let found = search_all(&mut searcher, &pools, &touched);
        for cycle in &found {
            assert_exact(&pools, cycle);
            prop_assert!(cycle.legs().iter().any(|leg| touched.contains(&leg.pool)));
        }
        let brute = Brute::new(&pools, &touched, hops_max);
        let brute = brute.run();
        let ours: BTreeMap<_, _> =
            found.iter().map(|cycle| (tokens_of(&pools, cycle), cycle.profit)).collect();
        prop_assert_eq!(ours.len(), found.len(), "one per token cycle and direction");
        for (tokens, profit) in &ours {
            let best = brute.get(tokens);
            prop_assert!(best.is_some_and(|best| profit <= best), "{tokens:?} {profit} {best:?}");
        }
        if found.len() < FOUND_MAX {
            for (tokens, best) in &brute {
                let found = ours.get(tokens).copied().unwrap_or_default();
                prop_assert!(found + coarsest_unit(tokens) >= *best, "{tokens:?} {found} {best}");
            }
        } else {
            // Those of the highest worth are kept; of the others, each is the best of its kind.
            let worth = |(tokens, profit): (&Vec<TokenId>, &u128)| {
                let rank = BASES.iter().position(|base| *base == tokens[0]).unwrap();
                float(*profit) * searcher.tables.native_price(rank)
            };
            for (tokens, profit) in &ours {
                prop_assert!(profit + coarsest_unit(tokens) >= brute[tokens]);
            }
            let mut worths: Vec<_> = brute.iter().map(worth).collect();
            worths.sort_by(|left, right| right.total_cmp(left));
            let least = ours.iter().map(worth).fold(f64::INFINITY, f64::min);
            // Which are the last to be kept is decided before rounding.
            prop_assert!(least + ROUNDING >= worths[FOUND_MAX - 1], "{least} {worths:?}");
        }
    }

    #[test]
    fn no_cycle_that_is_worth_enough_is_lost_among_dust(
        sketches in dusty_market(),
        touched in 0_usize..24,
        hops_max in 2_usize..=4,
        tail_degree_max in 0_usize..5,
        share in 0.2_f64..1.0,
        more in prop_oneof![Just(0.0), 0.0_f64..1.0],
        asked in prop_oneof![Just(1.0), Just(1.0), Just(0.0), 0.0_f64..1.5],
        rated in proptest::collection::vec((0.0_f64..5.0, 0_usize..12, 0_u8..5), 0..5),
    ) {
        let mut pools = market(&sketches);
        let moved = PoolId(u32::try_from(touched % pools.len()).unwrap());
        let graph = Graph::of(&pools, &BASES, WETH, hops_max);
        let fresh = Searcher::over(&pools, &graph);
        let worth = |tokens: &[TokenId], profit: u128| {
            let rank = BASES.iter().position(|base| *base == tokens[0]).unwrap();
            float(profit) * fresh.tables.native_price(rank)
        };
        let brute = Brute::new(&pools, &[moved], hops_max).run();
        let worths = || brute.iter().map(|(tokens, profit)| (tokens, worth(tokens, *profit)));
        let best = worths().map(|(_, worth)| worth).fold(0.0, f64::max);
        // The closer to what the best is worth, the more a bound that is too tight would lose.
        let floor = if best > 0.0 { best * share } else { 1e15 };
        // Each further swap asks for more.
        let floors: [f64; HOPS_MAX + 1] = [0.0, 0.0, 1.0, 1.0 + more, 1.0 + 2.0 * more];
        let floors = floors.map(|part| part * floor);

        // The tables are kept up to date from another state.
        let state = pools.get(moved).state;
        let reserves = state.reserves().unwrap();
        let before = ConstantProduct::new([reserves[0] * 2, reserves[1]], 3_000).unwrap().into();
        pools.entry_mut(moved).state = before;
        let graph = Graph { tail_degree_max, ..graph }.asking(Wei(whole(floor * asked)));
        let mut searcher = Searcher::over(&pools, &graph);
        pools.entry_mut(moved).state = state;
        searcher.refresh(&pools, &[moved]);
        // And judge in part by what other searches asked, whatever happens meanwhile.
        for (part, pairs, event) in rated {
            searcher.asked = Some(floor * part);
            searcher.fill(&pools, pairs);
            if event == 0 {
                searcher.refresh(&pools, &std::vec![moved; TOUCHED_MAX]);
            } else if event < 4 {
                pools.entry_mut(moved).state = before;
                if event == 1 {
                    searcher.suppose(&pools, &[moved]);
                    searcher.restore();
                } else {
                    searcher.refresh(&pools, &[moved]);
                }
                if event == 2 {
                    searcher.fill(&pools, pairs);
                }
                pools.entry_mut(moved).state = state;
                searcher.refresh(&pools, &[moved]);
            }
        }
        let worth_least = floors.map(|floor| Wei(whole(floor)));
        let limits = SearchLimits { worth_least, ..SearchLimits::NONE };
        let mut ours = Vec::new();
        searcher.search(&pools, &[moved], &limits, &mut |found| {
            assert_exact(&pools, found);
            ours.push((tokens_of(&pools, found), found.profit));
        });
        for (tokens, profit) in &ours {
            let best = brute[tokens];
            prop_assert!(*profit <= best && profit + coarsest_unit(tokens) >= best);
        }
        prop_assert_eq!(searcher.counts().skipped, 0);
        let mut ours: Vec<_> = ours.iter().map(|(t, profit)| worth(t, *profit)).collect();
        ours.sort_by(|left, right| right.total_cmp(left));
        let is_enough = |(tokens, worth): &(&Vec<TokenId>, f64)| {
            *worth > floors[tokens.len()] * (1.0 + 1e-9)
        };
        let mut enough: Vec<_> = worths().filter(is_enough).map(|(_, worth)| worth).collect();
        enough.sort_by(|left, right| right.total_cmp(left));
        prop_assert!(ours.len() >= enough.len().min(FOUND_MAX), "{floors:?} {enough:?} {ours:?}");
        for (found, best) in ours.iter().zip(&enough) {
            prop_assert!(*found + ROUNDING >= *best, "the most valuable are kept");
        }
    }

    #[test]
    fn no_pool_gives_more_than_its_reach(
        pools in mixed_pools(),
        share in 1e-6_f64..4.0,
        is_down in any::<bool>(),
        fall in 0.001_f64..0.999_999,
    ) {
        let table = mixed_market(&pools);
        let direction = if is_down { Direction::ZeroForOne } else { Direction::OneForZero };
        for (id, pool) in table.ids().iter().zip(&pools) {
            let view = table.view(*id);
            let amount = whole(float(pool.2) * 1e16 * share);
            let Some(out) = view.quote_out(amount, direction) else { continue };
            let (Mobius { gain, .. }, reach) = view.reach(direction).expect("it trades");
            let more = view.quote_out(amount + amount / 1_000, direction);
            let Some(more) = more else { continue };
            // The price at the end, at least: a little more gives less than that.
            let price = float(more - out) / float(amount / 1_000) / gain;
            for (most, end) in reach.most.into_iter().zip(FALLS) {
                if price > end * end {
                    let limit = gain * float(amount) / (1.0 + float(amount) * gain / most);
                    prop_assert!(float(out) <= limit * (1.0 + 1e-9) + 2.0, "{out} {limit}");
                }
            }
            // In a cycle in which all else is a line, so that its price falls that far.
            let stretch = FALLS.iter().position(|end| fall >= *end).expect("it ends at 0");
            let gained = float(out) - float(amount) * gain * fall * fall;
            let limit = (1.0 - fall).powi(2) * reach.alone[stretch];
            prop_assert!(gained <= limit * (1.0 + 1e-9) + 2.0, "{gained} {limit}");
        }
    }

    #[test]
    fn the_best_cycle_through_pools_of_all_kinds_is_found(
        sketches in mixed_pools(),
        touched in 0_usize..14,
        tail_degree_max in 0_usize..4,
        share in 0.3_f64..1.0,
    ) {
        let pools = mixed_market(&sketches);
        let moved = PoolId(u32::try_from(touched % pools.len()).unwrap());
        let graph = Graph::of(&pools, &BASES, WETH, 4);
        let fresh = Searcher::over(&pools, &graph);
        let worth = |tokens: &[TokenId], profit: u128| {
            let rank = BASES.iter().position(|base| *base == tokens[0]).unwrap();
            float(profit) * fresh.tables.native_price(rank)
        };
        let brute =
            Brute { profit: profit_by_thirds, ..Brute::new(&pools, &[moved], 4) }.run();
        let best = brute.iter().map(|(tokens, profit)| worth(tokens, *profit)).fold(0.0, f64::max);
        // Below that, rounding decides.
        if best < 1e6 {
            return Ok(());
        }
        let floor = Wei(whole(best * share));
        let graph = Graph { tail_degree_max, ..graph }.asking(floor);
        let mut searcher = Searcher::over(&pools, &graph);
        let limits = SearchLimits::NONE.asking(floor);
        let mut ours = 0.0;
        searcher.search(&pools, &[moved], &limits, &mut |found| {
            assert_exact(&pools, found);
            ours = f64::max(ours, worth(&tokens_of(&pools, found), found.profit));
        });
        prop_assert!(ours + SIZING >= best * (1.0 - 1e-9), "{ours} {best} {:?}", searcher.counts());
    }

    #[test]
    fn a_supposed_move_leaves_no_trace(
        sketches in random_market(),
        amount in 1_u128..1_000,
        tail_degree_max in 0_usize..5,
    ) {
        let mut pools = market(&sketches);
        let graph = Graph { tail_degree_max, ..Graph::of(&pools, &BASES, WETH, 4) };
        let mut searcher = Searcher::over(&pools, &graph);
        let all = pools.ids().to_vec();
        let before = search_all(&mut searcher, &pools, &all);
        let moved = all[0];
        let state = pools.get(moved).state;
        let unit = 10_u128.pow(DECIMALS[sketches[0].0[0] as usize]);
        let swapped = pools.view(moved).swap_in(amount * unit, Direction::ZeroForOne);
        let after = swapped.unwrap().after;
        pools.entry_mut(moved).state = after;
        searcher.suppose(&pools, &[moved]);
        let supposed = search_all(&mut searcher, &pools, &[moved]);
        for cycle in &supposed {
            assert_exact(&pools, cycle);
        }
        let mut fresh = Searcher::over(&pools, &graph);
        let amounts = |found: &[Found]| -> Vec<_> {
            found.iter().map(|cycle| (cycle.legs, cycle.profit)).collect()
        };
        let afresh = search_all(&mut fresh, &pools, &[moved]);
        prop_assert_eq!(amounts(&supposed), amounts(&afresh));
        pools.entry_mut(moved).state = state;
        searcher.restore();
        prop_assert_eq!(search_all(&mut searcher, &pools, &all), before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn every_cycle_that_comes_to_pay_more_is_found(
        sketches in mixed_pools(),
        moves in proptest::collection::vec((0_usize..14, 1_u32..2_000, 0_u8..4), 1..4),
        tail_degree_max in 0_usize..4,
        is_supposed in any::<bool>(),
    ) {
        let [mut pools, before] = [(); 2].map(|()| mixed_market(&sketches));
        let graph = Graph { tail_degree_max, ..Graph::of(&pools, &BASES, WETH, 4) };
        let mut searcher = Searcher::over(&pools, &graph);
        search_new(&mut searcher, &pools, pools.ids());
        let mut moved = Vec::new();
        for (place, share, kind) in moves {
            let place = place % pools.len();
            let depth = sketches[place].2 * ETHER / 100;
            moved.extend(happen(&mut pools, before.ids()[place], depth, share, kind));
        }
        if is_supposed {
            searcher.suppose(&pools, &moved);
        } else {
            searcher.refresh(&pools, &moved);
        }
        let found = search_new(&mut searcher, &pools, &moved);
        if found.len() == FOUND_MAX {
            return Ok(());
        }
        prop_assert_eq!(search_new(&mut searcher, &pools, &moved), [], "nothing is news twice");
        let ours: BTreeMap<_, _> =
            found.iter().map(|cycle| (tokens_of(&pools, cycle), cycle.profit)).collect();
        let brute = Brute { before: Some(&before), ..Brute::new(&pools, &moved, 4) };
        for (tokens, best) in brute.run() {
            let rank = BASES.iter().position(|base| *base == tokens[0]).unwrap();
            // What is worth nothing is not found.
            if searcher.tables.native_price(rank) < 0.001 {
                continue;
            }
            let ours = ours.get(&tokens).copied().unwrap_or_default();
            // Along ranges, floats choose the best to a billionth.
            prop_assert!(ours + 5 >= best - best / 1_000_000_000, "{tokens:?} {ours} {best}");
        }
    }

    #[test]
    fn pools_that_moved_together_are_read_as_one_after_the_other(
        sketches in random_market(),
        moves in proptest::collection::vec((0_usize..24, 1_u128..1_000), 1..6),
        tail_degree_max in 0_usize..5,
    ) {
        let mut pools = market(&sketches);
        let graph = Graph { tail_degree_max, ..Graph::of(&pools, &BASES, WETH, 4) };
        let mut searchers = [(); 2].map(|()| Searcher::over(&pools, &graph));
        let mut moved = Vec::new();
        for (place, more) in moves {
            let pool = PoolId(u32::try_from(place % pools.len()).unwrap());
            let [first, second] = pools.get(pool).state.reserves().unwrap();
            let after = ConstantProduct::new([first + more * (first / 500), second], 3_000);
            pools.entry_mut(pool).state = after.unwrap().into();
            if !moved.contains(&pool) {
                moved.push(pool);
            }
        }
        for pool in &moved {
            searchers[0].refresh(&pools, &[*pool]);
        }
        moved.extend(moved.clone());
        searchers[1].refresh(&pools, &moved);
        let read = |searcher: Searcher| std::format!("{:?}", searcher.tables.prices);
        let [alone, together] = searchers.map(read);
        prop_assert_eq!(alone, together);
    }

    #[test]
    fn pools_of_all_kinds_are_read_alike_by_tables_that_were_filled(
        sketches in mixed_pools(),
        slice in 1_usize..5,
    ) {
        let pools = mixed_market(&sketches);
        let graph = Graph::of(&pools, &BASES, WETH, 4);
        let [mut filled, loaded] = [(); 2].map(|()| Searcher::over(&pools, &graph));
        prop_assert!(filled.adopt(Box::new(Tables::build(&graph))).is_none());
        for _ in 0..=sketches.len() {
            filled.fill(&pools, slice);
        }
        filled.refresh(&pools, &[]);
        prop_assert!(filled.spent().is_some(), "they are in use");
        prop_assert!(filled.tables.prices.reads_as(&loaded.tables.prices));
    }

    #[test]
    fn rates_that_were_made_anew_are_those_of_tables_that_were_made_for_what_is_asked(
        sketches in mixed_pools(),
        moved in any::<prop::sample::Index>(),
        slice in 1_usize..5,
        asked in prop_oneof![1e12_f64..9e14, 4e15_f64..1e18],
        tail_degree_max in 0_usize..5,
    ) {
        let mut pools = mixed_market(&sketches);
        let graph = Graph::of(&pools, &BASES, WETH, 4).asking(Wei(1_000_000_000_000_000));
        let graph = Graph { tail_degree_max, ..graph };
        let mut searcher = Searcher::over(&pools, &graph);
        // What hubs are worth may change, too.
        let moved = PoolId(u32::try_from(moved.index(sketches.len())).unwrap());
        pools.entry_mut(moved).is_quarantined = true;
        searcher.refresh(&pools, &[moved]);
        searcher.asked = Some(asked);
        for _ in 0..=searcher.index().pair_count() {
            searcher.fill(&pools, slice);
        }
        let mut made = Searcher::over(&pools, &graph);
        made.tables.prices.returns.rate_for(asked * rating::RATED_PART);
        made.tables.load(&pools);
        let [ours, theirs] = [searcher, made].map(|searcher| searcher.tables.prices);
        prop_assert!(ours.unrated.is_empty() && ours.is_rated_as(&theirs));
    }

    #[test]
    fn a_market_that_has_grown_is_searched_as_one_that_was_always_so(
        sketches in dusty_market(),
        known in 1_usize..28,
        slice in 1_usize..9,
        moves in proptest::collection::vec((0_usize..28, 1_u128..40), 0..12),
        tail_degree_max in 0_usize..5,
        share in 0.2_f64..1.0,
    ) {
        let known = known.min(sketches.len());
        let mut pools = market(&sketches[..known]);
        let graph = |pools: &PoolTable, floor: u128| {
            let graph = Graph::of(pools, &BASES, WETH, 4);
            Graph { tail_degree_max, ..graph }.asking(Wei(floor))
        };
        let whole_market = market(&sketches);
        let brute = Brute::new(&whole_market, whole_market.ids(), 4).run();
        let floor = whole(brute.values().map(|best| float(*best)).fold(0.0, f64::max) * share);
        let mut searcher = Searcher::over(&pools, &graph(&pools, floor));

        pools = whole_market;
        prop_assert!(searcher.adopt(Box::new(Tables::build(&graph(&pools, floor)))).is_none());
        let mut new = 0;
        for turn in 0..=sketches.len() {
            if let Some((moved, percent)) = moves.get(turn) {
                let moved = PoolId(u32::try_from(moved % pools.len()).unwrap());
                let [first, second] = pools.get(moved).state.reserves().unwrap();
                let reserves = [first, second * (80 + percent) / 100 + 1];
                let state = ConstantProduct::new(reserves, 3_000).unwrap().into();
                pools.entry_mut(moved).state = state;
                new += searcher.refresh(&pools, &[moved]).len();
            }
            searcher.fill(&pools, slice);
        }
        new += searcher.refresh(&pools, &[]).len();
        prop_assert_eq!(new, sketches.len() - known, "each is told once");
        prop_assert!(searcher.spent().is_some() && searcher.spent().is_none());

        let mut fresh = Searcher::over(&pools, &graph(&pools, floor));
        let limits = SearchLimits::NONE.asking(Wei(floor));
        for pool in pools.ids() {
            let [ours, theirs] = [&mut searcher, &mut fresh].map(|searcher| {
                let mut all = Vec::new();
                searcher.search(&pools, &[*pool], &limits, &mut |found| all.push(*found));
                all
            });
            prop_assert_eq!(ours, theirs);
        }
    }
}

const ETHER: u128 = 1_000_000_000_000_000_000;
const TWO_POOLS: [Sketch; 2] =
    [([0, 1], [1_000 * ETHER, 2_000_000_000_000]), ([1, 0], [1_900_000_000_000, 1_000 * ETHER])];

#[test]
fn rates_follow_what_a_hub_is_worth_and_not_every_move_of_it() {
    let pools_at = |weth| {
        let reserves = [weth * ETHER, 2_000_000_000_000];
        market(&[([0, 1], reserves), ([0, 1], reserves)])
    };
    let asked = Wei(1_000_000_000_000_000);
    let made =
        |pools: &PoolTable| Searcher::over(pools, &Graph::of(pools, &BASES, WETH, 4).asking(asked));
    let mut searcher = made(&pools_at(1_000));
    searcher.asked = Some(float(asked.0));
    let usdc = 1;
    let at_first = searcher.tables.prices.value(usdc);
    assert!(at_first > 0.0 && at_first < f64::INFINITY, "it is known");
    for (weth, is_followed) in [(1_050, false), (800, false), (3_000, true), (1_000, true)] {
        let pools = pools_at(weth);
        searcher.refresh(&pools, pools.ids());
        searcher.fill(&pools, 100);
        let value = searcher.tables.prices.value(usdc);
        let anew = made(&pools).tables.prices.value(usdc);
        let wanted = if is_followed { anew } else { at_first };
        assert_eq!(value.to_bits(), wanted.to_bits(), "{weth}");
    }
}

#[test]
fn two_pools_of_a_pair_make_one_cycle_that_starts_at_the_preferred_base() {
    let pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let all = search_all(&mut searcher, &pools, pools.ids());
    assert_eq!(all.len(), 1);
    assert_exact(&pools, &all[0]);
    assert_eq!((all[0].profit_token, all[0].leg_count), (WETH, 2));
    assert_eq!(all[0].profit, 256_654_733_122_117_753);
    assert_eq!(search_all(&mut searcher, &pools, &[PoolId(1)]), all, "by either pool");
    assert_eq!(search_all(&mut searcher, &pools, &[]), []);
}

#[test]
fn what_a_swap_leaves_of_a_gap_is_no_news_but_can_be_looked_at_again() {
    let mut pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let all = search_new(&mut searcher, &pools, pools.ids());
    // Half of it is taken.
    let leg = all[0].legs()[0];
    let swapped = pools.view(leg.pool).swap_in(leg.amount_in / 2, leg.direction).unwrap();
    pools.entry_mut(leg.pool).state = swapped.after;
    searcher.refresh(&pools, &[leg.pool]);
    assert_eq!(search_new(&mut searcher, &pools, &[leg.pool]), []);
    searcher.look_again(&[leg.pool]);
    let left = search_new(&mut searcher, &pools, &[leg.pool]);
    assert!(left.len() == 1 && left[0].profit < all[0].profit);
    // Who sells to the pool opens more.
    let swapped = pools.view(leg.pool).swap_in(leg.amount_out, leg.direction.reversed()).unwrap();
    pools.entry_mut(leg.pool).state = swapped.after;
    searcher.refresh(&pools, &[leg.pool]);
    assert_eq!(search_new(&mut searcher, &pools, &[leg.pool]).len(), 1);
}

#[test]
fn what_had_no_room_on_the_list_is_searched_again() {
    let gap = |token: u32| {
        let even = [1_000 * ETHER; 2];
        [([0, token], even), ([0, token], [even[0], 1_100 * ETHER])]
    };
    // One more than are reported.
    let last = 2 + u32::try_from(FOUND_MAX).unwrap();
    let sketches: Vec<Sketch> = (2..=last).flat_map(gap).collect();
    let pools = market(&sketches);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 2);
    for _ in 0..2 {
        assert_eq!(search_new(&mut searcher, &pools, pools.ids()).len(), FOUND_MAX);
    }
    let few = &pools.ids()[..4];
    assert_eq!(search_new(&mut searcher, &pools, few).len(), 2);
    assert_eq!(search_new(&mut searcher, &pools, few), [], "those had room");
}

#[test]
fn what_is_kept_in_mind_is_looked_at_once_less_is_asked_by_a_search_that_minds() {
    let pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let touched = [PoolId(0)];
    let worth = search_all(&mut searcher, &pools, &touched)[0].profit;
    searcher.look_again(&touched);
    let mut search = |touched: &[PoolId], asked: u128, minds_half: bool| {
        let limits = SearchLimits { minds_half, ..SearchLimits::NONE.asking(Wei(asked)) };
        let mut count = 0;
        searcher.search(&pools, touched, &limits, &mut |_| count += 1);
        count
    };
    assert_eq!(search(&touched, worth * 3 / 2, true), 0);
    assert_eq!(search(&[], worth / 2, false), 0);
    assert_eq!(search(&[], worth * 9 / 10, true), 1, "the other search has left it in mind");
    assert_eq!(search(&[], worth * 9 / 10, true), 0, "it was looked at");
}

#[test]
fn an_input_is_limited_by_its_worth_in_native() {
    let pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &[WETH, USDC, TokenId(5)], WETH, 2);
    let limits = searcher.limits_worth(Wei(5 * ETHER));
    assert_eq!(limits.amount_in_max[0], 5 * ETHER);
    // The dearer pool sells a WETH for 1,900 USDC and its fee.
    assert!((9_500_000_000..9_600_000_000).contains(&limits.amount_in_max[1]));
    assert_eq!(limits.amount_in_max[2..], [0; BASE_TOKENS_MAX - 2]);
    let mut inputs = Vec::new();
    searcher.search(&pools, &[PoolId(0)], &limits, &mut |found| inputs.push(found.amount_in));
    assert!(inputs.len() == 1 && inputs[0] <= 5 * ETHER && inputs[0] > 4 * ETHER);
}

#[test]
fn a_quarantined_pool_is_not_used_until_it_is_released() {
    let mut pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let touched = [PoolId(0)];
    pools.entry_mut(PoolId(1)).is_quarantined = true;
    searcher.refresh(&pools, &[PoolId(1)]);
    assert_eq!(search_all(&mut searcher, &pools, &touched), []);
    pools.entry_mut(PoolId(1)).is_quarantined = false;
    searcher.refresh(&pools, &[PoolId(1)]);
    assert_eq!(search_all(&mut searcher, &pools, &touched).len(), 1);
}

#[test]
fn what_was_open_before_a_supposed_move_is_told_apart_from_what_it_opened() {
    let even = [TWO_POOLS[0], ([1, 0], [2_000_000_000_000, 1_000 * ETHER])];
    let mut pools = market(&even);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 2);
    pools.entry_mut(PoolId(1)).state = market(&TWO_POOLS).get(PoolId(1)).state;
    searcher.suppose(&pools, &[PoolId(1)]);
    let opened = search_all(&mut searcher, &pools, &[PoolId(1)]);
    assert_eq!((opened[0].profit, opened[0].profit_before), (256_654_733_122_117_753, 0));
    searcher.refresh(&pools, &[PoolId(1)]);
    searcher.suppose(&pools, &[PoolId(0)]);
    let unmoved = search_all(&mut searcher, &pools, &[PoolId(0)]);
    assert!(unmoved[0].profit_before.abs_diff(unmoved[0].profit) < 1_000_000_000);
}

/// A position: from, to, liquidity.
type Position = (i32, i32, u128);

/// A concentrated pool of two tokens at the start of a tick.
fn launch(
    table: &mut PoolTable,
    tokens: [TokenId; 2],
    (tick, fee_pips): (i32, u32),
    positions: &[Position],
) {
    let mut nets: BTreeMap<i32, (i128, u128)> = BTreeMap::new();
    let mut liquidity = 0;
    for (from, to, amount) in positions {
        let signed = i128::try_from(*amount).unwrap();
        for (index, net) in [(*from, signed), (*to, -signed)] {
            let held = nets.entry(index).or_default();
            *held = (held.0 + net, held.1 + amount);
        }
        liquidity += if (*from..*to).contains(&tick) { *amount } else { 0 };
    }
    let tick_of = |(index, (net, gross)): (i32, (i128, u128))| Tick { index, net, gross };
    let ticks: Vec<Tick> = nets.into_iter().map(tick_of).collect();
    let sqrt_price = sqrt_price_at(tick).unwrap();
    let state = ConcentratedState { sqrt_price, tick, liquidity, fee_pips, tick_spacing: 10 };
    let place = u8::try_from(table.len() + 100).unwrap();
    let state = Concentrated::new(&state).unwrap().into();
    let entry = PoolEntry::new(Address::repeat_byte(place), FactoryId(0), tokens, state);
    table.insert_with_ticks(entry, &ticks).unwrap();
}

fn pair(table: &mut PoolTable, reserves: [u128; 2]) {
    let place = u8::try_from(table.len() + 100).unwrap();
    let state = ConstantProduct::new(reserves, 3_000).unwrap().into();
    let entry = PoolEntry::new(Address::repeat_byte(place), FactoryId(0), [WETH, USDC], state);
    table.insert(entry).unwrap();
}

#[test]
fn an_input_far_past_the_last_tick_is_not_taken_for_the_best() {
    let mut pools = PoolTable::new(2, 64);
    let positions = [
        (8_840, 8_930, 3_885_646_705_868_960_956_416),
        (8_340, 9_430, 398_418_152_040_891_351_040),
    ];
    launch(&mut pools, BASES, (8_882, 500), &positions);
    pair(&mut pools, [1_779_383_547_241_809_313_792, 4_212_303_314_605_669_089_280]);
    let hops = [(0, Direction::ZeroForOne), (1, Direction::OneForZero)];
    let hop = |(pool, direction)| Hop { pool: pools.view(PoolId(pool)), direction };
    let hops = hops.map(hop);
    let best = profit_by_thirds(&hops).unwrap();
    let sizing = best_input(&hops, 100 * ETHER).unwrap();
    assert!(sizing.profit + best / 1_000_000_000 >= best, "{} {best}", sizing.profit);
}

#[test]
fn pools_that_give_nothing_one_way_hide_no_others() {
    let mut pools = PoolTable::new(8, 256);
    pair(&mut pools, [1_000 * ETHER, 1_100 * ETHER]);
    launch(&mut pools, BASES, (0, 500), &[(-6_000, 6_000, 1_000 * ETHER)]);
    for _ in 0..3 {
        launch(&mut pools, [USDC, WETH], (0, 500), &[(0, 6_000, 1_000 * ETHER)]);
    }
    pools.index_pairs();
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 2);
    let found = search_all(&mut searcher, &pools, &[PoolId(0)]);
    let [cycle] = &found[..] else { panic!("one cycle: {found:?}") };
    assert_exact(&pools, cycle);
    let brute = Brute::new(&pools, &[PoolId(0)], 2).run();
    assert_eq!(Some(&cycle.profit), brute.values().max());
}

#[test]
fn of_two_pools_that_are_almost_alike_the_better_one_is_chosen() {
    let mut pools = PoolTable::new(3, 64);
    pair(&mut pools, [1_000 * ETHER, 1_100 * ETHER]);
    pair(&mut pools, [1_000 * ETHER; 2]);
    let more = 1_000 * ETHER + ETHER * 3 / 2_000;
    launch(&mut pools, BASES, (0, 3_000), &[(-800_000, 800_000, more)]);
    pools.index_pairs();
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 2);
    let found = search_all(&mut searcher, &pools, &[PoolId(0)]);
    let brute = Brute::new(&pools, &[PoolId(0)], 2).run();
    assert_eq!(Some(&found[0].profit), brute.values().max());
}

#[test]
fn a_market_of_stable_pools_is_searched_within_bounds_and_what_is_left_out_is_counted() {
    let mut pools = PoolTable::new(512, 0);
    let mut place = 0_u64;
    for first in 0..8 {
        for second in first + 1..8 {
            for deep in 0..10_u128 {
                place += 1;
                let mut address = Address::ZERO;
                address[..8].copy_from_slice(&place.to_be_bytes());
                let reserves = [(100 + deep) * ETHER, (105 + deep * 2) * ETHER];
                let state =
                    SolidlyState { reserves, decimals: [18; 2], fee_pips: 100, is_stable: true };
                let state = Solidly::new(&state).unwrap().into();
                let tokens = [TokenId(first), TokenId(second)];
                let entry = PoolEntry::new(address, FactoryId(0), tokens, state);
                pools.insert(entry).unwrap();
            }
        }
    }
    pools.index_pairs();
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let found = search_all(&mut searcher, &pools, &[PoolId(0)]);
    assert!(!found.is_empty());
    found.iter().for_each(|cycle| assert_exact(&pools, cycle));
    let counts = searcher.counts();
    assert!(counts.skipped + counts.cut_short > 0, "{counts:?}");
}

#[test]
fn a_cycle_is_evaluated_once_however_many_of_its_pools_moved() {
    let pools = market(&TWO_POOLS);
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    search_all(&mut searcher, &pools, &[PoolId(0), PoolId(1), PoolId(0)]);
    assert_eq!((searcher.counts().expanded, searcher.counts().sized), (1, 1));
}

#[test]
fn a_pool_that_came_after_the_index_is_ignored() {
    let mut pools = PoolTable::new(3, 0);
    for id in market(&TWO_POOLS).ids() {
        pools.insert(*market(&TWO_POOLS).get(*id)).unwrap();
    }
    let mut searcher = Searcher::new(&pools, &BASES, WETH, 4);
    let state: Pool = ConstantProduct::new([ETHER, 1], 0).unwrap().into();
    let late = PoolEntry::new(Address::repeat_byte(9), FactoryId(0), [WETH, USDC], state);
    let late = pools.insert(late).unwrap();
    searcher.refresh(&pools, &[late]);
    assert_eq!(search_all(&mut searcher, &pools, &[late]), []);
}

#[test]
fn a_base_token_is_valued_by_the_best_pool_that_can_be_used() {
    let mut pools = market(&TWO_POOLS);
    let amount = 1_000_000_000;
    let best = pools.view(PoolId(1)).quote_out(amount, Direction::ZeroForOne);
    let other = pools.view(PoolId(0)).quote_out(amount, Direction::OneForZero);
    assert!(best > other);
    assert_eq!(native_value(&pools, WETH, USDC, amount), best);
    assert_eq!(native_value(&pools, WETH, WETH, 5), Some(5));
    assert_eq!(native_value(&pools, WETH, TokenId(5), 5), None);
    pools.entry_mut(PoolId(1)).is_quarantined = true;
    assert_eq!(native_value(&pools, WETH, USDC, amount), other);
}

#[test]
fn a_pool_that_is_deep_in_one_range_only_values_nothing_that_leads_out_of_it() {
    // The dearest by its curve, and next to nothing beyond a tick.
    let sqrt_price = sqrt_price_at(0).unwrap();
    let liquidity = 1_000_000 * ETHER;
    let state =
        ConcentratedState { sqrt_price, tick: 0, liquidity, fee_pips: 100, tick_spacing: 1 };
    let net = i128::try_from(liquidity - 1).unwrap();
    let ticks = [
        Tick { index: -800_000, net: 1, gross: 1 },
        Tick { index: -1, net, gross: liquidity - 1 },
        Tick { index: 1, net: -net, gross: liquidity - 1 },
        Tick { index: 800_000, net: -1, gross: 1 },
    ];
    let mut pools = PoolTable::new(2, 64);
    let entry = |place: u8, state: Pool| {
        PoolEntry::new(Address::repeat_byte(place), FactoryId(0), [WETH, USDC], state)
    };
    let narrow: Pool = Concentrated::new(&state).unwrap().into();
    let narrow = pools.insert_with_ticks(entry(1, narrow), &ticks).unwrap();
    let plain: Pool = ConstantProduct::new([500_000 * ETHER; 2], 3_000).unwrap().into();
    let plain = pools.insert(entry(2, plain)).unwrap();
    pools.index_pairs();
    for amount in [ETHER, 10 * ETHER, 1_000 * ETHER, 100_000 * ETHER] {
        let quotes =
            [narrow, plain].map(|id| pools.view(id).quote_out(amount, Direction::OneForZero));
        assert_eq!(native_value(&pools, WETH, USDC, amount), quotes[0].max(quotes[1]), "{amount}");
    }
}
