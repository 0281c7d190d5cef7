//! Who may owe something: the accounts and markets that a protocol's events name.
//!
//! Temperature: cold.

use alloy_primitives::{B256, Bytes};
use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::bootstrap::{Reader, Sought};
use crate::config::Deployment;

/// What is looked for here.
const BORROWERS: Sought = Sought {
    label: "blocks searched for borrowers",
    key: "deployed_block of the protocol's table",
};

/// A log, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Log {
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
}

/// Hands over every log of a deployment with one of these topics, up to the reader's block, in no
/// order.
pub(super) fn each(
    reader: &mut Reader<'_>,
    deployment: &Deployment,
    topics: &[B256],
    on_log: impl FnMut(Log),
) -> Result<()> {
    let blocks = deployment.deployed_block..=reader.height();
    let filter = |_| json!({ "address": deployment.address, "topics": [topics] });
    reader.logs(&BORROWERS, blocks, filter, on_log)
}
