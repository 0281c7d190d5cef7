//! A recorded input, as the engine takes it.
//!
//! Temperature: cold.

use anyhow::{Context as _, Result, bail};
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Happening, Source};
use gannet_engine::world::World;

use super::orders;
use crate::recording::rows::ArrivalRow;

/// What a row is.
#[derive(Debug)]
pub(crate) enum Played<'a> {
    Happened(Happening<'a>),
    /// So many inputs were lost.
    Gap(u64),
}

/// Reads a row. `hops` are the longest cycles that the strategies search for.
///
/// # Errors
/// When it is no input.
pub(crate) fn play<'a>(row: &'a ArrivalRow, world: &World, hops: &[usize]) -> Result<Played<'a>> {
    let bytes = row.bytes.as_ref().map(|bytes| &bytes[..]).unwrap_or_default();
    let line = || -> Result<(NodeId, Source)> {
        let node =
            row.node.and_then(|node| u8::try_from(node).ok()).context("its node is absent")?;
        let name = row.source.as_deref().unwrap_or_default();
        let source = Source::ALL.into_iter().find(|source| source.name() == name);
        Ok((NodeId(node), source.with_context(|| format!("found connection {name:?}"))?))
    };
    let flag = row.flag.unwrap_or_default();
    let what = match row.kind.as_str() {
        "frame" => {
            let (node, source) = line()?;
            Happening::Frame { node, source, bytes, has_more: flag }
        }
        "truncated" => {
            let (node, source) = line()?;
            Happening::Truncated { node, source }
        }
        "tick" => Happening::Tick,
        "link" => {
            let (node, source) = line()?;
            Happening::Link { node, source, is_up: flag }
        }
        "order" => Happening::Command(orders::read(bytes, world, hops)?),
        "gap" => {
            let lost = bytes.first_chunk().context("a gap does not say how long it is")?;
            return Ok(Played::Gap(u64::from_le_bytes(*lost)));
        }
        other => {
            bail!("found an input {other:?}; wanted frame, truncated, tick, link, order or gap")
        }
    };
    Ok(Played::Happened(what))
}
