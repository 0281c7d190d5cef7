//! Pending oracle updates: what a transaction will have an aggregator answer.
//!
//! ```text
//! forward(aggregator, data)* ─► transmit(context, report, r[], s[], v) ─► Transmission
//!                                                    └─ observations[length / 2]
//! ```
//!
//! The aggregator takes the observation in the middle, as they stand. OCR1's contract checks that
//! they are sorted; OCR2's does not, for the oracles did before they signed, so an order is
//! demanded here of the first only. Neither contract is asked whether it would take the report:
//! that its sender may transmit (`from`, or the forwarder), that its configuration is the latest,
//! that its round is newer than the last, and that the answer is within the aggregator's own
//! bounds, is for the caller to look at. Anyone can send calldata that looks like this.
//!
//! Total on hostile calldata.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, I256, U256};

use crate::decode::DecodeError;
use crate::decode::calldata::abi::Arguments;

/// `transmit(bytes32[3],bytes,bytes32[],bytes32[],bytes32)`, OCR2.
pub const TRANSMIT_OCR2: [u8; 4] = [0xb1, 0xdc, 0x65, 0xa4];
/// `transmit(bytes,bytes32[],bytes32[],bytes32)`, OCR1.
pub const TRANSMIT_OCR1: [u8; 4] = [0xc9, 0x80, 0x75, 0x39];
/// `transmitSecondary(bytes32[3],bytes,bytes32[],bytes32[],bytes32)`, of a dual aggregator.
pub const TRANSMIT_SECONDARY: [u8; 4] = [0xba, 0x0c, 0xb2, 0x9e];
/// `forward(address,bytes)`, of a forwarder.
pub const FORWARD: [u8; 4] = [0x6f, 0xad, 0xcf, 0x72];

/// Bits of an answer.
pub const ANSWER_BITS: usize = 192;
/// Oracles that the protocol is made for.
const ORACLES_MAX: usize = 31;
/// Forwarders behind forwarders.
const FORWARDS_MAX: usize = 4;

/// Which of its two proxies a dual aggregator answers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Route {
    /// The public one; all other aggregators have only this.
    Primary,
    /// The private one (SVR).
    Secondary,
}

/// An oracle update that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// The contract that it will be an answer of.
    pub aggregator: Address,
    /// Which proxy will answer it at once.
    pub route: Route,
    /// What is called; that of the outermost, if forwarders call each other.
    pub forwarder: Option<Address>,
    /// The answer.
    pub answer: I256,
    /// How many observations it is the median of.
    pub observations: u8,
    /// How many oracles have signed it.
    pub signatures: u8,
    /// When they were made, in seconds; OCR1 does not say.
    pub observed_at: Option<u32>,
    /// The protocol's epoch.
    pub epoch: u32,
    /// The round in it.
    pub round: u8,
    /// The configuration that it is for; of OCR1 the last 16 bytes.
    pub config: B256,
}

impl Transmission {
    /// Reads calldata that is sent to `to`.
    ///
    /// # Errors
    /// When it is no transmission ([`DecodeError::Unknown`]), or none that a contract would take.
    pub fn parse(to: Address, calldata: &[u8]) -> Result<Self, DecodeError> {
        let (mut target, mut data) = (to, calldata);
        let mut forwarder = None;
        for _ in 0..=FORWARDS_MAX {
            let (selector, bytes) = data.split_first_chunk().ok_or(DecodeError::OutOfBounds)?;
            let arguments = Arguments { bytes };
            let (is_first, route) = match *selector {
                FORWARD => {
                    forwarder = Some(to);
                    target = arguments.address(0)?;
                    data = arguments.byte_string(1)?;
                    continue;
                }
                TRANSMIT_OCR1 => (true, Route::Primary),
                TRANSMIT_OCR2 => (false, Route::Primary),
                TRANSMIT_SECONDARY => (false, Route::Secondary),
                _ => return Err(DecodeError::Unknown),
            };
            let read = if is_first { ocr1(&arguments)? } else { ocr2(&arguments)? };
            return Ok(Self { aggregator: target, route, forwarder, ..read });
        }
        Err(DecodeError::TooMuch)
    }
}

/// Words that stand in the head of an OCR1 call.
const OCR1_HEAD: usize = 4;
/// Words that stand in the head of an OCR2 call.
const OCR2_HEAD: usize = 7;

fn ocr1(arguments: &Arguments<'_>) -> Result<Transmission, DecodeError> {
    let (report, signatures) = signed_report(arguments, OCR1_HEAD - 4, OCR1_HEAD)?;
    let context = B256::new(*report.word(0)?);
    let observations = Observations::read(&report, 2)?;
    if !observations.are_sorted() {
        return Err(DecodeError::Contradiction);
    }
    let config = U256::from_be_bytes(context.0) >> 40_usize << 128_usize >> 128_usize;
    let whole = observations.with(signatures)?;
    Ok(with_context(Transmission { config: config.into(), ..whole }, &context))
}

fn ocr2(arguments: &Arguments<'_>) -> Result<Transmission, DecodeError> {
    let (report, signatures) = signed_report(arguments, OCR2_HEAD - 4, OCR2_HEAD)?;
    let observations = Observations::read(&report, 2)?;
    // The contract knows the length of what it takes: four words, a length, the observations.
    if report.bytes.len() != (5 + observations.list.len()) * 32 {
        return Err(DecodeError::Contradiction);
    }
    let is_narrow = fits(I256::from_raw(report.integer(3)?), ANSWER_BITS);
    let observed_at = u32::try_from(report.integer(0)?);
    let (true, Ok(observed_at)) = (is_narrow, observed_at) else {
        return Err(DecodeError::AmountTooLarge);
    };
    let config = B256::new(*arguments.word(0)?);
    let context = B256::new(*arguments.word(1)?);
    let whole = observations.with(signatures)?;
    let observed_at = Some(observed_at);
    Ok(with_context(Transmission { config, observed_at, ..whole }, &context))
}

/// The report, whose offset is in head word `at`, and how many have signed it: the two lists of
/// the signatures' halves are next.
fn signed_report<'a>(
    arguments: &Arguments<'a>,
    at: usize,
    head: usize,
) -> Result<(Arguments<'a>, u8), DecodeError> {
    let bytes = arguments.byte_string(at)?;
    let (rs, rest) = arguments.list(at + 1)?;
    let (ss, _) = arguments.list(at + 2)?;
    if rs != ss || rs == 0 || rs > ORACLES_MAX || rs.saturating_mul(32) > rest.len() {
        return Err(DecodeError::Contradiction);
    }
    // Both contracts demand it, lest a transmitter be paid for calldata that nobody needs: the
    // head, three lengths, and what they are the lengths of.
    let length = (head + 3 + 2 * rs) * 32;
    if arguments.bytes.len() != length.saturating_add(bytes.len()) {
        return Err(DecodeError::Contradiction);
    }
    let signatures = u8::try_from(rs).or(Err(DecodeError::TooMuch))?;
    Ok((Arguments { bytes }, signatures))
}

/// The epoch and the round are the last five bytes of the context.
const fn with_context(read: Transmission, context: &B256) -> Transmission {
    let [.., a, b, c, d, round] = context.0;
    Transmission { epoch: u32::from_be_bytes([a, b, c, d]), round, ..read }
}

/// Observations as they stand in the report.
struct Observations<'a> {
    list: &'a [[u8; 32]],
}

impl<'a> Observations<'a> {
    fn read(report: &Arguments<'a>, at: usize) -> Result<Self, DecodeError> {
        let (count, bytes) = report.list(at)?;
        if count == 0 || count > ORACLES_MAX {
            return Err(DecodeError::TooMuch);
        }
        let list = Arguments { bytes }.head(count)?;
        let is_narrow = |word: &[u8; 32]| fits(answer_of(word), ANSWER_BITS);
        if list.iter().all(is_narrow) {
            Ok(Self { list })
        } else {
            Err(DecodeError::AmountTooLarge)
        }
    }

    fn are_sorted(&self) -> bool {
        self.list.is_sorted_by(|left, right| answer_of(left) <= answer_of(right))
    }

    /// What they come to, signed by so many; what else is known of it is added by others.
    fn with(&self, signatures: u8) -> Result<Transmission, DecodeError> {
        let median = self.list.get(self.list.len() / 2).ok_or(DecodeError::OutOfBounds)?;
        Ok(Transmission {
            aggregator: Address::ZERO,
            route: Route::Primary,
            forwarder: None,
            answer: answer_of(median),
            observations: u8::try_from(self.list.len()).or(Err(DecodeError::TooMuch))?,
            signatures,
            observed_at: None,
            epoch: 0,
            round: 0,
            config: B256::ZERO,
        })
    }
}

const fn answer_of(word: &[u8; 32]) -> I256 {
    I256::from_raw(U256::from_be_bytes(*word))
}

/// Whether a number is a signed one of so many bits.
pub(super) fn fits(number: I256, bits: usize) -> bool {
    let half = U256::ONE << (bits - 1);
    number.into_raw().wrapping_add(half).bit_len() <= bits
}

#[cfg(test)]
mod tests;
