//! Entries of a tape.
//!
//! Temperature: cold.

use alloy_primitives::Bytes;
use anyhow::{Context as _, Result};

use super::tape::{Kind, PREFIX_BYTES, STAMP_BYTES, source_of};
use crate::recording::rows::ArrivalRow;

/// An entry: a whole input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(super) kind: Kind,
    pub(super) at: u64,
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
    /// Where the next one begins.
    pub(crate) end: usize,
}

/// The whole entries at the start of `bytes`; it ends where one is cut short or is none.
pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut place = 0;
    std::iter::from_fn(move || {
        let entry = entry(bytes, place)?;
        place = entry.end;
        Some(entry)
    })
}

fn entry(bytes: &[u8], place: usize) -> Option<Entry<'_>> {
    let rest = bytes.get(place..)?;
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let kind = *rest.get(PREFIX_BYTES - 1)?;
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    let all = rest.get(PREFIX_BYTES..)?.get(..length)?;
    let (stamps, body) = all.split_at_checked(STAMP_BYTES)?;
    let (at, seq) = stamps.split_at(8);
    Some(Entry {
        kind,
        at: u64::from_le_bytes(*at.first_chunk()?),
        seq: u64::from_le_bytes(*seq.first_chunk()?),
        body,
        end: place.checked_add(PREFIX_BYTES)?.checked_add(length)?,
    })
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Truncated => "truncated",
            Self::Tick => "tick",
            Self::Link => "link",
            Self::Order => "order",
            Self::Gap => "gap",
        }
    }
}

impl Entry<'_> {
    /// As it is kept in the table.
    pub(crate) fn to_row(self) -> Result<ArrivalRow> {
        let Self { kind, at, seq, body, .. } = self;
        let has_line = matches!(kind, Kind::Frame | Kind::Truncated | Kind::Link);
        let mut row = ArrivalRow {
            seq,
            received_ns: at,
            kind: kind.name().to_owned(),
            node: None,
            source: None,
            flag: None,
            bytes: None,
        };
        let mut rest = body;
        if has_line {
            let [node, source, after @ ..] = rest else {
                anyhow::bail!("input {seq}: an entry of the tape is too short");
            };
            let source = source_of(*source).context("a connection that there is not")?;
            row.node = Some(u32::from(*node));
            row.source = Some(source.name().to_owned());
            rest = after;
        }
        if matches!(kind, Kind::Frame | Kind::Link) {
            let [flag, after @ ..] = rest else {
                anyhow::bail!("input {seq}: an entry of the tape is too short");
            };
            row.flag = Some(*flag != 0);
            rest = after;
        }
        if !rest.is_empty() {
            row.bytes = Some(Bytes::copy_from_slice(rest));
        }
        Ok(row)
    }
}
