//! Who may owe something: the accounts and markets that a protocol's events name, kept from run to
//! run.
//!
//! ```text
//! events up to a block that is not replaced any more ─► names ─► file
//! events since ─────────────────────────────────────────┴─► names at the reader's block
//! ```
//!
//! What a name stands for is read at the reader's block, whoever was named when. So all that the
//! file could do wrong is to leave somebody out. It is believed only if the block that it reaches
//! to is on the node's chain and the node has the logs since, and everything is searched again
//! after a week: a node may have told too little, and nothing in a log says so.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bootstrap::{Reader, Sought, demand_logs, header};
use crate::config::{Deployment, Place};
use crate::feed::rpc::NodeError;
use crate::sealed::{self, Magic};

/// What is looked for here.
const BORROWERS: Sought = Sought {
    label: "blocks searched for borrowers",
    key: "deployed_block of the protocol's table",
};
/// What the file begins with: its kind, and the version of its format.
const MAGIC: &Magic = b"gannet names v1\n";
/// Blocks below the reader's at which names are kept: two epochs of Ethereum's, so that no
/// reorganisation that finality allows takes one of them back.
const SETTLED_DEPTH: u64 = 64;
/// Blocks after which a start searches everything again: a week of 12 s blocks.
const SEARCH_BLOCKS_MAX: u64 = 50_400;

/// A log, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Log {
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
}

/// What a protocol's events name.
pub(super) trait Named: Clone + Default + Serialize + DeserializeOwned {
    /// The first topics of the events that name anybody.
    const TOPICS: &'static [B256];

    /// Takes the names out of one of them; they come in no order.
    fn take(&mut self, log: &Log);
}

/// Whom each deployment's events have named, up to which block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roll {
    chapters: BTreeMap<Address, Chapter>,
}

/// One deployment's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Chapter {
    search: Search,
    /// The reader's block when that was begun.
    begun: u64,
    /// The last block that was searched, and its hash.
    block: u64,
    hash: B256,
    names: Vec<u8>,
}

/// What was searched for: names that another search has found are not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Search {
    /// The first block.
    from: u64,
    /// Of all topics.
    topics: B256,
}

impl Search {
    fn of<N: Named>(from: u64) -> Self {
        Self { from, topics: keccak256(N::TOPICS.concat()) }
    }
}

impl Roll {
    /// Forgets what a search found that was begun long ago. Whatever a node has left out then is
    /// left out no longer; the search takes its time, so this is for starts.
    pub(super) fn expire(&mut self, height: u64) {
        self.chapters
            .retain(|_, chapter| height <= chapter.begun.saturating_add(SEARCH_BLOCKS_MAX));
    }

    /// Whom a deployment's events name up to the reader's block.
    pub(super) fn named<N: Named>(
        &mut self,
        reader: &mut Reader<'_>,
        deployment: &Deployment,
    ) -> Result<N> {
        let Deployment { name, address, deployed_block } = deployment;
        let (height, search) = (reader.height(), Search::of::<N>(*deployed_block));
        let (mut names, mut next, mut begun) = (N::default(), *deployed_block, height);
        if let Some(chapter) = self.chapters.get(address).filter(|it| it.search == search) {
            match chapter.names(reader) {
                Ok(kept) => {
                    (names, next, begun) = (kept, chapter.block.saturating_add(1), chapter.begun);
                }
                Err(why) => {
                    let why = format!("{why:#}");
                    tracing::info!(name, why, "the borrowers that are known do not hold");
                }
            }
        }
        demand(reader, next..=height)
            .with_context(|| format!("{name}: its borrowers cannot be found"))?;
        if let Some(settled) = height.checked_sub(SETTLED_DEPTH).filter(|block| next <= *block) {
            look(reader, *address, next..=settled, &mut names)?;
            next = settled.saturating_add(1);
            self.keep(reader, *address, &names, (search, begun, settled))?;
        }
        look(reader, *address, next..=height, &mut names)?;
        Ok(names)
    }

    /// Keeps the names up to a settled block. Nobody at all is not worth it: most likely the search
    /// was a wrong one.
    fn keep<N: Named>(
        &mut self,
        reader: &mut Reader<'_>,
        address: Address,
        names: &N,
        (search, begun, block): (Search, u64, u64),
    ) -> Result<()> {
        let [names, nobody] = [names, &N::default()].map(postcard::to_stdvec);
        let (names, nobody) = (names?, nobody?);
        if names != nobody {
            let hash = serde_json::from_value(header(reader, block)?["hash"].take());
            let hash = hash.with_context(|| format!("the node has no block {block}"))?;
            self.chapters.insert(address, Chapter { search, begun, block, hash, names });
        }
        Ok(())
    }
}

impl Chapter {
    /// The names, if they are of the node's chain.
    fn names<N: Named>(&self, reader: &mut Reader<'_>) -> Result<N> {
        let Self { block, hash, names, .. } = self;
        ensure!(*block <= reader.height(), "the node is behind block {block}");
        let found = header(reader, *block)?;
        ensure!(found["hash"] == json!(hash), "block {block} is not on the node's chain");
        postcard::from_bytes(names).context("they cannot be read")
    }
}

/// Makes sure that the node still has the logs of these blocks: those of the first one that has any
/// among blocks at distances that double. It may refuse to tell those of a whole block.
fn demand(reader: &mut Reader<'_>, blocks: RangeInclusive<u64>) -> Result<()> {
    let steps = (0..u64::BITS).map(|step| (1_u64 << step) - 1);
    let (first, last) = blocks.into_inner();
    let probed = steps.map_while(|step| first.checked_add(step).filter(|block| *block <= last));
    match demand_logs(reader, probed) {
        Err(error) if error.is::<NodeError>() => {
            let error = format!("{error:#}");
            tracing::info!(error, "whether the node has all logs is not known");
            Ok(())
        }
        demanded => demanded,
    }
}

/// Takes the names out of a deployment's events in these blocks.
fn look<N: Named>(
    reader: &mut Reader<'_>,
    address: Address,
    blocks: RangeInclusive<u64>,
    names: &mut N,
) -> Result<()> {
    let filter = |_| json!({ "address": address, "topics": [N::TOPICS] });
    reader.logs(&BORROWERS, blocks, filter, |log| names.take(&log))
}

/// Where the roll of a chain is kept.
#[derive(Clone, Debug)]
pub(crate) struct RollFile {
    place: Place,
    path: PathBuf,
}

impl RollFile {
    /// Beside the other state of a chain's bots.
    pub(crate) fn of(place: Place) -> Self {
        let path = place.state_dir.join(format!("{}.borrowers", place.chain_id));
        Self { place, path }
    }

    /// What was kept; nothing if there is none that can be read.
    pub(crate) fn take_up(&self) -> Roll {
        match self.read() {
            Ok(roll) => roll.unwrap_or_default(),
            Err(why) => {
                let why = format!("{why:#}");
                tracing::warn!(
                    why,
                    "the borrowers that are known cannot be read: all are looked \
                                     for again"
                );
                Roll::default()
            }
        }
    }

    fn read(&self) -> Result<Option<Roll>> {
        let told = || format!("reading {}", self.path.display());
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(told),
        };
        let body = sealed::open(MAGIC, &bytes).with_context(told)?;
        postcard::from_bytes(body).map(Some).with_context(told)
    }

    /// Keeps a roll, beside what other bots have found of other deployments. Says so where it
    /// cannot: all that is lost is time.
    pub(crate) fn keep(&self, roll: &Roll) {
        if roll.chapters.is_empty() {
            return;
        }
        let write = || {
            let mut all = self.read().ok().flatten().unwrap_or_default();
            all.chapters.extend(roll.chapters.clone());
            self.place.make()?;
            sealed::write(&self.path, MAGIC, &postcard::to_stdvec(&all)?)
        };
        if let Err(error) = write() {
            let error = format!("{error:#}");
            tracing::warn!(error, "the borrowers are not kept: the next start looks for all");
        }
    }
}

#[cfg(test)]
mod tests;
