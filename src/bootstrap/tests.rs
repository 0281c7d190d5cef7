//! The lens on the contracts' own bytecode: it reads what their views say, and nothing that a
//! contract does to it is anybody else's trouble.
//!
//! Storage is filled with numbers, and each answer is held against the same view called by itself,
//! so that no layout is assumed.
//!
//! Temperature: cold.

use std::io::Read as _;

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue};
use alloy_primitives::aliases::I24;
use alloy_primitives::{Address, Bytes, I256, TxKind, U256, hex, keccak256};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{CfgEnv, Context, TxEnv};
use revm::database::InMemoryDB;
use revm::handler::{
    ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetContext, MainnetEvm,
};
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use serde_json::Value;

use super::lens::{self, Question};
use super::pool::Reading;
use super::questions::{Concentrated, Decimals, Listed, Pair, Solidly, TickAnswer, TickSlice};
use gannet_engine::amm::Tick;

sol! {
    function createPair(address a, address b) external returns (address pair);
    function createPool(address a, address b, uint24 fee) external returns (address pool);
    function getReserves() external view returns (uint256 first, uint256 second, uint256 time);
    function slot0() external view returns (uint256 price, int256 tick);
    function liquidity() external view returns (uint256 amount);
    function fee() external view returns (uint256 pips);
    function tickSpacing() external view returns (int256 spacing);
    function tickBitmap(int16 word) external view returns (uint256 bits);
    function ticks(int24 index) external view returns (uint256 gross, int256 net);
    function token0() external view returns (address token);
}

/// Gas of a call: less than any node allows.
pub(crate) const GAS: u64 = 16_000_000;
pub(crate) const DEPLOYER: Address = Address::repeat_byte(0xd0);
pub(crate) const TOKENS: [Address; 2] = [Address::repeat_byte(0x11), Address::repeat_byte(0x22)];

/// A chain in memory.
pub(crate) struct Chain(MainnetEvm<MainnetContext<InMemoryDB>>);

impl Chain {
    pub(crate) fn new() -> Self {
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.disable_nonce_check = true;
        let context = Context::mainnet().with_db(InMemoryDB::default()).with_cfg(cfg);
        Self(context.build_mainnet())
    }

    /// What a call returns; changes nothing.
    pub(crate) fn run(
        &mut self,
        kind: TxKind,
        data: Bytes,
        gas_limit: u64,
    ) -> Result<Bytes, String> {
        let tx = TxEnv { caller: DEPLOYER, kind, data, gas_limit, ..TxEnv::default() };
        let ended = self.0.transact(tx).map_err(|error| format!("{error:?}"))?;
        match ended.result {
            ExecutionResult::Success { output: Output::Call(data), .. } => Ok(data),
            ExecutionResult::Success { output: Output::Create(code, _), .. } => Ok(code),
            other @ (ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. }) => {
                Err(format!("{other:?}"))
            }
        }
    }

    /// Sends a transaction and keeps what it changes.
    pub(crate) fn send(&mut self, kind: TxKind, data: Bytes) -> Output {
        let tx = TxEnv { caller: DEPLOYER, kind, data, gas_limit: GAS, ..TxEnv::default() };
        let ended = self.0.transact(tx).unwrap();
        self.0.commit(ended.state);
        let ExecutionResult::Success { output, .. } = ended.result else {
            panic!("{:?}", ended.result)
        };
        output
    }

    pub(crate) fn deploy(&mut self, code: &[u8], arguments: &[u8]) -> Address {
        let data = [code, arguments].concat().into();
        let Output::Create(_, Some(address)) = self.send(TxKind::Create, data) else { panic!() };
        address
    }

    /// Puts code where there was none.
    pub(crate) fn place(&mut self, address: Address, code: &[u8]) {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        let info = AccountInfo::from_bytecode(code);
        self.0.ctx.journaled_state.database.insert_account_info(address, info);
    }

    pub(crate) fn code(&mut self, address: Address) -> Bytes {
        let database = &mut self.0.ctx.journaled_state.database;
        let info = revm::Database::basic(database, address).unwrap().unwrap_or_default();
        info.code.map(|code| code.original_bytes()).unwrap_or_default()
    }

    pub(crate) fn set(&mut self, contract: Address, slot: U256, value: U256) {
        let database = &mut self.0.ctx.journaled_state.database;
        database.insert_account_storage(contract, slot, value).unwrap();
    }

    pub(crate) fn view<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        let answer = self.run(TxKind::Call(to), call.abi_encode().into(), GAS).unwrap();
        C::abi_decode_returns(&answer).unwrap()
    }

    /// What a node would answer to one call of the lens.
    pub(crate) fn look<Q: Question>(&mut self, questions: &[Q], gas: u64) -> Vec<Q::Answer> {
        let data = lens::call(questions.iter().copied());
        assert!(data.len() <= 49_152, "{} bytes of creation code", data.len());
        lens::answers::<Q>(&self.run(TxKind::Create, data, gas).unwrap())
    }

    /// Every answer, asked as often as it takes; and how often that was.
    pub(crate) fn look_until_done<Q: Question>(
        &mut self,
        questions: &[Q],
        gas: u64,
    ) -> (Vec<Q::Answer>, usize) {
        let mut queue = questions.to_vec();
        let (mut found, mut calls) = (Vec::new(), 0);
        while !queue.is_empty() {
            let answers = self.look(&queue, gas);
            assert!(!answers.is_empty(), "a call brings something");
            calls += 1;
            let rest = answers.iter().zip(&queue).filter_map(|(answer, asked)| asked.rest(answer));
            let rest: Vec<Q> = rest.collect();
            queue.drain(..answers.len());
            queue.splice(..0, rest);
            found.extend(answers);
        }
        (found, calls)
    }
}

pub(crate) fn repository(file: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

pub(crate) fn artifact(file: &str) -> Vec<u8> {
    let path = repository(&format!("scripts/chain/node_modules/@uniswap/{file}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error} (npm packages: run scripts/chain/install)", path.display())
    });
    let json: Value = serde_json::from_str(&text).unwrap();
    hex::decode(json["bytecode"].as_str().unwrap()).unwrap()
}

/// The first deployed code, by hash, that knows all these selectors; `None` where the data is not
/// there.
pub(crate) fn deployed(selectors: &[[u8; 4]]) -> Option<Vec<u8>> {
    let folder = std::env::var_os("GANNET_DATA")
        .map_or_else(|| repository("../shared/data"), std::path::PathBuf::from);
    let file = folder.join("witness/codes.json.gz");
    let Ok(packed) = std::fs::File::open(&file) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", file.display());
        eprintln!("{} is missing: these contracts are passed over", file.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let codes: std::collections::BTreeMap<String, Bytes> = serde_json::from_str(&text).unwrap();
    let knows = |code: &Bytes| {
        selectors
            .iter()
            .all(|wanted| code.windows(5).any(|part| part[0] == 0x63 && part[1..] == *wanted))
    };
    Some(codes.into_values().find(knows).expect("such a contract is among them").to_vec())
}

/// A number that differs from place to place.
pub(crate) fn noise(seed: u64) -> U256 {
    U256::from_be_bytes(keccak256(seed.to_be_bytes()).0)
}

/// Where a mapping at `slot` keeps the value of a signed key.
fn mapped(slot: u64, key: i32) -> U256 {
    let key = I256::try_from(key).unwrap().into_raw();
    U256::from_be_bytes(keccak256((key, U256::from(slot)).abi_encode_params()).0)
}

/// A slot 0 with a price and a tick, and numbers behind them.
pub(crate) fn slot_zero(seed: u64, tick: i32) -> U256 {
    let tick = U256::from(tick.cast_unsigned() & 0xff_ffff) << 160;
    (noise(seed) >> 96) | tick | (U256::from(0x1_0001_0001_u64) << 184)
}

#[test]
fn a_pairs_reserves_are_what_the_pair_says() {
    let mut chain = Chain::new();
    let code = artifact("v2-core/build/UniswapV2Pair");
    let pairs: Vec<Pair> = (0..300).map(|_| Pair(chain.deploy(&code, &[]))).collect();
    for (seed, pair) in (0..).zip(&pairs) {
        chain.set(pair.0, U256::from(8), noise(seed));
    }
    let found = chain.look(&pairs, GAS);
    assert_eq!(found.len(), pairs.len());
    for (pair, found) in pairs.iter().zip(found) {
        let said = chain.view(pair.0, &getReservesCall {});
        let reserves = [said.first.to::<u128>(), said.second.to::<u128>()];
        assert!(reserves[0] > 0 && reserves[1] > 0);
        assert_eq!(found, Some((Reading::Pair { reserves }, reserves)));
    }
}

#[test]
fn a_factorys_list_is_read_with_the_pairs_tokens() {
    let mut chain = Chain::new();
    let code = artifact("v2-core/build/UniswapV2Factory");
    let factory = chain.deploy(&code, &DEPLOYER.abi_encode());
    let mut expected = Vec::new();
    for id in 1..=5_u8 {
        let tokens = [Address::with_last_byte(id), Address::repeat_byte(id)];
        let call = createPairCall { a: tokens[1], b: tokens[0] }.abi_encode();
        let Output::Call(made) = chain.send(TxKind::Call(factory), call.into()) else { panic!() };
        expected.push(Some((createPairCall::abi_decode_returns(&made).unwrap(), tokens)));
    }
    // There is no sixth.
    expected.push(None);
    let asked: Vec<Listed> = (0..6).map(|place| Listed { factory, place }).collect();
    assert_eq!(chain.look(&asked, GAS), expected);
}

/// A concentrated pool is read like its own views answer.
fn concentrated_is_as_it_says(chain: &mut Chain, pool: Address) -> Reading {
    let found = chain.look(&[Concentrated { pool, tokens: TOKENS }], GAS);
    let [Some((reading, held))] = found[..] else { panic!("{found:?}") };
    let (said, spacing) = (chain.view(pool, &slot0Call {}), chain.view(pool, &tickSpacingCall {}));
    let expected = Reading::Concentrated {
        sqrt_price: said.price,
        tick: said.tick.as_i32(),
        liquidity: chain.view(pool, &liquidityCall {}).to(),
        fee_pips: chain.view(pool, &feeCall {}).to(),
        tick_spacing: spacing.as_i32(),
    };
    assert_eq!(reading, expected);
    assert_eq!(held, [0, 7], "the first token has no code, the second says 7 to everything");
    reading
}

/// The pool's ticks are those that its own bitmap and views say.
fn ticks_are_as_it_says(chain: &mut Chain, pool: Address, tick_spacing: i32) -> (usize, usize) {
    let whole = TickSlice::whole(pool, tick_spacing).unwrap();
    let (answers, calls) = chain.look_until_done(&[whole], GAS);
    let mut found: Vec<Tick> = Vec::new();
    for (place, answer) in answers.iter().enumerate() {
        let TickAnswer::Ticks { ticks, next } = answer else { panic!("{answer:?}") };
        assert_eq!(next.is_none(), place + 1 == answers.len());
        found.extend(ticks);
    }
    let mut expected = Vec::new();
    for word in whole.words[0]..=whole.words[1] {
        let bits = chain.view(pool, &tickBitmapCall { word });
        for bit in (0..256).filter(|bit| bits.bit(*bit)) {
            let index = (i32::from(word) * 256 + i32::try_from(bit).unwrap()) * tick_spacing;
            let said = chain.view(pool, &ticksCall { index: I24::try_from(index).unwrap() });
            let (gross, net) = (said.gross.to(), i128::try_from(said.net).unwrap());
            expected.push(Tick { index, net, gross });
        }
    }
    assert_eq!(found, expected);
    (found.len(), calls)
}

/// Sets a tick in a pool's storage.
pub(crate) fn set_tick(
    chain: &mut Chain,
    pool: Address,
    slots: [u64; 2],
    (tick, spacing): (i32, i32),
) {
    let compressed = tick / spacing;
    assert_eq!(compressed * spacing, tick);
    let word = mapped(slots[1], compressed >> 8);
    let database = &mut chain.0.ctx.journaled_state.database;
    let held = revm::Database::storage(database, pool, word).unwrap();
    let bit = U256::from(1) << (compressed & 0xff);
    chain.set(pool, word, held | bit);
    chain.set(pool, mapped(slots[0], tick), noise(tick.cast_unsigned().into()));
}

pub(crate) fn uniswap_v3() -> (Chain, Address) {
    let mut chain = Chain::new();
    chain.place(TOKENS[1], &hex!("600760005260206000f3"));
    let code = artifact("v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory");
    let factory = chain.deploy(&code, &[]);
    (chain, factory)
}

pub(crate) fn make_pool(chain: &mut Chain, factory: Address, fee: u16) -> Address {
    let fee = alloy_primitives::aliases::U24::from(fee);
    let call = createPoolCall { a: TOKENS[0], b: TOKENS[1], fee }.abi_encode();
    let Output::Call(made) = chain.send(TxKind::Call(factory), call.into()) else { panic!() };
    createPoolCall::abi_decode_returns(&made).unwrap()
}

#[test]
fn a_uniswap_v3_pool_is_what_its_views_say_with_its_ticks() {
    let (mut chain, factory) = uniswap_v3();
    for (fee, spacing) in [(500, 10), (3_000, 60), (10_000, 200)] {
        let pool = make_pool(&mut chain, factory, fee);
        chain.set(pool, U256::ZERO, slot_zero(fee.into(), -31_415));
        chain.set(pool, U256::from(4), noise(9) >> 128);
        let last = 887_272 / spacing * spacing;
        for tick in [-last, -spacing * 256, -spacing, 0, spacing, spacing * 255, 6_000, last] {
            set_tick(&mut chain, pool, [5, 6], (tick, spacing));
        }
        let reading = concentrated_is_as_it_says(&mut chain, pool);
        assert!(matches!(reading, Reading::Concentrated { tick: -31_415, .. }));
        assert_eq!(ticks_are_as_it_says(&mut chain, pool, spacing).0, 8);
    }
}

#[test]
fn more_ticks_than_one_answer_holds_come_in_several() {
    let (mut chain, factory) = uniswap_v3();
    let pool = make_pool(&mut chain, factory, 500);
    chain.set(pool, U256::ZERO, slot_zero(1, 0));
    // Two full words side by side, and many thin ones.
    for tick in (-256..256).chain((300..9_000).step_by(37)) {
        set_tick(&mut chain, pool, [5, 6], (tick * 10, 10));
    }
    let (count, calls) = ticks_are_as_it_says(&mut chain, pool, 10);
    assert_eq!(count, 512 + 236);
    assert!((2..=6).contains(&calls), "{calls}");
}

#[test]
fn the_widest_bitmap_of_spacing_one_is_read_to_its_end() {
    let (mut chain, factory) = uniswap_v3();
    // enableFeeAmount(100, 1), as the factory's owner.
    let call = hex!("8a7c195f").into_iter().chain((U256::from(100), U256::from(1)).abi_encode());
    chain.send(TxKind::Call(factory), call.collect::<Vec<u8>>().into());
    let pool = make_pool(&mut chain, factory, 100);
    for tick in [-887_272, -1, 0, 255, 256, 887_272] {
        set_tick(&mut chain, pool, [5, 6], (tick, 1));
    }
    let (count, calls) = ticks_are_as_it_says(&mut chain, pool, 1);
    assert_eq!(count, 6);
    assert!((2..=4).contains(&calls), "{calls} calls for 6,932 words");
}

#[test]
fn a_pancake_v3_pool_is_read_though_its_first_slot_is_wider() {
    let Some(code) = deployed(&[hex!("cc7e7fa2"), slot0Call::SELECTOR]) else { return };
    let (mut chain, _) = uniswap_v3();
    let pool = Address::repeat_byte(0x77);
    chain.place(pool, &code);
    let spacing = chain.view(pool, &tickSpacingCall {}).as_i32();
    chain.set(pool, U256::ZERO, slot_zero(5, 12_345));
    for slot in 1..=5 {
        chain.set(pool, U256::from(slot), noise(slot) >> 129);
    }
    for step in [-700, -1, 0, 3, 511] {
        set_tick(&mut chain, pool, [6, 7], (step * spacing, spacing));
    }
    let reading = concentrated_is_as_it_says(&mut chain, pool);
    let Reading::Concentrated { liquidity, tick, .. } = reading else { panic!() };
    assert!(liquidity > 0 && tick == 12_345);
    assert_eq!(ticks_are_as_it_says(&mut chain, pool, spacing).0, 5);
}

#[test]
fn a_solidly_pool_is_read_with_its_factorys_fee() {
    let mut chain = Chain::new();
    // Both kinds answer `getReserves` alike; a pair has no fee of its own.
    let pool = chain.deploy(&artifact("v2-core/build/UniswapV2Pair"), &[]);
    chain.set(pool, U256::from(8), noise(3));
    let said = chain.view(pool, &getReservesCall {});
    let reserves = [said.first.to::<u128>(), said.second.to::<u128>()];
    // Answers with what it was asked: the pool's address is no fee, and so no answer.
    let echo = Address::repeat_byte(0x66);
    chain.place(echo, &hex!("60043560005260206000f3"));
    // 5 in 10,000 if the second argument is 1, else 30.
    let factory = Address::repeat_byte(0x67);
    chain.place(factory, &hex!("602435601057601e60005260206000f35b600560005260206000f3"));
    for (is_stable, fee_pips) in [(true, 500), (false, 3_000)] {
        let found = chain.look(&[Solidly { pool, factory, is_stable }], GAS);
        assert_eq!(found, [Some((Reading::Solidly { reserves, fee_pips }, reserves))]);
    }
    for factory in [echo, DEPLOYER] {
        let found = chain.look(&[Solidly { pool, factory, is_stable: true }], GAS);
        assert_eq!(found, [None], "its quotes are unknown");
    }
}

/// Contracts that do to a call whatever they can.
const HOSTILE: [&[u8]; 7] = [
    // Nothing there.
    &[],
    // Reverts.
    &hex!("60006000fd"),
    // Is no code.
    &hex!("fe"),
    // Runs until its gas is gone.
    &hex!("5b600056"),
    // Answers 31 bytes.
    &hex!("601f6000f3"),
    // Answers a megabyte.
    &hex!("621000006000f3"),
    // Answers that all bits are set, thrice.
    &hex!("60001960005260001960205260001960405260606000f3"),
];

#[test]
fn what_a_contract_does_to_a_call_is_its_own_trouble() {
    let mut chain = Chain::new();
    let code = artifact("v2-core/build/UniswapV2Pair");
    let good = chain.deploy(&code, &[]);
    chain.set(good, U256::from(8), noise(3));
    let hostile: Vec<Address> = (1..)
        .zip(HOSTILE)
        .map(|(id, code)| {
            let address = Address::repeat_byte(0xe0 + id);
            chain.place(address, code);
            address
        })
        .collect();

    let mut asked = vec![Pair(good)];
    asked.extend(hostile.iter().flat_map(|address| [Pair(*address), Pair(good)]));
    let (found, _) = chain.look_until_done(&asked, GAS);
    assert_eq!(found.len(), asked.len());
    for (asked, found) in asked.iter().zip(&found) {
        assert_eq!(found.is_some(), asked.0 == good, "{}", asked.0);
    }

    let weth = chain.deploy(&artifact("v2-periphery/build/WETH9"), &[]);
    let mut asked = vec![Decimals(weth)];
    asked.extend(hostile.iter().flat_map(|address| [Decimals(*address), Decimals(weth)]));
    let (found, _) = chain.look_until_done(&asked, GAS);
    for (asked, found) in asked.iter().zip(&found) {
        assert_eq!(*found, (asked.0 == weth).then_some(18), "{}", asked.0);
    }

    for address in hostile {
        let concentrated = Concentrated { pool: address, tokens: [address; 2] };
        assert_eq!(chain.look_until_done(&[concentrated], GAS).0, [None]);
        let solidly = Solidly { pool: address, factory: address, is_stable: false };
        assert_eq!(chain.look_until_done(&[solidly], GAS).0, [None]);
        let listed = Listed { factory: address, place: 0 };
        assert_eq!(chain.look_until_done(&[listed], GAS).0, [None]);
    }
}

#[test]
fn the_lens_stops_by_itself_before_the_gas_is_gone() {
    let mut chain = Chain::new();
    let code = artifact("v2-core/build/UniswapV2Pair");
    let pair = chain.deploy(&code, &[]);
    let pairs = vec![Pair(pair); 700];
    let (found, calls) = chain.look_until_done(&pairs, 3_000_000);
    assert_eq!(found.len(), 700);
    assert!((3..=12).contains(&calls), "{calls}");
}
