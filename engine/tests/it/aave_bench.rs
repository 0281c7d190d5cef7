//! A chain in memory for lending markets, and random states of Aave's: in the pool's storage and as
//! the engine holds them.
//!
//! Every transaction is asked without keeping what it changes, so a state costs only the slots that
//! it is written into.
//!
//! Temperature: cold.

use alloy::primitives::{Address, Bytes, Log, TxKind, U256, keccak256};
use gannet_engine::lending::aave::{
    Category, Entry, Position, Reserve, Rules, price_source_key, wide,
};
use gannet_engine::lending::math::Fault;
use revm::bytecode::Bytecode;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::InMemoryDB;
use revm::handler::{
    ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetContext, MainnetEvm,
};
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, EvmState};

use crate::differential::Random;
use crate::evm::mapping_slot;

/// When every transaction is, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
/// Who deploys.
pub(crate) const ADMIN: Address = Address::repeat_byte(0xa1);
/// Whose account it is.
pub(crate) const USER: Address = Address::repeat_byte(0xb0);
/// Underlying decimals of the reserves, by number.
pub(crate) const DECIMALS: [u8; 4] = [6, 8, 18, 18];
/// One, in ray.
pub(crate) const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;
const GAS_LIMIT: u64 = 16_000_000;

/// How a transaction ended.
pub(crate) struct Ended {
    /// What it returned, or what it reverted with.
    pub(crate) answer: Result<Bytes, Bytes>,
    pub(crate) logs: Vec<Log>,
    state: EvmState,
}

impl Ended {
    /// A slot after it, if it was read or written.
    pub(crate) fn slot(&self, contract: Address, slot: U256) -> Option<U256> {
        let slot = self.state.get(&contract)?.storage.get(&slot)?;
        Some(slot.present_value)
    }
}

/// A chain of one block.
pub(crate) struct Vm(MainnetEvm<MainnetContext<InMemoryDB>>);

impl Vm {
    pub(crate) fn new() -> Self {
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.disable_nonce_check = true;
        let timestamp = U256::from(NOW);
        let block = BlockEnv { number: U256::from(1_000), timestamp, ..BlockEnv::default() };
        let context = Context::mainnet().with_db(InMemoryDB::default());
        Self(context.with_cfg(cfg).with_block(block).build_mainnet())
    }

    fn run(&mut self, from: Address, kind: TxKind, data: Vec<u8>, keeps: bool) -> Ended {
        let data = data.into();
        let tx = TxEnv { caller: from, kind, data, gas_limit: GAS_LIMIT, ..TxEnv::default() };
        let ended = self.0.transact(tx).expect("the transaction is valid");
        let (answer, logs) = match ended.result {
            ExecutionResult::Success { logs, output: Output::Call(data), .. } => (Ok(data), logs),
            ExecutionResult::Success { output: Output::Create(_, made), .. } => {
                (Ok(made.expect("a contract was made").to_vec().into()), vec![])
            }
            ExecutionResult::Revert { output, .. } => (Err(output), vec![]),
            ExecutionResult::Halt { reason, .. } => panic!("halted: {reason:?}"),
        };
        if keeps {
            self.0.commit(ended.state.clone());
        }
        Ended { answer, logs, state: ended.state }
    }

    /// Sends a transaction that lands.
    #[track_caller]
    pub(crate) fn send(&mut self, from: Address, to: Address, data: Vec<u8>) {
        let answer = self.run(from, TxKind::Call(to), data, true).answer;
        assert!(answer.is_ok(), "reverted: {answer:?}");
    }

    /// What a transaction would do.
    pub(crate) fn ask(&mut self, from: Address, to: Address, data: Vec<u8>) -> Ended {
        self.run(from, TxKind::Call(to), data, false)
    }

    /// Deploys a contract.
    #[track_caller]
    pub(crate) fn deploy(&mut self, mut code: Vec<u8>, arguments: &[u8]) -> Address {
        code.extend_from_slice(arguments);
        let made = self.run(ADMIN, TxKind::Create, code, true).answer.expect("it is deployed");
        Address::from_slice(&made)
    }

    /// Puts this code at an address.
    pub(crate) fn put(&mut self, address: Address, code: Vec<u8>) {
        let code = Bytecode::new_raw(code.into());
        let info = AccountInfo::default().with_code_and_hash(code.clone(), code.hash_slow());
        self.0.ctx.journaled_state.database.insert_account_info(address, info);
    }

    pub(crate) fn set(&mut self, contract: Address, slot: U256, value: U256) {
        let Ok(account) = self.0.ctx.journaled_state.database.load_account(contract);
        account.storage.insert(slot, value);
    }
}

/// Where Solidity keeps a mapping's value for a number.
pub(crate) fn numbered_slot(key: u64, slot: u64) -> U256 {
    let words = [U256::from(key).to_be_bytes::<32>(), U256::from(slot).to_be_bytes()];
    keccak256(words.concat()).into()
}

/// Two numbers in one word.
pub(crate) fn pair(low: u128, high: u128) -> U256 {
    wide(low) | (wide(high) << 128)
}

/// The pool's mappings.
pub(crate) mod slots {
    pub(crate) const RESERVES: u64 = 52;
    pub(crate) const USER_FLAGS: u64 = 53;
    pub(crate) const CATEGORIES: u64 = 55;
    pub(crate) const USER_CATEGORY: u64 = 56;
    /// A collateral token's balances.
    pub(crate) const COLLATERAL: u64 = 52;
    /// A debt token's.
    pub(crate) const DEBT: u64 = 56;
    /// From a token's balances to its total.
    pub(crate) const TOTAL: u64 = 2;
}

/// A market's state with one account in it.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) rules: Rules,
    pub(crate) reserves: Vec<Reserve>,
    pub(crate) categories: Vec<Category>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) category: u8,
    pub(crate) prices: Vec<U256>,
    pub(crate) source_prices: Vec<U256>,
}

impl Scene {
    pub(crate) fn position(&self) -> Position<'_> {
        Position {
            rules: &self.rules,
            entries: &self.entries,
            reserves: &self.reserves,
            grown: &[],
            categories: &self.categories,
            category: self.category,
            at: NOW,
        }
    }

    pub(crate) fn price(&self, key: u16) -> Result<U256, Fault> {
        let own = self.prices.get(usize::from(key));
        let category = (0_u8..).zip(&self.source_prices);
        let source = category.into_iter().find(|(category, _)| price_source_key(*category) == key);
        own.or(source.map(|(_, price)| price)).copied().ok_or(Fault::NoPrice)
    }

    /// An account that has and owes something, with a health around one.
    pub(crate) fn random(random: &mut Random, rules: Rules) -> Self {
        let reserves: Vec<_> = DECIMALS.map(|decimals| reserve(random, decimals)).into();
        let categories: Vec<_> = (0..3).map(|number| category(random, &rules, number)).collect();
        let count = reserves.len();
        let mut price = || {
            // Mostly from a cent to a hundred thousand; in base, which has 8 decimals.
            wide(match random.below(8) {
                0 => random.share(1_000_000_000_000_000),
                _ => 1_000_000 + random.share(10_000_000_000_000),
            })
        };
        let prices = (0..count).map(|_| price()).collect();
        let source_prices = (0..3).map(|_| price()).collect();
        let category = u8::try_from(random.below(6).saturating_sub(3)).expect("it is small");
        let entries = vec![];
        let mut scene =
            Self { rules, reserves, categories, entries, category, prices, source_prices };
        if random.below(40) == 0 {
            scene.source_prices[usize::from(category)] = U256::ZERO;
        }
        scene.fill(random);
        scene
    }

    fn fill(&mut self, random: &mut Random) {
        let worth = match random.below(6) {
            0 => random.share(10_000_000_000_000_000).max(100),
            _ => 10_000_000_000 + random.share(10_000_000_000_000_000),
        };
        let order = random.shuffled(self.reserves.len());
        let held = 1 + random.below(3);
        for &number in &order[..held] {
            let scaled =
                self.scaled(number, random.share(worth), self.reserves[number].liquidity_index);
            let entry = Entry {
                collateral: scaled,
                debt: 0,
                reserve: u16::try_from(number).expect("few"),
                is_collateral: random.below(10) != 0,
            };
            self.entries.push(entry);
        }
        let Ok(health) = self.position().health(&|key| self.price(key)) else { return };
        let borrowable = health.weighted / U256::from(10_000);
        let parts = random.below(1_000) as u128;
        let factor = match random.below(8) {
            0 => 1_000_000 + 10 * parts,
            1 => 1_000_000_000 / (999_900 + parts / 5) * 1_000,
            2 => 1_052_631 - 500 + parts,
            3..5 => 1_053_000 + 1_500 * parts,
            _ => 1_000_000 + 52 * parts,
        };
        let owed = borrowable.saturating_mul(wide(factor)) / U256::from(1_000_000);
        let owed = u128::try_from(owed).unwrap_or(u128::MAX >> 40);
        let order = random.shuffled(self.reserves.len());
        let most = 2 + random.below(2);
        let owing = 1 + random.below(most);
        let mut left = owed;
        for (place, &number) in order[..owing].iter().enumerate() {
            let part = if place + 1 == owing { left } else { random.share(left) };
            left -= part;
            let scaled = self.scaled(number, part, self.reserves[number].borrow_index);
            self.owe(u16::try_from(number).expect("few"), scaled);
        }
    }

    pub(crate) fn owe(&mut self, reserve: u16, debt: u128) {
        match self.entries.iter_mut().find(|entry| entry.reserve == reserve) {
            Some(entry) => entry.debt = debt,
            None => {
                self.entries.push(Entry { collateral: 0, debt, reserve, is_collateral: false });
            }
        }
    }

    /// Scaled units of this much in base.
    fn scaled(&self, number: usize, base: u128, index: u128) -> u128 {
        let unit = U256::from(10).pow(U256::from(self.reserves[number].decimals));
        let amount = wide(base).saturating_mul(unit) / self.prices[number].max(U256::ONE);
        let scaled = amount.saturating_mul(wide(RAY)) / wide(index);
        u128::try_from(scaled).unwrap_or(u128::MAX).min(1 << 100)
    }

    /// The account's flags, as the pool keeps them.
    pub(crate) fn flags(&self) -> U256 {
        let flags = self.entries.iter().map(|entry| {
            let flag = u64::from(entry.debt != 0) | (u64::from(entry.is_collateral) << 1);
            U256::from(flag) << (2 * usize::from(entry.reserve))
        });
        flags.fold(U256::ZERO, |all, flag| all | flag)
    }
}

fn reserve(random: &mut Random, decimals: u8) -> Reserve {
    let mut index = || RAY + random.share(RAY) + random.share(RAY);
    let (liquidity_index, borrow_index) = (index(), index());
    let mut rate = || if random.below(8) == 0 { 0 } else { random.share(RAY * 2) };
    let (liquidity_rate, borrow_rate) = (rate(), rate());
    let elapsed = match random.below(8) {
        0 => 0,
        1 => 1 + random.below(2) as u64,
        2 => random.below(40_000_000) as u64,
        _ => u64::try_from(random.share(100_000)).expect("it is small"),
    };
    let mut bps = |least: u16, most: u16| {
        least + u16::try_from(random.below(usize::from(most - least))).expect("it is small")
    };
    let (threshold_bps, bonus_bps, any_fee) =
        (bps(1_000, 9_600), bps(10_001, 12_000), bps(1, 10_000));
    Reserve {
        liquidity_index,
        liquidity_rate,
        borrow_index,
        borrow_rate,
        available: if random.below(12) == 0 { random.share(1 << 80) } else { u128::MAX >> 8 },
        updated_at: NOW - elapsed,
        grace_until: 0,
        threshold_bps: if random.below(20) == 0 { 0 } else { threshold_bps },
        bonus_bps,
        fee_bps: random.pick(&[0, 1_000, 2_000, any_fee]),
        decimals,
        category: u8::try_from(random.below(3)).expect("it is small"),
        is_active: random.below(60) != 0,
        is_paused: random.below(60) == 0,
        is_available_stale: false,
    }
}

fn category(random: &mut Random, rules: &Rules, number: u8) -> Category {
    if number == 0 {
        return Category::default();
    }
    let small = |count: usize| u16::try_from(count).expect("it is small");
    Category {
        collateral_bitmap: if rules.has_bitmaps { random.wide() } else { 0 },
        threshold_bps: 8_000 + small(random.below(1_900)),
        bonus_bps: 10_010 + small(random.below(1_000)),
        has_price_source: !rules.has_bitmaps && random.below(2) == 0,
    }
}

/// A reserve's configuration, as the pool keeps it; what may be borrowed is.
pub(crate) fn configuration(reserve: &Reserve, ltv_bps: u16) -> U256 {
    let field = |value: u64, at: usize| U256::from(value) << at;
    field(ltv_bps.into(), 0)
        | field(reserve.threshold_bps.into(), 16)
        | field(reserve.bonus_bps.into(), 32)
        | field(reserve.decimals.into(), 48)
        | field(reserve.is_active.into(), 56)
        | field(1, 58)
        | field(reserve.is_paused.into(), 60)
        | field(reserve.fee_bps.into(), 152)
        | field(reserve.category.into(), 168)
}

/// What all revisions write alike: balances and the account's flags and category.
pub(crate) fn write_account(vm: &mut Vm, pool: Address, scene: &Scene, tokens: &[[Address; 2]]) {
    vm.set(pool, mapping_slot(USER, slots::USER_FLAGS), scene.flags());
    vm.set(pool, mapping_slot(USER, slots::USER_CATEGORY), U256::from(scene.category));
    for (number, &[a_token, debt_token]) in (0..).zip(tokens) {
        let entry = scene.entries.iter().find(|entry| entry.reserve == number);
        let entry = entry.copied().unwrap_or_default();
        let reserve = scene.reserves[usize::from(number)];
        // As much is in the pool as anybody may borrow.
        let all = 1 << 110;
        for (token, mapping, [balance, total], index) in [
            (a_token, slots::COLLATERAL, [entry.collateral, all], reserve.liquidity_index),
            (debt_token, slots::DEBT, [entry.debt, 1_000_000], reserve.borrow_index),
        ] {
            vm.set(token, mapping_slot(USER, mapping), pair(balance, index));
            let slot = U256::from(mapping + slots::TOTAL);
            vm.set(token, slot, wide(balance) + wide(total));
        }
    }
}
