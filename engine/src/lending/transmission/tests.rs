//! Calldata of transmissions: real, made up, and cut or bent at every place.
//!
//! Temperature: cold.

use std::vec::Vec;

use alloy_primitives::{address, b256, hex};
use proptest::prelude::*;

use super::*;

/// `transmit` in block 18,085,863 (OCR1), of EUR/USD's shape: 15 observations, 6 signatures.
const AGGREGATOR: Address = address!("d663f0ee4ba3a251cc7f093b8affcb9ad4a4c635");
const OBSERVATIONS: [u32; 15] = [
    0x0183_ef66,
    0x0183_ef66,
    0x0183_fd50,
    0x0183_fd50,
    0x0184_19a1,
    0x0184_1a1b,
    0x0184_1a1b,
    0x0184_22cd,
    0x0184_2412,
    0x0184_245b,
    0x0184_245b,
    0x0184_245b,
    0x0184_245b,
    0x0184_2f00,
    0x0184_a536,
];
/// The context of its report: padding, configuration, epoch and round.
const CONTEXT: B256 = b256!("0000000000000000000000436ef9ee37f3839f40bd5626c1f3f3d600003c6705");

fn put(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&U256::from(word).to_be_bytes::<32>());
}

fn signatures(out: &mut Vec<u8>) {
    for _ in 0..2 {
        put(out, 6);
        (0..6).for_each(|_| out.extend_from_slice(&[0x5a; 32]));
    }
}

fn first(observations: &[u32]) -> Vec<u8> {
    let mut report = CONTEXT.to_vec();
    report.extend_from_slice(&[1; 32]);
    put(&mut report, 96);
    put(&mut report, observations.len() as u64);
    observations.iter().for_each(|seen| put(&mut report, u64::from(*seen)));
    let mut data = TRANSMIT_OCR1.to_vec();
    let length = report.len() as u64;
    [128, 160 + length, 160 + length + 224, 0].iter().for_each(|word| put(&mut data, *word));
    put(&mut data, length);
    data.extend_from_slice(&report);
    signatures(&mut data);
    data
}

fn second(selector: [u8; 4], observations: &[u32]) -> Vec<u8> {
    let mut report = Vec::new();
    [1_800_000_000, 7, 128, 15].iter().for_each(|word| put(&mut report, *word));
    put(&mut report, observations.len() as u64);
    observations.iter().for_each(|seen| put(&mut report, u64::from(*seen)));
    let mut data = selector.to_vec();
    data.extend_from_slice(&[0xcc; 32]);
    put(&mut data, (77 << 8) | 3);
    put(&mut data, 0);
    let length = report.len() as u64;
    [224, 256 + length, 256 + length + 224, 0].iter().for_each(|word| put(&mut data, *word));
    put(&mut data, length);
    data.extend_from_slice(&report);
    signatures(&mut data);
    data
}

fn forwarded(to: Address, inner: &[u8]) -> Vec<u8> {
    let mut data = FORWARD.to_vec();
    data.extend_from_slice(to.into_word().as_slice());
    put(&mut data, 64);
    put(&mut data, inner.len() as u64);
    data.extend_from_slice(inner);
    data.extend_from_slice(&[0; 28]);
    data
}

#[test]
fn the_first_protocol_is_read_as_it_landed() {
    let read = Transmission::parse(AGGREGATOR, &first(&OBSERVATIONS)).unwrap();
    assert_eq!(
        read,
        Transmission {
            aggregator: AGGREGATOR,
            route: Route::Primary,
            forwarder: None,
            answer: I256::try_from(0x0184_22cd).unwrap(),
            observations: 15,
            signatures: 6,
            observed_at: None,
            epoch: 0x3c67,
            round: 5,
            config: B256::left_padding_from(&hex!("436ef9ee37f3839f40bd5626c1f3f3d6")),
        }
    );
}

#[test]
fn the_second_protocol_is_read_by_either_route_and_through_forwarders() {
    let [forwarder, outer] = [Address::repeat_byte(0xf0), Address::repeat_byte(0xf1)];
    for (selector, route) in
        [(TRANSMIT_OCR2, Route::Primary), (TRANSMIT_SECONDARY, Route::Secondary)]
    {
        let data = second(selector, &OBSERVATIONS);
        let read = Transmission::parse(AGGREGATOR, &data).unwrap();
        assert_eq!((read.route, read.observed_at), (route, Some(1_800_000_000)));
        assert_eq!((read.epoch, read.round, read.config), (77, 3, B256::repeat_byte(0xcc)));
        assert_eq!(read.answer, I256::try_from(0x0184_22cd).unwrap());
        let once = forwarded(AGGREGATOR, &data);
        let through = Transmission::parse(forwarder, &once).unwrap();
        assert_eq!(through, Transmission { forwarder: Some(forwarder), ..read });
        let twice = Transmission::parse(outer, &forwarded(forwarder, &once)).unwrap();
        assert_eq!(twice, Transmission { forwarder: Some(outer), ..read });
    }
}

#[test]
fn an_even_number_of_observations_has_its_upper_median() {
    let read = Transmission::parse(AGGREGATOR, &second(TRANSMIT_OCR2, &[1, 2, 3, 4])).unwrap();
    assert_eq!(read.answer, I256::try_from(3).unwrap());
}

#[test]
fn only_the_first_protocol_asks_for_an_order() {
    let seen = [3, 9, 1];
    assert_eq!(Transmission::parse(AGGREGATOR, &first(&seen)), Err(DecodeError::Contradiction));
    let read = Transmission::parse(AGGREGATOR, &second(TRANSMIT_OCR2, &seen)).unwrap();
    assert_eq!(read.answer, I256::try_from(9).unwrap());
}

#[test]
fn what_the_contracts_refuse_is_refused() {
    let parse = |data: &[u8]| Transmission::parse(AGGREGATOR, data);
    assert_eq!(parse(&[]), Err(DecodeError::OutOfBounds));
    assert_eq!(parse(&[1, 2, 3, 4]), Err(DecodeError::Unknown));
    assert_eq!(parse(&FORWARD), Err(DecodeError::OutOfBounds));
    for selector in [TRANSMIT_OCR1, TRANSMIT_OCR2, TRANSMIT_SECONDARY] {
        assert_eq!(parse(&selector), Err(DecodeError::OutOfBounds));
    }
    for data in [first(&OBSERVATIONS), second(TRANSMIT_OCR2, &OBSERVATIONS)] {
        assert!(parse(&data).is_ok());
        assert!(parse(&[&data[..], &[0]].concat()).is_err(), "a byte too many");
        for end in 0..data.len() {
            assert!(parse(&data[..end]).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn too_few_observations_or_too_many_or_forwarders_in_forwarders_are_refused() {
    let parse = |data: &[u8]| Transmission::parse(AGGREGATOR, data);
    assert!(parse(&first(&[])).is_err() && parse(&second(TRANSMIT_OCR2, &[])).is_err());
    let many = [5; 32];
    assert!(parse(&first(&many)).is_err() && parse(&second(TRANSMIT_OCR2, &many)).is_err());
    let mut nested = second(TRANSMIT_OCR2, &OBSERVATIONS);
    for _ in 0..FORWARDS_MAX {
        nested = forwarded(AGGREGATOR, &nested);
        assert!(parse(&nested).is_ok());
    }
    assert_eq!(parse(&forwarded(AGGREGATOR, &nested)), Err(DecodeError::TooMuch));
}

#[test]
fn an_answer_has_192_bits() {
    let edge = I256::from_raw(U256::ONE << 191);
    assert!(fits(edge - I256::ONE, 192) && !fits(edge, 192));
    assert!(fits(-edge, 192) && !fits(-edge - I256::ONE, 192));
    assert!(fits(I256::MINUS_ONE, 192) && fits(I256::ZERO, 192) && !fits(I256::MIN, 192));
    let mut data = second(TRANSMIT_OCR2, &OBSERVATIONS);
    // The first byte of the first observation.
    let at = 4 + 7 * 32 + 32 + 5 * 32;
    data[at] = 1;
    assert_eq!(Transmission::parse(AGGREGATOR, &data), Err(DecodeError::AmountTooLarge));
    data[at..at + 32].fill(0xff);
    assert!(Transmission::parse(AGGREGATOR, &data).is_ok(), "a negative observation");
}

proptest! {
    #[test]
    fn hostile_calldata_is_an_error_or_a_transmission(
        which in 0..4_usize,
        bends in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut data = match which {
            0 => first(&OBSERVATIONS),
            1 => second(TRANSMIT_OCR2, &OBSERVATIONS),
            2 => forwarded(AGGREGATOR, &second(TRANSMIT_SECONDARY, &OBSERVATIONS)),
            _ => FORWARD.to_vec(),
        };
        data.extend_from_slice(&tail);
        for (at, byte) in bends {
            let at = at.index(data.len());
            data[at] = byte;
        }
        if let Ok(read) = Transmission::parse(AGGREGATOR, &data) {
            prop_assert!(read.observations > 0 && fits(read.answer, ANSWER_BITS));
        }
    }
}
