//! A node as an engine hears it, and an outbox that keeps what it is handed.
//!
//! ```text
//! stage.seal(&[sync(1, GAP)])         a block in which somebody moved pool 1
//! stage.pending(&Swap { .. })         a signed router call, announced with its full body
//! stage.outbox.sent                   what the engine signed and submitted
//! ```
//!
//! Four pools, two of each pair, one of each factory: 0 and 1 trade WETH for DAI, 2 and 3 WETH for
//! TKN. All hold 1,000 of both tokens at first. WETH is the native and the only base token. There
//! are no loans unless a test brings some.
//!
//! Temperature: cold.

use std::cell::Cell;
use std::rc::Rc;

use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use gannet_engine::amm::ConstantProduct;
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::topics::{SYNC, TRANSFER};
use gannet_engine::flight::{Attempt, Flight, Outcome, Settlement};
use gannet_engine::guard::GuardLimits;
use gannet_engine::ids::{FactoryId, LoanId, NodeId, StrategyId, TokenId, WalletId};
use gannet_engine::input::{Command, Happening, Input, Loaded, Reloaded, Source};
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::loans::{FlashLender, Order, Size};
use gannet_engine::note::Note;
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::plan::{Bid, Leg, Plan, Plans};
use gannet_engine::query::{Query, sent_id};
use gannet_engine::risk::{Funding, Limits, Reject, Risk};
use gannet_engine::search::route::Route;
use gannet_engine::search::{SearchLimits, Searcher};
#[cfg(feature = "serde")]
use gannet_engine::serde::Deserializer;
use gannet_engine::sign::liquidation::Funding as Lent;
use gannet_engine::sign::{Signer, WalletKey};
use gannet_engine::strategy::{Ctx, InitError, StrategySet};
use gannet_engine::units::{BlockNumber, Bps, Nanos, Wei};
use gannet_engine::wallet::WalletState;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Factory, Tip, Universe, World};

pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const CHAIN: u64 = 31_337;
/// The block whose state the world is loaded in.
pub(crate) const ANCHOR: u64 = 100;
pub(crate) const EXECUTOR: Address = Address::repeat_byte(0xee);
pub(crate) const WETH: Address = Address::repeat_byte(0x01);
pub(crate) const DAI: Address = Address::repeat_byte(0x02);
pub(crate) const TKN: Address = Address::repeat_byte(0x03);
/// The router of each factory; pool `i` is of factory `i % 2`.
pub(crate) const ROUTERS: [Address; 2] = [Address::repeat_byte(0xa0), Address::repeat_byte(0xa1)];
pub(crate) const POOLS: [Address; 4] = [
    Address::repeat_byte(0x10),
    Address::repeat_byte(0x11),
    Address::repeat_byte(0x12),
    Address::repeat_byte(0x13),
];
/// A pool that may be created later: pool 4.
pub(crate) const NEW_POOL: Address = Address::repeat_byte(0x14);
/// What every pool holds at first.
pub(crate) const EVEN: [u128; 2] = [1_000 * ETHER; 2];
/// Reserves that open a gap of a tenth against a pool that is [`EVEN`].
pub(crate) const GAP: [u128; 2] = [1_000 * ETHER, 1_100 * ETHER];
/// The base fee of every block, if it does not say otherwise; blocks are half full.
pub(crate) const BASE_FEE: u128 = GWEI;
/// The first wallet's next nonce at the start; each further wallet's is one more.
pub(crate) const NONCE: u64 = 7;

const TIME: u64 = 1_800_000_000;
const GAS_LIMIT: u64 = 30_000_000;
const SILENT_AFTER_NS: u64 = 60_000_000_000;

alloy::sol! {
    function swapExactTokensForTokens(
        uint256 amount, uint256 limit, address[] path, address to, uint256 deadline);
    function swapTokensForExactTokens(
        uint256 amount, uint256 limit, address[] path, address to, uint256 deadline);
}

pub(crate) fn hash(name: u64) -> B256 {
    B256::from(U256::from(name))
}

/// What a run is made of.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) guard: GuardLimits,
    pub(crate) finality_blocks: u64,
    pub(crate) wallets: u8,
    pub(crate) balance: u128,
    /// Share of the profit that an arbitrage bids.
    pub(crate) share: Bps,
    pub(crate) valid_blocks: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits {
            min_profit: Wei(ETHER / 1_000),
            gas_price_max: Wei(10_000 * GWEI),
            notional_max: Wei(1_000 * ETHER),
            funding: Funding::Flash,
        };
        Self {
            limits,
            guard: GuardLimits::NONE,
            finality_blocks: 12,
            wallets: 1,
            balance: 10 * ETHER,
            share: Bps(5_000),
            valid_blocks: 2,
        }
    }
}

impl Setup {
    /// A run that sends, at the anchor and fresh.
    pub(crate) fn live(self) -> Live {
        self.raise()
    }

    /// A run that sends nothing, at the anchor and fresh.
    pub(crate) fn dry(self) -> Dry {
        self.raise()
    }

    /// A run whose feed is not up yet.
    pub(crate) fn cold<const DRY: bool>(self) -> Stage<DRY> {
        let keys: Vec<_> = (1..=self.wallets).map(wallet_key).collect();
        let wallet = |(key, nonce): (&WalletKey, u64)| {
            WalletState::new(key.address(), nonce, nonce, Wei(self.balance))
        };
        let wallets = keys.iter().zip(NONCE..).map(wallet).collect();
        let risk = Risk::new(self.limits, self.guard, wallets);
        let desk = Desk { share: self.share, valid_blocks: self.valid_blocks, ..Desk::default() };
        let outbox = Outbound { settled: Rc::clone(&desk.settled), ..Outbound::default() };
        let signer = Signer::new(keys, EXECUTOR);
        let engine = Engine::new(world(), desk, risk, signer, SILENT_AFTER_NS);
        let mut engine = engine.expect("cycles");
        engine.finality.depth = self.finality_blocks;
        Stage {
            engine,
            outbox,
            asked: Vec::new(),
            told: Vec::new(),
            at: 1,
            seq: 0,
            node: NodeId(0),
        }
    }

    fn raise<const DRY: bool>(self) -> Stage<DRY> {
        let mut stage = self.cold();
        stage.raise();
        stage
    }
}

pub(crate) fn live() -> Live {
    Setup::default().live()
}

pub(crate) fn dry() -> Dry {
    Setup::default().dry()
}

fn wallet_key(number: u8) -> WalletKey {
    WalletKey::new(&[number; 32]).expect("a key")
}

pub(crate) fn world() -> World {
    // Room for two of each to come.
    let mut tokens = TokenTable::new(5);
    let [weth, dai, tkn] = [WETH, DAI, TKN].map(|at| tokens.insert(at, 18).expect("room"));
    tokens.set_bases(&[weth]);
    let mut pools = PoolTable::new(POOLS.len() + 2, 0);
    let pairs: [[TokenId; 2]; 4] = [[weth, dai], [weth, dai], [weth, tkn], [weth, tkn]];
    for ((address, pair), place) in POOLS.into_iter().zip(pairs).zip(0_u8..) {
        let state = ConstantProduct::new(EVEN, 3_000).expect("reserves fit").into();
        pools.insert(PoolEntry::new(address, FactoryId(place % 2), pair, state)).expect("room");
    }
    pools.index_pairs();
    let factory = |router: Address| Factory {
        address: router,
        router,
        fee_pips: 3_000,
        ..Factory::default()
    };
    World::new(Universe {
        chain: ChainSpec::ethereum(CHAIN, WETH),
        tokens,
        pools,
        factories: ROUTERS.map(factory).to_vec(),
        routers: vec![],
        bases: vec![weth],
        native: weth,
        anchor: Tip {
            number: BlockNumber(ANCHOR),
            hash: hash(ANCHOR),
            timestamp: TIME,
            next_base_fee: Wei(BASE_FEE),
        },
    })
}

/// Proposes every cycle of every block and behind every pending swap, again and again: what is
/// sent, and how often, is for the engine to decide.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    share: Bps,
    valid_blocks: u64,
    searcher: Option<Searcher>,
    /// Blocks behind which it did what could wait.
    settled: Rc<Cell<u32>>,
}

/// The line of plans over sealed blocks.
pub(crate) const TAKER: StrategyId = StrategyId(0);
/// The line of plans behind pending swaps.
pub(crate) const FOLLOWER: StrategyId = StrategyId(1);

impl StrategySet for Desk {
    const NAMES: &'static [&'static str] = &["taker", "follower"];

    #[cfg(feature = "serde")]
    fn enable<'de, D: Deserializer<'de>>(
        &mut self,
        _name: &str,
        _config: D,
    ) -> Option<Result<(), D::Error>> {
        None
    }

    fn enabled_count(&self) -> usize {
        Self::NAMES.len()
    }

    fn is_enabled(&self, name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    fn init(&mut self, world: &World) -> Result<(), (&'static str, InitError)> {
        self.searcher = Some(Searcher::new(&world.pools, &world.bases, world.native, 2));
        Ok(())
    }

    fn each_searcher(&mut self, mut look: impl FnMut(&mut Searcher)) {
        self.searcher.iter_mut().for_each(&mut look);
    }

    fn after_block(&mut self, _world: &World) {
        self.settled.set(self.settled.get() + 1);
    }

    fn on_block(&mut self, ctx: &Ctx<'_>, plans: &mut Plans) {
        let Some(searcher) = &mut self.searcher else { return };
        let Ctx { world, touched, .. } = *ctx;
        searcher.refresh(&world.pools, touched);
        searcher.look_again(world.pools.ids());
        plans.proposed_by(TAKER);
        let (bid, last) = (Bid::Share(self.share), world.tip().number.plus(self.valid_blocks));
        searcher.search(&world.pools, world.pools.ids(), &SearchLimits::NONE, &mut |found| {
            if let Some(plan) = found.plan(world, bid, last) {
                plans.propose(&plan);
            }
        });
        liquidate(world, (bid, last), plans);
    }

    fn on_pending(
        &mut self,
        ctx: &Ctx<'_>,
        target: &gannet_engine::target::Target,
        plans: &mut Plans,
    ) {
        let Some(searcher) = &mut self.searcher else { return };
        let Ctx { world, touched, .. } = *ctx;
        searcher.suppose(&world.pools, touched);
        plans.proposed_by(FOLLOWER);
        let (bid, last) = (Bid::Behind(target.follow), world.tip().number.plus(self.valid_blocks));
        searcher.search(&world.pools, touched, &SearchLimits::NONE, &mut |found| {
            if let Some(plan) = found.plan(world, bid, last) {
                plans.propose(&plan);
            }
        });
        searcher.restore();
        liquidate(world, (bid, last), plans);
    }
}

/// Proposes to liquidate whoever can be, as far as he can be at once.
fn liquidate(world: &World, (bid, last_block): (Bid, BlockNumber), plans: &mut Plans) {
    let at = world.loan_time();
    for loan in (0..).map(LoanId).take(world.loans.room()) {
        if world.loans.is_liquidatable(loan, at) != Ok(true) {
            continue;
        }
        world.loans.ways(loan, |way, [debt, collateral]| {
            let Ok(sizes) = world.loans.sizes(loan, way, at) else { return };
            let deal = world.loans.deal(loan, (way, sizes.most), at).expect("a deal");
            let exit = Route::sell(world.into(), [collateral, debt], deal.seized).expect("a way");
            let (amount_in, premium, funding) = match sizes.most {
                Size::Shares(_) | Size::Seized(_) => (0, 0, Lent::Market),
                Size::Debt(_) => {
                    let lender = world.loans.lender(debt, deal.paid);
                    let lender = lender.unwrap_or(FlashLender::free(Lent::Own));
                    let premium = lender.premium(deal.paid).expect("a small fee");
                    (deal.paid, premium, lender.funding)
                }
            };
            let order = Order {
                loan,
                way,
                size: sizes.most,
                debt,
                collateral,
                funding,
                paid_most: deal.paid,
                premium,
                exit_count: 1,
            };
            let profit = exit.amount_out - deal.paid - premium;
            let mut legs = [Leg::NONE; HOPS_MAX];
            legs[0] = exit.legs()[0];
            plans.propose(&Plan {
                strategy: TAKER,
                legs,
                leg_count: 1,
                profit_token: debt,
                amount_in,
                profit,
                profit_wei: Wei(profit),
                bid,
                last_block,
                order: Some(order),
            });
        });
    }
}

/// A submission, as it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) raw: Vec<u8>,
    pub(crate) hash: B256,
    pub(crate) attempt: Attempt,
    pub(crate) wallet: WalletId,
    pub(crate) serial: u64,
    /// The transactions of its submission, as they were written down before it left.
    pub(crate) recorded: Vec<(Attempt, B256)>,
    /// Blocks behind which strategies had done what could wait.
    pub(crate) settled: u32,
}

impl Sent {
    /// The transaction as an independent decoder reads it, and who signed it.
    pub(crate) fn decode(&self) -> (TxEip1559, Address) {
        let envelope = TxEnvelope::decode_2718_exact(&self.raw).expect("a transaction");
        assert_eq!(*envelope.tx_hash(), self.hash);
        let signer = envelope.recover_signer().expect("a signature");
        let TxEnvelope::Eip1559(signed) = envelope else { panic!("not of type 2") };
        (signed.strip_signature(), signer)
    }
}

/// Keeps what is submitted. `DRY` says how the end of a submission is learnt.
#[derive(Debug, Default)]
pub(crate) struct Outbound<const DRY: bool> {
    pub(crate) sent: Vec<Sent>,
    pub(crate) is_down: bool,
    /// Blocks behind which strategies have done what could wait.
    pub(crate) settled: Rc<Cell<u32>>,
}

impl<const DRY: bool> Outbox for Outbound<DRY> {
    const SETTLES: Settles = if DRY { Settles::ByReplay } else { Settles::ByReceipt };

    fn submit(
        &mut self,
        tx: &SignedTx<'_>,
        flight: &Flight,
        _stamps: &Stamps,
    ) -> Result<(), Unsent> {
        if self.is_down {
            return Err(Unsent::LinkDown);
        }
        let SignedTx { raw, attempt } = *tx;
        let Flight { serial, admitted, .. } = *flight;
        let (raw, wallet, recorded) = (raw.to_vec(), admitted.wallet, flight.attempts().collect());
        let hash = keccak256(&raw);
        let settled = self.settled.get();
        self.sent.push(Sent { raw, hash, attempt, wallet, serial, recorded, settled });
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

/// A block's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    pub(crate) base_fee: u128,
}

impl Block {
    /// The block on top of this one; `name` makes its hash.
    pub(crate) fn child(&self, name: u64) -> Self {
        Self { number: self.number + 1, hash: hash(name), parent: self.hash, ..*self }
    }

    /// Without a bloom it may hold any log; with an empty one it holds none of ours.
    pub(crate) fn json(&self, is_quiet: bool) -> String {
        let Self { number, hash, parent, base_fee } = self;
        let bloom =
            if is_quiet { format!(r#","logsBloom":"0x{:0512}""#, 0) } else { String::new() };
        let (time, half) =
            (TIME.saturating_add(number.saturating_sub(ANCHOR).saturating_mul(12)), GAS_LIMIT / 2);
        format!(
            r#"{{"number":"{number:#x}","hash":"{hash}","parentHash":"{parent}",
            "timestamp":"{time:#x}","gasLimit":"{GAS_LIMIT:#x}","gasUsed":"{half:#x}",
            "baseFeePerGas":"{base_fee:#x}","miner":"{WETH:#x}"{bloom}}}"#
        )
    }
}

/// A move of a pool by somebody's transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sync {
    pub(crate) pool: usize,
    pub(crate) reserves: [u128; 2],
    pub(crate) tx: B256,
    pub(crate) index: u32,
}

/// A stranger's move of a pool.
pub(crate) fn sync(pool: usize, reserves: [u128; 2]) -> Sync {
    let index = u32::try_from(pool).expect("few pools");
    Sync { pool, reserves, tx: hash(9_000 + u64::from(index)), index }
}

fn notification(result: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription",
        "params":{{"subscription":"0x1","result":{result}}}}}"#
    )
}

pub(crate) fn log_json(
    address: Address,
    topics: &[B256],
    words: &[u128],
    place: (&Block, B256, u32),
) -> String {
    let (Block { number, hash, .. }, tx, index) = place;
    let topics: Vec<_> = topics.iter().map(|topic| format!("\"{topic}\"")).collect();
    let data: String = words.iter().map(|word| format!("{word:064x}")).collect();
    let topics = topics.join(",");
    format!(
        r#"{{"address":"{address:#x}","topics":[{topics}],"data":"0x{data}",
        "blockNumber":"{number:#x}","blockHash":"{hash}","transactionHash":"{tx}",
        "transactionIndex":"{index:#x}","logIndex":"{index:#x}","removed":false}}"#
    )
}

/// A trader's call of a router.
#[derive(Clone, Debug)]
pub(crate) struct Swap {
    pub(crate) router: Address,
    pub(crate) path: Vec<Address>,
    pub(crate) amount: u128,
    pub(crate) limit: u128,
    pub(crate) is_exact_out: bool,
    pub(crate) deadline: u64,
    pub(crate) trader: u8,
    pub(crate) nonce: u64,
    pub(crate) max_fee: u128,
    pub(crate) priority_fee: u128,
    /// Whether the call is none that swaps.
    pub(crate) is_plain: bool,
    /// What is called instead, if anything.
    pub(crate) call: Vec<u8>,
}

impl Default for Swap {
    /// 50 WETH for DAI through pool 1, which opens a gap against pool 0.
    fn default() -> Self {
        Self {
            router: ROUTERS[1],
            path: vec![WETH, DAI],
            amount: 50 * ETHER,
            limit: 0,
            is_exact_out: false,
            deadline: u64::MAX,
            trader: 0x51,
            nonce: 0,
            max_fee: 40 * GWEI,
            priority_fee: 3 * GWEI,
            is_plain: false,
            call: Vec::new(),
        }
    }
}

impl Swap {
    fn calldata(&self) -> Vec<u8> {
        let (amount, limit) = (U256::from(self.amount), U256::from(self.limit));
        let (path, deadline) = (self.path.clone(), U256::from(self.deadline));
        let to = Address::repeat_byte(self.trader);
        if self.is_plain || !self.call.is_empty() {
            self.call.clone()
        } else if self.is_exact_out {
            swapTokensForExactTokensCall { amount, limit, path, to, deadline }.abi_encode()
        } else {
            swapExactTokensForTokensCall { amount, limit, path, to, deadline }.abi_encode()
        }
    }

    fn sign(&self) -> (TxEip1559, TxEnvelope, Address) {
        let tx = TxEip1559 {
            chain_id: CHAIN,
            nonce: self.nonce,
            gas_limit: 200_000,
            max_fee_per_gas: self.max_fee,
            max_priority_fee_per_gas: self.priority_fee,
            to: TxKind::Call(self.router),
            value: U256::ZERO,
            access_list: Default::default(),
            input: Bytes::from(self.calldata()),
        };
        let key = PrivateKeySigner::from_slice(&[self.trader; 32]).expect("a key");
        let signature = key.sign_hash_sync(&tx.signature_hash()).expect("a signature");
        (tx.clone(), TxEnvelope::from(tx.into_signed(signature)), key.address())
    }

    pub(crate) fn sender(&self) -> Address {
        self.sign().2
    }

    pub(crate) fn hash(&self) -> B256 {
        *self.sign().1.tx_hash()
    }

    /// Its body, as a node announces it; `block` is where it was mined.
    pub(crate) fn body(&self, block: Option<&Block>) -> String {
        let (tx, envelope, from) = self.sign();
        let (hash, to, input) = (envelope.tx_hash(), self.router, hex::encode(&tx.input));
        let signature = envelope.signature();
        let (r, s, parity) = (signature.r(), signature.s(), u8::from(signature.v()));
        let block = block.map_or("null".to_owned(), |block| format!("\"{}\"", block.hash));
        let TxEip1559 { nonce, gas_limit, max_fee_per_gas, .. } = tx;
        let priority_fee = self.priority_fee;
        format!(
            r#"{{"type":"0x2","chainId":"{CHAIN:#x}","nonce":"{nonce:#x}","gas":"{gas_limit:#x}",
            "maxFeePerGas":"{max_fee_per_gas:#x}","maxPriorityFeePerGas":"{priority_fee:#x}",
            "to":"{to:#x}","value":"0x0","accessList":[],"input":"0x{input}","r":"{r:#x}",
            "s":"{s:#x}","yParity":"{parity:#x}","v":"{parity:#x}","hash":"{hash}",
            "blockHash":{block},"from":"{from:#x}","gasPrice":"{max_fee_per_gas:#x}"}}"#,
        )
    }
}

/// How a submission was mined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mined {
    pub(crate) block: Block,
    pub(crate) index: u32,
    pub(crate) is_success: bool,
    pub(crate) gas_used: u64,
    pub(crate) gas_price: u128,
    /// What came to the executor, and what left it.
    pub(crate) came: u128,
    pub(crate) left: u128,
}

impl Mined {
    pub(crate) fn json(&self) -> String {
        let Self { block, index, is_success, gas_used, gas_price, came, left } = self;
        let (ours, pool) = (EXECUTOR.into_word(), POOLS[0].into_word());
        let place = (block, hash(1), *index);
        let logs = [
            log_json(WETH, &[TRANSFER, ours, pool], &[*left], place),
            log_json(WETH, &[TRANSFER, pool, ours], &[*came], place),
        ]
        .join(",");
        let logs = if *is_success { logs } else { String::new() };
        let (status, Block { number, hash, .. }) = (u8::from(*is_success), block);
        format!(
            r#"{{"status":"{status:#x}","gasUsed":"{gas_used:#x}","blockHash":"{hash}",
            "effectiveGasPrice":"{gas_price:#x}","blockNumber":"{number:#x}",
            "transactionIndex":"{index:#x}","logs":[{logs}]}}"#
        )
    }
}

/// An engine with everything around it.
pub(crate) struct Stage<const DRY: bool> {
    pub(crate) engine: Engine<Desk>,
    pub(crate) outbox: Outbound<DRY>,
    /// What the engine asked and nobody took note of yet.
    pub(crate) asked: Vec<Query>,
    /// What the engine told.
    pub(crate) told: Vec<Note>,
    at: u64,
    seq: u64,
    /// The node whose words these are.
    pub(crate) node: NodeId,
}

pub(crate) type Live = Stage<false>;
pub(crate) type Dry = Stage<true>;

impl<const DRY: bool> Stage<DRY> {
    /// A second node comes up, and stands where the first one does.
    pub(crate) fn second(&mut self) -> NodeId {
        self.node = NodeId(1);
        self.link(Source::Chain, true);
        self.link(Source::Rpc, true);
        self.newest(self.tip());
        self.node = NodeId(0);
        NodeId(1)
    }

    /// Brings the feed up, at the anchor.
    pub(crate) fn raise(&mut self) {
        self.link(Source::Chain, true);
        self.link(Source::Rpc, true);
        self.answer(&Query::LatestHead, &self.anchor().json(false));
        assert!(self.engine.world.freshness().is_fresh());
        self.asked.clear();
        self.told.clear();
    }

    pub(crate) fn input(&mut self, what: Happening<'_>) {
        self.seq += 1;
        let input = Input { at: Nanos(self.at), seq: self.seq, what };
        self.engine.on_input(input, &Still, &mut self.outbox);
        self.asked.extend_from_slice(self.engine.queries.as_slice());
        self.engine.queries.clear();
        self.told.extend(self.engine.notes.iter());
        self.engine.notes.clear();
    }

    fn frame(&mut self, source: Source, text: &str) {
        let node = self.node;
        self.input(Happening::Frame { node, source, bytes: text.as_bytes(), has_more: false });
    }

    /// News of pending transactions, one right behind the other: each of `bodies` is buffered
    /// before the one before it was read.
    pub(crate) fn burst(&mut self, bodies: &[String]) {
        for (place, body) in bodies.iter().enumerate() {
            let (text, has_more) = (notification(body), place + 1 < bodies.len());
            let (node, source, bytes) = (self.node, Source::Pending, text.as_bytes());
            self.input(Happening::Frame { node, source, bytes, has_more });
        }
    }

    /// News from a subscription.
    pub(crate) fn news(&mut self, source: Source, result: &str) {
        self.frame(source, &notification(result));
    }

    pub(crate) fn link(&mut self, source: Source, is_up: bool) {
        self.input(Happening::Link { node: self.node, source, is_up });
    }

    /// Lets time pass, in milliseconds.
    pub(crate) fn wait(&mut self, time_ms: u64) {
        self.at += time_ms * 1_000_000;
        self.input(Happening::Tick);
    }

    /// The world is loaded anew at a block, with even pools.
    pub(crate) fn reload(&mut self, block: Block) {
        let Block { number, hash, .. } = block;
        let anchor = Tip { number: BlockNumber(number), hash, ..*self.engine.world.tip() };
        let state = ConstantProduct::new(EVEN, 3_000).expect("even reserves").into();
        let pools = vec![Loaded { state, ticks: vec![] }; POOLS.len()];
        let reloaded = Reloaded { anchor, pools, unread: vec![], loans: None };
        self.input(Happening::Command(Command::Reload(Box::new(reloaded))));
    }

    /// The node's answer to a question.
    pub(crate) fn answer(&mut self, query: &Query, result: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, query.id());
        self.frame(Source::Rpc, &text);
    }

    /// The node answers a question with an error.
    pub(crate) fn fail(&mut self, query: &Query) {
        self.fail_id(query.id());
    }

    /// The node answers a submission with an error.
    pub(crate) fn refuse(&mut self, sent: &Sent) {
        self.fail_id(sent_id(sent.attempt));
    }

    fn fail_id(&mut self, id: u64) {
        let error = r#"{"code":-32000,"message":"no"}"#;
        self.frame(Source::Rpc, &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
    }

    pub(crate) fn anchor(&self) -> Block {
        let parent = hash(ANCHOR - 1);
        Block { number: ANCHOR, hash: hash(ANCHOR), parent, base_fee: BASE_FEE }
    }

    /// The block that the world stands at.
    pub(crate) fn tip(&self) -> Block {
        let Tip { number, hash, .. } = *self.engine.world.tip();
        Block { number: number.0, hash, ..self.anchor() }
    }

    /// The block after the one that the world stands at.
    pub(crate) fn next(&self) -> Block {
        self.tip().child(self.tip().number + 1)
    }

    /// Announces a block whose logs must be asked for.
    pub(crate) fn head(&mut self, block: Block) {
        self.news(Source::Chain, &block.json(false));
    }

    /// Announces a block whose bloom excludes our events: it is sealed at once.
    pub(crate) fn quiet(&mut self, block: Block) {
        self.news(Source::Chain, &block.json(true));
    }

    /// The node's answer to the question for a block's header.
    pub(crate) fn parent(&mut self, block: Block) {
        self.answer(&Query::Head(block.hash), &block.json(false));
    }

    /// The node's answer to the question where its chain ends.
    pub(crate) fn newest(&mut self, block: Block) {
        self.answer(&Query::LatestHead, &block.json(false));
    }

    /// The node's answer to the question for a block's logs.
    pub(crate) fn list(&mut self, block: Block, moves: &[Sync]) {
        let asked =
            self.asked.iter().rev().find(
                |query| matches!(query, Query::BlockLogs { block: of, .. } if *of == block.hash),
            );
        let query = *asked.expect("its logs were asked for");
        let log = |(sync, at): (&Sync, u32)| {
            let pool = POOLS.get(sync.pool).copied().unwrap_or(NEW_POOL);
            let text = log_json(pool, &[SYNC], &sync.reserves, (&block, sync.tx, at));
            let index = format!(r#""transactionIndex":"{:#x}""#, sync.index);
            text.replace(&format!(r#""transactionIndex":"{at:#x}""#), &index)
        };
        let logs: Vec<_> = moves.iter().zip(0..).map(log).collect();
        self.answer(&query, &format!("[{}]", logs.join(",")));
    }

    /// The next block, from its announcement to its seal.
    pub(crate) fn seal(&mut self, moves: &[Sync]) -> Block {
        let block = self.next();
        self.head(block);
        self.list(block, moves);
        assert_eq!(self.tip().hash, block.hash, "the block is sealed");
        block
    }

    /// Announces a pending swap with its body; its nonce is next, if the node is asked.
    pub(crate) fn pending(&mut self, swap: &Swap) {
        self.announce(swap);
        self.answer_for(swap, swap.nonce);
    }

    /// Announces a pending swap with its body, and says nothing about its sender.
    pub(crate) fn announce(&mut self, swap: &Swap) {
        self.news(Source::Pending, &swap.body(None));
    }

    /// The question for the next nonce of a swap's sender, if it was asked.
    pub(crate) fn question_for(&mut self, swap: &Swap) -> Option<Query> {
        let of = swap.sender();
        let is_it =
            |query: &Query| matches!(query, Query::SenderNonce { sender, .. } if *sender == of);
        let place = self.asked.iter().position(is_it)?;
        Some(self.asked.remove(place))
    }

    /// Says what the next nonce of a swap's sender is, if that was asked.
    pub(crate) fn answer_for(&mut self, swap: &Swap, nonce: u64) {
        if let Some(query) = self.question_for(swap) {
            self.answer(&query, &format!("\"{nonce:#x}\""));
        }
    }

    /// The only submission.
    pub(crate) fn only(&self) -> Sent {
        let [sent] = &self.outbox.sent[..] else { panic!("{} were sent", self.outbox.sent.len()) };
        sent.clone()
    }

    /// The only submission on its way.
    pub(crate) fn flight(&self) -> Flight {
        assert_eq!(self.engine.flights.count(), 1, "one is on its way");
        *self.engine.flights.iter().next().expect("one")
    }

    /// How the submissions ended since this was asked last.
    pub(crate) fn endings(&mut self) -> Vec<(Outcome, Settlement)> {
        let told = core::mem::take(&mut self.told);
        let ending = |note: Note| match note {
            Note::Settled(_, end) => Some((end.outcome, end)),
            Note::Rejected { .. }
            | Note::Submitted(_)
            | Note::Reversed(..)
            | Note::Cancelling { .. }
            | Note::Alert(_)
            | Note::Refused { .. }
            | Note::Sealed { .. }
            | Note::Freshness { .. } => None,
        };
        told.into_iter().filter_map(ending).collect()
    }

    pub(crate) fn outcomes(&mut self) -> Vec<Outcome> {
        self.endings().into_iter().map(|(outcome, _)| outcome).collect()
    }

    /// How often plans were turned down for this reason.
    pub(crate) const fn rejects(&self, reason: Reject) -> u64 {
        self.engine.books.rejects[reason as usize]
    }

    pub(crate) fn was_asked(&self, query: &Query) -> bool {
        self.asked.contains(query)
    }

    /// Answers the question for a wallet's next nonce.
    pub(crate) fn nonce(&mut self, wallet: u8, nonce: u64) {
        let address = self.engine.risk.wallets[usize::from(wallet)].address;
        self.answer(&Query::Nonce(WalletId(wallet), address), &format!("\"{nonce:#x}\""));
    }

    /// Answers the question for a submission's receipt.
    pub(crate) fn receipt(&mut self, sent: &Sent, mined: Option<Mined>) {
        let query = Query::Receipt(sent.attempt, sent.hash);
        self.answer(&query, &mined.map_or("null".to_owned(), |mined| mined.json()));
    }

    /// Says whether the node knows a submission.
    pub(crate) fn known(&mut self, sent: &Sent, is_known: bool) {
        let query = Query::Known(sent.attempt, sent.hash);
        assert!(self.was_asked(&query), "it was asked whether the node knows it");
        let body = Swap::default().body(None);
        self.answer(&query, if is_known { &body } else { "null" });
    }
}
