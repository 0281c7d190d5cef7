//! What users asked routers for in real blocks: what the engine reads in their calls and lands on
//! its world, against what the calls then did.
//!
//! Before each transaction to a router the pools that it names are read from the chain as it then
//! stands, V3's ticks as far as the witness knows them. What the engine follows must go through the
//! pools that the transaction's own `Swap` logs name, in their order and for the exact amount, and
//! leave every pool where the chain leaves it. What it does not follow has a reason.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, I256, TxKind, U256, address, b256, hex, keccak256};
use alloy::sol_types::{SolCall as _, SolValue as _};
use gannet_engine::amm::ticks::TICK_MAX;
use gannet_engine::amm::{Concentrated, ConcentratedState, ConstantProduct, Pool, Tick, Ticks};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::calldata::{self, Action, Call, Path};
use gannet_engine::decode::pending::{PendingTx, TxType};
use gannet_engine::decode::swap;
use gannet_engine::decode::topics::{SWAP, V3_SWAP};
use gannet_engine::ids::{Direction, FactoryId};
use gannet_engine::plan::Follow;
use gannet_engine::target::{Payer, Route, Step, Target, Way};
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, FactoryKind, Router, RouterKind, Tip, Unfit, Universe, World};

use super::chain::{Fork, RECIPIENT, Replay};
use super::find::Token;
use super::mirror::WETH;
use super::pair::{Because, unpack};
use super::table::Table;
use super::witness::{RecordedLog, Unknown, Witness};
use super::{counted, each_block, witness};

alloy::sol! {
    interface V3Views {
        function fee() external view returns (uint24);
        function tickSpacing() external view returns (int24);
        function token0() external view returns (address);
    }
}

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
/// Words of bitmap that are looked at on each side of a V3 pool's price.
const WORDS: i32 = 40;
const BLOCK_SECONDS: u64 = 12;

#[test]
fn what_users_asked_of_routers_is_read_as_it_was_done() {
    let Some(folder) = witness::folder() else { return };
    let mut table = Table::new(&["block", "calls", "exact", "reverted", "left out", "wrong"]);
    let (mut wrong, mut sums) = (vec![], Calls::default());
    each_block(&folder, |witness| {
        let calls = Calls::new(witness);
        if calls.count == 0 {
            return;
        }
        table.row([
            witness.number().to_string(),
            calls.count.to_string(),
            counted(&calls.exact),
            counted(&calls.reverted),
            counted(&calls.left),
            calls.wrong.len().to_string(),
        ]);
        sums.add(&calls);
        wrong.extend(calls.wrong.into_iter().map(|call| (witness.number(), call)));
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
    fn new(witness: &Witness) -> Self {
        let mut calls = Self::default();
        let mut replay = Replay::new(witness);
        for (index, recorded) in witness.receipts.iter().enumerate() {
            let tx = &witness.txs[index];
            let envelope = TxEnvelope::decode_2718(&mut &tx.raw[..]).expect("a transaction");
            let Some(to) = envelope.to().and_then(Place::of) else {
                replay.step();
                continue;
            };
            calls.count += 1;
            let call = Asked::new(witness, (&envelope, tx.from), to, replay.fork());
            replay.step();
            let what = |text: String| format!("transaction {index}: {text}");
            let counts = match call
                .and_then(|call| call.judge(replay.fork(), recorded.status == 1, &recorded.logs))
            {
                Ok(Verdict::Exact) => (&mut calls.exact, to.name()),
                Ok(Verdict::Reverted(why)) => (&mut calls.reverted, why),
                Err(Reason::Left(because)) => (&mut calls.left, because.0),
                Err(Reason::Wrong(text)) => {
                    calls.wrong.push(what(text));
                    continue;
                }
            };
            *counts.0.entry(counts.1).or_default() += 1;
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
    spacings: BTreeMap<Address, i32>,
    /// Whether a token that it moves keeps a part of what is sent.
    is_odd: bool,
    router: Address,
}

impl Asked {
    fn new(
        witness: &Witness,
        (envelope, sender): (&TxEnvelope, Address),
        to: Place,
        mut fork: Fork<'_>,
    ) -> Result<Self, Reason> {
        let input = envelope.input();
        let mut seeds = Seeds::new();
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
        let spacings = seeds.spacings.clone();
        let because = seeds.unknown.clone();
        let world = seeds.world(witness, to);
        match route_of(envelope, to, &world) {
            Some(route) => {
                is_odd |= is_paid_oddly(&route, &world, &fork, sender);
                Ok(Self { world, route, spacings, is_odd, router: to.address })
            }
            None => Err(Reason::Left(
                because.unwrap_or_else(|| Because("its plan is not followed".into())),
            )),
        }
    }

    fn judge(
        mut self,
        mut fork: Fork<'_>,
        has_landed: bool,
        logs: &[RecordedLog],
    ) -> Result<Verdict, Reason> {
        let follow = Follow { hash: B256::ZERO, max_fee: Wei(u128::MAX), priority_fee: Wei(1) };
        let target = Target { follow, sender: Address::ZERO, nonce: 0, route: self.route };
        let applied = self.world.apply_target(&target).map(drop);
        let found = match (applied, has_landed) {
            (Err(unfit), false) => return Ok(Verdict::Reverted(format!("as said, {unfit:?}"))),
            (Ok(()), false) => return Ok(Verdict::Reverted("for what no pool shows".into())),
            (Err(Unfit::NoLiquidity), true) if self.has_unknown_ticks() => {
                return left("it leaves the ticks that the witness knows");
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
        for id in self.world.pools.ids() {
            let entry = self.world.pools.get(*id);
            let now = state_now(fork, entry, &self.spacings)?;
            if now != entry.state {
                let (address, said) = (entry.address, entry.state);
                return Ok(Err(format!("{address} is {now:?}, not {said:?}")));
            }
        }
        Ok(Ok(()))
    }

    /// What a token did that no router asked for, by its own logs or by a trial.
    fn excuse(&self, logs: &[RecordedLog]) -> Option<&'static str> {
        let sent: Vec<Sent> = logs.iter().filter_map(Sent::of).collect();
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
                let same = |it: &&Sent| it.token == arrived.token && it.from == arrived.from;
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
    fn judge_logs(&self, logs: &[RecordedLog]) -> Result<(), String> {
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
                Way::ExactOutForward => swaps[last].taken.min(U256::from(part.amount)),
            };
            let is_named = part.payer != Payer::RouterAll;
            if is_named && !part.has_price_limit && exact != U256::from(part.amount) {
                return Err(format!("moved {exact}, read {}", part.amount));
            }
            first = last + 1;
        }
        Ok(())
    }
}

/// A transfer of a token, by its own log.
struct Sent {
    token: Address,
    from: Address,
    to: Address,
    amount: U256,
}

impl Sent {
    fn of(log: &RecordedLog) -> Option<Self> {
        let [topic, from, to] = log.topics.as_slice().try_into().ok()?;
        let is_transfer = topic == keccak256("Transfer(address,address,uint256)");
        let amount = U256::from_be_slice(log.data.get(..32)?);
        let [from, to] = [from, to].map(Address::from_word);
        is_transfer.then_some(Self { token: log.address, from, to, amount })
    }
}

/// A swap, by its own log.
struct Swapped {
    pool: Address,
    /// Who called the pool.
    by: Address,
    direction: Direction,
    paid: U256,
    taken: U256,
}

impl Swapped {
    fn of(log: &RecordedLog) -> Option<Self> {
        let word = |place: usize| {
            log.data.get(place * 32..place * 32 + 32).map(U256::from_be_slice).unwrap_or_default()
        };
        let (paid, taken) = match *log.topics.first()? {
            SWAP => ([word(0), word(1)], [word(2), word(3)]),
            V3_SWAP => {
                let amounts = [word(0), word(1)].map(I256::from_raw);
                let positive = |amount: I256| U256::try_from(amount).unwrap_or_default();
                (amounts.map(positive), amounts.map(|amount| positive(-amount)))
            }
            _ => return None,
        };
        let direction =
            if taken[1].is_zero() { Direction::OneForZero } else { Direction::ZeroForOne };
        let (paid, taken) = (paid[direction.index_in()], taken[direction.index_out()]);
        let by = Address::from_word(*log.topics.get(1)?);
        Some(Self { pool: log.address, by, direction, paid, taken })
    }
}

/// The pools that a call names, as they are before it.
struct Seeds {
    pools: BTreeMap<Address, Seed>,
    spacings: BTreeMap<Address, i32>,
    /// The first that is not known, and why.
    unknown: Option<Because>,
}

struct Seed {
    factory: FactoryId,
    tokens: [Address; 2],
    state: Pool,
    ticks: Vec<Tick>,
    known: [i32; 2],
}

impl Seeds {
    const fn new() -> Self {
        Self { pools: BTreeMap::new(), spacings: BTreeMap::new(), unknown: None }
    }

    fn add(&mut self, fork: &mut Fork<'_>, path: &Path<'_>, factory: u8) {
        let tokens: Vec<Address> = path.iter().collect();
        for (place, pair) in tokens.windows(2).enumerate() {
            let sorted = if pair[0] < pair[1] { [pair[0], pair[1]] } else { [pair[1], pair[0]] };
            let seeded = match path.fee(place) {
                Some(fee) => self.add_v3(fork, sorted, fee),
                None => self.add_pair(fork, sorted, factory),
            };
            if let Err(because) = seeded {
                self.unknown.get_or_insert(because);
            }
        }
    }

    fn add_pair(
        &mut self,
        fork: &mut Fork<'_>,
        tokens: [Address; 2],
        factory: u8,
    ) -> Result<(), Because> {
        let (creator, hash, _) = PAIRS[usize::from(factory)];
        let salt = keccak256([tokens[0], tokens[1]].concat());
        let pair = creator.create2(salt, hash);
        let reserves = pair_reserves(fork, pair)?;
        let state = ConstantProduct::new(reserves, 3_000).expect("reserves have 112 bits");
        let seed = Seed {
            factory: FactoryId(factory),
            tokens,
            state: state.into(),
            ticks: vec![],
            known: Ticks::NONE.known(),
        };
        self.pools.insert(pair, seed);
        Ok(())
    }

    fn add_v3(
        &mut self,
        fork: &mut Fork<'_>,
        tokens: [Address; 2],
        fee: u32,
    ) -> Result<(), Because> {
        let (creator, hash) = V3;
        let salt = keccak256((tokens[0], tokens[1], U256::from(fee)).abi_encode());
        let pool = creator.create2(salt, hash);
        if fork.code(pool)?.is_empty() {
            return Err(Because("there is no V3 pool before the transaction".into()));
        }
        let view = |text: String| Because(format!("a view of a V3 pool reverts: {text}"));
        let spacing = fork.read(pool, &V3Views::tickSpacingCall {})?.map_err(view)?;
        let spacing: i32 = spacing.try_into().expect("24 bits");
        let state = v3_state(fork, pool, fee, spacing)?;
        let (ticks, known) = known_ticks(fork, pool, &state, 0)?;
        let seed = Seed { factory: V3_ID, tokens, state: state.into(), ticks, known };
        self.spacings.insert(pool, spacing);
        self.pools.insert(pool, seed);
        Ok(())
    }

    /// Whether less of a token arrives than a pool sends, as far as that can be tried.
    fn has_odd_token(&self, fork: &Fork<'_>) -> bool {
        self.pools.iter().any(|(pool, seed)| {
            let mut tokens = seed.tokens.into_iter().filter(|token| *token != WETH);
            tokens.any(|token| arrives(&mut fork.clone(), token, *pool) == Ok(false))
        })
    }

    fn world(self, witness: &Witness, to: Place) -> World {
        let mut tokens = TokenTable::new(64);
        let native = tokens.insert(WETH, 18).expect("there is room");
        let mut pools = PoolTable::new(self.pools.len(), 1 << 14);
        for (address, seed) in self.pools {
            let ids = seed.tokens.map(|token| {
                let known = tokens.id_of(&token);
                known.unwrap_or_else(|| tokens.insert(token, 18).expect("there is room"))
            });
            let entry = PoolEntry::new(address, seed.factory, ids, seed.state);
            let id = pools.insert(entry).expect("there is room");
            pools.load_ticks(id, &seed.ticks).expect("there is room");
            pools.set_known_ticks(id, seed.known);
        }
        pools.index_pairs();
        let factory = |address, router, kind| Factory { address, router, fee_pips: 3_000, kind };
        let mut factories: Vec<Factory> = vec![];
        for (place, (address, ..)) in PAIRS.iter().enumerate() {
            let is_asked = to.kind == Err(u8::try_from(place).expect("a few"));
            let router = if is_asked { to.address } else { Address::ZERO };
            factories.push(factory(*address, router, FactoryKind::UniswapV2));
        }
        while factories.len() <= usize::from(V3_ID.0) {
            factories.push(factory(V3.0, Address::ZERO, FactoryKind::UniswapV3));
        }
        let routers = ROUTERS.map(|(address, kind)| Router {
            address,
            kind,
            v2: (kind != RouterKind::SwapRouter).then_some(FactoryId(0)),
            v3: Some(V3_ID),
        });
        let header = &witness.header;
        let timestamp: u64 = header.timestamp.to();
        let anchor = Tip {
            number: BlockNumber(witness.number() - 1),
            hash: header.parent_hash,
            timestamp: timestamp - BLOCK_SECONDS,
            ..Tip::default()
        };
        World::new(Universe {
            chain: ChainSpec::ethereum(1, WETH),
            tokens,
            pools,
            factories,
            routers: routers.into(),
            bases: vec![native],
            native,
            anchor,
        })
    }
}

/// Whether all of a thousandth of what a pool holds of a token arrives at somebody's.
fn arrives(fork: &mut Fork<'_>, token: Address, pool: Address) -> Result<bool, Unknown> {
    let amount = held(fork, token, pool)? / U256::from(1_000);
    Ok(sends(fork, token, [pool, *RECIPIENT], amount)? == Some(amount))
}

/// Whether the pool that a part of a route pays first does not get what the sender sends it.
fn is_paid_oddly(route: &Route, world: &World, fork: &Fork<'_>, sender: Address) -> bool {
    route.parts().filter(|part| part.payer == Payer::Sender).any(|part| {
        let Some(hop) = route.hops_of(part).first() else { return false };
        let pool = world.pools.get(hop.pool);
        let token = world.tokens.get(pool.tokens[hop.direction.index_in()]).address;
        let amount = U256::from(part.amount);
        let got = sends(&mut fork.clone(), token, [sender, pool.address], amount);
        got.is_ok_and(|got| got.is_some_and(|got| got != amount))
    })
}

/// What arrives of an amount of a token; none if it is not sent.
fn sends(
    fork: &mut Fork<'_>,
    token: Address,
    [from, to]: [Address; 2],
    amount: U256,
) -> Result<Option<U256>, Unknown> {
    let before = held(fork, token, to)?;
    let call = Token::transferCall { to, amount }.abi_encode();
    let is_sent = fork.send(from, token, call)?.answer.is_ok();
    let after = held(fork, token, to)?;
    Ok(is_sent.then(|| after.saturating_sub(before)))
}

fn held(fork: &mut Fork<'_>, token: Address, account: Address) -> Result<U256, Unknown> {
    Ok(fork.read(token, &Token::balanceOfCall { account })?.unwrap_or_default())
}

/// A pair's reserves, where its factory's pairs keep them.
fn pair_reserves(fork: &mut Fork<'_>, pair: Address) -> Result<[u128; 2], Because> {
    if fork.code(pair)?.is_empty() {
        return Err(Because("there is no pair before the transaction".into()));
    }
    Ok(unpack(fork.slot(pair, 8)?))
}

fn v3_state(
    fork: &mut Fork<'_>,
    pool: Address,
    fee_pips: u32,
    tick_spacing: i32,
) -> Result<Concentrated, Because> {
    let (slot0, liquidity) = (fork.slot(pool, 0)?, fork.slot(pool, 4)?);
    let tick = ((slot0 >> 160_usize).wrapping_to::<u32>() << 8).cast_signed() >> 8;
    let state = ConcentratedState {
        sqrt_price: slot0 & ((U256::ONE << 160) - U256::ONE),
        tick,
        liquidity: liquidity.to(),
        fee_pips,
        tick_spacing,
    };
    Concentrated::new(&state).ok_or_else(|| Because("a V3 pool in no state".into()))
}

/// The ticks around a pool's price that the witness knows, and how far that reaches. Its layout is
/// Uniswap's, `shift` slots further on.
pub(crate) fn known_ticks(
    fork: &mut Fork<'_>,
    pool: Address,
    state: &Concentrated,
    shift: u64,
) -> Result<(Vec<Tick>, [i32; 2]), Because> {
    let spacing = state.tick_spacing();
    let here = state.tick().div_euclid(spacing) >> 8;
    let (mut ticks, mut known) = (vec![], [state.tick(); 2]);
    for (side, step) in [(0, -1), (1, 1)] {
        'side: for away in 0..WORDS {
            let word = here + step * away;
            let bits = match fork.slot_at(pool, tick_key(word, 6 + shift)) {
                Err(unknown) if away == 0 => return Err(unknown.into()),
                Err(_) => break,
                Ok(bits) => bits,
            };
            let indices = (0..256)
                .filter(|bit| bits.bit(*bit))
                .map(|bit| ((word << 8) + i32::try_from(bit).expect("below 256")) * spacing);
            let is_on_side = |index: &i32| (*index > state.tick()) == (side == 1);
            let mut indices: Vec<i32> = indices.filter(is_on_side).collect();
            if step < 0 {
                indices.reverse();
            }
            for index in indices {
                let Ok(word) = fork.slot_at(pool, tick_key(index, 5 + shift)) else {
                    // A swap must stop there.
                    ticks.push(Tick { index, net: 0, gross: 1 });
                    known[side] = index;
                    break 'side;
                };
                let net: u128 = (word >> 128_usize).to();
                let gross: u128 = (word & U256::from(u128::MAX)).to();
                ticks.push(Tick { index, net: net.cast_signed(), gross });
            }
            known[side] = ((word << 8) + [0, 255][side]) * spacing;
        }
    }
    ticks.sort_by_key(|tick| tick.index);
    Ok((ticks, known.map(|tick| tick.clamp(-TICK_MAX, TICK_MAX))))
}

/// Where Solidity keeps the value of a small signed key of the mapping at `slot`.
pub(crate) fn tick_key(key: i32, slot: u64) -> U256 {
    let word = I256::try_from(key).expect("it fits").into_raw();
    keccak256((word, U256::from(slot)).abi_encode()).into()
}

/// A pool's state as the chain has it, in the form of the engine's.
fn state_now(
    fork: &mut Fork<'_>,
    entry: &PoolEntry,
    spacings: &BTreeMap<Address, i32>,
) -> Result<Pool, Because> {
    Ok(match entry.state {
        Pool::ConstantProduct(pool) => {
            pool.with_reserves(pair_reserves(fork, entry.address)?).into()
        }
        Pool::Concentrated(pool) => {
            let spacing = spacings[&entry.address];
            v3_state(fork, entry.address, pool.fee_pips(), spacing)?.into()
        }
        Pool::Solidly(_) => unreachable!("no such pool is seeded here"),
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
