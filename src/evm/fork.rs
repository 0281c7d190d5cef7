//! A point of a recorded block, for transactions of ours.
//!
//! Temperature: cold.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::LazyLock;

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use revm::bytecode::Bytecode;
use revm::bytecode::opcode::KECCAK256;
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::CacheDB;
use revm::database_interface::{Database as _, DatabaseCommit as _};
use revm::handler::{MainBuilder as _, MainContext as _};
use revm::inspector::{InspectEvm as _, Inspector};
use revm::interpreter::Interpreter;
use revm::interpreter::interpreter_types::Jumps as _;
use revm::state::AccountInfo;

use super::replay::unknown;
use super::rules::NEWEST;
use super::scene::{Scene, View};
use super::{Receipt, Unknown};

/// Below the largest that a transaction may have (EIP-7825).
const GAS_LIMIT: u64 = 16_000_000;
/// Contracts that [`OWNER`] may deploy on one fork.
const DEPLOYED_MAX: u64 = 8;

/// An account of ours, which nobody can have: it is the hash of what it is for.
fn own(purpose: &str) -> Address {
    Address::from_slice(&keccak256(purpose)[12..])
}

/// Owns the executor.
pub(crate) static OWNER: LazyLock<Address> = LazyLock::new(|| own("owner"));
/// Runs the executor.
pub(crate) static OPERATOR: LazyLock<Address> = LazyLock::new(|| own("operator"));
/// Receives tokens.
pub(crate) static RECIPIENT: LazyLock<Address> = LazyLock::new(|| own("recipient"));
/// Every account of ours: nothing on the chain is theirs.
static OURS: LazyLock<Vec<Address>> = LazyLock::new(|| {
    let contracts = (0..DEPLOYED_MAX).map(|nonce| OWNER.create(nonce));
    contracts.chain([*OWNER, *OPERATOR, *RECIPIENT]).collect()
});

/// A point of a block.
#[derive(Clone)]
pub(crate) struct Fork<'r> {
    database: CacheDB<View<'r>>,
    block: BlockEnv,
    traced: Traced,
}

impl<'r> Fork<'r> {
    pub(super) fn new(scene: &'r Scene<'r>, state: CacheDB<View<'r>>, block: &BlockEnv) -> Self {
        let traced = Traced::default();
        let view = View::Beyond(scene, Rc::clone(&traced.slots));
        let mut database = CacheDB { cache: state.cache, db: view };
        for account in OURS.iter() {
            database.insert_account_info(*account, AccountInfo::default());
        }
        // The operator pays nothing for gas, and has nothing to pay with.
        let block = BlockEnv { basefee: 0, gas_limit: GAS_LIMIT, ..block.clone() };
        Self { database, block, traced }
    }

    /// Sends a transaction, and keeps what it changes if `keeps`.
    fn run(
        &mut self,
        (from, kind): (Address, TxKind),
        data: Vec<u8>,
        keeps: bool,
    ) -> Result<Receipt, Unknown> {
        let mut cfg = CfgEnv::new_with_spec(NEWEST);
        cfg.disable_nonce_check = true;
        // Contracts are made to speak for themselves: a pool transfers what it has.
        cfg.disable_eip3607 = true;
        let context = Context::mainnet().with_db(&mut self.database);
        let context = context.with_cfg(cfg).with_block(self.block.clone());
        let mut evm = context.build_mainnet_with_inspector(self.traced.clone());
        let tx = TxEnv { caller: from, kind, data: data.into(), ..TxEnv::default() };
        let tx = TxEnv { gas_limit: GAS_LIMIT, gas_price: 0, ..tx };
        let ended = evm.inspect_tx(tx).map_err(unknown)?;
        if keeps {
            self.database.commit(ended.state);
        }
        Ok(Receipt::of(ended.result))
    }

    /// Sends a transaction.
    pub(crate) fn send(
        &mut self,
        from: Address,
        to: Address,
        data: Vec<u8>,
    ) -> Result<Receipt, Unknown> {
        self.run((from, TxKind::Call(to)), data, true)
    }

    /// Calls a contract; changes nothing.
    pub(crate) fn call(&mut self, to: Address, data: Vec<u8>) -> Result<Receipt, Unknown> {
        self.run((*OPERATOR, TxKind::Call(to)), data, false)
    }

    /// What a call returns, or what it reverts with; changes nothing.
    pub(crate) fn read<C: SolCall>(
        &mut self,
        to: Address,
        call: &C,
    ) -> Result<Result<C::Return, String>, Unknown> {
        let receipt = self.run((*OPERATOR, TxKind::Call(to)), call.abi_encode(), false)?;
        let decode = |data: Bytes| {
            C::abi_decode_returns(&data).map_err(|error| format!("it returned else: {error}"))
        };
        Ok(receipt.answer.and_then(decode))
    }

    /// Whether a call would succeed; changes nothing.
    pub(crate) fn accepts(&mut self, to: Address, call: &impl SolCall) -> Result<bool, Unknown> {
        let receipt = self.run((*OPERATOR, TxKind::Call(to)), call.abi_encode(), false)?;
        Ok(receipt.answer.is_ok())
    }

    /// Deploys a contract of [`OWNER`]'s.
    pub(crate) fn deploy(
        &mut self,
        mut code: Vec<u8>,
        arguments: &[u8],
    ) -> Result<Address, Unknown> {
        code.extend_from_slice(arguments);
        let made = self.run((*OWNER, TxKind::Create), code, true)?;
        let made = made.answer.map_err(Unknown::Invalid)?;
        Address::try_from(&made[..]).map_err(|_no_address| Unknown::Invalid("none made".into()))
    }

    /// The code of a contract.
    pub(crate) fn code(&mut self, contract: Address) -> Result<Bytecode, Unknown> {
        let Some(info) = self.database.basic(contract)? else { return Ok(Bytecode::default()) };
        info.code.map_or_else(|| self.database.code_by_hash(info.code_hash), Ok)
    }

    /// Puts a contract with this code and storage at an address.
    pub(crate) fn replace(
        &mut self,
        address: Address,
        code: Bytecode,
        storage: &[(U256, U256)],
    ) -> Result<(), Unknown> {
        let code_hash = code.hash_slow();
        let info = AccountInfo { code_hash, code: Some(code), nonce: 1, ..AccountInfo::default() };
        self.database.insert_account_info(address, info);
        let storage = storage.iter().copied().collect();
        self.database.replace_account_storage(address, storage)
    }

    /// Changes a slot of a contract's storage.
    pub(crate) fn set_slot(
        &mut self,
        contract: Address,
        slot: U256,
        value: U256,
    ) -> Result<(), Unknown> {
        self.database.insert_account_storage(contract, slot, value)
    }

    /// A slot of a contract's storage.
    pub(crate) fn slot(&mut self, contract: Address, slot: U256) -> Result<U256, Unknown> {
        self.database.storage(contract, slot)
    }
}

/// Watches hashing for what contracts derive from our own addresses.
#[derive(Clone, Default)]
struct Traced {
    slots: Rc<RefCell<BTreeSet<U256>>>,
}

impl<CTX> Inspector<CTX> for Traced {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        if interpreter.bytecode.opcode() != KECCAK256 {
            return;
        }
        let peek = |place| interpreter.stack.peek(place).ok()?.try_into().ok();
        let (Some(offset), Some(len)) = (peek(0), peek(1)) else { return };
        let end = usize::checked_add(offset, len).filter(|end| *end <= interpreter.memory.len());
        if end.is_none() {
            return;
        }
        let preimage = interpreter.memory.slice_len(offset, len);
        let has = |word: &[u8]| preimage.windows(word.len()).any(|window| window == word);
        let mut slots = self.slots.borrow_mut();
        let is_ours = OURS.iter().any(|account| has(account.as_slice()))
            || slots.iter().any(|slot| has(&slot.to_be_bytes::<32>()));
        if is_ours {
            slots.insert(keccak256(&*preimage).into());
        }
    }
}
