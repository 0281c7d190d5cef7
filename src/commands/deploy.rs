//! `gannet deploy`: puts the executor on the chain.
//!
//! Temperature: cold.

use std::fmt;

use alloy::network::EthereumWallet;
use alloy::providers::{Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256};
use anyhow::{Context, Result};
use serde::Serialize;

use crate::bootstrap;
use crate::config::Config;
use crate::contracts::Executor;

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
pub(crate) fn deploy<S>(config: &Config<S>, owner_key: &[u8; 32]) -> Result<Deployed> {
    let signer = PrivateKeySigner::from_slice(owner_key)
        .map_err(|_hidden| anyhow::anyhow!("executor.owner_key names no private key"))?;
    let owner = signer.address();
    let operators: Vec<Address> = config.wallets.iter().map(|wallet| wallet.address).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let provider = bootstrap::connect(&config.node, config.chain.id).await?;
        let provider = ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer))
            .connect_provider(provider.root().clone());
        let weth = config.chain.wrapped_native;
        let receipt = Executor::deploy_builder(&provider, weth, owner, operators.clone())
            .send()
            .await
            .context("sending the deployment: can the owner pay its gas?")?
            .get_receipt()
            .await
            .context("waiting for the deployment")?;
        anyhow::ensure!(receipt.status(), "the deployment reverted");
        Ok(Deployed {
            executor: receipt.contract_address.context("the receipt names no contract")?,
            owner,
            operators,
            transaction: receipt.transaction_hash,
            block: receipt.block_number,
        })
    })
}
