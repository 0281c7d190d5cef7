//! Mutates one 32-byte word of ABI-encoded arguments that stand behind a header.
//!
//! Temperature: cold.

use libfuzzer_sys::fuzzer_mutate;

use crate::Dice;

/// Mutates `data[..size]` in place, its words behind the first `header` bytes and towards
/// `addresses`, and returns its new length, at most `max_size`.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    (seed, header, addresses): (u32, usize, &[[u8; 20]]),
) -> usize {
    let mut dice = Dice::new(seed);
    let count = size.saturating_sub(header) / 32;
    if count == 0 || dice.below(4) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let start = header + 32 * dice.below(count);
    let word = &mut data[start..start + 32];
    match dice.below(6) {
        0 => {
            word.fill(0);
            word[12..].copy_from_slice(&dice.pick(addresses));
        }
        1 => {
            word.fill(0);
            let offset = u16::try_from(dice.below(400)).unwrap_or(0);
            word[30..].copy_from_slice(&offset.to_be_bytes());
        }
        2 => {
            word.fill(0);
            word[31 - dice.below(16)] = 1 << dice.below(8);
        }
        3 => word.fill(dice.pick(&[0, 0xff])),
        4 => word[dice.below(32)] ^= 1 << dice.below(8),
        _ => {
            let other = header + 32 * dice.below(count);
            data.copy_within(other..other + 32, start);
        }
    }
    size
}
