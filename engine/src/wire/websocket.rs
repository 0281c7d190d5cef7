//! WebSocket frames (RFC 6455, client side) without I/O: one fixed buffer in, messages out.
//!
//! The shell reads its socket into [`Reader::spare`], says how much came with [`Reader::filled`],
//! and takes messages from [`Reader::next`] until there is none. Messages are lent out of the
//! buffer. Fragments are put together in place, control frames may stand between them, and a
//! message longer than the capacity is skipped by its length, never buffered, and reported once
//! when it has passed. After a protocol error or a close the reader yields nothing more: the
//! connection is to be dropped.
//!
//! Text is not checked to be UTF-8: the JSON scanner does not depend on it, and the check would
//! cost as much as the scan.
//!
//! Temperature: hot.

use alloc::boxed::Box;
use alloc::vec;

use super::{Message, WireError};

/// Longest header of a frame, in bytes: two bytes, a 64-bit length and a mask.
pub const HEADER_BYTES_MAX: usize = 14;
/// Longest payload of a control frame, in bytes.
pub const CONTROL_BYTES_MAX: usize = 125;
/// Room beyond the longest message: a control frame may stand between its last two fragments.
const HEADROOM_BYTES: usize = 2 + CONTROL_BYTES_MAX;
/// So few bytes are moved before every read, which keeps the data where memory is warm. When at
/// most this much room is left after the data, more is moved too, if that is cheap.
const SPARE_BYTES_MIN: usize = 4_096;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message before.
    Continuation = 0,
    /// Text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question whether the peer is there.
    Ping = 9,
    /// The answer to it.
    Pong = 10,
}

impl Opcode {
    const fn of(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }
}

/// A message whose last fragment has not come yet.
#[derive(Clone, Copy, Debug)]
enum Partial {
    /// There is none.
    None,
    /// Its fragments so far are kept at the front of the data.
    Kept { is_text: bool },
    /// It is too long; so many bytes of it have passed.
    Passed { bytes: u64 },
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    opcode: Opcode,
    is_final: bool,
    header_bytes: usize,
    payload_bytes: u64,
}

/// A frame that is being skipped.
#[derive(Clone, Copy, Debug, Default)]
struct Skip {
    left: u64,
    is_final: bool,
}

/// Reads frames out of one fixed buffer.
///
/// ```text
/// | free | kept fragments | gap | unread | spare |
///        kept.start        kept.end  read    end
/// ```
#[derive(Debug)]
pub struct Reader {
    buffer: Box<[u8]>,
    /// Longest message that is lent out, in bytes.
    capacity: usize,
    kept_start: usize,
    kept_end: usize,
    read: usize,
    end: usize,
    partial: Partial,
    skip: Option<Skip>,
    is_over: bool,
}

impl Reader {
    /// A reader of messages up to `capacity_bytes`; the only allocation.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let buffer = vec![0; capacity_bytes.saturating_add(HEADROOM_BYTES)].into_boxed_slice();
        Self {
            buffer,
            capacity: capacity_bytes,
            kept_start: 0,
            kept_end: 0,
            read: 0,
            end: 0,
            partial: Partial::None,
            skip: None,
            is_over: false,
        }
    }

    /// Where to read the socket to; never empty once [`next`](Self::next) has returned `None`.
    #[must_use]
    pub fn spare(&mut self) -> &mut [u8] {
        if self.is_over || (self.read == self.end && self.kept_bytes() == 0) {
            // Nothing is left to move, which is the usual case after a drained read.
            (self.kept_start, self.kept_end, self.read, self.end) = (0, 0, 0, 0);
        } else if self.must_move() {
            self.move_to_front();
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Bytes that were read and not looked at yet.
    #[must_use]
    pub const fn unread_bytes(&self) -> usize {
        self.end - self.read
    }

    /// Says that `count` bytes were read to the start of [`spare`](Self::spare).
    pub fn filled(&mut self, count: usize) {
        debug_assert!(count <= self.buffer.len() - self.end, "no more than there was room for");
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// The next message, or `None` when more bytes are needed or the connection is over.
    ///
    /// # Errors
    /// When the peer breaks the protocol; after that there are no more messages.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what is lent out borrows the reader")]
    pub fn next(&mut self) -> Option<Result<Message<'_>, WireError>> {
        if self.is_over {
            return None;
        }
        // Each round takes at least a header or skipped bytes from the buffer, or returns.
        loop {
            let step = match self.skip {
                Some(skip) => Ok(self.pass(skip)),
                None => self.step(),
            };
            match step {
                Ok(Step::More) => {}
                Ok(Step::Wait) => return None,
                Ok(Step::Done(found)) => return Some(Ok(self.lend(found))),
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads one frame, if all of it is there.
    #[inline]
    fn step(&mut self) -> Result<Step, WireError> {
        let Some(header) = self.header()? else { return Ok(Step::Wait) };
        self.check_order(&header)?;
        let is_control = header.opcode as u8 & CONTROL != 0;
        let room = if is_control { CONTROL_BYTES_MAX } else { self.capacity - self.kept_bytes() };
        let payload = match usize::try_from(header.payload_bytes) {
            Ok(payload) if payload <= room && !self.is_passing(is_control) => payload,
            Ok(_) | Err(_) => {
                self.start_skip(&header);
                return Ok(Step::More);
            }
        };
        if self.end - self.read < header.header_bytes + payload {
            return Ok(Step::Wait);
        }
        let start = self.read + header.header_bytes;
        self.read = start + payload;
        let span = Span { start, end: self.read };
        match header.opcode {
            Opcode::Ping => Ok(Step::Done(Found::Ping(span))),
            Opcode::Pong => Ok(Step::Done(Found::Pong(span))),
            Opcode::Close => self.close(span),
            Opcode::Text | Opcode::Binary | Opcode::Continuation => Ok(self.keep(&header, span)),
        }
    }

    /// The header at `read`, if it is there, checked for everything that needs no memory.
    #[inline]
    fn header(&self) -> Result<Option<Header>, WireError> {
        let unread = self.buffer.get(self.read..self.end).unwrap_or_default();
        let [first, second, rest @ ..] = unread else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(WireError::ReservedBits);
        }
        let opcode = Opcode::of(first & OPCODE).ok_or(WireError::ReservedOpcode)?;
        let is_final = first & FIN != 0;
        if second & MASKED != 0 {
            return Err(WireError::Masked);
        }
        if first & CONTROL != 0 && !is_final {
            return Err(WireError::FragmentedControl);
        }
        if first & CONTROL != 0 && usize::from(*second) > CONTROL_BYTES_MAX {
            return Err(WireError::ControlTooLong);
        }
        let Some((length_bytes, payload_bytes)) = length(*second, rest)? else { return Ok(None) };
        Ok(Some(Header { opcode, is_final, header_bytes: 2 + length_bytes, payload_bytes }))
    }

    #[inline]
    const fn check_order(&self, header: &Header) -> Result<(), WireError> {
        let is_inside = !matches!(self.partial, Partial::None);
        match header.opcode {
            Opcode::Continuation if !is_inside => Err(WireError::Continuation),
            Opcode::Text | Opcode::Binary if is_inside => Err(WireError::Interrupted),
            Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary
            | Opcode::Close
            | Opcode::Ping
            | Opcode::Pong => Ok(()),
        }
    }

    /// Puts a data frame's payload behind the fragments before it; lends all of it out at the end.
    #[inline]
    fn keep(&mut self, header: &Header, span: Span) -> Step {
        let is_text = match self.partial {
            Partial::Kept { is_text } => {
                self.buffer.copy_within(span.start..span.end, self.kept_end);
                self.kept_end += span.end - span.start;
                is_text
            }
            Partial::None | Partial::Passed { .. } => {
                (self.kept_start, self.kept_end) = (span.start, span.end);
                header.opcode == Opcode::Text
            }
        };
        if !header.is_final {
            self.partial = Partial::Kept { is_text };
            return Step::More;
        }
        let span = Span { start: self.kept_start, end: self.kept_end };
        self.forget_kept();
        Step::Done(if is_text { Found::Text(span) } else { Found::Binary(span) })
    }

    fn close(&mut self, span: Span) -> Result<Step, WireError> {
        self.is_over = true;
        match self.buffer.get(span.start..span.end).unwrap_or_default() {
            [] => Ok(Step::Done(Found::Close(None))),
            [_] => Err(WireError::CloseCode),
            [high, low, ..] => {
                Ok(Step::Done(Found::Close(Some(u16::from_be_bytes([*high, *low])))))
            }
        }
    }

    /// Starts to skip the frame of `header`, and with it the message that it is part of.
    #[cold]
    const fn start_skip(&mut self, header: &Header) {
        let before = match self.partial {
            Partial::None => 0,
            Partial::Kept { .. } => self.kept_bytes() as u64,
            Partial::Passed { bytes } => bytes,
        };
        self.forget_kept();
        self.partial = Partial::Passed { bytes: before.saturating_add(header.payload_bytes) };
        self.read += header.header_bytes;
        self.skip = Some(Skip { left: header.payload_bytes, is_final: header.is_final });
    }

    /// Skips what is there of the frame that is being skipped.
    #[cold]
    fn pass(&mut self, skip: Skip) -> Step {
        let unread = self.end - self.read;
        let take = usize::try_from(skip.left).map_or(unread, |left| left.min(unread));
        self.read += take;
        let left = skip.left - take as u64;
        if left > 0 {
            self.skip = Some(Skip { left, ..skip });
            return Step::Wait;
        }
        self.skip = None;
        match self.partial {
            Partial::Passed { bytes } if skip.is_final => {
                self.partial = Partial::None;
                Step::Done(Found::Skipped(bytes))
            }
            Partial::None | Partial::Kept { .. } | Partial::Passed { .. } => Step::More,
        }
    }

    const fn is_passing(&self, is_control: bool) -> bool {
        matches!(self.partial, Partial::Passed { .. }) && !is_control
    }

    const fn kept_bytes(&self) -> usize {
        self.kept_end - self.kept_start
    }

    const fn forget_kept(&mut self) {
        self.partial = Partial::None;
        (self.kept_start, self.kept_end) = (self.read, self.read);
    }

    #[inline]
    fn lend(&self, found: Found) -> Message<'_> {
        let bytes = |span: Span| self.buffer.get(span.start..span.end).unwrap_or_default();
        match found {
            Found::Text(span) => Message::Text(bytes(span)),
            Found::Binary(span) => Message::Binary(bytes(span)),
            Found::Ping(span) => Message::Ping(bytes(span)),
            Found::Pong(span) => Message::Pong(bytes(span)),
            Found::Close(code) => Message::Close { code },
            Found::Skipped(bytes) => Message::Skipped { bytes },
        }
    }

    /// Whether the data must be moved to the front before more is read: because it is little,
    /// because the frame at hand would not fit, or because little room is left and no more is moved
    /// than was read since the last time. What is much is moved a bounded number of times on
    /// average.
    #[inline]
    fn must_move(&self) -> bool {
        let room = self.buffer.len() - self.end;
        let unread = self.end - self.read;
        let live = self.kept_bytes() + unread;
        let freed = self.end - live;
        if freed == 0 {
            return false;
        }
        let wanted = match self.header() {
            Ok(Some(header)) => usize::try_from(header.payload_bytes)
                .map_or(1, |payload| payload.saturating_add(header.header_bytes))
                .saturating_sub(unread),
            Ok(None) | Err(_) => HEADER_BYTES_MAX,
        };
        live <= SPARE_BYTES_MIN || room < wanted || (room < SPARE_BYTES_MIN && live <= freed)
    }

    fn move_to_front(&mut self) {
        let kept = self.kept_bytes();
        if kept > 0 && self.kept_start > 0 {
            self.buffer.copy_within(self.kept_start..self.kept_end, 0);
        }
        (self.kept_start, self.kept_end) = (0, kept);
        self.buffer.copy_within(self.read..self.end, kept);
        self.end -= self.read - kept;
        self.read = kept;
    }
}

/// What became of one round.
enum Step {
    /// Go on.
    More,
    /// Bytes are missing.
    Wait,
    /// A message.
    Done(Found),
}

/// A message by its place in the buffer.
#[derive(Clone, Copy)]
enum Found {
    Text(Span),
    Binary(Span),
    Ping(Span),
    Pong(Span),
    Close(Option<u16>),
    Skipped(u64),
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// Reads a payload length: how many bytes it takes after the second, and what it is.
#[inline]
fn length(second: u8, rest: &[u8]) -> Result<Option<(usize, u64)>, WireError> {
    match second {
        0..=125 => Ok(Some((0, u64::from(second)))),
        126 => {
            let Some(bytes) = rest.first_chunk::<2>() else { return Ok(None) };
            let length = u16::from_be_bytes(*bytes);
            if length <= 125 {
                return Err(WireError::LengthNotMinimal);
            }
            Ok(Some((2, u64::from(length))))
        }
        127.. => {
            let Some(bytes) = rest.first_chunk::<8>() else { return Ok(None) };
            let length = u64::from_be_bytes(*bytes);
            if length <= u64::from(u16::MAX) {
                return Err(WireError::LengthNotMinimal);
            }
            if length >> 63 != 0 {
                return Err(WireError::LengthTooLarge);
            }
            Ok(Some((8, length)))
        }
    }
}

/// Bytes of the header of a frame of ours (masked) with this payload.
#[must_use]
#[inline]
pub const fn header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 6,
        126..=0xffff => 8,
        _ => HEADER_BYTES_MAX,
    }
}

/// Writes the header of a whole message of ours to the start of `out` and returns its length; 0 if
/// `out` is too short.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each arm holds only lengths that fit")]
pub fn encode_header(opcode: Opcode, payload_bytes: usize, mask: [u8; 4], out: &mut [u8]) -> usize {
    let length = header_bytes(payload_bytes);
    let Some([first, second, rest @ ..]) = out.get_mut(..length) else { return 0 };
    *first = FIN | opcode as u8;
    match payload_bytes {
        0..=125 => *second = MASKED | payload_bytes as u8,
        126..=0xffff => {
            *second = MASKED | 126;
            rest[..2].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            *second = MASKED | 127;
            rest[..8].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    rest[length - 6..].copy_from_slice(&mask);
    length
}

/// Masks a payload (or unmasks it: both are the same), words at a time.
#[inline]
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<{ size_of::<u64>() }>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    // Words are a multiple of the key's length, so the rest starts with its first byte again.
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{self, Read, Write};
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;
    use tungstenite::protocol::{Role, WebSocketConfig};

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Seen {
        Text(Vec<u8>),
        Binary(Vec<u8>),
        Ping(Vec<u8>),
        Pong(Vec<u8>),
        Close(Option<u16>),
        Skipped(u64),
        Error(WireError),
    }

    impl Seen {
        fn of(next: Result<Message<'_>, WireError>) -> Self {
            match next {
                Ok(Message::Text(bytes)) => Self::Text(bytes.to_vec()),
                Ok(Message::Binary(bytes)) => Self::Binary(bytes.to_vec()),
                Ok(Message::Ping(bytes)) => Self::Ping(bytes.to_vec()),
                Ok(Message::Pong(bytes)) => Self::Pong(bytes.to_vec()),
                Ok(Message::Close { code }) => Self::Close(code),
                Ok(Message::Skipped { bytes }) => Self::Skipped(bytes),
                Err(error) => Self::Error(error),
            }
        }
    }

    /// Feeds `stream` in reads of the given sizes, round and round.
    fn read_all(reader: &mut Reader, mut stream: &[u8], chunks: &[usize]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut chunks = chunks.iter().cycle();
        loop {
            while let Some(next) = reader.next() {
                seen.push(Seen::of(next));
            }
            if stream.is_empty() {
                return seen;
            }
            let spare = reader.spare();
            assert!(!spare.is_empty(), "there is always room");
            let count = spare.len().min(stream.len()).min(*chunks.next().unwrap());
            spare[..count].copy_from_slice(&stream[..count]);
            reader.filled(count);
            stream = &stream[count..];
        }
    }

    /// A server's frame, as it should be.
    fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![opcode | if is_final { FIN } else { 0 }];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ 0..=125), _) => out.push(length),
            (_, Ok(length)) => {
                out.push(126);
                out.extend(length.to_be_bytes());
            }
            (_, Err(_)) => {
                out.push(127);
                out.extend((payload.len() as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        out
    }

    /// A message and how it is sent: the sizes of its fragments, and what stands between them.
    #[derive(Clone, Debug)]
    struct Sent {
        message: Seen,
        cuts: Vec<prop::sample::Index>,
        between: Vec<Seen>,
    }

    impl Sent {
        fn write(&self, out: &mut Vec<u8>, expected: &mut Vec<Seen>) {
            let (Seen::Text(payload) | Seen::Binary(payload)) = &self.message else {
                unreachable!("{self:?}");
            };
            let opcode = if matches!(self.message, Seen::Text(_)) { 1 } else { 2 };
            let mut cuts: Vec<_> =
                self.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(payload.len());
            let mut between = self.between.iter();
            let mut start = 0;
            for (index, end) in cuts.iter().enumerate() {
                let opcode = if index == 0 { opcode } else { 0 };
                let is_final = index + 1 == cuts.len();
                out.extend(frame(opcode, is_final, &payload[start..*end]));
                start = *end;
                if let Some(control) = between.next().filter(|_| !is_final) {
                    write_control(control, out);
                    expected.push(control.clone());
                }
            }
            expected.push(self.message.clone());
        }
    }

    fn write_control(control: &Seen, out: &mut Vec<u8>) {
        let (Seen::Ping(payload) | Seen::Pong(payload)) = control else {
            unreachable!("{control:?}");
        };
        let opcode = if matches!(control, Seen::Ping(_)) { 9 } else { 10 };
        out.extend(frame(opcode, true, payload));
    }

    fn controls() -> impl Strategy<Value = Seen> {
        (any::<bool>(), prop::collection::vec(any::<u8>(), 0..=125)).prop_map(|(is_ping, bytes)| {
            if is_ping { Seen::Ping(bytes) } else { Seen::Pong(bytes) }
        })
    }

    fn messages() -> impl Strategy<Value = Seen> {
        let length = prop_oneof![0..4_usize, 120..130_usize, 0..3_000_usize, 65_530..65_540_usize];
        (length, any::<bool>(), any::<u8>()).prop_map(|(length, is_text, seed)| {
            let bytes = (0..=u8::MAX).cycle().take(length).map(|at| at.wrapping_mul(31) ^ seed);
            if is_text {
                Seen::Text(bytes.map(|byte| byte & 0x7f).collect())
            } else {
                Seen::Binary(bytes.collect())
            }
        })
    }

    fn sent() -> impl Strategy<Value = Sent> {
        (
            messages(),
            prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            prop::collection::vec(controls(), 0..5),
        )
            .prop_map(|(message, cuts, between)| Sent { message, cuts, between })
    }

    /// A socket that has received everything and sends nothing.
    struct Received(VecDeque<u8>);

    impl Read for Received {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.0.read(out)
        }
    }

    impl Write for Received {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What tungstenite makes of the same bytes, up to the first error.
    fn read_by_tungstenite(stream: &[u8]) -> Vec<Seen> {
        let received = Received(stream.iter().copied().collect());
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let mut socket =
            tungstenite::WebSocket::from_raw_socket(received, Role::Client, Some(config));
        let mut seen = Vec::new();
        while let Ok(message) = socket.read() {
            seen.push(match message {
                tungstenite::Message::Text(text) => Seen::Text(text.as_bytes().to_vec()),
                tungstenite::Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
                tungstenite::Message::Ping(bytes) => Seen::Ping(bytes.to_vec()),
                tungstenite::Message::Pong(bytes) => Seen::Pong(bytes.to_vec()),
                tungstenite::Message::Close(close) => {
                    Seen::Close(close.map(|close| close.code.into()))
                }
                tungstenite::Message::Frame(_) => unreachable!("not read"),
            });
        }
        seen
    }

    proptest! {
        #[test]
        fn messages_are_those_that_tungstenite_reads(
            sent in prop::collection::vec(sent(), 0..10),
            chunks in prop::collection::vec(1_usize..5_000, 1..10),
            close in prop::option::of(prop::option::of(1_000_u16..1_004)),
        ) {
            let (mut stream, mut expected) = (Vec::new(), Vec::new());
            sent.iter().for_each(|sent| sent.write(&mut stream, &mut expected));
            if let Some(code) = close {
                let payload = code.map(u16::to_be_bytes);
                stream.extend(frame(8, true, payload.as_ref().map_or(&[], |code| &code[..])));
                expected.push(Seen::Close(code));
            }
            let mut reader = Reader::new(66_000);
            let seen = read_all(&mut reader, &stream, &chunks);
            prop_assert!(seen == expected, "{seen:?}");
            prop_assert!(seen == read_by_tungstenite(&stream));
        }

        #[test]
        fn a_message_longer_than_the_capacity_is_skipped_and_nothing_else(
            sent in prop::collection::vec(sent(), 0..10),
            chunks in prop::collection::vec(1_usize..5_000, 1..10),
            capacity in prop_oneof![0..300_usize, 0..4_000_usize, 65_500..65_560_usize],
        ) {
            let (mut stream, mut expected) = (Vec::new(), Vec::new());
            sent.iter().for_each(|sent| sent.write(&mut stream, &mut expected));
            for message in &mut expected {
                if let Seen::Text(bytes) | Seen::Binary(bytes) = message
                    && bytes.len() > capacity
                {
                    *message = Seen::Skipped(bytes.len() as u64);
                }
            }
            let mut reader = Reader::new(capacity);
            let seen = read_all(&mut reader, &stream, &chunks);
            prop_assert!(seen == expected, "{seen:?}");
        }

        #[test]
        fn hostile_bytes_never_panic_and_end_at_the_first_error(
            stream in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(vec![0x81_u8, 0x01, 0x80, 0x00])],
                0..600,
            ),
            chunks in prop::collection::vec(1_usize..50, 1..5),
            capacity in 0_usize..300,
        ) {
            let mut reader = Reader::new(capacity);
            let seen = read_all(&mut reader, &stream, &chunks);
            let end = seen.iter().position(|seen| matches!(seen, Seen::Error(_) | Seen::Close(_)));
            prop_assert!(end.is_none_or(|end| end + 1 == seen.len()), "{seen:?}");
        }

        #[test]
        fn what_we_encode_a_server_of_tungstenite_reads(
            length in prop_oneof![0..130_usize, 65_530..65_540_usize],
            key in any::<[u8; 4]>(),
        ) {
            let payload: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
            let mut out = vec![0; HEADER_BYTES_MAX + length];
            let header = encode_header(Opcode::Text, length, key, &mut out);
            prop_assert_eq!(header, header_bytes(length));
            out.truncate(header + length);
            out[header..].copy_from_slice(&payload);
            mask(&mut out[header..], key);
            let mut server = tungstenite::WebSocket::from_raw_socket(
                Received(out.iter().copied().collect()), Role::Server, None);
            let received = server.read().unwrap().into_data();
            prop_assert_eq!(received.as_ref(), &payload[..]);
            prop_assert_eq!(encode_header(Opcode::Ping, length, key, &mut out[..header - 1]), 0);
        }
    }

    fn first_error(stream: &[u8]) -> Option<WireError> {
        let mut reader = Reader::new(1_000);
        match read_all(&mut reader, stream, &[1_000]).as_slice() {
            [] => None,
            [.., Seen::Error(error)] => Some(*error),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn every_breach_of_the_protocol_is_named() {
        let long = |first: u8, length: u64| [&[first, 127][..], &length.to_be_bytes()].concat();
        for (stream, error) in [
            (vec![0x81, 0x80], WireError::Masked),
            (vec![0xc1, 0x00], WireError::ReservedBits),
            (vec![0x91, 0x00], WireError::ReservedBits),
            (vec![0x83, 0x00], WireError::ReservedOpcode),
            (vec![0x8b, 0x00], WireError::ReservedOpcode),
            (vec![0x09, 0x00], WireError::FragmentedControl),
            (vec![0x89, 126], WireError::ControlTooLong),
            (vec![0x80, 0x00], WireError::Continuation),
            (vec![0x01, 0x00, 0x81, 0x00], WireError::Interrupted),
            (vec![0x81, 126, 0, 125], WireError::LengthNotMinimal),
            (long(0x81, 0xffff), WireError::LengthNotMinimal),
            (long(0x81, 1 << 63), WireError::LengthTooLarge),
            (vec![0x88, 0x01, 0x00], WireError::CloseCode),
        ] {
            assert_eq!(first_error(&stream), Some(error), "{stream:02x?}");
        }
        // The longest length that is allowed only makes the reader wait.
        assert_eq!(first_error(&long(0x82, (1 << 63) - 1)), None);
    }

    #[test]
    fn lengths_add_up_while_a_message_of_fragments_is_skipped() {
        let mut reader = Reader::new(100);
        let mut stream = frame(1, false, &[b'a'; 80]);
        stream.extend(frame(0, false, &[b'a'; 80]));
        stream.extend(frame(9, true, b"still there?"));
        stream.extend(frame(0, false, &[]));
        stream.extend(frame(0, true, &[b'a'; 5]));
        stream.extend(frame(2, true, b"next"));
        let expected = [
            Seen::Ping(b"still there?".to_vec()),
            Seen::Skipped(165),
            Seen::Binary(b"next".to_vec()),
        ];
        assert_eq!(read_all(&mut reader, &stream, &[7]), expected);
        // Nothing is left over from the skipped message.
        assert_eq!(
            read_all(&mut reader, &frame(1, true, &[b'b'; 100]), &[1_000]),
            [Seen::Text(vec![b'b'; 100])]
        );
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut reader = Reader::new(100);
        let mut stream = frame(8, true, &[0x03, 0xe9, b'b', b'y', b'e']);
        stream.extend(frame(1, true, b"ghost"));
        assert_eq!(read_all(&mut reader, &stream, &[4]), [Seen::Close(Some(1_001))]);
        assert_eq!(read_all(&mut reader, &frame(1, true, b"ghost"), &[4]), []);
    }

    #[test]
    fn masking_twice_changes_nothing() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            mask(&mut masked, [1, 2, 4, 8]);
            let bytewise: Vec<u8> =
                plain.iter().enumerate().map(|(at, byte)| byte ^ (1 << (at % 4))).collect();
            assert_eq!(masked, bytewise);
            mask(&mut masked, [1, 2, 4, 8]);
            assert_eq!(masked, plain);
        }
    }

    #[test]
    fn data_is_moved_rarely_though_the_buffer_is_small() {
        // Messages of 1,000 bytes through a buffer for one of 1,500: reads cut each of them, and
        // yet what is moved stays below what is read.
        let stream = frame(1, true, &[b'x'; 1_000]).repeat(200);
        let mut reader = Reader::new(1_500);
        let (mut fed, mut moved, mut count) = (0, 0, 0);
        while fed < stream.len() {
            let unread = reader.end - reader.read;
            let before = reader.read;
            let spare = reader.spare();
            let room = spare.len().min(stream.len() - fed).min(700);
            spare[..room].copy_from_slice(&stream[fed..fed + room]);
            if reader.read < before {
                moved += unread;
            }
            reader.filled(room);
            fed += room;
            while let Some(next) = reader.next() {
                assert!(matches!(next, Ok(Message::Text(bytes)) if bytes.len() == 1_000));
                count += 1;
            }
        }
        assert_eq!(count, 200);
        assert!(moved <= stream.len(), "moved {moved} of {}", stream.len());
    }
}
