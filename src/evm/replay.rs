//! A recorded block, run transaction by transaction under its own rules.
//!
//! Temperature: cold.

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718 as _, Typed2718 as _};
use alloy::eips::{eip2935, eip4788};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::context::result::{EVMError, ExecutionResult};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::CacheDB;
use revm::database_interface::DatabaseCommit as _;
use revm::handler::{
    ExecuteEvm as _, MainBuilder as _, MainContext as _, MainnetContext, MainnetEvm,
    SystemCallCommitEvm as _,
};
use revm::primitives::hardfork::SpecId;

use super::Unknown;
use super::fork::Fork;
use super::rules::rules;
use super::scene::{Scene, View};

/// What a transaction of a block did.
pub(crate) struct Executed {
    pub(crate) result: ExecutionResult,
}

/// A block between two of its transactions.
pub(crate) struct Replay<'r> {
    scene: &'r Scene<'r>,
    /// How many transactions have run.
    pub(crate) done: usize,
    evm: MainnetEvm<MainnetContext<CacheDB<View<'r>>>>,
}

impl<'r> Replay<'r> {
    /// The block before its first transaction.
    ///
    /// # Errors
    /// When what the protocol does before it cannot be done.
    pub(crate) fn new(scene: &'r Scene<'r>) -> Result<Self, Unknown> {
        let header = &scene.block.header;
        let (spec, fraction) = rules(header);
        let mut cfg = CfgEnv::new_with_spec(spec);
        cfg.chain_id = header.chain_id;
        // What holds for blobs is the node's to check.
        cfg.max_blobs_per_tx = Some(u64::MAX);
        let mut block = BlockEnv {
            number: U256::from(header.block_number.0),
            beneficiary: header.author.unwrap_or_default(),
            timestamp: U256::from(header.timestamp.unwrap_or_default().0),
            gas_limit: header.gas_limit.unwrap_or(u64::MAX),
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            difficulty: header.difficulty.unwrap_or_default(),
            prevrandao: Some(header.mix_hash.unwrap_or_default()),
            ..BlockEnv::default()
        };
        if let Some(excess) = header.excess_blob_gas {
            block.set_blob_excess_gas_and_price(excess, fraction);
        }
        let context = Context::mainnet().with_db(CacheDB::new(View::Block(scene)));
        let evm = context.with_cfg(cfg).with_block(block).build_mainnet();
        let mut replay = Self { scene, done: 0, evm };
        let root = header.parent_beacon_block_root.filter(|_| spec >= SpecId::CANCUN);
        replay.tell(eip4788::BEACON_ROOTS_ADDRESS, root)?;
        let parent = header.parent_hash.filter(|_| spec >= SpecId::PRAGUE);
        replay.tell(eip2935::HISTORY_STORAGE_ADDRESS, parent)?;
        Ok(replay)
    }

    /// Calls a contract that the protocol tells something before the first transaction.
    fn tell(&mut self, contract: Address, word: Option<B256>) -> Result<(), Unknown> {
        if let Some(word) = word {
            let told = self.evm.system_call_commit(contract, Bytes::from(word.0));
            told.map_err(unknown)?;
        }
        Ok(())
    }

    /// Runs the next transaction.
    ///
    /// # Errors
    /// When it cannot be run: the recording does not know what it reads, or it is not valid.
    pub(crate) fn step(&mut self) -> Result<Executed, Unknown> {
        let invalid = |why: &str| Unknown::Invalid(format!("number {}: {why}", self.done));
        let row = self.scene.block.transactions.get(self.done);
        let row = row.ok_or_else(|| invalid("there is none"))?;
        let raw = row.raw.as_ref().ok_or_else(|| invalid("its signed bytes are not recorded"))?;
        let envelope = TxEnvelope::decode_2718(&mut &raw[..]);
        let envelope = envelope.map_err(|error| invalid(&error.to_string()))?;
        let from = row.from_address.ok_or_else(|| invalid("its sender is not recorded"))?;
        let executed = self.run(&envelope, from)?;
        self.done += 1;
        Ok(executed)
    }

    /// Runs a transaction here, under the block's rules, whether it is the block's or not.
    ///
    /// # Errors
    /// As [`Replay::step`].
    pub(crate) fn run(
        &mut self,
        envelope: &TxEnvelope,
        from: Address,
    ) -> Result<Executed, Unknown> {
        let ended = self.evm.transact(env_of(envelope, from)).map_err(unknown)?;
        self.evm.ctx.journaled_state.database.commit(ended.state);
        Ok(Executed { result: ended.result })
    }

    /// Runs transactions until number `tx` is next.
    ///
    /// # Errors
    /// As [`Replay::step`].
    pub(crate) fn run_to(&mut self, tx: usize) -> Result<(), Unknown> {
        while self.done < tx {
            self.step()?;
        }
        Ok(())
    }

    /// The state as it is now, for transactions of ours.
    pub(crate) fn fork(&self) -> Fork<'r> {
        let Context { block, journaled_state, .. } = &self.evm.ctx;
        Fork::new(self.scene, journaled_state.database.clone(), block)
    }
}

pub(super) fn unknown(error: EVMError<Unknown>) -> Unknown {
    match error {
        EVMError::Database(unknown) => unknown,
        error @ (EVMError::Transaction(_)
        | EVMError::Header(_)
        | EVMError::Custom(_)
        | EVMError::CustomAny(_)) => Unknown::Invalid(error.to_string()),
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
