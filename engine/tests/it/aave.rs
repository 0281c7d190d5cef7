//! Random accounts of Aave V3 through the published bytecode of its pool (revision 1): what the
//! account is worth, and all amounts of a liquidation, are the engine's to the wei.
//!
//! One run is 20,000 states from one seed (`GANNET_SEED` to vary it), each with the contract's
//! `getUserAccountData` and a `liquidationCall`: several reserves of 6, 8 and 18 decimals, time
//! since their last updates, categories with and without a price of their own, health around one
//! and around 0.95, requests below and above what is allowed, collateral that does not suffice,
//! reserves without means, paused or not in use. What the contract refuses, the engine refuses for
//! the same reason. Each kind of case has a least count.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use alloy::primitives::{Address, B256, Bytes, U256, hex};
use alloy::sol_types::{Panic, Revert, SolCall, SolError, SolValue};
use gannet_engine::lending::aave::events::{Event, decode};
use gannet_engine::lending::aave::health::Health;
use gannet_engine::lending::aave::liquidate::{Liquidation, Request};
use gannet_engine::lending::aave::{Rules, index, wide};
use gannet_engine::lending::math::Fault;
use serde_json::Value;

use crate::aave_bench::{
    ADMIN, DECIMALS, Ended, NOW, RAY, Scene, USER, Vm, configuration, numbered_slot, pair, slots,
    write_account,
};
use crate::differential::{Random, SEED, Verdict, agree};
use crate::evm::{bytecode, mapping_slot};

const STATES: u32 = 20_000;
/// Where the npm package keeps what it compiled.
const ARTIFACTS: &str = "scripts/chain/node_modules/@aave/core-v3/artifacts/contracts";
const LIQUIDATOR: Address = Address::repeat_byte(0xc0);
const TREASURY: Address = Address::repeat_byte(0xd0);
/// What the liquidator has of every token.
const FUNDS: u128 = 1 << 120;
/// What the treasury has of every collateral token, scaled.
const TREASURY_FUNDS: u128 = 1_000;

/// Of each kind of case, the least share of all, in thousandths.
const LEAST: [(&str, u32); 19] = [
    ("worth reckoned", 950),
    ("healthy", 50),
    ("liquidated", 300),
    ("refused by both", 200),
    ("half of the debt", 40),
    ("all of the debt", 20),
    ("less than allowed", 50),
    ("all of the collateral", 30),
    ("with a fee", 200),
    ("without a fee", 50),
    ("in a category", 100),
    ("at a category's price", 20),
    ("at a category's bonus", 20),
    ("several reserves", 200),
    ("the same asset", 10),
    ("collateral stays in the pool", 50),
    ("closed reserve", 10),
    ("not held", 10),
    ("no means", 5),
];

alloy::sol! {
    interface IPool {
        struct Configuration { uint256 data; }
        function initReserve(
            address asset, address aToken, address stableDebt, address variableDebt,
            address strategy
        ) external;
        function setConfiguration(address asset, Configuration configuration) external;
        function getUserAccountData(address user) external view returns (
            uint256 collateral, uint256 debt, uint256 available, uint256 threshold, uint256 ltv,
            uint256 health
        );
        function liquidationCall(
            address collateral, address debt, address user, uint256 amount, bool receiveAToken
        ) external;
    }
    interface IProvider {
        function setAddress(bytes32 id, address to) external;
    }
    interface IToken {
        function approve(address spender, uint256 amount) external returns (bool);
    }
    interface IAToken {
        function initialize(
            address pool, address treasury, address underlying, address incentives,
            uint8 decimals, string name, string symbol, bytes params
        ) external;
    }
    interface IDebtToken {
        function initialize(
            address pool, address underlying, address incentives, uint8 decimals, string name,
            string symbol, bytes params
        ) external;
    }
}

#[test]
fn random_aave_liquidations_are_the_bytecodes_to_the_wei() {
    let seed = env::var("GANNET_SEED").map_or(SEED, |text| text.parse().expect("a seed is a u64"));
    println!("aave, revision 1: seed {seed}");
    let mut bench = Bench::new(Random(seed));
    let mut mismatches = vec![];
    for number in 0..STATES {
        let (scene, request) = bench.next();
        let judged = bench.worth(&scene).and_then(|()| bench.liquidation(&scene, &request));
        if let Err(difference) = judged {
            println!("state {number}: {difference}\n  {request:?}\n  {scene:?}");
            mismatches.push(number);
        }
    }
    for (kind, count) in &bench.counts {
        println!("{count:>7} {kind}");
    }
    assert!(mismatches.is_empty(), "{} of {STATES} states differ", mismatches.len());
    for (kind, share) in LEAST {
        let count = bench.counts.get(kind).copied().unwrap_or(0);
        assert!(count * 1_000 >= share * STATES, "{kind}: only {count}");
    }
}

fn artifact(path: &str) -> Vec<u8> {
    let name = path.rsplit('/').next().expect("a name");
    bytecode(&format!("{ARTIFACTS}/{path}.sol/{name}.json"), None)
}

/// Creation code with the addresses of its libraries in it.
fn linked(path: &str, libraries: &BTreeMap<&str, Address>) -> Vec<u8> {
    let name = path.rsplit('/').next().expect("a name");
    let file = format!("{}/../{ARTIFACTS}/{path}.sol/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{file}: {error} (run scripts/chain/install)"));
    let json: Value = serde_json::from_str(&text).expect("an artifact is JSON");
    let mut digits = json["bytecode"].as_str().expect("an artifact has bytecode").to_owned();
    for file in json["linkReferences"].as_object().expect("references").values() {
        for (library, places) in file.as_object().expect("libraries") {
            let address = hex::encode(libraries[library.as_str()]);
            for place in places.as_array().expect("places") {
                let start = place["start"].as_u64().expect("a place");
                let start = 2 + 2 * usize::try_from(start).expect("it is small");
                digits.replace_range(start..start + 40, &address);
            }
        }
    }
    hex::decode(digits).expect("hexadecimal digits")
}

/// An asset with its tokens.
#[derive(Clone, Copy)]
struct Asset {
    underlying: Address,
    a_token: Address,
    debt_token: Address,
}

struct Bench {
    vm: Vm,
    random: Random,
    rules: Rules,
    pool: Address,
    oracle: Address,
    assets: Vec<Asset>,
    counts: BTreeMap<&'static str, u32>,
}

impl Bench {
    fn new(random: Random) -> Self {
        let mut vm = Vm::new();
        let mut libraries = BTreeMap::new();
        for name in [
            "SupplyLogic",
            "BorrowLogic",
            "LiquidationLogic",
            "EModeLogic",
            "BridgeLogic",
            "PoolLogic",
        ] {
            let code = artifact(&format!("protocol/libraries/logic/{name}"));
            libraries.insert(name, vm.deploy(code, &[]));
        }
        let flash = linked("protocol/libraries/logic/FlashLoanLogic", &libraries);
        libraries.insert("FlashLoanLogic", vm.deploy(flash, &[]));
        let provider = artifact("protocol/configuration/PoolAddressesProvider");
        let provider = vm.deploy(provider, &(String::new(), ADMIN).abi_encode_params());
        let code = linked("protocol/pool/Pool", &libraries);
        let pool = vm.deploy(code, &provider.abi_encode());
        let oracle = vm.deploy(artifact("mocks/oracle/PriceOracle"), &[]);
        for (id, to) in [("POOL", pool), ("POOL_CONFIGURATOR", ADMIN), ("PRICE_ORACLE", oracle)] {
            let mut word = B256::ZERO;
            word[..id.len()].copy_from_slice(id.as_bytes());
            vm.send(ADMIN, provider, IProvider::setAddressCall { id: word, to }.abi_encode());
        }
        let percent = |share: u128| wide(RAY / 100 * share);
        let rates = [80, 0, 4, 75, 1, 60, 1, 8, 20].map(percent);
        let strategy = artifact("protocol/pool/DefaultReserveInterestRateStrategy");
        let mut arguments = provider.abi_encode();
        arguments.extend(rates.abi_encode());
        let strategy = vm.deploy(strategy, &arguments);
        let rules = Rules::of(1).expect("it is known");
        let mut bench =
            Self { vm, random, rules, pool, oracle, assets: vec![], counts: BTreeMap::new() };
        for decimals in DECIMALS {
            bench.list(decimals, strategy);
        }
        bench
    }

    fn list(&mut self, decimals: u8, strategy: Address) {
        let Self { vm, pool, .. } = self;
        let pool = *pool;
        let text = || String::from("T");
        let arguments = (text(), text(), U256::from(decimals)).abi_encode_params();
        let asset = vm.deploy(artifact("mocks/tokens/MintableERC20"), &arguments);
        let token = |vm: &mut Vm, name: &str| {
            vm.deploy(artifact(&format!("protocol/tokenization/{name}")), &pool.abi_encode())
        };
        let a_token = token(vm, "AToken");
        let call = IAToken::initializeCall {
            pool,
            treasury: TREASURY,
            underlying: asset,
            incentives: Address::ZERO,
            decimals,
            name: text(),
            symbol: text(),
            params: Bytes::new(),
        };
        vm.send(ADMIN, a_token, call.abi_encode());
        let debts = ["StableDebtToken", "VariableDebtToken"].map(|name| {
            let debt = token(vm, name);
            let call = IDebtToken::initializeCall {
                pool,
                underlying: asset,
                incentives: Address::ZERO,
                decimals,
                name: text(),
                symbol: text(),
                params: Bytes::new(),
            };
            vm.send(ADMIN, debt, call.abi_encode());
            debt
        });
        let [stable, variable] = debts;
        let call = IPool::initReserveCall {
            asset,
            aToken: a_token,
            stableDebt: stable,
            variableDebt: variable,
            strategy,
        };
        vm.send(ADMIN, pool, call.abi_encode());
        let approve = IToken::approveCall { spender: pool, amount: U256::MAX };
        vm.send(LIQUIDATOR, asset, approve.abi_encode());
        vm.set(asset, mapping_slot(LIQUIDATOR, 0), wide(FUNDS));
        vm.set(a_token, mapping_slot(TREASURY, slots::COLLATERAL), pair(TREASURY_FUNDS, RAY));
        self.assets.push(Asset { underlying: asset, a_token, debt_token: variable });
    }

    /// Another state with what is asked in it, written into the contracts' storage.
    fn next(&mut self) -> (Scene, Request) {
        let scene = Scene::random(&mut self.random, self.rules);
        self.write(&scene);
        let random = &mut self.random;
        let count = scene.reserves.len();
        let mut pick = |held: fn(&gannet_engine::lending::aave::Entry) -> bool| {
            let of: Vec<_> = scene
                .entries
                .iter()
                .filter(|entry| held(entry))
                .map(|entry| entry.reserve)
                .collect();
            let any = u16::try_from(random.below(count)).expect("few");
            if of.is_empty() || random.below(20) == 0 { any } else { random.pick(&of) }
        };
        let collateral = pick(|entry| entry.is_collateral && entry.collateral != 0);
        let debt = pick(|entry| entry.debt != 0);
        let owed = scene.entries.iter().find(|entry| entry.reserve == debt);
        let owed = owed.map_or(1, |entry| entry.debt).max(1);
        let amount = match random.below(4) {
            0 | 1 => U256::MAX,
            2 => wide(random.share(owed)),
            _ => wide(random.share(owed.saturating_mul(2))),
        };
        let receives_a_token = random.below(4) == 0;
        let request =
            Request { collateral, debt, amount, receives_a_token, is_sentinel_open: true };
        (scene, request)
    }

    fn write(&mut self, scene: &Scene) {
        let Self { vm, pool, oracle, assets, .. } = self;
        for (number, (reserve, asset)) in scene.reserves.iter().zip(&*assets).enumerate() {
            let base = mapping_slot(asset.underlying, slots::RESERVES);
            let updated = (U256::from(reserve.updated_at) << 128) | (U256::from(number) << 168);
            let words = [
                configuration(reserve, reserve.threshold_bps),
                pair(reserve.liquidity_index, reserve.liquidity_rate),
                pair(reserve.borrow_index, reserve.borrow_rate),
                updated,
            ];
            for (place, word) in words.into_iter().enumerate() {
                vm.set(*pool, base + U256::from(place), word);
            }
            let holder = mapping_slot(asset.a_token, 0);
            vm.set(asset.underlying, holder, wide(reserve.available));
            vm.set(*oracle, mapping_slot(asset.underlying, 0), scene.prices[number]);
        }
        for (number, category) in (0_u8..).zip(&scene.categories).skip(1) {
            let source = if category.has_price_source { source(number) } else { Address::ZERO };
            let word = U256::from(category.threshold_bps)
                | (U256::from(category.threshold_bps) << 16)
                | (U256::from(category.bonus_bps) << 32)
                | (U256::from_be_slice(source.as_slice()) << 48);
            vm.set(*pool, numbered_slot(number.into(), slots::CATEGORIES), word);
            let price = scene.source_prices[usize::from(number)];
            vm.set(*oracle, mapping_slot(self::source(number), 0), price);
        }
        let tokens: Vec<_> = assets.iter().map(|asset| [asset.a_token, asset.debt_token]).collect();
        write_account(vm, *pool, scene, &tokens);
    }

    fn count(&mut self, kind: &'static str, is: bool) {
        *self.counts.entry(kind).or_default() += u32::from(is);
    }

    fn worth(&mut self, scene: &Scene) -> Verdict {
        let call = IPool::getUserAccountDataCall { user: USER }.abi_encode();
        let answer = self.vm.ask(LIQUIDATOR, self.pool, call).answer;
        let ours = scene.position().health(&|key| scene.price(key));
        let theirs = answer.ok().map(|data| {
            IPool::getUserAccountDataCall::abi_decode_returns(&data).expect("six words")
        });
        self.count("worth reckoned", theirs.is_some());
        let theirs = theirs.map(|got| (got.collateral, got.debt, got.threshold, got.health));
        let ours = ours.ok().map(|health| {
            let Health { collateral_base, debt_base, weighted, health_factor } = health;
            let threshold = weighted.checked_div(collateral_base).unwrap_or_default();
            (collateral_base, debt_base, threshold, health_factor)
        });
        agree("worth", ours, theirs)
    }

    fn liquidation(&mut self, scene: &Scene, request: &Request) -> Verdict {
        let [collateral, debt] =
            [request.collateral, request.debt].map(|number| self.assets[usize::from(number)]);
        let call = IPool::liquidationCallCall {
            collateral: collateral.underlying,
            debt: debt.underlying,
            user: USER,
            amount: request.amount,
            receiveAToken: request.receives_a_token,
        };
        let ended = self.vm.ask(LIQUIDATOR, self.pool, call.abi_encode());
        let ours = scene.position().liquidation(request, &|key| scene.price(key));
        match (ours, &ended.answer) {
            (Err(fault), Err(reason)) => self.refused(fault, reason),
            (Ok(ours), Ok(_)) => {
                self.liquidated(scene, request, &ours);
                self.compare(scene, request, &ours, &ended)
            }
            (ours, theirs) => {
                let theirs = theirs.as_ref().map_err(reason_of);
                Err(format!("liquidation: engine {ours:?}, bytecode {theirs:?}"))
            }
        }
    }

    /// Both refuse; for the same reason, where the contract names one.
    fn refused(&mut self, fault: Fault, reason: &Bytes) -> Verdict {
        self.count("refused by both", true);
        self.count("healthy", fault == Fault::Healthy);
        self.count("not held", fault == Fault::NotHeld);
        self.count("closed reserve", matches!(reason_of(reason).as_str(), "27" | "29"));
        self.count("no means", fault == Fault::NoLiquidity);
        let may_be: &[Fault] = match reason_of(reason).as_str() {
            "27" | "29" | "25" => &[Fault::Forbidden],
            "45" => &[Fault::Healthy],
            "46" | "47" => &[Fault::NotHeld],
            "overflow" => &[Fault::Overflow, Fault::Underflow, Fault::NoLiquidity],
            "division" | "" => &[Fault::Overflow],
            other if other.contains("exceeds balance") => &[Fault::NoLiquidity],
            other => return Err(format!("refused: engine {fault:?}, bytecode {other}")),
        };
        if may_be.contains(&fault) {
            return Ok(());
        }
        Err(format!("refused: engine {fault:?}, bytecode {}", reason_of(reason)))
    }

    fn liquidated(&mut self, scene: &Scene, request: &Request, ours: &Liquidation) {
        let position = scene.position();
        let owed = owed(scene, request.debt);
        let reserve = scene.reserves[usize::from(request.collateral)];
        let category = position.category_of(request.collateral, &reserve);
        let price = position.category_price(&|key| scene.price(key));
        self.count("liquidated", true);
        self.count("all of the debt", ours.debt_repaid == owed);
        self.count("half of the debt", ours.debt_repaid == owed.div_ceil(U256::from(2)));
        self.count("less than allowed", ours.debt_repaid == request.amount);
        self.count("all of the collateral", ours.is_flag_cleared);
        self.count("with a fee", !ours.protocol_fee.is_zero());
        self.count("without a fee", reserve.fee_bps == 0);
        self.count("in a category", scene.category != 0);
        self.count("at a category's bonus", category.is_some());
        self.count("at a category's price", price.is_ok_and(|price| price.is_some()));
        self.count("several reserves", scene.entries.len() > 2);
        self.count("the same asset", request.collateral == request.debt);
        self.count("collateral stays in the pool", request.receives_a_token);
    }

    /// The log, everybody's balances and the flags after a liquidation.
    fn compare(
        &self,
        scene: &Scene,
        request: &Request,
        ours: &Liquidation,
        ended: &Ended,
    ) -> Verdict {
        let [collateral, debt] =
            [request.collateral, request.debt].map(|number| self.assets[usize::from(number)]);
        let entry =
            |number| *scene.entries.iter().find(|entry| entry.reserve == number).expect("held");
        let (taken, owing) = (entry(request.collateral), entry(request.debt));
        let low = |contract, slot| {
            let word = ended.slot(contract, slot);
            word.map(|word| word & wide(u128::MAX >> 8))
        };
        let left = wide(taken.collateral) - ours.seized_scaled - ours.fee_scaled;
        let of_user = mapping_slot(USER, slots::COLLATERAL);
        agree("collateral left", Some(left), low(collateral.a_token, of_user))?;
        let debt_left = wide(owing.debt) - ours.debt_scaled;
        agree("debt left", Some(debt_left), low(debt.debt_token, mapping_slot(USER, slots::DEBT)))?;
        if !ours.protocol_fee.is_zero() {
            let got = wide(TREASURY_FUNDS) + ours.fee_scaled;
            let slot = mapping_slot(TREASURY, slots::COLLATERAL);
            agree("treasury", Some(got), low(collateral.a_token, slot))?;
        }
        let mut funds = [wide(FUNDS); 2];
        let is_same = request.collateral == request.debt;
        funds[0] -= ours.debt_repaid;
        if request.receives_a_token {
            let slot = mapping_slot(LIQUIDATOR, slots::COLLATERAL);
            agree("liquidator's tokens", Some(ours.seized_scaled), low(collateral.a_token, slot))?;
        } else {
            funds[usize::from(!is_same)] += ours.collateral_seized;
            let slot = mapping_slot(LIQUIDATOR, 0);
            let place = usize::from(!is_same);
            agree("seized", Some(funds[place]), ended.slot(collateral.underlying, slot))?;
        }
        let slot = mapping_slot(LIQUIDATOR, 0);
        agree("repaid", Some(funds[0]), ended.slot(debt.underlying, slot))?;
        let mut flags = scene.flags();
        flags.set_bit(usize::from(2 * request.debt), ours.debt_repaid != owed(scene, request.debt));
        flags.set_bit(usize::from(2 * request.collateral + 1), !ours.is_flag_cleared);
        let slot = mapping_slot(USER, slots::USER_FLAGS);
        agree("flags", Some(flags), ended.slot(self.pool, slot))?;
        self.compare_log(ours, [collateral.underlying, debt.underlying], ended)
    }

    fn compare_log(&self, ours: &Liquidation, of: [Address; 2], ended: &Ended) -> Verdict {
        let read = ended
            .logs
            .iter()
            .filter(|log| log.address == self.pool)
            .map(|log| decode(log.data.topics(), &log.data.data));
        let told = read.filter(|event| matches!(event, Ok(Event::Liquidated { .. }))).last();
        let wanted = Event::Liquidated {
            collateral: of[0],
            debt: of[1],
            user: USER,
            repaid: ours.debt_repaid,
            seized: ours.collateral_seized,
            liquidator: LIQUIDATOR,
        };
        agree("log", Some(Ok(wanted)), told)
    }
}

/// All debt of the account in a reserve, in the underlying.
fn owed(scene: &Scene, number: u16) -> U256 {
    let debt = scene.entries.iter().find(|entry| entry.reserve == number).map_or(0, |it| it.debt);
    let grown = index::debt(&scene.rules, &scene.reserves[usize::from(number)], NOW);
    index::debt_balance(&scene.rules, debt, grown.expect("it fits")).expect("it fits")
}

const fn source(category: u8) -> Address {
    Address::repeat_byte(0xe0 | category)
}

/// A `require`'s text, or what kind of panic it was; empty where the contract says nothing.
fn reason_of(data: &Bytes) -> String {
    if let Ok(revert) = Revert::abi_decode(data) {
        return revert.reason;
    }
    match Panic::abi_decode(data).ok().map(|panic| panic.code.to::<u64>()) {
        Some(0x11) => "overflow".into(),
        Some(0x12) => "division".into(),
        _ => hex::encode(data),
    }
}
