//! `gannet deploy`: puts the executor on the chain.
//!
//! Temperature: cold.

use std::fmt;
use std::time::{Duration, Instant};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::signers::SignerSync;
use alloy::sol_types::SolValue;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bootstrap;
use crate::config::Config;
use crate::contracts::Executor;
use crate::feed::rpc::Rpc;

/// Most that is offered as priority fee, in wei per gas.
const PRIORITY_FEE: u128 = 1_000_000_000;
/// A deployment that takes longer is given up on.
const MINED_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where the executor is now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Deployed {
    executor: Address,
    owner: Address,
    operators: Vec<Address>,
    transaction: B256,
    block: Option<u64>,
}

impl fmt::Display for Deployed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "executor  {}", self.executor)?;
        writeln!(out, "owner     {}", self.owner)?;
        for operator in &self.operators {
            writeln!(out, "operator  {operator}")?;
        }
        write!(out, "Put the executor's address into the configuration: executor.address")
    }
}

/// Deploys the executor from the owner's account, with all wallets as operators.
pub(crate) fn deploy<S>(config: &Config<S>) -> Result<Deployed> {
    let signer = config.read_owner_key()?;
    let owner = signer.address();
    let operators: Vec<Address> = config.wallets.iter().map(|wallet| wallet.address).collect();
    let arguments = (config.chain.wrapped_native, owner, operators.clone()).abi_encode_params();
    let input = Bytes::from([Executor::BYTECODE.as_ref(), &arguments].concat());

    let mut rpc = bootstrap::connect(&config.nodes, config.chain.id)?;
    let gas: U256 = rpc
        .call("eth_estimateGas", &json!([{ "from": owner, "data": input }]))
        .context("estimating the deployment: can the owner pay its gas?")?;
    let price: U256 = rpc.call("eth_gasPrice", &json!([]))?;
    let price: u128 = price.saturating_to();
    let tx = TxEip1559 {
        chain_id: config.chain.id,
        nonce: rpc.nonce(owner)?,
        gas_limit: gas.saturating_to::<u64>().saturating_mul(12) / 10,
        // Room for the base fee to double until it is mined.
        max_fee_per_gas: price.saturating_mul(2),
        max_priority_fee_per_gas: price.min(PRIORITY_FEE),
        to: TxKind::Create,
        input,
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).context("signing")?;
    let raw = Bytes::from(TxEnvelope::from(tx.into_signed(signature)).encoded_2718());
    let transaction: B256 =
        rpc.call("eth_sendRawTransaction", &json!([raw])).context("sending the deployment")?;
    // Whatever happens from here on, it may be mined.
    tracing::info!(%transaction, "the deployment was sent");
    let receipt = wait_for(&mut rpc, transaction)
        .with_context(|| format!("waiting for the deployment {transaction}: it may still land"))?;
    ensure!(receipt["status"] == "0x1", "the deployment {transaction} reverted");
    let executor = serde_json::from_value(receipt["contractAddress"].clone())
        .context("the receipt names no contract")?;
    let block: Option<U256> = serde_json::from_value(receipt["blockNumber"].clone()).ok();
    let block = block.map(|number| number.saturating_to());
    Ok(Deployed { executor, owner, operators, transaction, block })
}

fn wait_for(rpc: &mut Rpc, transaction: B256) -> Result<Value> {
    let start = Instant::now();
    while start.elapsed() < MINED_WITHIN {
        if let Some(receipt) = rpc.receipt(transaction)? {
            return Ok(receipt);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("it was not mined within {} s", MINED_WITHIN.as_secs())
}
