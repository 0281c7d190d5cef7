//! Transactions of type 2 (EIP-1559), which is what bots and most traders send.
//!
//! Temperature: cold.

use alloy::consensus::{SignableTransaction, Signed, Transaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};

/// A transaction with its signature, its hash and its sender.
#[derive(Clone, Debug)]
pub struct Tx {
    /// What was signed.
    pub body: TxEip1559,
    /// The signature.
    pub signature: Signature,
    /// The hash of the signed envelope.
    pub hash: B256,
    /// Who sent it.
    pub from: Address,
}

impl Tx {
    /// Reads a raw transaction and recovers its sender.
    ///
    /// # Errors
    /// In the words of a node.
    pub fn from_raw(raw: &[u8]) -> Result<Self, String> {
        let mut rest = raw;
        let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("rlp: trailing bytes".to_owned());
        }
        let TxEnvelope::Eip1559(signed) = envelope else {
            return Err("transaction type not supported".to_owned());
        };
        let from = signed
            .signature()
            .recover_address_from_prehash(&signed.signature_hash())
            .map_err(|error| format!("invalid sender: {error}"))?;
        let (body, signature, hash) = signed.into_parts();
        Ok(Self { body, signature, hash, from })
    }

    /// Signs in a wallet's name.
    ///
    /// # Errors
    /// When the signer refuses.
    pub fn signed(body: TxEip1559, signer: &PrivateKeySigner) -> Result<Self, String> {
        let digest = body.signature_hash();
        let signature = signer.sign_hash_sync(&digest).map_err(|error| error.to_string())?;
        Ok(Self::with(body, signature, signer.address()))
    }

    /// A transaction of a made-up sender. Its signature is drawn and not computed: who sent it is
    /// the node's word, and so tens of thousands can be made in a second.
    #[must_use]
    pub fn made_up(body: TxEip1559, from: Address) -> Self {
        let mut seed = from.to_vec();
        seed.extend_from_slice(&body.nonce.to_be_bytes());
        seed.extend_from_slice(&body.max_fee_per_gas.to_be_bytes());
        let (r, s) = (keccak256(&seed), keccak256(keccak256(&seed)));
        let [r, s] = [r, s].map(|half| U256::from_be_bytes(half.0) >> 2);
        Self::with(body, Signature::new(r, s, false), from)
    }

    fn with(body: TxEip1559, signature: Signature, from: Address) -> Self {
        let hash = keccak256(signed(&body, &signature).encoded_2718());
        Self { body, signature, hash, from }
    }

    /// Its raw bytes.
    #[must_use]
    pub fn raw(&self) -> Bytes {
        signed(&self.body, &self.signature).encoded_2718().into()
    }

    /// Whom it calls; zero if it creates a contract.
    #[must_use]
    pub const fn to(&self) -> Address {
        match self.body.to {
            TxKind::Call(to) => to,
            TxKind::Create => Address::ZERO,
        }
    }

    /// What a unit of gas pays to the producer in a block with this base fee; nothing if it cannot
    /// be in one.
    #[must_use]
    pub fn tip(&self, base_fee: u128) -> Option<u128> {
        self.body.effective_tip_per_gas(u64::try_from(base_fee).unwrap_or(u64::MAX))
    }

    /// Whether it does nothing but use up its sender's nonce.
    #[must_use]
    pub fn is_cancellation(&self) -> bool {
        self.to() == self.from && self.body.input.is_empty() && self.body.value.is_zero()
    }
}

fn signed(body: &TxEip1559, signature: &Signature) -> TxEnvelope {
    TxEnvelope::from(Signed::new_unhashed(body.clone(), *signature))
}
