//! Signing a digest: as a whole by two libraries, and with the costly half made ahead.
//!
//! A time is the mean of a few signatures one after the other, for one alone is shorter than a look
//! at the clock.
//!
//! Temperature: cold.

#![expect(clippy::expect_used, reason = "what cannot be made cannot be measured")]

#[expect(dead_code, reason = "not all of it is wanted here")]
mod measure;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::B256;
use gannet_engine::sign::WalletKey;
use gannet_engine::sign::presign::{Maker, Presignature, SLOT_BYTES};
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::json;

use self::measure::{Options, Times, title};

const SECRET: [u8; 32] = [7; 32];
const DIGEST: B256 = B256::repeat_byte(0x5a);
/// Signatures of one time.
const BATCH: u32 = 16;

/// Times `work` over what `prepare` makes beforehand.
fn time<I>(count: usize, mut prepare: impl FnMut() -> I, mut work: impl FnMut(I)) -> Times {
    let mut times = Times::new();
    for _ in 0..count {
        let inputs: Vec<I> = (0..BATCH).map(|_| prepare()).collect();
        let start = Instant::now();
        inputs.into_iter().for_each(&mut work);
        times.add(start.elapsed().checked_div(BATCH).unwrap_or(Duration::ZERO));
    }
    times
}

/// A nonce that signs twice gives the key away: so many are made, and none is like another.
fn no_nonce_twice(count: usize, key: &WalletKey) -> Result<(), String> {
    let mut maker = Maker::new(std::slice::from_ref(key));
    let finished = (0..count).filter_map(|_| maker.make(&[1; 32], 0).finish(key, &DIGEST));
    let mut seen: Vec<[u8; 32]> = finished.map(|signature| signature.r).collect();
    seen.sort_unstable();
    if seen.len() < count || !seen.is_sorted_by(|left, right| left < right) {
        return Err(format!("of {count} presignatures two have one nonce, or one signs nothing"));
    }
    println!("of {count} presignatures no two have one nonce");
    Ok(())
}

fn measure(options: &Options) -> Result<(), String> {
    let count = options.pick(2, 500, 5_000);
    let theirs = PrivateKeySigner::from_slice(&SECRET).expect("a key");
    let (context, secret) = (Secp256k1::signing_only(), SecretKey::from_byte_array(SECRET));
    let secret = secret.expect("a key");
    let key = WalletKey::new(&SECRET).expect("a key");
    let mut maker = Maker::new(std::slice::from_ref(&key));
    let slot = || {
        let mut slot = [0; SLOT_BYTES];
        maker.make(&[1; 32], 0).put(&mut slot);
        slot
    };
    // As on the hot path: out of its slot, which is wiped, and finished.
    let finish = |mut slot: [u8; SLOT_BYTES]| {
        let half = Presignature::take(black_box(&mut slot)).expect("it is full");
        black_box(half.finish(&key, black_box(&DIGEST)));
    };
    let all = [
        (
            "alloy",
            time(
                count,
                || (),
                |()| {
                    black_box(theirs.sign_hash_sync(black_box(&DIGEST)).expect("a signature"));
                },
            ),
        ),
        (
            "libsecp256k1",
            time(
                count,
                || (),
                |()| {
                    let message = Message::from_digest(black_box(DIGEST.0));
                    black_box(context.sign_ecdsa_recoverable(message, &secret));
                },
            ),
        ),
        ("presigned", time(count, slot, finish)),
    ];
    println!("{}", title("sign"));
    let mut section = BTreeMap::new();
    for (name, times) in &all {
        println!("{}", times.line(name));
        section.insert(*name, times.to_json(&["p50_ns"]));
    }
    no_nonce_twice(options.pick(1_000, 20_000, 1_000_000), &key)?;
    options.put("sign", json!(section))
}

fn main() -> ExitCode {
    measure::main(measure)
}
