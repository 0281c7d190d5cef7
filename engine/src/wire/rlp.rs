//! RLP (Ethereum's serialisation) into a caller's buffer, from either end.
//!
//! [`Writer`] goes left to right: `decode` re-encodes other people's transactions with it while
//! their JSON is read once. [`Tail`] goes right to left: `sign` writes our own envelopes with it,
//! so that what does not change stands still at the end and every header knows its length. Integers
//! are minimal, as consensus demands. A buffer that is too short is remembered and reported at the
//! end, never written past.
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::hex::{self, HexError};

/// The buffer is too short for what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RlpFull;

/// Longest header, in bytes.
pub const HEADER_BYTES_MAX: usize = 9;

/// What a list's header adds up to before its length.
const LIST: u8 = 0xc0;
/// What a string's header adds up to before its length.
const STRING: u8 = 0x80;
/// Longest payload whose length stands in the header's first byte.
const SHORT_MAX: usize = 55;
/// Room that [`Writer::begin_list`] keeps: the header of a payload of 256 to 65,535 bytes.
const LIST_ROOM: usize = 3;

/// Bytes of the header of a list (or of a string that is not a single small byte).
#[must_use]
#[inline]
pub const fn header_bytes(payload: usize) -> usize {
    if payload <= SHORT_MAX { 1 } else { 1 + significant_bytes(payload) }
}

/// Bytes of a list with this payload.
#[must_use]
#[inline]
pub const fn list_bytes(payload: usize) -> usize {
    header_bytes(payload) + payload
}

/// Bytes of `string`, encoded.
#[must_use]
#[inline]
pub const fn string_bytes(string: &[u8]) -> usize {
    match string {
        [byte] if *byte < STRING => 1,
        _ => header_bytes(string.len()) + string.len(),
    }
}

/// Bytes of the integer `value`, encoded.
#[must_use]
#[inline]
pub const fn u64_bytes(value: u64) -> usize {
    u128_bytes(value as u128)
}

/// Bytes of the integer `value`, encoded.
#[must_use]
#[inline]
pub const fn u128_bytes(value: u128) -> usize {
    if value < STRING as u128 { 1 } else { 1 + (16 - value.leading_zeros() as usize / 8) }
}

/// Bytes of the integer `value`, encoded.
#[must_use]
#[inline]
pub fn u256_bytes(value: &U256) -> usize {
    if *value < U256::from(STRING) { 1 } else { 1 + value.byte_len() }
}

/// Without leading zeros: the integer 0 is the empty string.
#[inline]
fn minimal(big_endian: &[u8]) -> &[u8] {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    big_endian.get(zeros..).unwrap_or_default()
}

#[inline]
const fn significant_bytes(value: usize) -> usize {
    (usize::BITS - value.leading_zeros()).div_ceil(8) as usize
}

/// A header's bytes, at the end of the array, and how many they are.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "both lengths were compared with a byte's worth"
)]
fn header(kind: u8, payload: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut bytes = [0; HEADER_BYTES_MAX];
    if payload <= SHORT_MAX {
        bytes[HEADER_BYTES_MAX - 1] = kind + payload as u8;
        return (bytes, 1);
    }
    let length = (payload as u64).to_be_bytes();
    bytes[1..].copy_from_slice(&length);
    let count = significant_bytes(payload);
    bytes[HEADER_BYTES_MAX - 1 - count] = kind + SHORT_MAX as u8 + count as u8;
    (bytes, 1 + count)
}

/// Writes left to right.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    is_full: bool,
}

/// Where a list was begun; give it back to [`Writer::end_list`].
#[derive(Debug)]
#[must_use = "a list that is not ended has no header"]
pub struct ListStart(usize);

impl<'a> Writer<'a> {
    /// Writes to `out` from its start.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, is_full: false }
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if let Some(space) = self.space(bytes.len()) {
            space.copy_from_slice(bytes);
        }
    }

    /// A string.
    #[inline]
    pub fn string(&mut self, string: &[u8]) {
        if !matches!(string, [byte] if *byte < STRING) {
            self.header(STRING, string.len());
        }
        self.raw(string);
    }

    /// A string that is given as `0x` and digits; decoded in place.
    ///
    /// # Errors
    /// When it is not `0x` and an even number of digits.
    #[inline]
    pub fn hex_string(&mut self, text: &[u8]) -> Result<(), HexError> {
        let count = text.len().saturating_sub(2) / 2;
        if count == 1 {
            self.string(&hex::fixed::<1>(text)?);
            return Ok(());
        }
        self.header(STRING, count);
        match self.space(count) {
            Some(space) => hex::bytes_into(text, space).map(|_| ()),
            None => Ok(()),
        }
    }

    /// An integer.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.string(minimal(&value.to_be_bytes()));
    }

    /// An integer.
    #[inline]
    pub fn u128(&mut self, value: u128) {
        self.string(minimal(&value.to_be_bytes()));
    }

    /// An integer.
    #[inline]
    pub fn u256(&mut self, value: &U256) {
        self.string(minimal(&value.to_be_bytes::<32>()));
    }

    /// An integer given as its 32 bytes (half of a signature, for one).
    #[inline]
    pub fn word(&mut self, big_endian: &[u8; 32]) {
        self.string(minimal(big_endian));
    }

    /// Begins a list: everything until [`end_list`](Self::end_list) is in it.
    #[inline]
    pub fn begin_list(&mut self) -> ListStart {
        let start = self.at;
        // Room for the header that a middling list needs; others are moved when they end.
        self.space(LIST_ROOM);
        ListStart(start)
    }

    /// Ends the list begun at `start`.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "a list is ended once")]
    pub fn end_list(&mut self, start: ListStart) {
        let payload_start = start.0 + LIST_ROOM;
        let Some(payload) = self.at.checked_sub(payload_start) else {
            self.is_full = true;
            return;
        };
        let (header, length) = header(LIST, payload);
        let target = start.0 + length;
        if self.is_full || target + payload > self.out.len() {
            self.is_full = true;
            return;
        }
        if target != payload_start {
            self.out.copy_within(payload_start..self.at, target);
        }
        self.out[start.0..target].copy_from_slice(&header[HEADER_BYTES_MAX - length..]);
        self.at = target + payload;
    }

    /// How many bytes were written.
    ///
    /// # Errors
    /// When the buffer was too short.
    #[inline]
    pub const fn finish(self) -> Result<usize, RlpFull> {
        if self.is_full { Err(RlpFull) } else { Ok(self.at) }
    }

    #[inline]
    fn header(&mut self, kind: u8, payload: usize) {
        let (header, length) = header(kind, payload);
        self.raw(&header[HEADER_BYTES_MAX - length..]);
    }

    #[inline]
    fn space(&mut self, length: usize) -> Option<&mut [u8]> {
        let space = self.out.get_mut(self.at..).and_then(|rest| rest.get_mut(..length));
        match space {
            Some(_) => self.at += length,
            None => self.is_full = true,
        }
        space
    }
}

/// Writes right to left: what is written later stands before what was written earlier.
#[derive(Debug)]
pub struct Tail<'a> {
    out: &'a mut [u8],
    start: usize,
    is_full: bool,
}

impl<'a> Tail<'a> {
    /// Writes to `out` from its end.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        let start = out.len();
        Self { out, start, is_full: false }
    }

    /// Goes on before the last `written` bytes of `out`, which stand already.
    #[must_use]
    pub const fn after(out: &'a mut [u8], written: usize) -> Self {
        let (start, is_full) = match out.len().checked_sub(written) {
            Some(start) => (start, false),
            None => (0, true),
        };
        Self { out, start, is_full }
    }

    /// Bytes from here to the end of the buffer; see [`list_since`](Self::list_since).
    #[must_use]
    #[inline]
    pub const fn written(&self) -> usize {
        self.out.len() - self.start
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        let space = self.start.checked_sub(bytes.len());
        if let Some(start) = space
            && let Some(space) = self.out.get_mut(start..self.start)
        {
            space.copy_from_slice(bytes);
            self.start = start;
        } else {
            self.is_full = true;
        }
    }

    /// A string.
    #[inline]
    pub fn string(&mut self, string: &[u8]) {
        self.raw(string);
        if !matches!(string, [byte] if *byte < STRING) {
            self.header(STRING, string.len());
        }
    }

    /// An integer.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.string(minimal(&value.to_be_bytes()));
    }

    /// An integer.
    #[inline]
    pub fn u128(&mut self, value: u128) {
        self.string(minimal(&value.to_be_bytes()));
    }

    /// An integer.
    #[inline]
    pub fn u256(&mut self, value: &U256) {
        self.string(minimal(&value.to_be_bytes::<32>()));
    }

    /// The header of a string of everything that stands since [`written`](Self::written) was
    /// `mark`.
    #[inline]
    pub fn string_since(&mut self, mark: usize) {
        let Some(payload) = self.written().checked_sub(mark) else {
            self.is_full = true;
            return;
        };
        let is_itself = payload == 1 && self.out.get(self.start).is_some_and(|byte| *byte < STRING);
        if !is_itself {
            self.header(STRING, payload);
        }
    }

    /// The header of a list of everything that was written since [`written`](Self::written) was
    /// `mark`.
    #[inline]
    pub fn list_since(&mut self, mark: usize) {
        match self.written().checked_sub(mark) {
            Some(payload) => self.header(LIST, payload),
            None => self.is_full = true,
        }
    }

    /// What was written: the last bytes of the buffer.
    ///
    /// # Errors
    /// When the buffer was too short.
    #[inline]
    pub fn finish(self) -> Result<&'a [u8], RlpFull> {
        if self.is_full {
            return Err(RlpFull);
        }
        self.out.get(self.start..).ok_or(RlpFull)
    }

    #[inline]
    fn header(&mut self, kind: u8, payload: usize) {
        let (header, length) = header(kind, payload);
        self.raw(&header[HEADER_BYTES_MAX - length..]);
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use alloy::rlp::{Encodable, Header};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::hex::encode_into;

    /// What is written, in the order of the bytes.
    #[derive(Clone, Debug)]
    enum Node {
        String(Vec<u8>),
        Integer(U256),
        List(Vec<Self>),
    }

    fn reference(node: &Node, out: &mut Vec<u8>) {
        match node {
            Node::String(string) => string.as_slice().encode(out),
            Node::Integer(value) => value.encode(out),
            Node::List(list) => {
                let mut payload = Vec::new();
                list.iter().for_each(|node| reference(node, &mut payload));
                Header { list: true, payload_length: payload.len() }.encode(out);
                out.extend(payload);
            }
        }
    }

    fn forwards(node: &Node, out: &mut Writer<'_>) {
        match node {
            Node::String(string) if string.len() % 2 == 0 => out.string(string),
            Node::String(string) => {
                let mut text = vec![0; 2 + 2 * string.len()];
                encode_into(string, &mut text).unwrap();
                out.hex_string(&text).unwrap();
            }
            Node::Integer(value) => match (u64::try_from(*value), u128::try_from(*value)) {
                (Ok(value), _) => out.u64(value),
                (_, Ok(value)) => out.u128(value),
                _ if value.bit(0) => out.u256(value),
                _ => out.word(&value.to_be_bytes()),
            },
            Node::List(list) => {
                let start = out.begin_list();
                list.iter().for_each(|node| forwards(node, out));
                out.end_list(start);
            }
        }
    }

    fn backwards(node: &Node, out: &mut Tail<'_>) {
        match node {
            Node::String(string) if string.len() % 2 == 0 => out.string(string),
            Node::String(string) => {
                let mark = out.written();
                out.raw(string);
                out.string_since(mark);
            }
            Node::Integer(value) => match (u64::try_from(*value), u128::try_from(*value)) {
                (Ok(value), _) => out.u64(value),
                (_, Ok(value)) => out.u128(value),
                _ => out.u256(value),
            },
            Node::List(list) => {
                let mark = out.written();
                list.iter().rev().for_each(|node| backwards(node, out));
                out.list_since(mark);
            }
        }
    }

    fn size(node: &Node) -> usize {
        match node {
            Node::String(string) => string_bytes(string),
            Node::Integer(value) => match (u64::try_from(*value), u128::try_from(*value)) {
                (Ok(value), _) => u64_bytes(value),
                (_, Ok(value)) => u128_bytes(value),
                _ => u256_bytes(value),
            },
            Node::List(list) => list_bytes(list.iter().map(size).sum()),
        }
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let lengths = prop_oneof![0..4_usize, 50..60_usize, 250..260_usize, 0..600_usize];
        let leaf = prop_oneof![
            lengths
                .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
                .prop_map(Node::String),
            (any::<[u64; 4]>(), 0..256_usize)
                .prop_map(|(limbs, shift)| Node::Integer(U256::from_limbs(limbs) >> shift)),
        ];
        leaf.prop_recursive(4, 40, 8, |inner| {
            proptest::collection::vec(inner, 0..8).prop_map(Node::List)
        })
    }

    proptest! {
        #[test]
        fn both_directions_write_what_alloy_rlp_writes(node in nodes()) {
            let mut expected = Vec::new();
            reference(&node, &mut expected);
            prop_assert_eq!(size(&node), expected.len());

            // Room for what nested lists reserve before they end.
            let mut out = vec![0; expected.len() + 64];
            let mut writer = Writer::new(&mut out);
            forwards(&node, &mut writer);
            let length = writer.finish().unwrap();
            prop_assert_eq!(&out[..length], &expected[..]);

            let mut out = vec![0; expected.len()];
            let mut tail = Tail::new(&mut out);
            backwards(&node, &mut tail);
            prop_assert_eq!(tail.finish().unwrap(), &expected[..]);
        }

        #[test]
        fn a_short_buffer_is_reported_and_nothing_panics(
            node in nodes(), missing in any::<proptest::sample::Index>(),
        ) {
            let mut expected = Vec::new();
            reference(&node, &mut expected);
            let mut out = vec![0; missing.index(expected.len())];
            let mut writer = Writer::new(&mut out);
            forwards(&node, &mut writer);
            prop_assert_eq!(writer.finish(), Err(RlpFull));
            let mut tail = Tail::new(&mut out);
            backwards(&node, &mut tail);
            prop_assert_eq!(tail.finish(), Err(RlpFull));
        }
    }

    #[test]
    fn long_payloads_have_long_headers() {
        for payload in [0_usize, 55, 56, 255, 256, 65_535, 65_536, 100_000] {
            let mut expected = Vec::new();
            Header { list: true, payload_length: payload }.encode(&mut expected);
            assert_eq!(header_bytes(payload), expected.len());
            expected.resize(expected.len() + payload, 1);
            let mut out = vec![0; expected.len() + LIST_ROOM];
            let mut writer = Writer::new(&mut out);
            let start = writer.begin_list();
            writer.raw(&vec![1; payload]);
            writer.end_list(start);
            let length = writer.finish().unwrap();
            assert_eq!(&out[..length], &expected[..]);
        }
    }

    #[test]
    fn a_tail_goes_on_before_what_stands() {
        let mut out = [0; 8];
        let mut tail = Tail::new(&mut out);
        tail.u64(5);
        let written = tail.written();
        let mut tail = Tail::after(&mut out, written);
        tail.u64(0x400);
        tail.list_since(0);
        tail.raw(&[2]);
        assert_eq!(tail.finish(), Ok(&[2, 0xc4, 0x82, 4, 0, 5][..]));
        assert_eq!(Tail::after(&mut out, 9).finish(), Err(RlpFull));
    }
}
