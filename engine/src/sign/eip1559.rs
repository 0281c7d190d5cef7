//! The envelope of our own transactions: EIP-1559, written once, from the middle to both ends.
//!
//! ```text
//! header │ chain id … gas limit │ to │ value │ data │ access list │ parity │ r │ s
//!      ◄─────────────────────────────────────────── MIDDLE ──────────────────────►
//! ```
//!
//! RLP integers are minimal, so a field's width moves everything before it; calldata stands where
//! it was packed, and what comes before is written from there to the front. What is signed and what
//! is sent differ by the signature, which follows the middle, and by the header, which is written
//! again when the length is known.
//!
//! Temperature: hot.

use alloy_primitives::Address;

use super::Signature;
use crate::flight::Fees;
use crate::limits::OWN_TX_BYTES_MAX;
use crate::wire::rlp::{Tail, Writer};

/// EIP-2718 type of EIP-1559 transactions.
const TYPE: u8 = 2;
/// RLP of a list of nothing.
const EMPTY_LIST: u8 = 0xc0;
/// Parity, r and s at their longest.
const SIGNATURE_BYTES_MAX: usize = 1 + 33 + 33;
/// Where the fields end and the signature begins.
const MIDDLE: usize = OWN_TX_BYTES_MAX - SIGNATURE_BYTES_MAX;
/// Where calldata ends.
const INPUT_END: usize = MIDDLE - 1;

/// An unsigned transaction's fields but for its calldata; it has no value and no access list.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// Fees and gas limit.
    pub fees: Fees,
    /// The contract that is called.
    pub to: Address,
}

/// Room for one transaction at a time.
#[derive(Debug)]
pub struct Envelope {
    bytes: [u8; OWN_TX_BYTES_MAX],
    /// Where the fields begin, behind the header.
    fields_start: usize,
}

impl Envelope {
    /// With nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; OWN_TX_BYTES_MAX], fields_start: MIDDLE }
    }

    /// The place of `length` bytes of calldata, to be packed there; `None` if it is too short.
    #[must_use]
    pub fn input(&mut self, length: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(INPUT_END.checked_sub(length)?..INPUT_END)
    }

    /// Writes the fields before the `input_length` bytes of calldata that stand already. Returns
    /// the bytes whose hash is signed; `None` if there is no room.
    pub fn unsigned(&mut self, fields: &Fields, input_length: usize) -> Option<&[u8]> {
        self.bytes[INPUT_END] = EMPTY_LIST;
        let mut tail = Tail::after(&mut self.bytes[..MIDDLE], 1 + input_length);
        tail.string_since(1);
        tail.u64(0);
        tail.string(fields.to.as_slice());
        tail.u64(fields.fees.gas_limit.0);
        tail.u128(fields.fees.max_fee.0);
        tail.u128(fields.fees.priority_fee.0);
        tail.u64(fields.nonce);
        tail.u64(fields.chain_id);
        self.fields_start = MIDDLE.checked_sub(tail.written())?;
        finish(tail)
    }

    /// Adds the signature of what [`unsigned`](Self::unsigned) wrote. Returns the signed
    /// transaction; `None` if there is no room.
    pub fn signed(&mut self, signature: &Signature) -> Option<&[u8]> {
        let mut writer = Writer::new(&mut self.bytes[MIDDLE..]);
        writer.u64(u64::from(signature.is_odd));
        writer.word(&signature.r);
        writer.word(&signature.s);
        let end = MIDDLE + writer.finish().ok()?;
        let fields = end.checked_sub(self.fields_start)?;
        finish(Tail::after(self.bytes.get_mut(..end)?, fields))
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self::new()
    }
}

/// The header of everything that stands, and the type before it.
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

    /// One in which a longer transaction stood before.
    fn used() -> Envelope {
        let mut envelope = Envelope::new();
        envelope.bytes.fill(0xa5);
        envelope
    }

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
            let fields = Fields { chain_id, nonce, fees, to: to.into() };
            let mut envelope = used();
            envelope.input(input.len()).unwrap().copy_from_slice(&input);
            let digest = keccak256(envelope.unsigned(&fields, input.len()).unwrap());
            let theirs = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: max_fee.into(),
                max_priority_fee_per_gas: priority_fee.into(),
                to: TxKind::Call(to.into()),
                value: U256::ZERO,
                access_list: Default::default(),
                input: input.into(),
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
            let raw = envelope.signed(&ours).unwrap();
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
            let mut envelope = used();
            envelope.unsigned(&Fields { chain_id: 1, nonce: 0, fees, to }, 0).unwrap();
            let raw = envelope.signed(&Signature { r, s, is_odd }).unwrap();
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
        let fields = Fields { chain_id: 1, nonce: 0, fees, to: Address::ZERO };
        let mut envelope = Envelope::new();
        assert!(envelope.input(OWN_TX_BYTES_MAX).is_none());
        for length in [INPUT_END, OWN_TX_BYTES_MAX, usize::MAX - 1] {
            assert!(envelope.unsigned(&fields, length).is_none());
        }
    }
}
