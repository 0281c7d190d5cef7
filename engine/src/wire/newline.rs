//! A stream of JSON values over IPC, without I/O: one fixed buffer in, messages out.
//!
//! Nodes write one value a line, but not every node ends every line, and nobody should wait for a
//! newline that does not come. So a value ends where its outermost bracket closes, and whitespace
//! between values means nothing. Every byte is looked at once, however the stream is cut into
//! reads. Used like [`websocket::Reader`](super::websocket::Reader), with the same rule for what is
//! too long: it is skipped, never buffered, and reported once when it has passed.
//!
//! Only strings and the number of open brackets are told apart here; whether a value is JSON is for
//! the scanner to say. Anything but an object or an array ends the stream with an error.
//!
//! Temperature: hot.

use alloc::boxed::Box;
use alloc::vec;

use super::quotes::quote_or_backslash;
use super::{Message, WireError};

/// Room beyond the longest value, in bytes, so that there is always some to read into.
const HEADROOM_BYTES: usize = 4_096;

/// Reads values out of one fixed buffer.
///
/// ```text
/// | free | value so far | unread | spare |
///        start          scanned  end
/// ```
#[derive(Debug)]
pub struct Reader {
    buffer: Box<[u8]>,
    /// Longest value that is lent out, in bytes.
    capacity: usize,
    start: usize,
    scanned: usize,
    end: usize,
    /// Brackets that are open; 0 between values.
    depth: u64,
    is_in_string: bool,
    /// So many bytes of a value that is too long have passed.
    passed: Option<u64>,
    is_over: bool,
}

impl Reader {
    /// A reader of values up to `capacity_bytes`; the only allocation.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let buffer = vec![0; capacity_bytes.saturating_add(HEADROOM_BYTES)].into_boxed_slice();
        Self {
            buffer,
            capacity: capacity_bytes,
            start: 0,
            scanned: 0,
            end: 0,
            depth: 0,
            is_in_string: false,
            passed: None,
            is_over: false,
        }
    }

    /// Where to read the socket to; never empty once [`next`](Self::next) has returned `None`.
    #[must_use]
    pub fn spare(&mut self) -> &mut [u8] {
        let live = self.end - self.start;
        let room = self.buffer.len() - self.end;
        if self.is_over || live == 0 {
            (self.start, self.scanned, self.end) = (0, 0, 0);
        } else if room == 0 || (room.min(live) < HEADROOM_BYTES && live <= self.start) {
            // Cheap: no more is moved than was read since the last time. What is little is always
            // moved, which keeps the data where memory is warm. Or else there is no room, and then
            // a value of nearly the whole buffer is moved once.
            self.buffer.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.end = live;
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Bytes that were read and not looked at yet.
    #[must_use]
    pub const fn unread_bytes(&self) -> usize {
        self.end - self.scanned
    }

    /// Says that `count` bytes were read to the start of [`spare`](Self::spare).
    pub fn filled(&mut self, count: usize) {
        debug_assert!(count <= self.buffer.len() - self.end, "no more than there was room for");
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// The next value as [`Message::Text`], or [`Message::Skipped`]; `None` when more bytes are
    /// needed or the stream is over.
    ///
    /// # Errors
    /// When something stands between values; after that there are no more.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what is lent out borrows the reader")]
    pub fn next(&mut self) -> Option<Result<Message<'_>, WireError>> {
        if self.is_over {
            return None;
        }
        if self.depth == 0 && !self.open() {
            return self.is_over.then_some(Err(WireError::NotJson));
        }
        if !self.scan() {
            self.pass_if_too_long();
            return None;
        }
        let (start, end) = (self.start, self.scanned);
        self.start = end;
        let bytes = end - start;
        let passed = self.passed.take();
        if passed.is_some() || bytes > self.capacity {
            let bytes = passed.unwrap_or(0).saturating_add(bytes as u64);
            return Some(Ok(Message::Skipped { bytes }));
        }
        Some(Ok(Message::Text(self.buffer.get(start..end).unwrap_or_default())))
    }

    /// Finds the first byte of the next value and notes its bracket.
    #[inline]
    fn open(&mut self) -> bool {
        let unread = self.buffer.get(self.scanned..self.end).unwrap_or_default();
        let spaces =
            unread.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t')).count();
        self.start = self.scanned + spaces;
        self.scanned = self.start;
        match unread.get(spaces) {
            Some(b'{' | b'[') => {
                self.depth = 1;
                self.scanned += 1;
                true
            }
            Some(_) => {
                self.is_over = true;
                false
            }
            None => false,
        }
    }

    /// Goes on to the end of the value; whether it was reached.
    #[inline]
    fn scan(&mut self) -> bool {
        let bytes = self.buffer.get(..self.end).unwrap_or_default();
        loop {
            if self.is_in_string {
                let Some(at) = quote_or_backslash(bytes, self.scanned) else {
                    self.scanned = self.end;
                    return false;
                };
                if bytes.get(at) == Some(&b'"') {
                    self.is_in_string = false;
                    self.scanned = at + 1;
                } else if at + 1 < self.end {
                    // A backslash hides the byte after it.
                    self.scanned = at + 2;
                    continue;
                } else {
                    self.scanned = at;
                    return false;
                }
            }
            let Some(byte) = bytes.get(self.scanned) else { return false };
            self.scanned += 1;
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
    }

    /// Forgets what was read of a value that does not fit.
    #[inline]
    fn pass_if_too_long(&mut self) {
        let bytes = self.scanned - self.start;
        if self.passed.is_some() || bytes > self.capacity {
            let passed = self.passed.unwrap_or(0).saturating_add(bytes as u64);
            self.passed = Some(passed);
            self.start = self.scanned;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Seen {
        Value(Vec<u8>),
        Skipped(u64),
        Error,
    }

    /// Feeds `stream` in reads of the given sizes, round and round.
    fn read_all(reader: &mut Reader, mut stream: &[u8], chunks: &[usize]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut chunks = chunks.iter().cycle();
        loop {
            while let Some(next) = reader.next() {
                seen.push(match next {
                    Ok(Message::Text(bytes)) => Seen::Value(bytes.to_vec()),
                    Ok(Message::Skipped { bytes }) => Seen::Skipped(bytes),
                    Err(WireError::NotJson) => Seen::Error,
                    other => unreachable!("{other:?}"),
                });
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

    fn values() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Into::into),
            "[\\\\\"\n{}\\[\\]a]{0,30}".prop_map(serde_json::Value::from),
            "[a]{0,9000}".prop_map(serde_json::Value::from),
        ];
        let value = leaf.prop_recursive(4, 20, 5, |inner| {
            proptest::collection::vec(inner, 0..5).prop_map(Into::into)
        });
        (value, any::<bool>()).prop_map(|(value, is_object)| {
            let whole = if is_object {
                serde_json::json!({"]}": value})
            } else {
                serde_json::json!([value])
            };
            serde_json::to_vec(&whole).unwrap()
        })
    }

    proptest! {
        #[test]
        fn values_come_out_as_they_went_in_however_the_stream_is_cut(
            values in proptest::collection::vec((values(), "[ \r\n\t]{0,3}"), 0..12),
            chunks in proptest::collection::vec(1_usize..3_000, 1..10),
            capacity in 0_usize..12_000,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (value, gap) in &values {
                stream.extend(gap.as_bytes());
                stream.extend(value);
                expected.push(if value.len() > capacity {
                    Seen::Skipped(value.len() as u64)
                } else {
                    Seen::Value(value.clone())
                });
            }
            let mut reader = Reader::new(capacity);
            prop_assert_eq!(read_all(&mut reader, &stream, &chunks), expected);
        }

        #[test]
        fn no_bytes_panic(
            stream in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(b"{}[]\"\\ \n".to_vec())],
                0..400,
            ),
            chunks in proptest::collection::vec(1_usize..50, 1..5),
        ) {
            let mut reader = Reader::new(64);
            let seen = read_all(&mut reader, &stream, &chunks);
            prop_assert!(seen.len() <= stream.len());
        }
    }

    #[test]
    fn a_value_needs_no_newline_behind_it() {
        let mut reader = Reader::new(64);
        let seen = read_all(&mut reader, b"{\"a\":1}{\"b\":\"}\"}\n\n[{}] ", &[1]);
        let expected: Vec<_> =
            ["{\"a\":1}", "{\"b\":\"}\"}", "[{}]"].map(|value| Seen::Value(value.into())).into();
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_object_ends_the_stream() {
        let mut reader = Reader::new(64);
        let seen = read_all(&mut reader, b"{}\n}{}{}", &[100]);
        assert_eq!(seen, [Seen::Value(b"{}".into()), Seen::Error]);
        assert_eq!(read_all(&mut reader, b"{}", &[100]), []);
    }

    #[test]
    fn a_value_without_end_is_never_buffered() {
        let mut reader = Reader::new(1_000);
        let half = [b"{\"a\":\"".to_vec(), vec![b'x'; 1 << 20]].concat();
        assert_eq!(read_all(&mut reader, &half, &[5_000]), []);
        let total = half.len() as u64 + 2;
        let rest = String::from("\"}{}");
        let expected = [Seen::Skipped(total), Seen::Value(b"{}".into())];
        assert_eq!(read_all(&mut reader, rest.as_bytes(), &[1]), expected);
    }
}
