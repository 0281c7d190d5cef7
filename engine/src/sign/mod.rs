//! Signing: an admitted plan becomes the bytes of a transaction.
//!
//! ```text
//! plan ─► calldata (packed program) ─► envelope (EIP-1559) ─► keccak ─► signature ─► raw bytes
//! ```
//!
//! Everything is written once, in its place in the one buffer that a [`Signer`] owns. Keys are
//! wiped on drop and are in no `Debug` output.
//!
//! Temperature: hot.

pub mod calldata;
pub mod eip1559;
pub mod liquidation;
pub mod presign;

use core::fmt;

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, keccak256};
use k256::ecdsa::SigningKey;

use self::calldata::Program;
use self::eip1559::{Envelope, Fields};
use self::presign::{Presignature, SLOT_BYTES};
use crate::flight::{Admitted, Fees};
use crate::ids::WalletId;
use crate::keccak;
use crate::world::World;

/// The key of a wallet.
pub struct WalletKey {
    key: SigningKey,
    address: Address,
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WalletKey({}, key hidden)", self.address)
    }
}

/// The bytes are not a private key: zero, or not below the curve's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAKey;

impl WalletKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// When they are no key.
    pub fn new(bytes: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = SigningKey::from_slice(bytes).map_err(|_opaque| NotAKey)?;
        let point = key.verifying_key().to_encoded_point(false);
        // The address is the hash of the point without its leading format byte.
        let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
        let address = Address::from_slice(&hash[12..]);
        Ok(Self { key, address })
    }

    /// The address of the wallet.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, digest: &B256) -> Option<Signature> {
        let (signature, parity) = self.key.sign_prehash_recoverable(digest.as_slice()).ok()?;
        let (r, s) = signature.split_bytes();
        Some(Signature { r: r.into(), s: s.into(), is_odd: parity.is_y_odd() })
    }
}

/// A signature: r, low s, and the parity of the point's y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The point's x, modulo the curve's order.
    pub r: [u8; 32],
    /// At most half the curve's order (EIP-2).
    pub s: [u8; 32],
    /// Whether the point's y is odd.
    pub is_odd: bool,
}

/// A signed transaction.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Its raw bytes.
    pub raw: &'a [u8],
    /// The hash of what was hashed beside it.
    pub beside: Option<B256>,
}

/// Signs for all wallets.
#[derive(Debug)]
pub struct Signer {
    keys: Vec<WalletKey>,
    executor: Address,
    envelope: Envelope,
}

impl Signer {
    /// Signs calls of `executor` with `keys`, by wallet handle.
    #[must_use]
    #[cold]
    pub const fn new(keys: Vec<WalletKey>, executor: Address) -> Self {
        Self { keys, executor, envelope: Envelope::new() }
    }

    /// The executor that is called.
    #[must_use]
    pub const fn executor(&self) -> Address {
        self.executor
    }

    /// Writes and signs the transaction of an admitted plan, with a presignature if there is one.
    /// Its hash is left to whoever wants to know it; what stands `beside` it is hashed in the same
    /// pass. `None` if it does not fit the buffer or the wallet has no key.
    pub fn sign(
        &mut self,
        admitted: &Admitted,
        world: &World,
        half: Option<Presignature>,
        beside: Option<&[u8]>,
    ) -> Option<Signed<'_>> {
        let (fields, length) = self.write(admitted, world)?;
        let key = self.keys.get(admitted.wallet.index())?;
        seal(&mut self.envelope, (&fields, length), (key, half), beside)
    }

    /// Packs the program of an admitted plan in its place; its length, and the other fields.
    fn write(&mut self, admitted: &Admitted, world: &World) -> Option<(Fields, usize)> {
        let length = match &admitted.plan.order {
            None => {
                let program = Program::of(admitted, world);
                let length = program.packed_bytes();
                program.write(self.envelope.input(length)?)?;
                length
            }
            Some(order) => {
                let program = order.program(&admitted.plan, admitted.least_profit, world)?;
                let length = program.packed_bytes();
                program.write(world, self.envelope.input(length)?)?;
                length
            }
        };
        let Admitted { nonce, fees, .. } = *admitted;
        Some((Fields { chain_id: world.chain.id, nonce, fees, to: self.executor }, length))
    }

    /// The same with another key, which guards nothing: what is written is not to be sent.
    pub(crate) fn rehearse(
        &mut self,
        admitted: &Admitted,
        world: &World,
        (key, mut half): (&WalletKey, [u8; SLOT_BYTES]),
        beside: &[u8],
    ) -> Option<Signed<'_>> {
        let (fields, length) = self.write(admitted, world)?;
        let half = Presignature::take(&mut half);
        seal(&mut self.envelope, (&fields, length), (key, half), Some(beside))
    }

    /// Writes and signs a transfer of nothing from a wallet to itself: what takes the place of a
    /// transaction with the same nonce.
    pub fn sign_cancel(
        &mut self,
        wallet: WalletId,
        nonce: u64,
        fees: Fees,
        chain_id: u64,
    ) -> Option<&[u8]> {
        let key = self.keys.get(wallet.index())?;
        let fields = Fields { chain_id, nonce, fees, to: key.address };
        seal(&mut self.envelope, (&fields, 0), (key, None), None).map(|signed| signed.raw)
    }
}

fn seal<'e>(
    envelope: &'e mut Envelope,
    (fields, input_length): (&Fields, usize),
    (key, half): (&WalletKey, Option<Presignature>),
    beside: Option<&[u8]>,
) -> Option<Signed<'e>> {
    let unsigned = envelope.unsigned(fields, input_length)?;
    let (digest, beside) = match beside {
        None => (keccak::hash(unsigned), None),
        Some(beside) => {
            let [digest, beside] = keccak::hash_both([unsigned, beside]);
            (digest, Some(beside))
        }
    };
    let finished = half.and_then(|half| half.finish(key, &digest));
    let signature = finished.or_else(|| key.sign(&digest))?;
    Some(Signed { raw: envelope.signed(&signature)?, beside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_the_address_that_the_specification_says() {
        // anvil's first account.
        let key = alloy_primitives::hex!(
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
        );
        let key = WalletKey::new(&key).unwrap();
        let address = alloy_primitives::address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(key.address(), address);
        assert!(!alloc::format!("{key:?}").contains("ac0974"));
    }

    #[test]
    fn zero_is_no_key() {
        assert_eq!(WalletKey::new(&[0; 32]).err(), Some(NotAKey));
        assert_eq!(WalletKey::new(&[0xff; 32]).err(), Some(NotAKey));
    }
}
