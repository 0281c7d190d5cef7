//! Hexadecimal to bytes and integers, and back.
//!
//! `decode` calls this on the spans that the JSON scanner hands out. Data must have its `0x` and an
//! even number of digits; quantities are read liberally, because providers write them in every way:
//! `0x` with or without leading zeros, a decimal string, a JSON number.
//!
//! Total on hostile bytes; long runs go through `const-hex`, which uses the vector unit.
//!
//! Temperature: hot.

use alloy_primitives::{U256, hex as vectored};

/// Why text is not the hexadecimal that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HexError {
    /// No `0x`.
    Prefix,
    /// A byte that is not a digit.
    Digit,
    /// Too many or too few digits, or an odd number of them, or no room for the result.
    Length,
    /// The integer does not fit its type.
    Range,
}

/// Bytes of a word of the EVM.
const WORD_BYTES: usize = 32;

/// Longest hexadecimal quantity, in digits, that is looked at (256 bits are 64, the rest zeros).
const QUANTITY_DIGITS_MAX: usize = 128;

/// Reads exactly `N` bytes.
///
/// # Errors
/// When `text` is anything but `0x` and `2·N` digits.
#[inline]
pub fn fixed<const N: usize>(text: &[u8]) -> Result<[u8; N], HexError> {
    let digits = digits(text)?;
    if digits.len() != 2 * N {
        return Err(HexError::Length);
    }
    let mut out = [0; N];
    if N >= WORD_BYTES {
        decode(digits, &mut out)?;
    } else {
        // A whole word goes through the vector unit, an address alone by its half.
        let word = padded(digits)?;
        out.copy_from_slice(&word[WORD_BYTES - N..]);
    }
    Ok(out)
}

/// Reads 64 digits without a prefix: one word of a longer run of data.
///
/// # Errors
/// When one of them is not a digit.
#[inline]
pub fn word(digits: &[u8; 2 * WORD_BYTES]) -> Result<[u8; WORD_BYTES], HexError> {
    let mut out = [0; WORD_BYTES];
    decode(digits, &mut out)?;
    Ok(out)
}

/// Reads data of any length into the start of `out` and returns how many bytes there are.
///
/// # Errors
/// When `text` is not `0x` and an even number of digits, or `out` is too short.
#[inline]
pub fn bytes_into(text: &[u8], out: &mut [u8]) -> Result<usize, HexError> {
    let digits = digits(text)?;
    if !digits.len().is_multiple_of(2) {
        return Err(HexError::Length);
    }
    let count = digits.len() / 2;
    decode(digits, out.get_mut(..count).ok_or(HexError::Length)?)?;
    Ok(count)
}

/// Writes `0x` and the digits of `bytes` to the start of `out` and returns how many characters that
/// makes.
///
/// # Errors
/// When `out` is too short.
#[inline]
pub fn encode_into(bytes: &[u8], out: &mut [u8]) -> Result<usize, HexError> {
    let length = 2 + 2 * bytes.len();
    let Some((prefix, digits)) = out.get_mut(..length).and_then(|out| out.split_at_mut_checked(2))
    else {
        return Err(HexError::Length);
    };
    prefix.copy_from_slice(b"0x");
    match vectored::encode_to_slice(bytes, digits) {
        Ok(()) => Ok(length),
        Err(_) => Err(HexError::Length),
    }
}

/// Reads an integer of at most 64 bits: `0x` digits, decimal digits, or a JSON number.
///
/// # Errors
/// When `text` is not an integer, or is larger.
#[inline]
pub fn quantity_u64(text: &[u8]) -> Result<u64, HexError> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => small(significant(digits)?),
        _ => match u64::try_from(decimal_u128(text)?) {
            Ok(value) => Ok(value),
            Err(_) => Err(HexError::Range),
        },
    }
}

/// Reads an integer of at most 128 bits; see [`quantity_u64`].
///
/// # Errors
/// When `text` is not an integer, or is larger.
#[inline]
pub fn quantity_u128(text: &[u8]) -> Result<u128, HexError> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => medium(significant(digits)?),
        _ => decimal_u128(text),
    }
}

/// Reads an integer of at most 256 bits; see [`quantity_u64`].
///
/// # Errors
/// When `text` is not an integer, or is larger.
#[inline]
pub fn quantity_u256(text: &[u8]) -> Result<U256, HexError> {
    let [b'0', b'x' | b'X', digits @ ..] = text else { return decimal_u256(text) };
    let digits = significant(digits)?;
    match digits.len() {
        0..=16 => small(digits).map(U256::from),
        17..=32 => medium(digits).map(U256::from),
        _ => large(digits),
    }
}

/// The digits after the prefix.
#[inline]
const fn digits(text: &[u8]) -> Result<&[u8], HexError> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => Ok(digits),
        _ => Err(HexError::Prefix),
    }
}

/// Decodes `digits` to fill `out` exactly.
#[inline]
fn decode(digits: &[u8], out: &mut [u8]) -> Result<(), HexError> {
    // The callee drops a second `0x`, and then finds the length wrong.
    match vectored::decode_to_slice(digits, out) {
        Ok(()) => Ok(()),
        Err(_) => Err(HexError::Digit),
    }
}

/// Digits without leading zeros; at least one digit must have stood there.
#[inline]
fn significant(digits: &[u8]) -> Result<&[u8], HexError> {
    if digits.is_empty() || digits.len() > QUANTITY_DIGITS_MAX {
        return Err(HexError::Length);
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    Ok(digits.get(zeros..).unwrap_or_default())
}

/// Value of every digit; the high bit marks what is none.
const DIGITS: [u8; 256] = {
    let mut table = [0x80; 256];
    let mut value = 0_u8;
    while value < 16 {
        let lower = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        table[lower as usize] = value;
        table[lower.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    table
};

#[inline]
fn small(digits: &[u8]) -> Result<u64, HexError> {
    if digits.len() > 16 {
        return Err(HexError::Range);
    }
    let (mut value, mut bad) = (0_u64, 0_u8);
    for digit in digits {
        let nibble = DIGITS[usize::from(*digit)];
        value = (value << 4) | u64::from(nibble & 0x0f);
        bad |= nibble;
    }
    if bad & 0x80 == 0 { Ok(value) } else { Err(HexError::Digit) }
}

#[inline]
fn medium(digits: &[u8]) -> Result<u128, HexError> {
    if digits.len() > 32 {
        return Err(HexError::Range);
    }
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    Ok((u128::from(small(high)?) << 64) | u128::from(small(low)?))
}

#[inline]
fn large(digits: &[u8]) -> Result<U256, HexError> {
    padded(digits).map(U256::from_be_bytes)
}

/// Up to 64 digits as a word, which they end.
#[inline]
fn padded(digits: &[u8]) -> Result<[u8; WORD_BYTES], HexError> {
    let mut padded = [b'0'; 2 * WORD_BYTES];
    let start = padded.len().checked_sub(digits.len()).ok_or(HexError::Range)?;
    padded[start..].copy_from_slice(digits);
    word(&padded)
}

fn decimal_u128(text: &[u8]) -> Result<u128, HexError> {
    if text.is_empty() {
        return Err(HexError::Length);
    }
    let mut value = 0_u128;
    for digit in text {
        let digit = decimal_digit(*digit)?;
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u128::from(digit)))
            .ok_or(HexError::Range)?;
    }
    Ok(value)
}

fn decimal_u256(text: &[u8]) -> Result<U256, HexError> {
    if text.is_empty() {
        return Err(HexError::Length);
    }
    let mut value = U256::ZERO;
    for digit in text {
        let digit = decimal_digit(*digit)?;
        value = value
            .checked_mul(U256::from(10))
            .and_then(|value| value.checked_add(U256::from(digit)))
            .ok_or(HexError::Range)?;
    }
    Ok(value)
}

#[inline]
const fn decimal_digit(digit: u8) -> Result<u8, HexError> {
    if digit.is_ascii_digit() { Ok(digit - b'0') } else { Err(HexError::Digit) }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString as _;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn data_survives_the_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut text = vec![0; 2 + 2 * bytes.len()];
            prop_assert_eq!(encode_into(&bytes, &mut text), Ok(text.len()));
            let mut back = vec![0xee; bytes.len() + 3];
            prop_assert_eq!(bytes_into(&text, &mut back), Ok(bytes.len()));
            prop_assert_eq!(&back[..bytes.len()], &bytes[..]);
            text.make_ascii_uppercase();
            prop_assert_eq!(bytes_into(&text, &mut back), Ok(bytes.len()));
            prop_assert_eq!(&back[..bytes.len()], &bytes[..]);
        }

        #[test]
        fn quantities_are_read_however_they_are_written(
            limbs in any::<[u64; 4]>(), bits in 0_usize..=256, zeros in 0_usize..40,
        ) {
            let value = U256::from_limbs(limbs) >> (256 - bits).min(255);
            let forms = [
                format!("0x{value:x}"),
                format!("0X{value:X}"),
                format!("0x{}{value:x}", "0".repeat(zeros)),
                value.to_string(),
            ];
            for text in &forms {
                prop_assert_eq!(quantity_u256(text.as_bytes()), Ok(value), "{}", text);
                let narrow = u64::try_from(value).map_or(Err(HexError::Range), Ok);
                prop_assert_eq!(quantity_u64(text.as_bytes()), narrow, "{}", text);
                let narrow = u128::try_from(value).map_or(Err(HexError::Range), Ok);
                prop_assert_eq!(quantity_u128(text.as_bytes()), narrow, "{}", text);
            }
        }

        #[test]
        fn one_wrong_digit_is_refused(
            bytes in any::<[u8; 40]>(), at in 2_usize..82, wrong in any::<u8>(),
        ) {
            prop_assume!(!wrong.is_ascii_hexdigit());
            let mut text = [0; 82];
            encode_into(&bytes, &mut text).unwrap();
            text[at] = wrong;
            prop_assert!(fixed::<40>(&text).is_err());
        }

        #[test]
        fn an_address_is_read_as_any_data(
            bytes in any::<[u8; 20]>(), at in 2_usize..42, other in any::<u8>(),
        ) {
            let (mut text, mut out) = ([0; 42], [0; 20]);
            encode_into(&bytes, &mut text).unwrap();
            prop_assert_eq!(fixed::<20>(&text), Ok(bytes));
            text[at] = other;
            let expected = bytes_into(&text, &mut out).map(|_| out);
            prop_assert_eq!(fixed::<20>(&text).is_ok(), expected.is_ok());
            prop_assert!(expected.is_err() || fixed(&text) == expected);
        }

        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = [0; 64];
            let _ignored = bytes_into(&text, &mut out);
            let _ignored = fixed::<32>(&text);
            let _ignored = (quantity_u64(&text), quantity_u128(&text), quantity_u256(&text));
        }
    }

    #[test]
    fn data_needs_its_prefix_and_whole_bytes() {
        assert_eq!(fixed::<2>(b"0x12ab"), Ok([0x12, 0xab]));
        assert_eq!(fixed::<2>(b"12ab"), Err(HexError::Prefix));
        assert_eq!(fixed::<2>(b"0x12a"), Err(HexError::Length));
        assert_eq!(fixed::<2>(b"0x12abc"), Err(HexError::Length));
        assert_eq!(fixed::<2>(b"0x0x12"), Err(HexError::Digit));
        assert_eq!(fixed::<0>(b"0x"), Ok([]));
        assert_eq!(bytes_into(b"0x", &mut []), Ok(0));
        assert_eq!(bytes_into(b"0x123", &mut [0; 8]), Err(HexError::Length));
        assert_eq!(bytes_into(b"0x1234", &mut [0; 1]), Err(HexError::Length));
        assert_eq!(encode_into(&[1], &mut [0; 3]), Err(HexError::Length));
    }

    #[test]
    fn an_integer_needs_a_digit() {
        assert_eq!(quantity_u64(b"0x"), Err(HexError::Length));
        assert_eq!(quantity_u64(b""), Err(HexError::Length));
        assert_eq!(quantity_u64(b"-1"), Err(HexError::Digit));
        assert_eq!(quantity_u64(b"1e3"), Err(HexError::Digit));
        assert_eq!(quantity_u64(b"0x0"), Ok(0));
        assert_eq!(quantity_u64(b"0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(quantity_u64(b"0x10000000000000000"), Err(HexError::Range));
        assert_eq!(quantity_u64(b"18446744073709551616"), Err(HexError::Range));
    }
}
