//! Real blocks, run by the EVM, and transactions of ours on the state at any point of them.
//!
//! ```text
//! Replay ── run the next transaction, under the block's own rules ──► Executed
//!   └─ fork ─► Fork ── send and peek, under the newest rules ───────► Receipt, or Unknown
//! ```
//!
//! Contracts that are compiled for newer rules than the block's run in a [`Fork`] only.
//!
//! Temperature: cold.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::LazyLock;

use alloy::consensus::{Transaction as _, TxEnvelope, TxType};
use alloy::eips::eip2718::{Decodable2718 as _, Typed2718 as _};
use alloy::eips::{eip2935, eip4788};
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::sol_types::SolCall;
use revm::bytecode::Bytecode;
use revm::bytecode::opcode::KECCAK256;
use revm::context::result::{EVMError, ExecutionResult};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::CacheDB;
use revm::database_interface::{Database as _, DatabaseCommit as _};
use revm::handler::{
    ExecuteEvm as _, MainBuilder as _, MainContext as _, MainnetContext, MainnetEvm,
    SystemCallCommitEvm as _,
};
use revm::inspector::{InspectEvm as _, Inspector};
use revm::interpreter::Interpreter;
use revm::interpreter::interpreter_types::Jumps as _;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;

use super::witness::{Header, Unknown, View, Witness};
use crate::evm::Receipt;

/// The rules that transactions of ours run under, whatever the block's are.
pub(crate) const NEWEST: SpecId = SpecId::OSAKA;
/// Below the largest that a transaction may have (EIP-7825).
const GAS_LIMIT: u64 = 16_000_000;

/// Mainnet's rules by the height from which they hold.
const BY_HEIGHT: [(u64, SpecId); 9] = [
    (15_537_394, SpecId::MERGE),
    (12_965_000, SpecId::LONDON),
    (12_244_000, SpecId::BERLIN),
    (9_069_000, SpecId::ISTANBUL),
    (7_280_000, SpecId::PETERSBURG),
    (4_370_000, SpecId::BYZANTIUM),
    (2_675_000, SpecId::SPURIOUS_DRAGON),
    (2_463_000, SpecId::TANGERINE),
    (1_150_000, SpecId::HOMESTEAD),
];
/// Mainnet's rules by the timestamp from which they hold, with the blob base fee's fraction, which
/// has changed between hard forks too (EIP-7892).
const BY_TIME: [(u64, SpecId, u64); 6] = [
    (1_767_747_671, SpecId::OSAKA, 11_684_671),
    (1_765_290_071, SpecId::OSAKA, 8_346_193),
    (1_764_798_551, SpecId::OSAKA, 5_007_716),
    (1_746_612_311, SpecId::PRAGUE, 5_007_716),
    (1_710_338_135, SpecId::CANCUN, 3_338_477),
    (1_681_338_455, SpecId::SHANGHAI, 3_338_477),
];

/// The rules of a block, and its blob base fee's fraction.
fn rules(header: &Header) -> (SpecId, u64) {
    let (number, time): (u64, u64) = (header.number.to(), header.timestamp.to());
    if let Some((_, spec, fraction)) = BY_TIME.iter().find(|(from, ..)| *from <= time) {
        return (*spec, *fraction);
    }
    let spec = BY_HEIGHT.iter().find(|(from, _)| *from <= number);
    (spec.map_or(SpecId::FRONTIER, |(_, spec)| *spec), 0)
}

/// What a transaction of a block did.
pub(crate) struct Executed {
    /// Its envelope's type.
    pub(crate) ty: TxType,
    pub(crate) result: ExecutionResult,
    /// The accounts that it touched.
    pub(crate) touched: BTreeSet<Address>,
}

/// A block between two of its transactions.
pub(crate) struct Replay<'w> {
    pub(crate) witness: &'w Witness,
    /// The rules that it runs under.
    pub(crate) spec: SpecId,
    /// How many transactions have run.
    pub(crate) done: usize,
    evm: MainnetEvm<MainnetContext<CacheDB<View<'w>>>>,
}

impl<'w> Replay<'w> {
    /// The block before its first transaction.
    pub(crate) fn new(witness: &'w Witness) -> Self {
        let header = &witness.header;
        let (spec, fraction) = rules(header);
        let mut cfg = CfgEnv::new_with_spec(spec);
        // What holds for blobs is the node's to check.
        cfg.max_blobs_per_tx = Some(u64::MAX);
        let mut block = BlockEnv {
            number: U256::from(witness.number()),
            beneficiary: header.miner,
            timestamp: header.timestamp.to(),
            gas_limit: header.gas_limit.to(),
            basefee: header.base_fee_per_gas.unwrap_or_default().to(),
            difficulty: header.difficulty,
            prevrandao: Some(header.mix_hash),
            ..BlockEnv::default()
        };
        if let Some(excess) = header.excess_blob_gas {
            block.set_blob_excess_gas_and_price(excess.to(), fraction);
        }
        let context = Context::mainnet().with_db(CacheDB::new(View::Block(witness)));
        let evm = context.with_cfg(cfg).with_block(block).build_mainnet();
        let mut replay = Self { witness, spec, done: 0, evm };
        let root = header.parent_beacon_block_root.filter(|_| spec >= SpecId::CANCUN);
        replay.tell(eip4788::BEACON_ROOTS_ADDRESS, root);
        let parent = Some(header.parent_hash).filter(|_| spec >= SpecId::PRAGUE);
        replay.tell(eip2935::HISTORY_STORAGE_ADDRESS, parent);
        replay
    }

    /// Calls a contract that the protocol tells something before the first transaction.
    fn tell(&mut self, contract: Address, word: Option<B256>) {
        if let Some(word) = word {
            let told = self.evm.system_call_commit(contract, Bytes::from(word.0));
            told.unwrap_or_else(|error| panic!("{contract} is told of {word}: {error}"));
        }
    }

    /// Runs the next transaction.
    pub(crate) fn step(&mut self) -> Executed {
        let tx = &self.witness.txs[self.done];
        let envelope = TxEnvelope::decode_2718(&mut &tx.raw[..]).expect("a transaction");
        let ended = self.evm.transact(env_of(&envelope, tx.from)).unwrap_or_else(|error| {
            panic!("transaction {} of {} is valid: {error}", self.done, self.witness.number())
        });
        let touched = ended.state.keys().copied().collect();
        self.database().commit(ended.state);
        self.done += 1;
        Executed { ty: envelope.tx_type(), result: ended.result, touched }
    }

    /// Runs transactions until number `tx` is next.
    pub(crate) fn run_to(mut self, tx: usize) -> Self {
        while self.done < tx {
            self.step();
        }
        self
    }

    /// The state as it is now, for transactions of ours.
    pub(crate) fn fork(&self) -> Fork<'w> {
        let Context { block, journaled_state, .. } = &self.evm.ctx;
        Fork::new(self.witness, journaled_state.database.clone(), block)
    }

    const fn database(&mut self) -> &mut CacheDB<View<'w>> {
        &mut self.evm.ctx.journaled_state.database
    }

    /// A contract's storage, as the block sees it.
    pub(crate) fn slot(&mut self, contract: Address, slot: u64) -> U256 {
        let held = self.database().storage(contract, U256::from(slot));
        held.expect("a block knows what it reads")
    }
}

fn env_of(envelope: &TxEnvelope, from: Address) -> TxEnv {
    let mut env = TxEnv {
        tx_type: envelope.ty(),
        caller: from,
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        blob_hashes: envelope.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: envelope.max_fee_per_blob_gas().unwrap_or_default(),
        ..TxEnv::default()
    };
    env.set_signed_authorization(envelope.authorization_list().unwrap_or_default().to_vec());
    env
}

/// An account of ours, which nobody can have: it is the hash of what it is for.
pub(crate) fn own(purpose: &str) -> Address {
    Address::from_slice(&keccak256(purpose)[12..])
}

/// Owns the executor.
pub(crate) static OWNER: LazyLock<Address> = LazyLock::new(|| own("owner"));
/// Runs the executor.
pub(crate) static OPERATOR: LazyLock<Address> = LazyLock::new(|| own("operator"));
/// Receives tokens.
pub(crate) static RECIPIENT: LazyLock<Address> = LazyLock::new(|| own("recipient"));

/// Contracts that [`OWNER`] may deploy on one fork.
const DEPLOYED_MAX: u64 = 8;
/// Every account of ours: nothing on the chain is theirs.
static OURS: LazyLock<Vec<Address>> = LazyLock::new(|| {
    let contracts = (0..DEPLOYED_MAX).map(|nonce| OWNER.create(nonce));
    contracts.chain([*OWNER, *OPERATOR, *RECIPIENT]).collect()
});

/// A point of a block, for transactions of ours.
#[derive(Clone)]
pub(crate) struct Fork<'w> {
    database: CacheDB<View<'w>>,
    block: BlockEnv,
    traced: Traced,
}

impl<'w> Fork<'w> {
    fn new(witness: &'w Witness, state: CacheDB<View<'w>>, block: &BlockEnv) -> Self {
        let traced = Traced::default();
        let view = View::Beyond(witness, Rc::clone(&traced.slots));
        let mut database = CacheDB { cache: state.cache, db: view };
        for account in OURS.iter() {
            database.insert_account_info(*account, AccountInfo::default());
        }
        // The operator pays nothing for gas, and has nothing to pay with.
        let block = BlockEnv { basefee: 0, gas_limit: GAS_LIMIT, ..block.clone() };
        Self { database, block, traced }
    }

    /// Sends a transaction, and keeps what it changes if `keeps`.
    #[expect(clippy::panic_in_result_fn, reason = "an invalid transaction is the test's mistake")]
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
        let ended = match evm.inspect_tx(tx) {
            Ok(ended) => ended,
            Err(EVMError::Database(unknown)) => return Err(unknown),
            Err(error) => panic!("the transaction is valid: {error}"),
        };
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
    pub(crate) fn deploy(&mut self, mut code: Vec<u8>, arguments: &[u8]) -> Address {
        code.extend_from_slice(arguments);
        let made = self.run((*OWNER, TxKind::Create), code, true).expect("it reads its own only");
        Address::from_slice(&made.lands().answer.expect("it landed"))
    }

    /// The code of a contract.
    pub(crate) fn code(&mut self, contract: Address) -> Result<Bytecode, Unknown> {
        let Some(info) = self.database.basic(contract)? else { return Ok(Bytecode::default()) };
        info.code.map_or_else(|| self.database.code_by_hash(info.code_hash), Ok)
    }

    /// Puts a contract with this code and storage at an address.
    pub(crate) fn replace(&mut self, address: Address, code: Bytecode, storage: &[(U256, U256)]) {
        let code_hash = code.hash_slow();
        let info = AccountInfo { code_hash, code: Some(code), nonce: 1, ..AccountInfo::default() };
        self.database.insert_account_info(address, info);
        let storage = storage.iter().copied().collect();
        self.database.replace_account_storage(address, storage).expect("it was just put there");
    }

    /// Changes a slot of a contract's storage.
    pub(crate) fn set_slot(&mut self, contract: Address, slot: U256, value: U256) {
        let set = self.database.insert_account_storage(contract, slot, value);
        set.expect("the contract is known");
    }

    /// A slot of a contract's storage.
    pub(crate) fn slot(&mut self, contract: Address, slot: u64) -> Result<U256, Unknown> {
        self.slot_at(contract, U256::from(slot))
    }

    /// A slot of a contract's storage, wherever it is.
    pub(crate) fn slot_at(&mut self, contract: Address, slot: U256) -> Result<U256, Unknown> {
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
