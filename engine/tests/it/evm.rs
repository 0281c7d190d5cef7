//! A chain in memory that runs real bytecode, and a market on it that the engine's world mirrors.
//!
//! State is set by writing storage: a pair's reserves and everybody's balances are slots, so a case
//! costs no transactions but the one that it is about. The contracts are those of the npm packages
//! (`scripts/chain/install`), `abi/Executor.json` and `tests/sol/contracts.json`.
//!
//! Temperature: cold.

use std::fs;

use alloy::primitives::{Address, B256, Bytes, Log, TxKind, U256, hex, keccak256};
use alloy::sol_types::{Revert, SolCall, SolError, SolEvent, SolValue};
use gannet_engine::amm::ConstantProduct;
use gannet_engine::amm::constant_product::RESERVE_MAX;
use gannet_engine::chain::ChainSpec;
use gannet_engine::ids::{Direction, FactoryId, PoolId, TokenId};
use gannet_engine::plan::Leg;
use gannet_engine::sign::calldata::Program;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::pools::{PoolEntry, PoolTable};
use gannet_engine::world::tokens::TokenTable;
use gannet_engine::world::{Tip, Universe, World};
use revm::bytecode::Bytecode;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::{DbAccount, InMemoryDB};
use revm::database_interface::Database as _;
use revm::handler::{
    ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetContext, MainnetEvm,
};
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use serde_json::Value;

use crate::mixed_pools::Other;

/// The cold key.
pub(crate) const OWNER: Address = Address::repeat_byte(0xa1);
/// The hot key.
pub(crate) const OPERATOR: Address = Address::repeat_byte(0xa2);
/// Anybody.
pub(crate) const STRANGER: Address = Address::repeat_byte(0xa3);
/// The block's producer.
pub(crate) const COINBASE: Address = Address::repeat_byte(0xcb);
/// The block that every transaction is in.
pub(crate) const BLOCK: u64 = 1_000;
/// The native coin, as a token.
pub(crate) const NATIVE: Address = Address::ZERO;

/// The block's time, and that of the pairs' last trade: prices are accumulated once per block.
pub(crate) const TIME: u64 = 1_800_000_000;
pub(crate) const LAST_TRADE: u64 = TIME - 12;
/// The pair's fee.
const FEE_PIPS: u32 = 3_000;
const TABLE_MAX: usize = 128;
/// Ticks of all V3 pools together.
const TICKS_MAX: usize = 8_192;
/// Below the largest that a transaction may have (EIP-7825).
const GAS_LIMIT: u64 = 16_000_000;

/// What the tests call, by its Solidity signature.
pub(crate) mod abi {
    alloy::sol! {
        interface Erc20 {
            function approve(address spender, uint256 amount) external returns (bool);
            function allowance(address owner, address spender) external view returns (uint256);
            function transfer(address to, uint256 amount) external returns (bool);
            event Transfer(address indexed from, address indexed to, uint256 amount);
            function transferFrom(address from, address to, uint256 amount) external returns (bool);
        }
        interface Factory {
            function createPair(address a, address b) external returns (address);
            function getPair(address a, address b) external view returns (address);
        }
        interface Pair {
            event Sync(uint112 reserve0, uint112 reserve1);
            function swap(uint256 out0, uint256 out1, address to, bytes data) external;
        }
        interface V3Factory {
            function enableFeeAmount(uint24 fee, int24 tickSpacing) external;
            function createPool(address a, address b, uint24 fee) external returns (address);
            function getPool(address a, address b, uint24 fee) external view returns (address);
        }
        interface V3Pool {
            event Initialize(uint160 sqrtPriceX96, int24 tick);
            function initialize(uint160 sqrtPriceX96) external;
            function token0() external view returns (address);
            function token1() external view returns (address);
            function fee() external view returns (uint24);
            function tickSpacing() external view returns (int24);
        }
        interface V3Swapper {
            function swap(address pool, bool isDown, int256 amount, uint160 limit)
                external returns (int256 amount0, int256 amount1);
        }
        interface Quoter {
            function quoteExactInputSingle(
                address tokenIn, address tokenOut, uint24 fee, uint256 amountIn, uint160 limit
            ) external returns (uint256);
        }
        interface Solidly {
            function getAmountOut(uint256 amountIn, address tokenIn)
                external view returns (uint256);
        }
        interface Router {
            function getAmountOut(uint256 amount, uint256 reserveIn, uint256 reserveOut)
                external view returns (uint256);
            function getAmountIn(uint256 amount, uint256 reserveIn, uint256 reserveOut)
                external view returns (uint256);
        }
        interface Executor {
            function owner() external view returns (address);
            function pendingOwner() external view returns (address);
            function withdraw(address token, uint256 amount, address to) external;
            function setOperator(address account, bool allowed) external;
            function setSweepAbove(address token, uint256 limit) external;
            function transferOwnership(address to) external;
            function acceptOwnership() external;
            function anyCall(address sender, uint256 out0, uint256 out1, bytes data) external;
            function anyV3Call(int256 amount0, int256 amount1, bytes data) external;
        }
        interface ReentrantToken {
            function aim(address target, bytes message) external;
            function refusal() external view returns (bytes);
        }
        interface HostilePair {
            function plan(address target, bytes message) external;
        }
        struct Step {
            uint8 deed;
            address target;
            uint256 amount;
            bytes message;
        }
        interface HostileMarket {
            function plan(uint256 call, Step step) external;
        }
    }
}

/// Creation code of `name` in `file`, which is under the repository's root.
pub(crate) fn bytecode(file: &str, name: Option<&str>) -> Vec<u8> {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{path}: {error} (npm packages: run scripts/chain/install)")
    });
    let json: Value = serde_json::from_str(&text).expect("an artifact is JSON");
    let contract = name.map_or(&json, |name| &json[name]);
    hex::decode(contract["bytecode"].as_str().expect("an artifact has bytecode")).expect("hex")
}

pub(crate) fn npm_v3(package: &str, name: &str) -> Vec<u8> {
    let folder = format!("scripts/chain/node_modules/@uniswap/{package}/artifacts/contracts");
    let file = name.rsplit('/').next().expect("a name");
    bytecode(&format!("{folder}/{name}.sol/{file}.json"), None)
}

fn npm(package: &str, name: &str) -> Vec<u8> {
    bytecode(&format!("scripts/chain/node_modules/@uniswap/{package}/build/{name}.json"), None)
}

/// How a transaction ended.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// Gas used, refunds deducted.
    pub(crate) gas: u64,
    pub(crate) logs: Vec<Log>,
    /// What it returned, or the name of the error that it reverted with.
    pub(crate) answer: Result<Bytes, String>,
}

impl Receipt {
    pub(crate) fn of(result: ExecutionResult) -> Self {
        let gas = result.tx_gas_used();
        let (logs, answer) = match result {
            ExecutionResult::Success { logs, output: Output::Call(data), .. } => (logs, Ok(data)),
            ExecutionResult::Success { output: Output::Create(_, made), .. } => {
                (vec![], Ok(made.expect("a contract was made").to_vec().into()))
            }
            ExecutionResult::Revert { output, .. } => (vec![], Err(error_name(&output))),
            ExecutionResult::Halt { reason, .. } => (vec![], Err(format!("{reason:?}"))),
        };
        Self { gas, logs, answer }
    }

    /// Asserts that it succeeded.
    #[track_caller]
    pub(crate) fn lands(self) -> Self {
        assert!(self.answer.is_ok(), "reverted: {:?}", self.answer);
        self
    }

    /// Asserts that it reverted with this error: an executor's by name, or a `require`'s text.
    #[track_caller]
    pub(crate) fn reverts(self, error: &str) -> Self {
        assert_eq!(self.answer, Err(error.into()));
        self
    }

    /// The reserves that the last `Sync` reported.
    pub(crate) fn last_sync(&self) -> Option<[u128; 2]> {
        let sync = self.logs.iter().rev().find_map(|log| abi::Pair::Sync::decode_log(log).ok())?;
        Some([sync.reserve0.to(), sync.reserve1.to()])
    }
}

/// The name of an error: the executor's are found by their selectors.
pub(crate) fn error_name(data: &[u8]) -> String {
    const ERRORS: [&str; 14] = [
        "NotOwner",
        "NotOperator",
        "ZeroAddress",
        "Locked",
        "Expired",
        "BadProgram",
        "UnknownLeg",
        "ForbiddenCallback",
        "MissingCallback",
        "TransferFailed",
        "TipNeedsWrappedNative",
        "TipFailed",
        "BelowMinimumProfit",
        "BalanceFell",
    ];
    let is_named = |name: &&&str| data == &keccak256(format!("{name}()"))[..4];
    if let Some(name) = ERRORS.iter().find(is_named) {
        return (*name).into();
    }
    Revert::abi_decode(data).map_or_else(|_| hex::encode(data), |revert| revert.reason)
}

/// A chain of one block.
pub(crate) struct Chain {
    evm: MainnetEvm<MainnetContext<InMemoryDB>>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        // Named, so that a new revm does not change the gas table in silence.
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.disable_nonce_check = true;
        let block = BlockEnv {
            number: U256::from(BLOCK),
            timestamp: U256::from(TIME),
            beneficiary: COINBASE,
            ..BlockEnv::default()
        };
        let context = Context::mainnet().with_db(InMemoryDB::default());
        Self { evm: context.with_cfg(cfg).with_block(block).build_mainnet() }
    }

    /// Sends a transaction with `value` wei, and keeps what it changes if `keeps`.
    fn run(
        &mut self,
        from: Address,
        kind: TxKind,
        (value, data): (u128, Vec<u8>),
        keeps: bool,
    ) -> Receipt {
        let tx = TxEnv {
            caller: from,
            kind,
            value: U256::from(value),
            data: data.into(),
            gas_limit: GAS_LIMIT,
            ..TxEnv::default()
        };
        let ended = self.evm.transact(tx).expect("the transaction is valid");
        if keeps {
            self.evm.commit(ended.state);
        }
        Receipt::of(ended.result)
    }

    /// Sends a transaction.
    pub(crate) fn send(&mut self, from: Address, to: Address, data: Vec<u8>) -> Receipt {
        self.run(from, TxKind::Call(to), (0, data), true)
    }

    /// Sends a transaction with `value` wei.
    pub(crate) fn pay(&mut self, from: Address, to: Address, payment: (u128, Vec<u8>)) -> Receipt {
        self.run(from, TxKind::Call(to), payment, true)
    }

    /// What [`Self::send`] would give; changes nothing.
    pub(crate) fn peek(&mut self, from: Address, to: Address, data: Vec<u8>) -> Receipt {
        self.run(from, TxKind::Call(to), (0, data), false)
    }

    /// What a view function returns, if it does not revert.
    pub(crate) fn read<C: SolCall>(&mut self, to: Address, call: &C) -> Option<C::Return> {
        let answer = self.peek(STRANGER, to, call.abi_encode()).answer.ok()?;
        Some(C::abi_decode_returns(&answer).expect("it returns what its interface says"))
    }

    /// Deploys a contract.
    pub(crate) fn deploy(&mut self, mut code: Vec<u8>, arguments: &[u8]) -> Address {
        code.extend_from_slice(arguments);
        let receipt = self.run(OWNER, TxKind::Create, (0, code), true).lands();
        Address::from_slice(&receipt.answer.expect("it landed"))
    }

    /// Puts this code at an address.
    pub(crate) fn set_code(&mut self, address: Address, code: Vec<u8>) {
        let code = Bytecode::new_raw(code.into());
        let info = AccountInfo::default().with_code_and_hash(code.clone(), code.hash_slow());
        self.evm.ctx.journaled_state.database.insert_account_info(address, info);
    }

    /// The code at an address.
    pub(crate) fn code(&mut self, address: Address) -> Vec<u8> {
        let hash = self.account(address).info.code_hash;
        let Ok(code) = self.evm.ctx.journaled_state.database.code_by_hash(hash);
        code.original_bytes().to_vec()
    }

    fn account(&mut self, address: Address) -> &mut DbAccount {
        let Ok(account) = self.evm.ctx.journaled_state.database.load_account(address);
        account
    }

    pub(crate) fn set_slot(&mut self, contract: Address, slot: U256, value: U256) {
        self.account(contract).storage.insert(slot, value);
    }

    pub(crate) fn slot(&mut self, contract: Address, slot: U256) -> U256 {
        self.account(contract).storage.get(&slot).copied().unwrap_or_default()
    }

    /// The time of the block.
    pub(crate) fn set_time(&mut self, seconds: u64) {
        self.evm.ctx.block.timestamp = U256::from(seconds);
    }

    /// All state, to come back to.
    pub(crate) fn snapshot(&self) -> InMemoryDB {
        self.evm.ctx.journaled_state.database.clone()
    }

    /// Comes back to it.
    pub(crate) fn restore(&mut self, snapshot: &InMemoryDB) {
        self.evm.ctx.journaled_state.database = snapshot.clone();
    }

    /// Who gets the tips.
    pub(crate) const fn set_coinbase(&mut self, coinbase: Address) {
        self.evm.ctx.block.beneficiary = coinbase;
    }
}

/// A cycle through pools, as the engine would propose it.
#[derive(Clone, Debug)]
pub(crate) struct Trade {
    pub(crate) token: TokenId,
    pub(crate) pools: Vec<PoolId>,
    pub(crate) amount: u128,
    pub(crate) is_flash: bool,
    pub(crate) least: u128,
    pub(crate) tip: u128,
    pub(crate) last_block: u64,
}

impl Trade {
    /// `amount` of `token` through `pools`, with the executor's own funds, for any profit.
    pub(crate) fn new(token: TokenId, pools: &[PoolId], amount: u128) -> Self {
        let pools = pools.to_vec();
        Self { token, pools, amount, is_flash: false, least: 0, tip: 0, last_block: BLOCK }
    }

    /// Borrows the input from the last pool.
    pub(crate) fn flash(self, is_flash: bool) -> Self {
        Self { is_flash, ..self }
    }

    /// For no less than this profit, after the tip.
    pub(crate) fn least(self, least: u128) -> Self {
        Self { least, ..self }
    }

    /// With this tip, in wei.
    pub(crate) fn tip(self, tip: u128) -> Self {
        Self { tip, ..self }
    }
}

/// Uniswap's contracts, tokens, pools and the executor; and the world that mirrors them.
pub(crate) struct Market {
    pub(crate) chain: Chain,
    pub(crate) world: World,
    pub(crate) weth: TokenId,
    pub(crate) router: Address,
    pub(crate) executor: Address,
    pub(crate) factories: [Address; 2],
    /// Uniswap V3's factory.
    pub(crate) v3_factory: Address,
    /// Uniswap's contract that quotes V3 pools by trying.
    pub(crate) quoter: Address,
    /// Pools of other kinds than the pair's.
    pub(crate) others: Vec<(PoolId, Other)>,
}

impl Market {
    pub(crate) fn new() -> Self {
        let mut chain = Chain::new();
        let weth = chain.deploy(npm("v2-periphery", "WETH9"), &[]);
        let factory = npm("v2-core", "UniswapV2Factory");
        let owner = OWNER.abi_encode();
        let factories = [chain.deploy(factory.clone(), &owner), chain.deploy(factory, &owner)];
        let router = (factories[0], weth).abi_encode_params();
        let router = chain.deploy(npm("v2-periphery", "UniswapV2Router02"), &router);
        let executor = (weth, OWNER, vec![OPERATOR]).abi_encode_params();
        let executor = chain.deploy(bytecode("abi/Executor.json", None), &executor);
        let v3_factory = chain.deploy(npm_v3("v3-core", "UniswapV3Factory"), &[]);
        let quoter = (v3_factory, weth).abi_encode_params();
        let quoter = chain.deploy(npm_v3("v3-periphery", "lens/Quoter"), &quoter);

        let mut tokens = TokenTable::new(TABLE_MAX);
        let native = tokens.insert(weth, 18).expect("there is room");
        let world = World::new(Universe {
            chain: ChainSpec::ethereum(1, weth),
            tokens,
            pools: PoolTable::new(TABLE_MAX, TICKS_MAX),
            factories: vec![],
            routers: vec![],
            bases: vec![native],
            native,
            anchor: Tip { number: BlockNumber(BLOCK - 1), timestamp: LAST_TRADE, ..Tip::default() },
        });
        let others = vec![];
        let mut market = Self {
            chain,
            world,
            weth: native,
            router,
            executor,
            factories,
            v3_factory,
            quoter,
            others,
        };
        // What WETH unwraps must be there.
        market.fund(NATIVE, weth, u128::MAX);
        market
    }

    /// A plain token.
    pub(crate) fn token(&mut self, decimals: u8) -> TokenId {
        self.odd_token("Token", &U256::from(decimals).abi_encode())
    }

    /// A token of `tests/sol/Token.sol`.
    pub(crate) fn odd_token(&mut self, name: &str, arguments: &[u8]) -> TokenId {
        let address = self.contract(name, arguments);
        self.world
            .tokens
            .insert(address, arguments.last().copied().unwrap_or(18))
            .expect("there is room")
    }

    /// A contract of `tests/sol`.
    pub(crate) fn contract(&mut self, name: &str, arguments: &[u8]) -> Address {
        self.chain.deploy(bytecode("engine/tests/sol/contracts.json", Some(name)), arguments)
    }

    /// A contract of `tests/sol` at an address that somebody else's code names.
    pub(crate) fn place(&mut self, name: &str, arguments: &[u8], at: Address) {
        let made = self.contract(name, arguments);
        let code = self.chain.code(made);
        self.chain.set_code(at, code);
    }

    /// A plain token at such an address.
    pub(crate) fn token_at(&mut self, at: Address, decimals: u8) -> TokenId {
        self.place("Token", &U256::from(decimals).abi_encode(), at);
        self.world.tokens.insert(at, decimals).expect("there is room")
    }

    /// The pool of two tokens, of the first factory that does not have it yet.
    pub(crate) fn pool(&mut self, tokens: [TokenId; 2], reserves: [u128; 2]) -> PoolId {
        let [a, b] = tokens.map(|token| self.address(token));
        let is_free = |factory: &Address| {
            self.chain.read(*factory, &abi::Factory::getPairCall { a, b }) == Some(Address::ZERO)
        };
        let factory = self.factories.into_iter().find(is_free).expect("two pools per pair");
        self.chain.send(OWNER, factory, abi::Factory::createPairCall { a, b }.abi_encode()).lands();
        let pair = self.chain.read(factory, &abi::Factory::getPairCall { a, b }).expect("a view");
        // The price accumulators of a pair that has traded before are not zero.
        for slot in [9, 10] {
            self.chain.set_slot(pair, U256::from(slot), U256::ONE);
        }
        let is_sorted = a < b;
        let sorted = |[x, y]: [TokenId; 2]| if is_sorted { [x, y] } else { [y, x] };
        let id = self.list(pair, sorted(tokens), [1; 2]);
        self.set_reserves(
            id,
            if is_sorted { reserves } else { [reserves[1], reserves[0]] },
            FEE_PIPS,
        );
        id
    }

    /// Tells the world of a pool, and nobody else.
    pub(crate) fn list(
        &mut self,
        address: Address,
        tokens: [TokenId; 2],
        reserves: [u128; 2],
    ) -> PoolId {
        let state = ConstantProduct::new(reserves, FEE_PIPS).expect("reserves have 112 bits");
        let entry = PoolEntry::new(address, FactoryId(0), tokens, state.into());
        self.world.pools.insert(entry).expect("there is room")
    }

    /// Sets a pool's reserves (in its own order) on the chain and in the world.
    pub(crate) fn set_reserves(&mut self, pool: PoolId, reserves: [u128; 2], fee_pips: u32) {
        let entry = self.world.pools.entry_mut(pool);
        entry.state =
            ConstantProduct::new(reserves, fee_pips).expect("reserves have 112 bits").into();
        let (pair, tokens) = (entry.address, entry.tokens);
        let [low, high] = reserves.map(U256::from);
        let word = low | (high << 112) | (U256::from(LAST_TRADE) << 224);
        self.chain.set_slot(pair, RESERVES_SLOT, word);
        for (token, reserve) in tokens.into_iter().zip(reserves) {
            self.fund(self.address(token), pair, reserve);
        }
    }

    /// A pool's reserves on the chain, in its own order.
    pub(crate) fn reserves(&mut self, pool: PoolId) -> [u128; 2] {
        let word = self.chain.slot(self.world.pools.get(pool).address, RESERVES_SLOT);
        [0_usize, 112].map(|shift| ((word >> shift) & U256::from(RESERVE_MAX)).to())
    }

    /// A token's contract.
    pub(crate) fn address(&self, token: TokenId) -> Address {
        self.world.tokens.get(token).address
    }

    fn balance_slot(&self, token: Address, who: Address) -> U256 {
        // WETH9 has its name, symbol and decimals first.
        mapping_slot(who, if token == self.address(self.weth) { 3 } else { 0 })
    }

    /// Sets what `who` has of `token` (or of the native coin).
    pub(crate) fn fund(&mut self, token: Address, who: Address, amount: u128) {
        if token == NATIVE {
            let mut info = self.chain.account(who).info.clone();
            info.balance = U256::from(amount);
            self.chain.evm.ctx.journaled_state.database.insert_account_info(who, info);
        } else {
            let slot = self.balance_slot(token, who);
            self.chain.set_slot(token, slot, U256::from(amount));
        }
    }

    /// What `who` has of `token` (or of the native coin).
    pub(crate) fn balance(&mut self, token: Address, who: Address) -> u128 {
        if token == NATIVE {
            return self.chain.account(who).info.balance.to();
        }
        let slot = self.balance_slot(token, who);
        self.chain.slot(token, slot).to()
    }

    /// What the executor has of a token.
    pub(crate) fn held(&mut self, token: TokenId) -> u128 {
        self.balance(self.address(token), self.executor)
    }

    /// Lets `who` spend anything through the router.
    pub(crate) fn approve_router(&mut self, token: TokenId, who: Address) {
        let call = abi::Erc20::approveCall { spender: self.router, amount: U256::MAX };
        self.chain.send(who, self.address(token), call.abi_encode()).lands();
    }

    /// The way through `pool` for `token`.
    pub(crate) fn direction(&self, pool: PoolId, token: TokenId) -> Direction {
        match self.world.pools.get(pool).tokens[0] == token {
            true => Direction::ZeroForOne,
            false => Direction::OneForZero,
        }
    }

    /// The swaps of a trade with the engine's amounts; 0 from where a pool refuses.
    pub(crate) fn legs(&self, trade: &Trade) -> Vec<Leg> {
        let (mut token, mut amount_in) = (trade.token, trade.amount);
        let mut legs = vec![];
        for &pool in &trade.pools {
            let direction = self.direction(pool, token);
            let amount_out = self.world.quote(pool, direction, amount_in).unwrap_or(0);
            legs.push(Leg { pool, direction, amount_in, amount_out });
            token = self.world.pools.get(pool).tokens[direction.index_out()];
            amount_in = amount_out;
        }
        legs
    }

    /// What the engine expects of a trade, before the tip; `None` if a pool refuses or it loses.
    pub(crate) fn profit(&self, trade: &Trade) -> Option<u128> {
        self.legs(trade).last()?.amount_out.checked_sub(trade.amount)
    }

    /// The calldata of a trade, as the engine writes it.
    pub(crate) fn calldata(&self, trade: &Trade) -> Vec<u8> {
        let program = Program {
            is_flash: trade.is_flash,
            last_block: BlockNumber(trade.last_block),
            profit_token: self.address(trade.token),
            amount_in: trade.amount,
            least_profit: trade.least,
            tip: trade.tip,
            legs: &self.legs(trade),
            world: &self.world,
        };
        let mut input = vec![0; program.packed_bytes()];
        program.write(&mut input).expect("it is as long as it says");
        input
    }

    /// Runs a trade as the operator.
    pub(crate) fn run(&mut self, trade: &Trade) -> Receipt {
        let data = self.calldata(trade);
        self.chain.send(OPERATOR, self.executor, data)
    }

    /// What [`Self::run`] would give; changes nothing.
    pub(crate) fn peek(&mut self, trade: &Trade) -> Receipt {
        let data = self.calldata(trade);
        self.chain.peek(OPERATOR, self.executor, data)
    }

    /// Calls the executor.
    pub(crate) fn call(&mut self, from: Address, call: &impl SolCall) -> Receipt {
        self.chain.send(from, self.executor, call.abi_encode())
    }
}

/// Where a pair keeps its reserves.
const RESERVES_SLOT: U256 = U256::from_limbs([8, 0, 0, 0]);

/// Where Solidity keeps the value of `key` of the mapping at `slot`.
pub(crate) fn mapping_slot(key: Address, slot: u64) -> U256 {
    let preimage = [key.into_word(), B256::from(U256::from(slot))].concat();
    keccak256(preimage).into()
}
