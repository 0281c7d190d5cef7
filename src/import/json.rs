//! JSON files of blocks, read with the path of whatever is wrong.
//!
//! Temperature: cold.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use anyhow::{Context as _, Result, anyhow, bail};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// A file's text is not longer, so that a small file cannot fill the memory.
const TEXT_BYTES_MAX: u64 = 1 << 30;

/// Reads a JSON file, gzipped or not.
pub(crate) fn read(path: &Path) -> Result<Value> {
    let told = || format!("reading {}", path.display());
    let bytes = fs::read(path).with_context(told)?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        let mut unpacked = MultiGzDecoder::new(&bytes[..]).take(TEXT_BYTES_MAX + 1);
        unpacked.read_to_end(&mut text).with_context(told)?;
        if text.len() as u64 > TEXT_BYTES_MAX {
            bail!("{} unpacks to more than {TEXT_BYTES_MAX} bytes", path.display());
        }
        text
    } else {
        bytes
    };
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    value: &'a Value,
    path: String,
}

static NULL: Value = Value::Null;

impl<'a> At<'a> {
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// A member; null if there is none.
    pub(crate) fn get(&self, key: &str) -> Self {
        let value = self.value.get(key).unwrap_or(&NULL);
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { value, path: format!("{}{dot}{key}", self.path) }
    }

    /// The first of these members that is there.
    pub(crate) fn either(&self, keys: [&str; 2]) -> Self {
        let [first, second] = keys.map(|key| self.get(key));
        if first.is_null() { second } else { first }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    fn wanted(&self, wanted: &str) -> anyhow::Error {
        let found = self.value.to_string();
        let shown: String = found.chars().take(60).collect();
        let more = if shown.len() < found.len() { "…" } else { "" };
        anyhow!("{}: found {shown}{more}; wanted {wanted}", self.path)
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Result<impl Iterator<Item = Self> + use<'a>> {
        let items = self.value.as_array().ok_or_else(|| self.wanted("a list"))?;
        let path = self.path.clone();
        let item =
            move |(place, value): (usize, _)| Self { value, path: format!("{path}[{place}]") };
        Ok(items.iter().enumerate().map(item))
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> Result<impl Iterator<Item = (&'a str, Self)> + use<'a>> {
        let members = self.value.as_object().ok_or_else(|| self.wanted("an object"))?;
        let path = self.path.clone();
        let member = move |(key, value): (&'a String, _)| {
            (key.as_str(), Self { value, path: format!("{path}.{key}") })
        };
        Ok(members.iter().map(member))
    }

    /// Bytes in hexadecimal digits, with or without `0x`.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        let text = self.value.as_str().ok_or_else(|| self.wanted("hexadecimal digits"))?;
        let bytes = hex::decode(text).map_err(|_no_hex| self.wanted("hexadecimal digits"))?;
        Ok(bytes.into())
    }

    pub(crate) fn hash(&self) -> Result<B256> {
        let wanted = || self.wanted("32 bytes");
        B256::try_from(&self.bytes()?[..]).map_err(|_length| wanted())
    }

    pub(crate) fn address(&self) -> Result<Address> {
        let wanted = || self.wanted("an address");
        Address::try_from(&self.bytes()?[..]).map_err(|_length| wanted())
    }

    /// A number: as such, as a decimal text, or in hexadecimal digits.
    pub(crate) fn word(&self) -> Result<U256> {
        let read = match self.value {
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) => match text.strip_prefix("0x") {
                Some("") => Some(U256::ZERO),
                Some(digits) => U256::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        read.ok_or_else(|| self.wanted("a number"))
    }

    pub(crate) fn number(&self) -> Result<u64> {
        self.word()?.try_into().map_err(|_too_large| self.wanted("a number of at most 64 bits"))
    }

    pub(crate) fn flag(&self) -> Result<bool> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => Ok(self.word()? != U256::ZERO),
        }
    }

    /// What `read` makes of it; none of null.
    pub(crate) fn optional<T>(&self, read: impl Fn(&Self) -> Result<T>) -> Result<Option<T>> {
        if self.is_null() { Ok(None) } else { read(self).map(Some) }
    }
}
