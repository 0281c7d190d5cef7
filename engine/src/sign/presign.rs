//! Presignatures: the half of a signature that does not depend on what is signed.
//!
//! ECDSA's costly part is the point `R = k·G`. It is made ahead, off the hot thread; what is left
//! is `s = k⁻¹·(z + r·d)`, three operations in the scalar field.
//!
//! A nonce `k` that signs two messages gives the key away, so a [`Presignature`] is moved and never
//! copied: it is neither `Clone` nor `Copy`, finishing consumes it, and the slot that it is taken
//! from is wiped by that.
//!
//! ```compile_fail,E0599
//! # fn twice(presignature: gannet_engine::sign::presign::Presignature) {
//! let other = presignature.clone();
//! # }
//! ```
//! ```compile_fail,E0382
//! # use gannet_engine::sign::{WalletKey, presign::Presignature};
//! # fn twice(presignature: Presignature, key: &WalletKey, digest: alloy_primitives::B256) {
//! presignature.finish(key, &digest);
//! presignature.finish(key, &digest);
//! # }
//! ```
//!
//! `k` is hedged (RFC 6979, section 3.6): it is drawn from the keys, the system's randomness, the
//! time and a counter together, so none of them alone decides it.
//!
//! Invariants: nothing here is in any `Debug` output; scalars are wiped on drop; a slot of zeros is
//! an empty one, so pages that the system wiped hold nothing.
//!
//! Temperature: hot.

use core::fmt;

use alloy_primitives::B256;
use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::ops::{MulByGenerator, Reduce};
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::scalar::IsHigh;
use k256::elliptic_curve::{Curve, FieldBytesEncoding};
use k256::{FieldBytes, NonZeroScalar, ProjectivePoint, Scalar, Secp256k1, U256};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{Signature, WalletKey};

/// Bytes that a presignature takes in a slot.
pub const SLOT_BYTES: usize = 65;
/// A slot's first byte: it is full, and the point's y is even or odd.
const EVEN: u8 = 2;
const ODD: u8 = 3;

/// The half of a signature that does not depend on what is signed, for any key.
pub struct Presignature {
    /// The inverse of the nonce.
    inverse: Scalar,
    /// The point's x: the signature's `r`.
    r: Scalar,
    is_odd: bool,
}

impl fmt::Debug for Presignature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Presignature(hidden)")
    }
}

impl Drop for Presignature {
    fn drop(&mut self) {
        self.inverse.zeroize();
        self.r.zeroize();
    }
}

impl Presignature {
    /// That of a nonce; `None` for one in some 2¹²⁸ whose point cannot be told from its `r`.
    fn of(nonce: &NonZeroScalar) -> Option<Self> {
        let point = ProjectivePoint::mul_by_generator(nonce.as_ref()).to_affine();
        let x = point.x();
        // An x past the order needs another recovery id, which Ethereum does not have.
        let r =
            Option::<Scalar>::from(Scalar::from_repr(x)).filter(|r| !bool::from(r.is_zero()))?;
        let inverse = Option::<Scalar>::from(nonce.invert())?;
        Some(Self { inverse, r, is_odd: point.y_is_odd().into() })
    }

    /// The signature of a digest; `None` in one of some 2²⁵⁶ cases.
    #[must_use]
    pub fn finish(self, key: &WalletKey, digest: &B256) -> Option<Signature> {
        let z = <Scalar as Reduce<U256>>::reduce_bytes(&FieldBytes::from(digest.0));
        let secret = key.key.as_nonzero_scalar().as_ref();
        let s = self.inverse * (z + self.r * secret);
        if bool::from(s.is_zero()) {
            return None;
        }
        // Of the two that hold, the low one (EIP-2); its point is the mirrored one.
        let is_high = bool::from(s.is_high());
        let s = if is_high { -s } else { s };
        Some(Signature {
            r: self.r.to_bytes().into(),
            s: s.to_bytes().into(),
            is_odd: self.is_odd != is_high,
        })
    }

    /// Moves it into a slot.
    pub fn put(self, slot: &mut [u8; SLOT_BYTES]) {
        let [mark, rest @ ..] = slot;
        let (inverse, r) = rest.split_at_mut(32);
        let mut secret = self.inverse.to_bytes();
        inverse.copy_from_slice(&secret);
        secret.zeroize();
        r.copy_from_slice(&self.r.to_bytes());
        *mark = if self.is_odd { ODD } else { EVEN };
    }

    /// Moves what is in a slot out of it; `None` if it is empty.
    #[must_use]
    pub fn take(slot: &mut [u8; SLOT_BYTES]) -> Option<Self> {
        let [mark, rest @ ..] = slot;
        let scalar = |bytes: &[u8]| {
            let mut bytes = FieldBytes::from(<[u8; 32]>::try_from(bytes).ok()?);
            let scalar = Option::<Scalar>::from(Scalar::from_repr(bytes));
            bytes.zeroize();
            scalar
        };
        let (inverse, r) = rest.split_at(32);
        let taken = match *mark {
            EVEN | ODD => scalar(inverse).zip(scalar(r)),
            _ => None,
        };
        let is_odd = *mark == ODD;
        slot.zeroize();
        let (inverse, r) = taken?;
        Some(Self { inverse, r, is_odd })
    }
}

/// Makes presignatures.
pub struct Maker {
    /// Of all keys: whoever does not know them cannot tell a nonce, however weak the randomness.
    secret: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl fmt::Debug for Maker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Maker(hidden)")
    }
}

impl Maker {
    /// One that is hedged by these keys.
    #[must_use]
    #[cold]
    pub fn new(keys: &[WalletKey]) -> Self {
        let mut hash = Sha256::new();
        for key in keys {
            let mut bytes = key.key.to_bytes();
            hash.update(bytes);
            bytes.zeroize();
        }
        Self { secret: Zeroizing::new(hash.finalize().into()), counter: 0 }
    }

    /// One more. `entropy` is fresh randomness, `time` tells runs apart whose randomness does not.
    pub fn make(&mut self, entropy: &[u8; 32], time: u128) -> Presignature {
        loop {
            self.counter = self.counter.wrapping_add(1);
            let mut more = [0; 24];
            more[..16].copy_from_slice(&time.to_be_bytes());
            more[16..].copy_from_slice(&self.counter.to_be_bytes());
            let order = Secp256k1::ORDER.encode_field_bytes();
            let (secret, entropy) = ((&*self.secret).into(), entropy.into());
            let mut nonce = rfc6979::generate_k::<Sha256, _>(secret, &order, entropy, &more);
            let scalar = NonZeroScalar::from_repr(nonce);
            nonce.zeroize();
            let made = Option::<NonZeroScalar>::from(scalar).and_then(|mut scalar| {
                let made = Presignature::of(&scalar);
                scalar.zeroize();
                made
            });
            if let Some(made) = made {
                return made;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use alloy_primitives::{Address, Signature as AlloySignature, U256 as Uint, keccak256};
    use proptest::prelude::*;

    use super::*;

    fn signer_of(signature: &Signature, digest: &B256) -> Address {
        let Signature { r, s, is_odd } = *signature;
        let theirs = AlloySignature::new(Uint::from_be_bytes(r), Uint::from_be_bytes(s), is_odd);
        theirs.recover_address_from_prehash(digest).unwrap()
    }

    fn key(bytes: [u8; 32]) -> Option<WalletKey> {
        WalletKey::new(&bytes).ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn what_is_finished_recovers_to_the_address_with_a_low_s(
            secret in any::<[u8; 32]>(),
            entropy in any::<[u8; 32]>(),
            digest in any::<[u8; 32]>(),
        ) {
            let Some(key) = key(secret) else { return Ok(()) };
            let made = Maker::new(core::slice::from_ref(&key)).make(&entropy, 7);
            let mut slot = [0; SLOT_BYTES];
            made.put(&mut slot);
            let taken = Presignature::take(&mut slot).unwrap();
            prop_assert_eq!(slot, [0; SLOT_BYTES], "the slot is wiped");
            prop_assert!(Presignature::take(&mut slot).is_none(), "and empty");
            let digest = B256::from(digest);
            let signature = taken.finish(&key, &digest).unwrap();
            prop_assert_eq!(signer_of(&signature, &digest), key.address());
            // The independent implementation refuses a high s, and one that is not in the field.
            let half = Uint::from_be_bytes(Secp256k1::ORDER.encode_field_bytes().into()) >> 1_usize;
            prop_assert!(Uint::from_be_bytes(signature.s) <= half);
        }
    }

    #[test]
    fn a_digest_past_the_order_is_reduced_as_others_reduce_it() {
        let key = key([1; 32]).unwrap();
        let mut maker = Maker::new(core::slice::from_ref(&key));
        for digest in
            [[0; 32], [0xff; 32], Secp256k1::ORDER.encode_field_bytes().into()].map(B256::from)
        {
            let signature = maker.make(&[3; 32], 0).finish(&key, &digest).unwrap();
            assert_eq!(signer_of(&signature, &digest), key.address());
        }
    }

    #[test]
    fn no_nonce_comes_twice_even_if_the_randomness_never_changes() {
        let keys = [key([1; 32]).unwrap(), key([2; 32]).unwrap()];
        let mut seen = Vec::new();
        let mut run = |keys: &[WalletKey], entropy: [u8; 32], time: u128, count: usize| {
            let mut maker = Maker::new(keys);
            for _ in 0..count {
                let made = maker.make(&entropy, time);
                seen.push(<[u8; 32]>::from(made.r.to_bytes()));
            }
        };
        run(&keys, [0; 32], 0, 1_000);
        run(&keys[..1], [0; 32], 0, 1_000);
        run(&keys, [1; 32], 0, 1_000);
        run(&keys, [0; 32], 1, 1_000);
        seen.sort_unstable();
        assert!(seen.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn what_is_in_a_slot_is_not_believed_blindly() {
        for mark in [1, 4, 0xff] {
            assert!(Presignature::take(&mut [mark; SLOT_BYTES]).is_none());
        }
        // Past the order.
        let mut slot = [0xff; SLOT_BYTES];
        slot[0] = ODD;
        assert!(Presignature::take(&mut slot).is_none());
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let key = key([1; 32]).unwrap();
        let mut maker = Maker::new(core::slice::from_ref(&key));
        let text = alloc::format!("{maker:?} {:?}", maker.make(&[0; 32], 0));
        assert_eq!(text, "Maker(hidden) Presignature(hidden)");
        assert_ne!(keccak256(text), B256::ZERO);
    }
}
