//! Recorded blocks in the EVM, and transactions of ours on the state at any point of them.
//!
//! ```text
//! Scene (a block and the state that it touches)
//!   └─ Replay ── run the next transaction, under the block's own rules ──► Executed
//!        └─ fork ─► Fork ── send and peek, under the newest rules ───────► Receipt, or Unknown
//! ```
//!
//! What a recording does not know of the state is unknown, never zero. Contracts that are compiled
//! for newer rules than the block's run in a [`Fork`] only.
//!
//! Temperature: cold.

mod fork;
mod replay;
pub(crate) mod rules;
mod scene;

use std::fmt;

use alloy::sol_types::{Revert, SolError as _};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use revm::context::result::{ExecutionResult, Output};

pub(crate) use self::fork::{Fork, OPERATOR, OWNER, RECIPIENT};
pub(crate) use self::replay::Replay;
pub(crate) use self::rules::NEWEST;
pub(crate) use self::scene::Scene;

/// A place in the state, or of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Account(Address),
    Slot(Address, U256),
    Code(B256),
    BlockHash(u64),
}

/// Why something cannot be said of a state, or was not done on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The recording does not say what is there.
    Place(Place),
    /// The EVM refuses the transaction.
    Invalid(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(Place::Account(address)) => {
                write!(out, "account {address} is not in the recording")
            }
            Self::Place(Place::Slot(address, slot)) => {
                write!(out, "slot {slot:#x} of {address} is not in the recording")
            }
            Self::Place(Place::Code(hash)) => write!(out, "code {hash} is not in the recording"),
            Self::Place(Place::BlockHash(number)) => {
                write!(out, "the hash of block {number} is not in the recording")
            }
            Self::Invalid(why) => write!(out, "the transaction is not valid: {why}"),
        }
    }
}

impl std::error::Error for Unknown {}

/// How a transaction ended.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    /// Gas used, refunds deducted.
    pub(crate) gas_used: u64,
    /// What it returned, or the name of the error that it reverted with.
    pub(crate) answer: Result<Bytes, String>,
}

impl Receipt {
    fn of(result: ExecutionResult) -> Self {
        let gas_used = result.tx_gas_used();
        let answer = match result {
            ExecutionResult::Success { output: Output::Call(data), .. } => Ok(data),
            ExecutionResult::Success { output: Output::Create(_, made), .. } => Ok(made
                .map(|address| Bytes::copy_from_slice(address.as_slice()))
                .unwrap_or_default()),
            ExecutionResult::Revert { output, .. } => Err(error_name(&output)),
            ExecutionResult::Halt { reason, .. } => Err(format!("{reason:?}")),
        };
        Self { gas_used, answer }
    }
}

/// The name of an error: the executor's are found by their selectors.
fn error_name(data: &[u8]) -> String {
    const ERRORS: [&str; 13] = [
        "NotOwner",
        "NotOperator",
        "ZeroAddress",
        "Locked",
        "Expired",
        "BadProgram",
        "UnknownLeg",
        "ForbiddenCallback",
        "MissingCallback",
        "TransferFailed",
        "TipNeedsWrappedNative",
        "TipFailed",
        "BelowMinimumProfit",
    ];
    let is_named = |name: &&&str| data == &keccak256(format!("{name}()"))[..4];
    if let Some(name) = ERRORS.iter().find(is_named) {
        return (*name).into();
    }
    Revert::abi_decode(data).map_or_else(|_no_text| hex::encode(data), |revert| revert.reason)
}
