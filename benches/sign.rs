//! Signing a digest: as a whole by two libraries, and with the costly half made ahead.
//!
//! Temperature: cold.

#![expect(clippy::expect_used, reason = "what cannot be made cannot be measured")]

use std::hint::black_box;

use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::B256;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gannet_engine::sign::WalletKey;
use gannet_engine::sign::presign::{Maker, Presignature, SLOT_BYTES};
use secp256k1::{Message, Secp256k1, SecretKey};

const SECRET: [u8; 32] = [7; 32];
const DIGEST: B256 = B256::repeat_byte(0x5a);

fn sign(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("sign");
    let theirs = PrivateKeySigner::from_slice(&SECRET).expect("a key");
    group.bench_function("alloy", |bench| {
        bench.iter(|| theirs.sign_hash_sync(black_box(&DIGEST)).expect("a signature"));
    });
    let (context, secret) = (Secp256k1::signing_only(), SecretKey::from_byte_array(SECRET));
    let secret = secret.expect("a key");
    group.bench_function("libsecp256k1", |bench| {
        bench.iter(|| {
            let message = Message::from_digest(black_box(DIGEST.0));
            context.sign_ecdsa_recoverable(message, &secret)
        });
    });
    let key = WalletKey::new(&SECRET).expect("a key");
    let mut maker = Maker::new(std::slice::from_ref(&key));
    group.bench_function("presigned", |bench| {
        let slot = || {
            let mut slot = [0; SLOT_BYTES];
            maker.make(&[1; 32], 0).put(&mut slot);
            slot
        };
        // As on the hot path: out of its slot, which is wiped, and finished.
        let finish = |mut slot: [u8; SLOT_BYTES]| {
            let half = Presignature::take(&mut slot).expect("it is full");
            (half.finish(&key, black_box(&DIGEST)), slot)
        };
        bench.iter_batched(slot, finish, BatchSize::SmallInput);
    });
    let mut maker = Maker::new(std::slice::from_ref(&key));
    group.bench_function("making a presignature", |bench| {
        bench.iter(|| maker.make(black_box(&[1; 32]), 0));
    });
    group.finish();
}

criterion_group!(benches, sign);
criterion_main!(benches);
