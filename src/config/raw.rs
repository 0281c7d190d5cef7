//! The configuration as it is written: mirrors `config.toml` and validates nothing but the shape of
//! single values.
//!
//! Every section has defaults for all its keys, so that each key can be read alone and all wrong
//! ones are found at once; see [`super::problems`].
//!
//! Temperature: cold.

use alloy_primitives::Address;
use gannet_engine::units::Wei;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// `[chain]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Chain {
    pub(super) id: Option<u64>,
    #[serde(deserialize_with = "address")]
    pub(super) wrapped_native: Option<Address>,
    pub(super) block_time_ms: Option<u64>,
    pub(super) finality_blocks: Option<u64>,
}

/// `[node]`
///
/// There may be several.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) silent_after_ms: Option<u64>,
    pub(super) receipts: Option<bool>,
}

/// `[executor]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Executor {
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    pub(super) owner_key: Option<String>,
    pub(super) owner_password: Option<String>,
    pub(super) funding: Option<String>,
}

/// `[[wallet]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wallet {
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    pub(super) key: Option<String>,
    pub(super) password: Option<String>,
}

/// `[[factory]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Factory {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(super) router: Option<Address>,
    pub(super) fee_pips: Option<u32>,
    pub(super) kind: Option<String>,
    pub(super) deployed_block: Option<u64>,
}

/// `[[router]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Router {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    pub(super) v2: Option<String>,
    pub(super) v3: Option<String>,
}

/// `[[lending.aave_v3]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AaveV3 {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) pool: Option<Address>,
    pub(super) deployed_block: Option<u64>,
}

/// `[[lending.comet]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Comet {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    pub(super) deployed_block: Option<u64>,
}

/// `[[lending.morpho]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Morpho {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(super) adaptive_curve: Option<Address>,
    pub(super) deployed_block: Option<u64>,
}

/// `[[lending.balancer]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Balancer {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) address: Option<Address>,
}

/// `[universe]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Universe {
    #[serde(deserialize_with = "addresses")]
    pub(super) base_tokens: Option<Vec<Address>>,
    pub(super) pools_max: Option<usize>,
    pub(super) new_pools_max: Option<usize>,
    pub(super) new_pools_every_s: Option<u64>,
}

/// `[admission]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admission {
    pub(super) retry_s: Option<u64>,
    pub(super) renew_s: Option<u64>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) every_blocks: Option<u64>,
    pub(super) pools: Option<usize>,
}

/// `[risk]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Risk {
    pub(super) min_profit: Option<Wei>,
    pub(super) gas_price_max: Option<Wei>,
    pub(super) notional_max: Option<Wei>,
    pub(super) loss_per_block_max: Option<Wei>,
    pub(super) loss_per_day_max: Option<Wei>,
    pub(super) reverts_max: Option<u32>,
    pub(super) reverts_pause_s: Option<u64>,
    pub(super) allow_public_mempool: Option<bool>,
}

/// `[replay]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Replay {
    pub(super) recording: Option<String>,
    pub(super) speed: Option<u32>,
}

/// `[record]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Record {
    pub(super) out: Option<String>,
}

/// `[runtime]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Runtime {
    pub(super) core: Option<usize>,
    pub(super) pin: Option<bool>,
    pub(super) spin: Option<bool>,
    pub(super) presignatures: Option<usize>,
    pub(super) drain_s: Option<u64>,
    pub(super) state_dir: Option<String>,
    pub(super) journal: Option<String>,
    pub(super) snapshot: Option<String>,
    pub(super) snapshots: Option<String>,
    pub(super) snapshot_every_blocks: Option<u64>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    parse_address(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Address>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |(place, text): (usize, &String)| {
        parse_address(text).map_err(|why| D::Error::custom(format_args!("number {place}: {why}")))
    };
    (1..).zip(&texts).map(read).collect::<Result<_, _>>().map(Some)
}

fn parse_address(text: &str) -> Result<Address, &'static str> {
    let digits = text.strip_prefix("0x").ok_or("wanted an address: 0x and 40 hex digits")?;
    let address: Address =
        text.parse().map_err(|_shape| "wanted an address: 0x and 40 hex digits")?;
    let has_case = digits.bytes().any(|c| c.is_ascii_uppercase())
        && digits.bytes().any(|c| c.is_ascii_lowercase());
    if has_case && Address::parse_checksummed(text, None).is_err() {
        // One wrong letter would be somebody else's address.
        return Err("wanted the capitals of its checksum (EIP-55): a letter may be wrong");
    }
    if address.is_zero() {
        return Err("wanted an address that is somebody's");
    }
    Ok(address)
}
