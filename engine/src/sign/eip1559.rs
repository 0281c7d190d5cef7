//! The envelope of our own transactions: EIP-1559, written right to left.
//!
//! RLP integers are minimal, so a field's width moves everything before it. Written from the end,
//! the tail (to, value, data, access list) stands still, and the header's length is known when it
//! is written.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use super::Signature;
use crate::flight::Fees;
use crate::limits::OWN_TX_BYTES_MAX;
use crate::wire::rlp::Tail;

/// EIP-2718 type of EIP-1559 transactions.
const TYPE: u8 = 2;

/// An unsigned transaction without value and without access list.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// Fees and gas limit.
    pub fees: Fees,
    /// The contract that is called.
    pub to: Address,
    /// Calldata.
    pub input: &'a [u8],
}

impl Envelope<'_> {
    /// The bytes whose hash is signed; `None` if `out` is too short.
    pub fn write_unsigned<'o>(&self, out: &'o mut [u8; OWN_TX_BYTES_MAX]) -> Option<&'o [u8]> {
        let mut tail = Tail::new(out);
        self.write_fields(&mut tail);
        finish(tail)
    }

    /// The signed transaction; `None` if `out` is too short.
    pub fn write_signed<'o>(
        &self,
        signature: &Signature,
        out: &'o mut [u8; OWN_TX_BYTES_MAX],
    ) -> Option<&'o [u8]> {
        let mut tail = Tail::new(out);
        tail.word(&signature.s);
        tail.word(&signature.r);
        tail.u64(u64::from(signature.is_odd));
        self.write_fields(&mut tail);
        finish(tail)
    }

    fn write_fields(&self, tail: &mut Tail<'_>) {
        let access_list = tail.written();
        tail.list_since(access_list);
        tail.string(self.input);
        tail.u64(0);
        tail.string(self.to.as_slice());
        tail.u64(self.fees.gas_limit.0);
        tail.u128(self.fees.max_fee.0);
        tail.u128(self.fees.priority_fee.0);
        tail.u64(self.nonce);
        tail.u64(self.chain_id);
    }
}

fn finish(mut tail: Tail<'_>) -> Option<&[u8]> {
    tail.list_since(0);
    tail.raw(&[TYPE]);
    tail.finish().ok()
}

#[cfg(test)]
mod tests {
    use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
    use alloy::eips::eip2718::Encodable2718;
    use alloy_primitives::{Signature as AlloySignature, TxKind, U256, keccak256};
    use proptest::prelude::*;

    use super::*;
    use crate::sign::WalletKey;
    use crate::units::{Gas, Wei};

    /// Numbers of every width, small ones as likely as large ones.
    fn any_width() -> impl Strategy<Value = u64> {
        (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    proptest! {
        #[test]
        fn a_signed_envelope_is_what_an_independent_encoder_writes(
            key in any::<[u8; 32]>(),
            numbers in [any_width(), any_width(), any_width(), any_width(), any_width()],
            to in any::<[u8; 20]>(),
            input in prop::collection::vec(any::<u8>(), 0..=crate::limits::CALLDATA_BYTES_MAX),
        ) {
            let Ok(key) = WalletKey::new(&key) else { return Ok(()) };
            let [chain_id, nonce, gas_limit, max_fee, priority_fee] = numbers;
            let fees = Fees {
                max_fee: Wei(max_fee.into()),
                priority_fee: Wei(priority_fee.into()),
                gas_limit: Gas(gas_limit),
            };
            let envelope = Envelope { chain_id, nonce, fees, to: to.into(), input: &input };
            let mut out = [0; OWN_TX_BYTES_MAX];
            let digest = keccak256(envelope.write_unsigned(&mut out).unwrap());
            let theirs = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: max_fee.into(),
                max_priority_fee_per_gas: priority_fee.into(),
                to: TxKind::Call(to.into()),
                value: U256::ZERO,
                access_list: Default::default(),
                input: input.clone().into(),
            };
            prop_assert_eq!(digest, theirs.signature_hash());

            let ours = key.sign(&digest).unwrap();
            let signature = AlloySignature::new(
                U256::from_be_bytes(ours.r),
                U256::from_be_bytes(ours.s),
                ours.is_odd,
            );
            let signer = signature.recover_address_from_prehash(&digest).unwrap();
            prop_assert_eq!(signer, key.address());
            let theirs = TxEnvelope::from(theirs.into_signed(signature));
            let raw = envelope.write_signed(&ours, &mut out).unwrap();
            prop_assert_eq!(raw, theirs.encoded_2718());
            prop_assert_eq!(keccak256(raw), *theirs.tx_hash());
        }

        #[test]
        fn signature_halves_of_every_width_are_minimal(
            r in any::<[u8; 32]>(), s in any::<[u8; 32]>(), zeros in 0_usize..32, is_odd: bool,
        ) {
            let (mut r, mut s) = (r, s);
            r[..zeros].fill(0);
            s[..31 - zeros].fill(0);
            let fees =
                Fees { max_fee: Wei(1), priority_fee: Wei(1), gas_limit: Gas(1) };
            let to = Address::ZERO;
            let envelope = Envelope { chain_id: 1, nonce: 0, fees, to, input: &[] };
            let mut out = [0; OWN_TX_BYTES_MAX];
            let raw = envelope.write_signed(&Signature { r, s, is_odd }, &mut out).unwrap();
            let theirs = TxEip1559 {
                chain_id: 1,
                gas_limit: 1,
                max_fee_per_gas: 1,
                max_priority_fee_per_gas: 1,
                to: TxKind::Call(to),
                ..TxEip1559::default()
            };
            let (r, s) = (U256::from_be_bytes(r), U256::from_be_bytes(s));
            let signed = theirs.into_signed(AlloySignature::new(r, s, is_odd));
            prop_assert_eq!(raw, TxEnvelope::from(signed).encoded_2718());
        }
    }

    #[test]
    fn calldata_that_does_not_fit_is_refused() {
        let fees = Fees { max_fee: Wei(1), priority_fee: Wei(1), gas_limit: Gas(1) };
        let input = [0; OWN_TX_BYTES_MAX];
        let envelope = Envelope { chain_id: 1, nonce: 0, fees, to: Address::ZERO, input: &input };
        let mut out = [0; OWN_TX_BYTES_MAX];
        assert!(envelope.write_unsigned(&mut out).is_none());
    }
}
