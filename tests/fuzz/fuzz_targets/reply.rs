//! A whole engine and a node that answers whatever it likes, in any order, until it comes to its
//! senses.
//!
//! The bytes are a script: each takes one or more and does one thing (a head, a list of logs, a
//! swap, a receipt, a link that breaks, bytes that are no message). The node never lies about what
//! a block holds, and may do anything else. After each step nothing was sent that should not have
//! been, and the pools are what the chain says; at the end, after a few honest blocks, the world is
//! fresh and stands at the newest one.
//!
//! Temperature: cold.
#![no_main]

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256};
use gannet_engine::amm::{ConstantProduct, Pool};
use gannet_engine::decode::topics::SYNC;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Command, Happening, Loaded, Reloaded, Source};
use gannet_engine::note::Note;
use gannet_engine::query::{QUERY_BYTES_MAX, Query};
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::{Stale, Tip};
use libfuzzer_sys::fuzz_target;

use crate::stage::{
    BASE_FEE, Block, DAI, ETHER, EVEN, EXECUTOR, GAP, GWEI, Mined, NONCE, POOLS, ROUTERS, Setup,
    Stage, Swap, Sync, TKN, WETH, log_json, sync,
};

#[path = "../../../engine/tests/it/stage.rs"]
#[expect(dead_code, reason = "the stage of the engine's tests; not all of it is needed here")]
mod stage;

/// Steps of one script; more say nothing new.
const STEPS_MAX: usize = 120;
/// Honest blocks after which the world must be fresh: a branch that the chain has left is given up
/// after eight.
const HONEST_BLOCKS: usize = 12;

/// Questions are repeated after a second, and a block takes twelve.
const RETRIES: usize = 10;

type Reserves = [[u128; 2]; POOLS.len()];

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let setup = script.byte();
    let wallets = 1 + setup % 3;
    if setup < 192 {
        Play::new(Setup { wallets, ..Setup::default() }.live()).run(&mut script);
    } else {
        Play::new(Setup { wallets, ..Setup::default() }.dry()).run(&mut script);
    }
});

/// Bytes from which choices are made; zeros when they are over.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = usize::from(self.byte());
        (!list.is_empty()).then(|| list[at % list.len()])
    }
}

/// A swap as a stranger announces it.
struct Announced {
    hash: B256,
    sender: Address,
    nonce: u64,
    body: String,
}

/// Made once: signing is the dearest thing here.
static SWAPS: LazyLock<Vec<Announced>> = LazyLock::new(|| {
    let paths = [vec![WETH, DAI], vec![TKN, WETH], vec![DAI, WETH, TKN]];
    let mut swaps = Vec::new();
    for (path, nonce) in paths.into_iter().zip(0..) {
        for router in ROUTERS {
            let swap = Swap { router, path: path.clone(), nonce, ..Swap::default() };
            swaps.push(Swap { max_fee: 50 * GWEI, amount: 80 * ETHER, ..swap.clone() });
            swaps.push(Swap {
                trader: 0x52,
                is_exact_out: true,
                limit: 90 * ETHER,
                ..swap.clone()
            });
            swaps.push(Swap { trader: 0x53, max_fee: GWEI / 2, priority_fee: 1, ..swap.clone() });
            swaps.push(swap);
        }
    }
    swaps.push(Swap { max_fee: 60 * GWEI, is_plain: true, ..Swap::default() });
    let announced = |swap: Swap| Announced {
        hash: swap.hash(),
        sender: swap.sender(),
        nonce: swap.nonce,
        body: swap.body(None),
    };
    swaps.into_iter().map(announced).collect()
});

/// The engine, and the chain as it truly is.
struct Play<const DRY: bool> {
    stage: Stage<DRY>,
    /// Every block of every branch; the first is the anchor.
    blocks: Vec<Block>,
    /// What each block holds.
    moves: HashMap<B256, Vec<Sync>>,
    /// The pools at the end of each block.
    states: HashMap<B256, Reserves>,
    /// Whether the node has kept to the truth about what blocks hold.
    is_honest: bool,
    /// What was sent: wallet, nonce, the submission's serial number.
    used: Vec<(u8, u64, u64)>,
    /// Submissions that have ended.
    ended: HashSet<u64>,
}

impl<const DRY: bool> Play<DRY> {
    fn new(stage: Stage<DRY>) -> Self {
        let anchor = stage.anchor();
        Self {
            blocks: vec![anchor],
            moves: HashMap::new(),
            states: HashMap::from([(anchor.hash, [EVEN; POOLS.len()])]),
            is_honest: true,
            used: Vec::new(),
            ended: HashSet::new(),
            stage,
        }
    }

    fn run(mut self, script: &mut Script<'_>) {
        for _ in 0..STEPS_MAX {
            if script.0.is_empty() {
                break;
            }
            let before = self.stage.engine.world.tip().hash;
            let asked = self.stage.asked.len();
            let is_wild = self.step(script);
            if is_wild && self.stage.engine.world.tip().hash != before {
                self.is_honest = false;
            }
            self.check(asked);
        }
        self.recover();
    }

    /// Does one thing; whether it was bytes that mean nothing in particular.
    fn step(&mut self, script: &mut Script<'_>) -> bool {
        let byte = script.byte();
        // Either of two nodes says what comes next.
        self.stage.node = NodeId(byte >> 7);
        match byte % 16 {
            0 | 1 => {
                let block = self.mine(script);
                self.announce(block);
            }
            2 => drop(self.mine(script)),
            3 => {
                let block = script.pick(&self.blocks).unwrap_or(self.blocks[0]);
                self.announce(block);
            }
            4 | 5 => {
                self.list();
            }
            6 => self.log(script),
            7 => self.parent(script),
            8 => self.swap(script),
            9 => self.account(script),
            10 | 11 => self.flight(script),
            12 => {
                let source = script.pick(&Source::ALL).unwrap_or(Source::Rpc);
                match script.byte() % 4 {
                    0 => self.stage.input(Happening::Truncated { node: self.stage.node, source }),
                    is_up => self.stage.link(source, is_up > 1),
                }
            }
            13 => self.stage.wait(100 * u64::from(script.byte())),
            14 => self.order(script),
            _ => {
                self.noise(script);
                return true;
            }
        }
        false
    }

    /// A new block on top of the tip, or of any other.
    fn mine(&mut self, script: &mut Script<'_>) -> Block {
        let choice = script.byte();
        let tip = self.stage.engine.world.tip().hash;
        let on_tip = self.blocks.iter().find(|block| block.hash == tip).copied();
        let parent = match choice {
            0..128 => on_tip.unwrap_or(self.blocks[0]),
            _ => script.pick(&self.blocks).unwrap_or(self.blocks[0]),
        };
        let sent: Vec<B256> = self.stage.outbox.sent.iter().map(|sent| sent.hash).collect();
        let mut moves = Vec::new();
        let held = [EVEN, GAP, [GAP[1], GAP[0]], [900 * ETHER, 1_050 * ETHER]];
        for index in 0..u32::from(choice % 4) {
            let made =
                sync(usize::from(script.byte()) % POOLS.len(), script.pick(&held).unwrap_or(EVEN));
            let tx = match script.byte() % 4 {
                0 => script.pick(&sent).unwrap_or(made.tx),
                1 => SWAPS[usize::from(script.byte()) % SWAPS.len()].hash,
                _ => made.tx,
            };
            moves.push(Sync { index, tx, ..made });
        }
        self.add(&parent, moves, if choice % 32 > 28 { 40 * BASE_FEE } else { BASE_FEE })
    }

    fn add(&mut self, parent: &Block, moves: Vec<Sync>, base_fee: u128) -> Block {
        let name = 1_000 + self.blocks.len() as u64;
        let block = Block { base_fee, ..parent.child(name) };
        let mut state = self.states[&parent.hash];
        for moved in &moves {
            state[moved.pool] = moved.reserves;
        }
        self.states.insert(block.hash, state);
        self.moves.insert(block.hash, moves);
        self.blocks.push(block);
        block
    }

    fn announce(&mut self, block: Block) {
        if self.moves.get(&block.hash).is_some_and(|moves| moves.is_empty() && block.number % 2 > 0)
        {
            self.stage.quiet(block);
        } else {
            self.stage.head(block);
        }
    }

    /// The node's list of the open block's logs; whether there was one to be listed.
    fn list(&mut self) -> bool {
        let Some(open) = self.stage.engine.world.open_block() else { return false };
        let Some(moves) = self.moves.get(&open.hash) else { return false };
        let block = self.blocks.iter().find(|block| block.hash == open.hash).copied();
        let was_asked =
            self.stage.asked.iter().any(
                |query| matches!(query, Query::BlockLogs { block, .. } if *block == open.hash),
            );
        match block.filter(|_| was_asked) {
            Some(block) => self.stage.list(block, moves),
            None => return false,
        }
        true
    }

    /// One of the open block's logs, ahead of the list.
    fn log(&mut self, script: &mut Script<'_>) {
        let Some(block) = script.pick(&self.blocks) else { return };
        let Some(moves) = self.moves.get(&block.hash) else { return };
        let numbered: Vec<_> = moves.iter().copied().zip(0..).collect();
        let Some((moved, index)) = script.pick(&numbered) else { return };
        let place = (&block, moved.tx, index);
        let text = log_json(POOLS[moved.pool], &[SYNC], &moved.reserves, place);
        self.stage.news(Source::Chain, &text);
    }

    fn parent(&mut self, script: &mut Script<'_>) {
        let asked = self.stage.asked.iter().rev().take(8);
        let heads: Vec<_> =
            asked.filter(|query| matches!(query, Query::Head(_))).copied().collect();
        let Some(query) = script.pick(&heads) else { return };
        self.answer_head(&query);
    }

    /// Tells the node's truth about a head.
    fn answer_head(&mut self, query: &Query) {
        let block = match query {
            Query::LatestHead => self.blocks.iter().max_by_key(|block| block.number).copied(),
            Query::Head(hash) => self.blocks.iter().find(|block| block.hash == *hash).copied(),
            _ => return,
        };
        match block {
            Some(block) => self.stage.parent(block),
            None => self.stage.answer(query, "null"),
        }
    }

    fn swap(&mut self, script: &mut Script<'_>) {
        let Announced { hash, body, .. } = &SWAPS[usize::from(script.byte()) % SWAPS.len()];
        match script.byte() % 8 {
            0 => self.stage.news(Source::Pending, &format!("\"{hash}\"")),
            1 => self.stage.answer(&Query::Transaction(*hash), body),
            2 => self.stage.answer(&Query::Transaction(*hash), "null"),
            3 => self.sender(script.byte()),
            _ => {
                self.stage.news(Source::Pending, body);
                self.sender(0);
            }
        }
    }

    /// Answers the last question for a sender's nonce: truly, or with something more.
    fn sender(&mut self, more: u8) {
        let questions = self.stage.asked.iter().rev().take(16);
        let of = questions.filter_map(|query| match query {
            Query::SenderNonce { sender, .. } => Some((*query, *sender)),
            _ => None,
        });
        let Some((query, sender)) = of.take(1).next() else { return };
        let known = SWAPS.iter().filter(|swap| swap.sender == sender).map(|swap| swap.nonce).min();
        let nonce = known.unwrap_or(0) + u64::from(more);
        self.stage.answer(&query, &format!("\"{nonce:#x}\""));
    }

    fn account(&mut self, script: &mut Script<'_>) {
        let wallet = script.byte() % 4;
        let number = script.byte();
        if usize::from(wallet) < self.stage.engine.risk.wallets.len() && number < 192 {
            self.stage.nonce(wallet, NONCE - 1 + u64::from(number % 16));
            return;
        }
        let amount = format!("\"{:#x}\"", u128::from(number) * ETHER);
        let wallet = gannet_engine::ids::WalletId(wallet);
        self.stage.answer(&Query::Balance(wallet, Address::ZERO), &amount);
        let holding = Query::Holding { rank: number % 9, token: WETH, holder: EXECUTOR };
        self.stage.answer(&holding, &amount);
    }

    /// What the node says about a transaction of ours.
    fn flight(&mut self, script: &mut Script<'_>) {
        let places: Vec<_> = (0..self.stage.outbox.sent.len()).collect();
        let Some(place) = script.pick(&places) else { return };
        let sent = self.stage.outbox.sent[place].clone();
        let known = Query::Known(sent.attempt, sent.hash);
        match script.byte() % 8 {
            0 => self.stage.refuse(&sent),
            1 | 2 => self.stage.answer(&known, "null"),
            3 => self.stage.answer(&known, &SWAPS[0].body),
            4 => self.stage.receipt(&sent, None),
            which => {
                let block = script.pick(&self.blocks).unwrap_or(self.blocks[0]);
                let (came, left) = (u128::from(script.byte()) * ETHER, 2 * ETHER);
                let (gas_used, gas_price, index) =
                    (150_000, BASE_FEE, u32::from(script.byte() % 4));
                let is_success = which != 5;
                let mined = Mined { block, index, is_success, gas_used, gas_price, came, left };
                self.stage.receipt(&sent, Some(mined));
            }
        }
    }

    fn order(&mut self, script: &mut Script<'_>) {
        match script.byte() {
            0..64 => self.stage.outbox.is_down ^= true,
            64..72 => self.stage.input(Happening::Command(Command::Drain)),
            is_halted @ 72..96 => {
                self.stage.input(Happening::Command(Command::Halt(is_halted % 2 > 0)));
            }
            _ => {
                let block = script.pick(&self.blocks).unwrap_or(self.blocks[0]);
                self.reload(&block);
            }
        }
    }

    fn reload(&mut self, block: &Block) {
        let anchor = Tip {
            number: BlockNumber(block.number),
            hash: block.hash,
            timestamp: 1_800_000_000,
            next_base_fee: Wei(block.base_fee),
        };
        let loaded = |reserves: &[u128; 2]| {
            let state = ConstantProduct::new(*reserves, 3_000).expect("112 bits").into();
            Loaded { state, ticks: Vec::new() }
        };
        let pools = self.states[&block.hash].iter().map(loaded).collect();
        let reloaded = Reloaded { anchor, pools, unread: Vec::new(), loans: None };
        let order = Command::Reload(Box::new(reloaded));
        self.stage.input(Happening::Command(order));
    }

    /// Bytes that are no message, or an answer to anything.
    fn noise(&mut self, script: &mut Script<'_>) {
        let source = script.pick(&Source::ALL).unwrap_or(Source::Rpc);
        let node = self.stage.node;
        let (choice, count) = (script.byte(), usize::from(script.byte()));
        let raw = script.bytes(count);
        if choice < 64 {
            let has_more = choice % 2 > 0;
            self.stage.input(Happening::Frame { node, source, bytes: raw, has_more });
            return;
        }
        // The kinds of questions are numbered above their low 40 bits.
        let id = (u64::from(choice % 12) << 40) | u64::from(script.byte());
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#);
        let bytes = [head.as_bytes(), raw, b"}"].concat();
        self.stage.input(Happening::Frame { node, source, bytes: &bytes, has_more: false });
    }

    /// What must hold after every step.
    fn check(&mut self, asked: usize) {
        for query in &self.stage.asked[asked..] {
            assert!(query.write(&mut [0; QUERY_BYTES_MAX]) > 0);
        }
        assert_eq!(self.stage.engine.queries.dropped, 0, "few pools and wallets ask little");
        self.check_submissions();
        self.check_pools();
    }

    fn check_submissions(&mut self) {
        for note in self.stage.told.drain(..) {
            match note {
                Note::Settled(flight, _) => {
                    assert!(self.ended.insert(flight.serial), "ended twice");
                }
                Note::Reversed(flight, _) => {
                    assert!(self.ended.remove(&flight.serial), "taken back before it ended");
                }
                Note::Rejected { .. }
                | Note::Submitted(_)
                | Note::Cancelling { .. }
                | Note::Refused { .. }
                | Note::Sealed { .. }
                | Note::Freshness { .. }
                | Note::Alert(_) => {}
            }
        }
        let engine = &self.stage.engine;
        let world = &engine.world;
        for sent in &self.stage.outbox.sent[self.used.len()..] {
            let tx = TxEnvelope::decode_2718_exact(&sent.raw).expect("a transaction");
            let nonce = tx.nonce();
            if tx.to() == Some(EXECUTOR) {
                assert!(world.freshness().is_fresh(), "sent while stale: {:?}", world.freshness());
                assert!(world.open_block().is_none(), "sent into an open block");
                let risk = &engine.risk;
                assert!(!risk.is_draining && !risk.is_halted, "sent while draining or halted");
                let is_taken = self.used.iter().any(|(wallet, used, serial)| {
                    (*wallet, *used) == (sent.wallet.0, nonce) && !self.ended.contains(serial)
                });
                assert!(!is_taken, "nonce {nonce} is in flight twice");
                let is_free = engine.flights.iter().all(|flight| {
                    let is_other = flight.serial != sent.serial && !flight.is_mined;
                    !is_other || flight.admitted.wallet != sent.wallet
                });
                assert!(is_free, "a wallet has two on their way");
            }
            self.used.push((sent.wallet.0, nonce, sent.serial));
        }
    }

    fn check_pools(&self) {
        let world = &self.stage.engine.world;
        let is_settled = world.open_block().is_none() && !world.freshness().has(Stale::Lost);
        let Some(expected) = self.states.get(&world.tip().hash) else { return };
        if !is_settled || !self.is_honest {
            return;
        }
        for (id, expected) in world.pools.ids().iter().zip(expected) {
            let Pool::ConstantProduct(held) = *world.state(*id) else { panic!("a pair") };
            let overlay = world.pools.get(*id).overlay;
            assert!(DRY || overlay == [0; 2], "a run that sends lays nothing over the chain");
            for side in 0..2 {
                let chain = held.reserves()[side].checked_add_signed(-overlay[side]);
                assert_eq!(chain, Some(expected[side]), "{id:?} at {}", world.tip().hash);
            }
        }
    }

    /// A few blocks from a node that does all it should, on top of its highest.
    fn recover(&mut self) {
        // Signing is dear, and what is sent in peace is for other tests.
        self.stage.input(Happening::Command(Command::Drain));
        self.stage.node = NodeId(1);
        self.stage.link(Source::Chain, false);
        self.stage.link(Source::Rpc, false);
        self.stage.node = NodeId(0);
        self.stage.link(Source::Chain, true);
        self.stage.link(Source::Rpc, true);
        let highest = self.blocks.iter().copied().max_by_key(|block| block.number);
        let mut top = highest.unwrap_or(self.blocks[0]);
        for _ in 0..HONEST_BLOCKS {
            top = self.add(&top, vec![sync(0, EVEN)], BASE_FEE);
            self.announce(top);
            self.answer_all();
            for _ in 0..RETRIES {
                let freshness = self.stage.engine.world.freshness();
                if freshness.is_fresh() || freshness.has(Stale::Lost) {
                    break;
                }
                self.stage.wait(1_100);
                self.answer_all();
            }
            if self.stage.engine.world.freshness().has(Stale::Lost) {
                self.reload(&top);
                self.answer_all();
            }
            self.check(self.stage.asked.len());
        }
        let world = &self.stage.engine.world;
        assert!(world.freshness().is_fresh(), "stale: {:?}", world.freshness());
        assert_eq!((world.tip().hash, world.open_block()), (top.hash, None));
    }

    /// Answers what is asked about the chain until nothing is.
    fn answer_all(&mut self) {
        // A gap is filled block by block, from its upper end.
        for _ in 0..2 * STEPS_MAX {
            let is_head = |query: &mut Query| matches!(query, Query::Head(_) | Query::LatestHead);
            let heads: Vec<_> = self.stage.asked.extract_if(.., is_head).collect();
            for query in &heads {
                self.answer_head(query);
            }
            if !self.list() && heads.is_empty() {
                break;
            }
        }
    }
}
