//! What users asked routers for in real blocks: what the engine reads in their calls and lands on
//! its world, against what the calls then did.
//!
//! Before each transaction to a router the pools that it names are read from the chain as it then
//! stands, V3's ticks as far as they are known. What the engine follows must go through the
//! pools that the transaction's own `Swap` logs name, in their order and for the exact amount, and
//! leave every pool where the chain leaves it. What it does not follow has a reason.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::sol_types::SolValue as _;
use alloy_primitives::{Address, B256, TxKind, U256, address, b256, hex, keccak256};
use gannet_engine::amm::Ticks;
use gannet_engine::decode::calldata::{self, Action, Call, Path};
use gannet_engine::decode::pending::{PendingTx, TxType};
use gannet_engine::decode::swap;
use gannet_engine::decode::topics::{SWAP, V3_SWAP};
use gannet_engine::ids::{Direction, FactoryId};
use gannet_engine::plan::Follow;
use gannet_engine::target::{Payer, Route, Step, Target, Way};
use gannet_engine::units::Wei;
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind, Tip, Unfit, World};

use super::blocks::{each_block, folder, logs_of, run_to};
use super::counted;
use super::mirror::{WETH, setting};
use super::table::Table;
use crate::backtest::desk::{balance, transfer};
use crate::backtest::swaps::{Swap, Transfer};
use crate::evm::{Fork, RECIPIENT, Scene};
use crate::recording::RecordedBlock;
use crate::recording::rows::LogRow;
use crate::venue::pair::reserves;
use crate::venue::ranged::Ranged;
use crate::venue::{Because, Setting, Venue, world};

/// Factories of pairs, with the hashes of their pairs' creation code, and their own routers.
const PAIRS: [(Address, B256, &[Address]); 2] = [
    (
        address!("5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"),
        b256!("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"),
        &[
            address!("7a250d5630b4cf539739df2c5dacb4c659f2488d"),
            address!("f164fc0ec4e93095b804a4795bbe1e041497b92a"),
        ],
    ),
    (
        address!("c0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac"),
        b256!("e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"),
        &[address!("d9e1ce17f2641f24ae83637ab66a2cca9c378b9f")],
    ),
];
/// Uniswap V3's factory, with the hash of its pools' creation code.
const V3: (Address, B256) = (
    address!("1f98431c8ad98523631ae4a59f267346ea31f984"),
    b256!("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"),
);
const V3_ID: FactoryId = FactoryId(4);
/// Routers that go through Uniswap's pairs and V3's pools.
const ROUTERS: [(Address, RouterKind); 6] = [
    (address!("e592427a0aece92de3edee1f18e0157c05861564"), RouterKind::SwapRouter),
    (address!("68b3465833fb72a70ecdf485e0e4c7bd8665fc45"), RouterKind::SwapRouter02),
    (address!("ef1c6e67703c7bd7107eed8303fbe6ec2554bf6b"), RouterKind::Universal),
    (address!("3fc91a3afd70395cd496c647d5a6cc9d4b2b7fad"), RouterKind::Universal),
    (address!("66a9893cc07d91d95644aedd05d03f95e1dba8af"), RouterKind::Universal),
    (address!("4c82d1fbfe28c977cbb58d8c7ff8fcf9f70a2cca"), RouterKind::Universal),
];
const BLOCK_SECONDS: u64 = 12;

#[test]
fn what_users_asked_of_routers_is_read_as_it_was_done() {
    let Some(folder) = folder() else { return };
    let mut table = Table::new(&["block", "calls", "exact", "reverted", "left out", "wrong"]);
    let (mut wrong, mut sums) = (vec![], Calls::default());
    each_block(&folder, |scene| {
        let calls = Calls::new(scene);
        if calls.count == 0 {
            return;
        }
        table.row([
            scene.block.number().to_string(),
            calls.count.to_string(),
            counted(&calls.exact),
            counted(&calls.reverted),
            counted(&calls.left),
            calls.wrong.len().to_string(),
        ]);
        sums.add(&calls);
        wrong.extend(calls.wrong.into_iter().map(|call| (scene.block.number(), call)));
    });
    table.note(format!("{} calls in all", sums.count));
    for (name, reasons) in
        [("exact", &sums.exact), ("reverted", &sums.reverted), ("left out", &sums.left)]
    {
        let count: usize = reasons.values().sum();
        table.note(format!("{name} {count}: {}", counted(reasons)));
    }
    table.show("calls");
    assert_eq!(wrong, [], "calls that did something else than was read in them");
    assert!(sums.exact.values().sum::<usize>() > 0, "some call is followed");
}

/// The calls of routers in one block.
#[derive(Default)]
struct Calls {
    count: usize,
    /// Followed, and every pool stands where the engine says; by the router's kind.
    exact: BTreeMap<String, usize>,
    /// They would revert, says the engine, and they did; or they did for what no pool shows.
    reverted: BTreeMap<String, usize>,
    /// Not followed, or not judged, and why.
    left: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Calls {
    /// Judges a block's calls. The block must have been run: what it reads is known then.
    fn new(scene: &Scene<'_>) -> Self {
        let mut calls = Self::default();
        let mut replay = run_to(scene, 0);
        for (index, row) in scene.block.transactions.iter().enumerate() {
            let raw = row.raw.as_ref().expect("its signed bytes are recorded");
            let envelope = TxEnvelope::decode_2718(&mut &raw[..]).expect("a transaction");
            let to = envelope.to().and_then(Place::of);
            let before = to.map(|_router| replay.fork());
            replay.run_to(index + 1).expect("it has run before");
            let (Some(to), Some(before)) = (to, before) else { continue };
            calls.count += 1;
            let sender = row.from_address.expect("its sender is recorded");
            let call = Asked::new(scene.block, (&envelope, sender), to, before);
            let logs: Vec<LogRow> = logs_of(scene.block, index).cloned().collect();
            let has_landed = row.success == Some(true);
            let judged = call.and_then(|call| call.judge(replay.fork(), has_landed, &logs));
            let (counts, why) = match judged {
                Ok(Verdict::Exact) => (&mut calls.exact, to.name()),
                Ok(Verdict::Reverted(why)) => (&mut calls.reverted, why),
                Err(Reason::Left(because)) => (&mut calls.left, because.0),
                Err(Reason::Wrong(text)) => {
                    calls.wrong.push(format!("transaction {index}: {text}"));
                    continue;
                }
            };
            *counts.entry(why).or_default() += 1;
        }
        calls
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (sums, counts) in [
            (&mut self.exact, &other.exact),
            (&mut self.reverted, &other.reverted),
            (&mut self.left, &other.left),
        ] {
            for (reason, count) in counts {
                *sums.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

enum Verdict {
    Exact,
    Reverted(String),
}

/// Why a call was not found exact.
enum Reason {
    Left(Because),
    Wrong(String),
}

impl<T: Into<Because>> From<T> for Reason {
    fn from(reason: T) -> Self {
        Self::Left(reason.into())
    }
}

fn left<T>(reason: impl Into<String>) -> Result<T, Reason> {
    Err(Reason::Left(Because(reason.into())))
}

/// A router.
#[derive(Clone, Copy)]
struct Place {
    address: Address,
    /// None: Router02, of the factory at this place.
    kind: Result<RouterKind, u8>,
}

impl Place {
    fn of(address: Address) -> Option<Self> {
        let routed = ROUTERS.iter().find(|(router, _)| *router == address);
        if let Some((_, kind)) = routed {
            return Some(Self { address, kind: Ok(*kind) });
        }
        let factory = PAIRS.iter().position(|(_, _, routers)| routers.contains(&address))?;
        Some(Self { address, kind: Err(u8::try_from(factory).expect("a few")) })
    }

    fn name(&self) -> String {
        self.kind.map_or_else(|_| "Router02".into(), |kind| format!("{kind:?}"))
    }
}

/// What a call asks for, and the world that it is to land on.
struct Asked {
    world: World,
    route: Route,
    /// The pools that it names, in the order of their handles.
    venues: Vec<Venue>,
    /// Whether a token that it moves keeps a part of what is sent.
    is_odd: bool,
    router: Address,
}

impl Asked {
    fn new(
        block: &RecordedBlock,
        (envelope, sender): (&TxEnvelope, Address),
        to: Place,
        mut fork: Fork<'_>,
    ) -> Result<Self, Reason> {
        let input = envelope.input();
        let mut seeds = Seeds::default();
        let read = |error| Because(format!("its calldata: {error:?}"));
        match to.kind {
            Err(factory) => match calldata::parse(input, envelope.value()).map_err(read)? {
                Call::Router(swap) => seeds.add(&mut fork, &swap.path, factory),
                Call::Pair(_) | Call::Other => return left("it is no swap"),
            },
            Ok(kind) => {
                let actions = calldata::actions(input, kind).map_err(read)?;
                for action in actions.list() {
                    if let Action::Swap(swap) = action {
                        seeds.add(&mut fork, &swap.path, 0);
                    }
                }
            }
        }
        let mut is_odd = seeds.has_odd_token(&fork);
        let world = seeds.world(block, to)?;
        let Seeds { pools, unknown } = seeds;
        match route_of(envelope, to, &world) {
            Some(route) => {
                is_odd |= is_paid_oddly(&route, &world, &fork, sender);
                let venues = pools.into_values().map(|(_factory, venue)| venue).collect();
                Ok(Self { world, route, venues, is_odd, router: to.address })
            }
            None => Err(Reason::Left(
                unknown.unwrap_or_else(|| Because("its plan is not followed".into())),
            )),
        }
    }

    fn judge(
        mut self,
        mut fork: Fork<'_>,
        has_landed: bool,
        logs: &[LogRow],
    ) -> Result<Verdict, Reason> {
        let follow = Follow { hash: B256::ZERO, max_fee: Wei(u128::MAX), priority_fee: Wei(1) };
        let target = Target { follow, sender: Address::ZERO, nonce: 0, route: self.route };
        let applied = self.world.apply_target(&target).map(drop);
        let found = match (applied, has_landed) {
            (Err(unfit), false) => return Ok(Verdict::Reverted(format!("as said, {unfit:?}"))),
            (Ok(()), false) => return Ok(Verdict::Reverted("for what no pool shows".into())),
            (Err(Unfit::NoLiquidity), true) if self.has_unknown_ticks() => {
                return left("it leaves the ticks that are known");
            }
            (Err(unfit), true) => Err(format!("it landed: {unfit:?}")),
            (Ok(()), true) => self.judge_pools(&mut fork)?,
        };
        let found = self.judge_logs(logs).and(found);
        found.map(|()| Verdict::Exact).map_err(|difference| match self.excuse(logs) {
            Some(because) => Reason::Left(Because(because.into())),
            None => Reason::Wrong(format!("{difference}: {:?}", self.route.steps())),
        })
    }

    /// Every pool stands where the engine says.
    fn judge_pools(&self, fork: &mut Fork<'_>) -> Result<Result<(), String>, Because> {
        for (venue, id) in self.venues.iter().zip(self.world.pools.ids()) {
            let (now, said) = (venue.again(fork)?.state, self.world.pools.get(*id).state);
            if now != said {
                return Ok(Err(format!("{} is {now:?}, not {said:?}", venue.address)));
            }
        }
        Ok(Ok(()))
    }

    /// What a token did that no router asked for, by its own logs or by a trial.
    fn excuse(&self, logs: &[LogRow]) -> Option<&'static str> {
        let sent: Vec<Transfer> = logs.iter().filter_map(Transfer::of).collect();
        let is_ours = |address: &Address| self.world.pools.id_of(address).is_some();
        let is_by_other = |swap: Swapped| swap.by != self.router && is_ours(&swap.pool);
        // It goes to a pool itself, or has a router bring what it holds.
        if logs.iter().filter_map(Swapped::of).any(is_by_other)
            || sent.iter().any(|it| it.from == it.token && is_ours(&it.to))
        {
            return Some("a token trades by itself when it is sent");
        }
        let keeps_a_part = self.route.parts().any(|part| {
            let pool = self.route.hops_of(part).first().map(|hop| hop.pool);
            let pool = pool.map(|pool| self.world.pools.get(pool).address);
            let asked = U256::from(part.amount);
            sent.iter().filter(|it| Some(it.to) == pool && it.amount < asked).any(|arrived| {
                let same = |it: &&Transfer| it.token == arrived.token && it.from == arrived.from;
                sent.iter().filter(same).map(|it| it.amount).sum::<U256>() == asked
            })
        });
        if keeps_a_part {
            return Some("a token keeps a part, by its own logs");
        }
        self.is_odd.then_some("a token arrives in part, or not")
    }

    /// Whether some V3 pool's ticks are known only in part.
    fn has_unknown_ticks(&self) -> bool {
        let pools = &self.world.pools;
        pools.ids().iter().any(|id| pools.ticks(*id).known() != Ticks::NONE.known())
    }

    /// Its hops are the `Swap` logs, in their order, and the exact amounts are theirs. A plan that
    /// may have failed in parts is judged by the pools alone.
    fn judge_logs(&self, logs: &[LogRow]) -> Result<(), String> {
        if self.route.steps().iter().any(|step| matches!(step, Step::Try { .. })) {
            return Ok(());
        }
        let swaps = logs.iter().filter_map(Swapped::of);
        let swaps: Vec<Swapped> = swaps.filter(|swap| swap.by == self.router).collect();
        let asked: Vec<(Address, Direction)> = self
            .route
            .hops()
            .iter()
            .map(|hop| (self.world.pools.get(hop.pool).address, hop.direction))
            .collect();
        let done: Vec<_> = swaps.iter().map(|swap| (swap.pool, swap.direction)).collect();
        if asked != done {
            return Err(format!("went through {done:?}, read {asked:?}"));
        }
        let mut first = 0;
        for part in self.route.parts() {
            let last = first + usize::from(part.hop_count) - 1;
            let exact = match part.way {
                Way::ExactIn => swaps[first].paid,
                Way::ExactOut => swaps[last].taken,
                // What is paid beforehand may buy a little more.
                Way::ExactOutForward => swaps[last].taken.min(part.amount),
            };
            let is_named = part.payer != Payer::RouterAll;
            if is_named && !part.has_price_limit && exact != part.amount {
                return Err(format!("moved {exact}, read {}", part.amount));
            }
            first = last + 1;
        }
        Ok(())
    }
}

/// A swap, by its own log.
struct Swapped {
    pool: Address,
    /// Who called the pool.
    by: Address,
    direction: Direction,
    paid: u128,
    taken: u128,
}

impl Swapped {
    fn of(log: &LogRow) -> Option<Self> {
        let is_ours = log.topics.first().is_some_and(|topic| [SWAP, V3_SWAP].contains(topic));
        let Swap { pool, paid, given, .. } = Swap::of(log).filter(|_swap| is_ours)?;
        let direction = if given[1] == 0 { Direction::OneForZero } else { Direction::ZeroForOne };
        let (paid, taken) = (paid[direction.index_in()], given[direction.index_out()]);
        let by = Address::from_word(*log.topics.get(1)?);
        Some(Self { pool, by, direction, paid, taken })
    }
}

/// The pools that a call names, as they are before it, with their factories.
#[derive(Default)]
struct Seeds {
    pools: BTreeMap<Address, (FactoryId, Venue)>,
    /// The first that is not known, and why.
    unknown: Option<Because>,
}

impl Seeds {
    fn add(&mut self, fork: &mut Fork<'_>, path: &Path<'_>, factory: u8) {
        let tokens: Vec<Address> = path.iter().collect();
        for (place, pair) in tokens.windows(2).enumerate() {
            let sorted = if pair[0] < pair[1] { [pair[0], pair[1]] } else { [pair[1], pair[0]] };
            let seed = match path.fee(place) {
                Some(fee) => v3_pool(fork, sorted, fee).map(|venue| (V3_ID, venue)),
                None => pair_of(fork, sorted, factory).map(|venue| (FactoryId(factory), venue)),
            };
            match seed {
                Ok(seed) => {
                    self.pools.insert(seed.1.address, seed);
                }
                Err(because) => {
                    self.unknown.get_or_insert(because);
                }
            }
        }
    }

    /// Whether less of a token arrives than a pool sends, as far as that can be tried.
    fn has_odd_token(&self, fork: &Fork<'_>) -> bool {
        self.pools.values().any(|(_factory, venue)| {
            let mut tokens = venue.tokens.into_iter().filter(|token| *token != WETH);
            tokens.any(|token| arrives(&mut fork.clone(), token, venue.address) == Ok(false))
        })
    }

    fn world(&self, block: &RecordedBlock, to: Place) -> Result<World, Because> {
        let setting = setting(block, &[WETH]);
        let timestamp = block.header.timestamp.unwrap_or_default().0 - BLOCK_SECONDS;
        let anchor = Tip { timestamp, ..setting.anchor };
        let venues: Vec<Venue> = self.pools.values().map(|(_, venue)| venue.clone()).collect();
        let mut world = world(&venues, &Setting { anchor, ..setting })?;
        for (factory, venue) in self.pools.values() {
            let id = world.pools.id_of(&venue.address).expect("it was put in");
            world.pools.entry_mut(id).factory = *factory;
        }
        let factory = |address, router, kind| Factory { address, router, fee_pips: 3_000, kind };
        world.factories.clear();
        for (place, (address, ..)) in PAIRS.iter().enumerate() {
            let is_asked = to.kind == Err(u8::try_from(place).expect("a few"));
            let router = if is_asked { to.address } else { Address::ZERO };
            world.factories.push(factory(*address, router, FactoryKind::UniswapV2));
        }
        while world.factories.len() <= usize::from(V3_ID.0) {
            world.factories.push(factory(V3.0, Address::ZERO, FactoryKind::UniswapV3));
        }
        world.routers.extend(ROUTERS.map(|(address, kind)| Router {
            address,
            kind,
            v2: (kind != RouterKind::SwapRouter).then_some(FactoryId(0)),
            v3: Some(V3_ID),
        }));
        Ok(world)
    }
}

/// The pair of a factory between two tokens.
fn pair_of(fork: &mut Fork<'_>, tokens: [Address; 2], factory: u8) -> Result<Venue, Because> {
    let (creator, hash, _) = PAIRS[usize::from(factory)];
    let pair = creator.create2(keccak256(tokens.concat()), hash);
    if fork.code(pair)?.is_empty() {
        return Err(Because("there is no pair before the transaction".into()));
    }
    let reserves = reserves(fork, pair)?;
    Venue::pair(pair, tokens, reserves, 3_000)
}

/// The V3 pool between two tokens at a fee.
#[expect(clippy::panic_in_result_fn, reason = "another pool than was looked for fails the test")]
fn v3_pool(fork: &mut Fork<'_>, tokens: [Address; 2], fee: u32) -> Result<Venue, Because> {
    let (creator, hash) = V3;
    let salt = keccak256((tokens[0], tokens[1], U256::from(fee)).abi_encode());
    let pool = creator.create2(salt, hash);
    if fork.code(pool)?.is_empty() {
        return Err(Because("there is no V3 pool before the transaction".into()));
    }
    let venue = Ranged::look(fork, pool)?.venue();
    assert_eq!(venue.tokens, tokens, "the pool is the one that was looked for");
    Ok(venue)
}

/// Whether all of a thousandth of what a pool holds of a token arrives at somebody's.
fn arrives(fork: &mut Fork<'_>, token: Address, pool: Address) -> Result<bool, Because> {
    let held = balance(fork, token, pool)?;
    let amount = u128::try_from(held / U256::from(1_000)).unwrap_or(u128::MAX);
    let (arrived, error) = transfer(fork, token, (pool, *RECIPIENT), amount)?;
    Ok(error.is_none() && arrived == U256::from(amount))
}

/// Whether the pool that a part of a route pays first does not get what the sender sends it.
fn is_paid_oddly(route: &Route, world: &World, fork: &Fork<'_>, sender: Address) -> bool {
    route.parts().filter(|part| part.payer == Payer::Sender).any(|part| {
        let Some(hop) = route.hops_of(part).first() else { return false };
        let pool = world.pools.get(hop.pool);
        let token = world.tokens.get(pool.tokens[hop.direction.index_in()]).address;
        let sent = transfer(&mut fork.clone(), token, (sender, pool.address), part.amount);
        sent.is_ok_and(|(got, error)| error.is_none() && got != U256::from(part.amount))
    })
}

fn route_of(envelope: &TxEnvelope, to: Place, world: &World) -> Option<Route> {
    assert_eq!(envelope.kind(), TxKind::Call(to.address));
    let text = hex::encode_prefixed(envelope.input());
    let tx = PendingTx {
        tx_type: TxType::DynamicFee,
        hash: B256::ZERO,
        from: Address::ZERO,
        to: Some(to.address),
        chain_id: Some(1),
        nonce: 0,
        gas: 1,
        max_fee: u128::MAX,
        priority_fee: 1,
        max_blob_fee: 0,
        value: envelope.value(),
        input: text.as_bytes(),
        access_list: &[],
        blob_hashes: &[],
        authorizations: &[],
        v: 0,
        r: U256::ONE,
        s: U256::ONE,
    };
    swap::decode(&tx, world, &mut [0; swap::CALLDATA_BYTES_MAX])
}
