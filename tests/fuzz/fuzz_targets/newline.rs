//! The stream reader against itself: how a stream is cut into reads must not matter.
//!
//! The first byte chooses how the rest is cut, the second how long a value may be.
//!
//! Temperature: cold.
#![no_main]

use gannet_engine::wire::newline::Reader;
use gannet_engine::wire::{Message, WireError};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
enum Seen {
    Value(Vec<u8>),
    Skipped(u64),
    Error(WireError),
}

fuzz_target!(|data: &[u8]| {
    let [chunk, capacity, stream @ ..] = data else { return };
    let capacity = usize::from(*capacity) * 4;
    let whole = read(stream, stream.len().max(1), capacity);
    assert_eq!(read(stream, usize::from(*chunk) + 1, capacity), whole);
    let bytes: u64 = whole.iter().map(bytes_of).sum();
    assert!(bytes <= stream.len() as u64, "nothing is read twice");
});

fn bytes_of(seen: &Seen) -> u64 {
    match seen {
        Seen::Value(bytes) => bytes.len() as u64,
        Seen::Skipped(bytes) => *bytes,
        Seen::Error(_) => 0,
    }
}

fn read(mut stream: &[u8], chunk: usize, capacity: usize) -> Vec<Seen> {
    let mut reader = Reader::new(capacity);
    let mut seen = Vec::new();
    loop {
        while let Some(next) = reader.next() {
            seen.push(match next {
                Ok(Message::Text(bytes)) => {
                    assert!(bytes.len() <= capacity);
                    Seen::Value(bytes.to_vec())
                }
                Ok(Message::Skipped { bytes }) => {
                    assert!(bytes > capacity as u64);
                    Seen::Skipped(bytes)
                }
                Ok(other) => unreachable!("{other:?}"),
                Err(error) => Seen::Error(error),
            });
        }
        if stream.is_empty() {
            return seen;
        }
        let spare = reader.spare();
        let count = spare.len().min(stream.len()).min(chunk);
        assert!(count > 0, "there is always room");
        spare[..count].copy_from_slice(&stream[..count]);
        reader.filled(count);
        stream = &stream[count..];
    }
}
