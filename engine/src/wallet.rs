//! A wallet as the engine knows it: its nonces, what it can spend, and what keeps it from trading.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use crate::units::Wei;

/// What is known of a wallet.
#[derive(Clone, Copy, Debug)]
pub struct WalletState {
    /// Its address.
    pub address: Address,
    /// The nonce that its next transaction must carry.
    pub nonce: u64,
    /// What it can spend on gas.
    pub balance: Wei,
    /// Its first nonce that is not ours: all below were mined or were used by this bot. A higher
    /// one on the chain means that somebody else uses the wallet.
    pub ours_until: u64,
    /// Something that is not in this bot's state has used the nonces below this one and waits to be
    /// mined; the wallet waits for it.
    pub waits_for: u64,
    /// Next nonce by the chain: all below are mined.
    pub mined: u64,
    /// What it lacked for the last trade that it could not pay, if it still lacks it.
    pub lacks: Option<Wei>,
    /// Whether that was told.
    pub is_lack_told: bool,
}

impl WalletState {
    /// A wallet as the chain knows it: `mined` and `pending` are its next nonce without and with
    /// the node's pool.
    #[must_use]
    pub const fn new(address: Address, mined: u64, pending: u64, balance: Wei) -> Self {
        Self {
            address,
            nonce: mined,
            balance,
            ours_until: mined,
            waits_for: pending,
            mined,
            lacks: None,
            is_lack_told: false,
        }
    }
}
