//! A forward-only JSON scanner that borrows everything and allocates nothing.
//!
//! Used by `decode` on every frame: bytes of one message in, spans of the same bytes out. Keys may
//! stand in any order, whitespace anywhere, and what nobody asks for is skipped. Strings are handed
//! out as they are written: escapes stay, UTF-8 is not validated (nothing that the engine reads is
//! text, so a bad character can only make a field invalid). What is skipped is checked for matching
//! brackets and closed strings only; what is walked is checked for its commas and colons.
//!
//! Total on hostile bytes: every loop ends with the input, and nesting is bounded.
//!
//! The steps of the walk are inlined by force: a pending transaction takes a hundred of them, and
//! as calls they made it an eighth slower.
//!
//! Temperature: hot.

use super::quotes::{hits, quote_or_backslash};

/// Deepest nesting of a value that is skipped.
pub const DEPTH_MAX: u32 = 64;

/// Why bytes are not the JSON that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum JsonError {
    /// The input ends inside a value.
    Truncated,
    /// A byte that cannot stand where it stands.
    Unexpected,
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Something follows where the input should end.
    Trailing,
}

/// One JSON value, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string's contents, without its quotes and with its escapes.
    Str(&'a [u8]),
    /// A number as it is written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object, with its braces; its members are not checked.
    Object(&'a [u8]),
    /// An array, with its brackets; its items are not checked.
    Array(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Reads a token: one value as it is written, as [`Scanner::token`] returns it.
    #[must_use]
    pub fn of_token(token: &'a [u8]) -> Self {
        match token {
            [b'"', contents @ .., b'"'] => Self::Str(contents),
            [b'{', ..] => Self::Object(token),
            [b'[', ..] => Self::Array(token),
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            [] | b"null" => Self::Null,
            _ => Self::Number(token),
        }
    }

    /// The contents of a string or the digits of a number: what an integer may be written as.
    #[must_use]
    pub const fn scalar(&self) -> Option<&'a [u8]> {
        match self {
            Self::Str(text) | Self::Number(text) => Some(text),
            Self::Bool(_) | Self::Null | Self::Object(_) | Self::Array(_) => None,
        }
    }
}

/// A place in one JSON text that only moves forward.
///
/// Walk an object with [`object`](Self::object), then [`next_key`](Self::next_key) until `None`,
/// reading exactly one value after each key; an array likewise with [`array`](Self::array) and
/// [`next_item`](Self::next_item).
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    /// What has not been read yet.
    rest: &'a [u8],
    /// Just after an opening bracket, where no comma may stand.
    is_fresh: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_fresh: true }
    }

    /// The next value's first byte, without reading it; `None` at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => self.rest = rest,
                [first, ..] => return Some(*first),
                [] => return None,
            }
        }
    }

    /// Passes over the start of an object, up to behind a key and its colon, if it is exactly this.
    #[inline(always)]
    pub fn pass(&mut self, start: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(start) else { return false };
        (self.rest, self.is_fresh) = (rest, false);
        true
    }

    /// Enters an object.
    ///
    /// # Errors
    /// When the next value is not an object.
    #[inline]
    pub fn object(&mut self) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.is_fresh = true;
        Ok(())
    }

    /// Enters an array.
    ///
    /// # Errors
    /// When the next value is not an array.
    #[inline]
    pub fn array(&mut self) -> Result<(), JsonError> {
        self.expect(b'[')?;
        self.is_fresh = true;
        Ok(())
    }

    /// The next key's contents, or `None` when the object has just been left.
    ///
    /// # Errors
    /// When neither a key nor the end of the object follows.
    #[inline(always)]
    pub fn next_key(&mut self) -> Result<Option<&'a [u8]>, JsonError> {
        // As programs write it, without a space.
        if !self.is_fresh
            && let [b',', quoted @ ..] = self.rest
            && let Some((key, [b':', rest @ ..])) = short_string(quoted)
        {
            self.rest = rest;
            return Ok(Some(key));
        }
        if !self.next_member(b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether an item follows; `false` when the array has just been left.
    ///
    /// # Errors
    /// When neither an item nor the end of the array follows.
    #[inline]
    pub fn next_item(&mut self) -> Result<bool, JsonError> {
        self.next_member(b']')
    }

    /// Reads one value of any kind.
    ///
    /// # Errors
    /// When no whole value follows.
    #[inline]
    pub fn value(&mut self) -> Result<Value<'a>, JsonError> {
        self.token().map(Value::of_token)
    }

    /// Reads one value of any kind and returns it as it is written, quotes and brackets included.
    ///
    /// # Errors
    /// When no whole value follows.
    #[inline(always)]
    pub fn token(&mut self) -> Result<&'a [u8], JsonError> {
        if let [b'"', ..] = self.rest {
            return self.quoted();
        }
        let first = self.peek().ok_or(JsonError::Truncated)?;
        self.is_fresh = false;
        let length = match first {
            b'"' => return self.quoted(),
            b'{' | b'[' => container_end(self.rest)?,
            b'-' | b'0'..=b'9' => number_end(self.rest),
            b't' => literal_end(self.rest, b"true")?,
            b'f' => literal_end(self.rest, b"false")?,
            b'n' => literal_end(self.rest, b"null")?,
            _ => return Err(JsonError::Unexpected),
        };
        self.take(length)
    }

    /// Reads past one value of any kind.
    ///
    /// # Errors
    /// When no whole value follows.
    #[inline]
    pub fn skip(&mut self) -> Result<(), JsonError> {
        self.token().map(|_| ())
    }

    /// What has not been read yet.
    #[must_use]
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes sure that nothing but whitespace is left.
    ///
    /// # Errors
    /// When something is.
    #[inline]
    pub fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonError::Trailing),
        }
    }

    /// Reads a string with its quotes; the scanner stands at the first.
    #[inline(always)]
    fn quoted(&mut self) -> Result<&'a [u8], JsonError> {
        self.is_fresh = false;
        let end = string_end(self.rest, 1).ok_or(JsonError::Truncated)?;
        self.take(end + 1)
    }

    /// Reads a string's contents; the scanner stands at its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<&'a [u8], JsonError> {
        let end = string_end(self.rest, 1).ok_or(JsonError::Truncated)?;
        let quoted = self.take(end)?;
        self.skip_byte();
        Ok(quoted.get(1..).unwrap_or_default())
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Result<&'a [u8], JsonError> {
        let (token, rest) = self.rest.split_at_checked(length).ok_or(JsonError::Truncated)?;
        self.rest = rest;
        Ok(token)
    }

    #[inline(always)]
    fn skip_byte(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    #[inline(always)]
    fn next_member(&mut self, close: u8) -> Result<bool, JsonError> {
        let was_fresh = self.is_fresh;
        self.is_fresh = false;
        match self.peek() {
            Some(byte) if byte == close => {
                self.skip_byte();
                Ok(false)
            }
            Some(b',') if !was_fresh => {
                self.skip_byte();
                Ok(true)
            }
            Some(_) if was_fresh => Ok(true),
            _ => Err(self.unexpected()),
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.skip_byte();
            return Ok(());
        }
        Err(self.unexpected())
    }

    const fn unexpected(&self) -> JsonError {
        if self.rest.is_empty() { JsonError::Truncated } else { JsonError::Unexpected }
    }
}

/// The items of a JSON array, each as it is written.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    scanner: Scanner<'a>,
    is_done: bool,
}

/// Walks the array `span`, as [`Value::Array`] holds it.
///
/// # Errors
/// When `span` does not start with an array.
#[inline]
pub fn items(span: &[u8]) -> Result<Items<'_>, JsonError> {
    let mut scanner = Scanner::new(span);
    scanner.array()?;
    Ok(Items { scanner, is_done: false })
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<&'a [u8], JsonError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let item = match self.scanner.next_item() {
            Ok(true) => self.scanner.token(),
            Ok(false) => {
                self.is_done = true;
                return None;
            }
            Err(error) => Err(error),
        };
        self.is_done = item.is_err();
        Some(item)
    }
}

/// The contents of a string of less than a chunk without escapes that `bytes` start with, and what
/// follows it; `None` if it is not one.
#[inline(always)]
fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b'"', rest @ ..] = bytes else { return None };
    let hits = hits(rest.first_chunk()?);
    let (contents, rest) = rest.split_at_checked(hits.trailing_zeros() as usize)?;
    let [b'"', rest @ ..] = rest else { return None };
    (hits != 0).then_some((contents, rest))
}

/// The place of the quote that closes a string whose contents start at `at`.
#[inline]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        at = quote_or_backslash(bytes, at)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        // A backslash hides the byte after it.
        at += 2;
    }
}

/// Length of the object or array that `bytes` start with.
fn container_end(bytes: &[u8]) -> Result<usize, JsonError> {
    let mut nesting = Nesting::default();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1).ok_or(JsonError::Truncated)?,
            b'{' | b'[' => nesting.open(*byte)?,
            b'}' | b']' => {
                nesting.close(*byte)?;
                if nesting.depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(JsonError::Truncated)
}

/// The brackets that are open, one bit each: set for an object.
#[derive(Clone, Copy, Debug, Default)]
struct Nesting {
    is_object: u64,
    /// How many are open.
    depth: u32,
}

impl Nesting {
    /// Notes an opening bracket.
    #[inline]
    fn open(&mut self, bracket: u8) -> Result<(), JsonError> {
        if self.depth == DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.is_object = (self.is_object << 1) | u64::from(bracket == b'{');
        self.depth += 1;
        Ok(())
    }

    /// Notes a closing bracket, which must match the one opened last.
    #[inline]
    const fn close(&mut self, bracket: u8) -> Result<(), JsonError> {
        let closes_object = bracket == b'}';
        if self.depth == 0 || (self.is_object & 1 == 1) != closes_object {
            return Err(JsonError::Unexpected);
        }
        self.is_object >>= 1;
        self.depth -= 1;
        Ok(())
    }
}

const _: () = assert!(DEPTH_MAX == u64::BITS, "one bit per open bracket");

fn number_end(bytes: &[u8]) -> usize {
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    bytes.iter().take_while(is_part).count()
}

fn literal_end(bytes: &[u8], word: &[u8]) -> Result<usize, JsonError> {
    match bytes.get(..word.len()) {
        Some(text) if text == word => Ok(word.len()),
        Some(_) => Err(JsonError::Unexpected),
        None => Err(JsonError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn walk(scanner: &mut Scanner<'_>) -> Result<serde_json::Value, JsonError> {
        match scanner.peek() {
            Some(b'{') => {
                let mut map = serde_json::Map::new();
                scanner.object()?;
                while let Some(key) = scanner.next_key()? {
                    let value = walk(scanner)?;
                    map.insert(unescaped(key), value);
                }
                Ok(map.into())
            }
            Some(b'[') => {
                let mut list = Vec::new();
                scanner.array()?;
                while scanner.next_item()? {
                    list.push(walk(scanner)?);
                }
                Ok(list.into())
            }
            _ => match scanner.value()? {
                Value::Str(text) => Ok(unescaped(text).into()),
                Value::Number(text) => Ok(serde_json::from_slice(text).unwrap()),
                Value::Bool(value) => Ok(value.into()),
                Value::Null => Ok(serde_json::Value::Null),
                Value::Object(_) | Value::Array(_) => unreachable!("peeked"),
            },
        }
    }

    fn unescaped(contents: &[u8]) -> String {
        let quoted = [b"\"", contents, b"\""].concat();
        serde_json::from_slice(&quoted).unwrap()
    }

    /// Writes a value with whitespace chosen by `spaces`, round and round.
    fn write(value: &serde_json::Value, spaces: &mut dyn Iterator<Item = u8>, out: &mut Vec<u8>) {
        let gap = |out: &mut Vec<u8>, spaces: &mut dyn Iterator<Item = u8>| {
            let space = spaces.next().unwrap();
            out.extend((0..space / 4 % 3).map(|_| b" \t\r\n"[usize::from(space % 4)]));
        };
        gap(out, spaces);
        match value {
            serde_json::Value::Object(map) => {
                out.push(b'{');
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    gap(out, spaces);
                    out.extend(serde_json::to_vec(key).unwrap());
                    gap(out, spaces);
                    out.push(b':');
                    write(value, spaces, out);
                }
                gap(out, spaces);
                out.push(b'}');
            }
            serde_json::Value::Array(list) => {
                out.push(b'[');
                for (index, value) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write(value, spaces, out);
                }
                gap(out, spaces);
                out.push(b']');
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => out.extend(serde_json::to_vec(value).unwrap()),
        }
        gap(out, spaces);
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i32>().prop_map(|number| (f64::from(number) / 8.0).into()),
            "\\PC{0,40}".prop_map(Into::into),
            "[\\\\\"\n\t/{}\\[\\],:a]{0,40}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::vec(("[\\PC\\\\\"]{0,20}", inner), 0..8)
                    .prop_map(|list| { serde_json::Value::Object(list.into_iter().collect()) }),
            ]
        })
    }

    proptest! {
        #[test]
        fn walking_reads_what_serde_json_wrote(
            value in values(),
            spaces in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let mut text = Vec::new();
            write(&value, &mut spaces.iter().copied().cycle(), &mut text);
            let mut scanner = Scanner::new(&text);
            prop_assert_eq!(walk(&mut scanner), Ok(value.clone()));
            prop_assert_eq!(scanner.finish(), Ok(()));
            // Skipping agrees with walking about where the value ends.
            let mut scanner = Scanner::new(&text);
            let token = scanner.token().unwrap();
            prop_assert_eq!(scanner.finish(), Ok(()));
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(token).unwrap(), value);
        }

        #[test]
        fn a_cut_container_is_truncated(
            value in values(), cut in any::<proptest::sample::Index>(),
        ) {
            let text = serde_json::to_vec(&serde_json::json!([value])).unwrap();
            let cut = cut.index(text.len());
            prop_assert_eq!(Scanner::new(&text[..cut]).token(), Err(JsonError::Truncated));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut scanner = Scanner::new(&bytes);
            let _ignored = scanner.value();
            if let Ok(list) = items(&bytes) {
                prop_assert!(list.count() <= bytes.len());
            }
        }

        #[test]
        fn nearly_json_never_panics_and_never_loops(
            text in "[{}\\[\\]\",:0-9a\\\\tn ]{0,120}",
        ) {
            let mut scanner = Scanner::new(text.as_bytes());
            if scanner.object().is_ok() {
                let mut count = 0;
                while let Ok(Some(_)) = scanner.next_key() {
                    count += 1;
                    prop_assert!(count <= text.len());
                    if scanner.skip().is_err() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn escapes_stay_and_hide_quotes() {
        let mut scanner = Scanner::new(br#""a\"b\\" "#);
        assert_eq!(scanner.value(), Ok(Value::Str(br#"a\"b\\"#)));
        assert_eq!(scanner.finish(), Ok(()));
        assert_eq!(Scanner::new(br#""a\"#).token(), Err(JsonError::Truncated));
        assert_eq!(Scanner::new(br#""a\""#).token(), Err(JsonError::Truncated));
    }

    #[test]
    fn containers_are_spans_with_their_brackets() {
        let mut scanner = Scanner::new(br#" {"a":[1,{"b":"}]"}],"c":{}}"#);
        scanner.object().unwrap();
        assert_eq!(scanner.next_key(), Ok(Some(&b"a"[..])));
        assert_eq!(scanner.value(), Ok(Value::Array(br#"[1,{"b":"}]"}]"#)));
        assert_eq!(scanner.next_key(), Ok(Some(&b"c"[..])));
        assert_eq!(scanner.value(), Ok(Value::Object(b"{}")));
        assert_eq!(scanner.next_key(), Ok(None));
        assert_eq!(scanner.finish(), Ok(()));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert!(Scanner::new(&deep(64)).skip().is_ok());
        assert_eq!(Scanner::new(&deep(65)).skip(), Err(JsonError::TooDeep));
        assert_eq!(Scanner::new(&b"[".repeat(1 << 20)).skip(), Err(JsonError::TooDeep));
        assert_eq!(Scanner::new(b"[}").skip(), Err(JsonError::Unexpected));
        assert_eq!(Scanner::new(b"{]").skip(), Err(JsonError::Unexpected));
    }

    #[test]
    fn commas_must_stand_between_members_and_nowhere_else() {
        let keys = |text: &'static str| {
            let mut scanner = Scanner::new(text.as_bytes());
            scanner.object()?;
            let mut count = 0;
            while scanner.next_key()?.is_some() {
                scanner.skip()?;
                count += 1;
            }
            Ok(count)
        };
        assert_eq!(keys(r#"{}"#), Ok(0));
        assert_eq!(keys(r#"{"a":{},"b":[]}"#), Ok(2));
        assert_eq!(keys(r#"{"a":1 "b":2}"#), Err(JsonError::Unexpected));
        assert_eq!(keys(r#"{,"a":1}"#), Err(JsonError::Unexpected));
        assert_eq!(keys(r#"{"a":1,}"#), Err(JsonError::Unexpected));
        assert_eq!(keys(r#"{"a" 1}"#), Err(JsonError::Unexpected));
        assert_eq!(keys(r#"{"a":1"#), Err(JsonError::Truncated));
        assert_eq!(items(b"[1,]").unwrap().last(), Some(Err(JsonError::Unexpected)));
        assert_eq!(items(b"[ ]").unwrap().count(), 0);
    }
}
