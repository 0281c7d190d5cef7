//! What a connection asked and was told, so that the same questions get the same answers again
//! without a node.
//!
//! ```text
//! 0 | keccak of the method and its parameters      it asked
//! 1 | length, 4 bytes, little-endian | message     it read an answer
//! ```
//!
//! In the order in which it happened, for what is asked next may depend on what came first. It is
//! compressed as it comes: the events of a protocol's whole life are among the answers.
//!
//! Temperature: cold.

use std::fmt;
use std::io::{Cursor, Read, Write as _};

use alloy_primitives::{B256, keccak256};
use anyhow::{Context as _, Result, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

const ASKED: u8 = 0;
const TOLD: u8 = 1;

/// What was asked and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    /// The number of the first question, which answers name.
    pub(crate) first_id: u64,
    /// All of it, compressed.
    pub(crate) packed: Vec<u8>,
}

/// Takes a transcript down.
pub(super) struct Stenographer {
    first_id: u64,
    out: GzEncoder<Vec<u8>>,
}

impl fmt::Debug for Stenographer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Stenographer").field("first_id", &self.first_id).finish_non_exhaustive()
    }
}

impl Stenographer {
    pub(super) fn new(first_id: u64) -> Self {
        Self { first_id, out: GzEncoder::new(Vec::new(), Compression::fast()) }
    }

    pub(super) fn asked(&mut self, method: &str, params: &Value) -> Result<()> {
        self.out.write_all(&[ASKED])?;
        Ok(self.out.write_all(key(method, params).as_slice())?)
    }

    pub(super) fn told(&mut self, message: &[u8]) -> Result<()> {
        let length = u32::try_from(message.len())?;
        self.out.write_all(&[TOLD])?;
        self.out.write_all(&length.to_le_bytes())?;
        Ok(self.out.write_all(message)?)
    }

    pub(super) fn finish(self) -> Result<Transcript> {
        let packed = self.out.finish().context("compressing what was asked and told")?;
        Ok(Transcript { first_id: self.first_id, packed })
    }
}

/// Answers from a transcript.
pub(super) struct Prompter {
    rest: GzDecoder<Cursor<Vec<u8>>>,
    /// The longest message that a connection reads.
    most: usize,
    message: Vec<u8>,
}

impl fmt::Debug for Prompter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Prompter").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Prompter {
    pub(super) fn new(packed: Vec<u8>, most: usize) -> Self {
        Self { rest: GzDecoder::new(Cursor::new(packed)), most, message: Vec::new() }
    }

    /// A question.
    ///
    /// # Errors
    /// When another one was asked here, or none.
    pub(super) fn asked(&mut self, method: &str, params: &Value) -> Result<()> {
        let mut asked = B256::ZERO;
        if self.next(method)? == ASKED {
            self.rest.read_exact(asked.as_mut_slice()).with_context(|| short(method))?;
        }
        // No question has the hash of zeros.
        ensure!(
            asked == key(method, params),
            "no answer to this {method} is recorded: another version asked, or what it asked about \
             was configured otherwise"
        );
        Ok(())
    }

    /// The message that was read next.
    ///
    /// # Errors
    /// When none was read here.
    pub(super) fn told(&mut self) -> Result<&[u8]> {
        ensure!(self.next("an answer")? == TOLD, "no answer is recorded that was read here");
        let mut length = [0; 4];
        self.rest.read_exact(&mut length).with_context(|| short("an answer"))?;
        let length = u32::from_le_bytes(length);
        let is_sane = usize::try_from(length).is_ok_and(|length| length <= self.most);
        ensure!(is_sane, "an answer of {length} bytes is recorded, more than are read at once");
        self.message.clear();
        let mut body = Read::by_ref(&mut self.rest).take(length.into());
        let count = body.read_to_end(&mut self.message).with_context(|| short("an answer"))?;
        ensure!(u32::try_from(count) == Ok(length), short("an answer"));
        Ok(&self.message)
    }

    fn next(&mut self, wanted: &str) -> Result<u8> {
        let mut kind = [0];
        self.rest.read_exact(&mut kind).with_context(|| short(wanted))?;
        match kind {
            [kind @ (ASKED | TOLD)] => Ok(kind),
            [other] => bail!("found {other} where {wanted} begins; wanted 0 or 1"),
        }
    }
}

fn short(wanted: &str) -> String {
    format!("what is recorded ends where {wanted} is wanted")
}

/// What a question is known by.
fn key(method: &str, params: &Value) -> B256 {
    keccak256(format!("{method} {params}"))
}
