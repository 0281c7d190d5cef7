//! The warm start: the universe as an earlier run left it, with what happened since.
//!
//! The file is believed only as far as it can be checked. Its checksum, its configuration and the
//! block that it stands at must be right; every pool with a log since is read again; those without
//! one must not have changed, and of their ticks a sample is looked at. Whatever is wrong ends in a
//! cold start.
//!
//! Temperature: cold.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;

use alloy_primitives::{Address, B256, keccak256};
use anyhow::{Context, Result, anyhow, ensure};
use gannet_engine::decode::topics;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::World;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pool::Read;
use super::read::Reader;
use super::{Found, Roster, addresses, discover, states, universe};
use crate::config::{Config, Place};

/// What the file begins with: its kind, and the version of its format.
const MAGIC: &[u8; 16] = b"gannet pools v2\n";
/// Blocks since the file was written that are still made up for; a cold start is not slower then.
const GAP_BLOCKS_MAX: u64 = 4_096;
/// Concentrated pools without a log since whose ticks are compared with the chain.
const SAMPLE: usize = 96;

/// Everything that is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    chain_id: u64,
    /// Of the keys of the configuration that the universe follows from.
    fingerprint: B256,
    block: u64,
    hash: B256,
    /// What each token said of its decimals.
    told: Vec<(Address, Option<u8>)>,
    /// How many pairs each factory lists.
    pair_counts: Vec<u32>,
    pools: Vec<Read>,
}

/// Where the universe of a configuration is kept.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    place: Place,
    path: PathBuf,
    fingerprint: B256,
}

impl Shelf {
    pub(crate) fn of<S>(config: &Config<S>) -> Self {
        let place =
            Place { chain_id: config.chain.id, state_dir: config.runtime.state_dir.clone() };
        let fingerprint = fingerprint(config);
        // Bots with other universes do not push each other's file off the shelf.
        let short: String = fingerprint.to_string().chars().skip(2).take(8).collect();
        let path = place.state_dir.join(format!("{}-{short}.pools", place.chain_id));
        Self { place, path, fingerprint }
    }

    /// What was kept, brought up to the reader's block; `None` where a cold start is needed.
    pub(super) fn take_up<S>(
        &self,
        config: &Config<S>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Found>> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%error, %path, "the kept universe cannot be read: cold start");
                return Ok(None);
            }
        };
        let taken = self.open(&bytes).and_then(|kept| follow(kept, config, reader));
        taken.map(Some).or_else(|why| {
            let why = format!("{why:#}");
            tracing::info!(why, "what an earlier run kept does not hold: cold start");
            Ok(None)
        })
    }

    fn open(&self, bytes: &[u8]) -> Result<Kept> {
        let rest = bytes.strip_prefix(MAGIC).context("it is of another version")?;
        let (sum, body) = rest.split_first_chunk::<32>().context("it is cut short")?;
        ensure!(keccak256(body) == *sum, "its checksum is wrong");
        let kept: Kept = postcard::from_bytes(body).context("it cannot be read")?;
        ensure!(kept.chain_id == self.place.chain_id, "it is of another chain");
        ensure!(kept.fingerprint == self.fingerprint, "factories or universe are others now");
        Ok(kept)
    }

    /// Keeps the world as it is at its last sealed block. Says so where it cannot: a run that ends
    /// well does not end badly for that.
    pub(crate) fn put(&self, world: &World, roster: &Roster) {
        // Halfway through a block there is no block that the states are of.
        if world.open_block().is_some() || !world.freshness().is_fresh() {
            tracing::info!(
                "the universe is not kept as it is: a block is open, or the world is stale"
            );
            return;
        }
        let mut pools = world.pools.ids().iter().map(|id| world.pools.get(*id));
        if pools.any(|pool| pool.is_quarantined) {
            // What was kept at the load still holds: the next start makes up for what came since.
            tracing::info!(
                "the universe is not kept as it is: a pool's state is not to be trusted"
            );
            return;
        }
        self.put_as_loaded(world, roster);
    }

    /// The same for a world that was only just loaded, and has no feed yet.
    pub(crate) fn put_as_loaded(&self, world: &World, roster: &Roster) {
        if let Err(error) = self.write(world, roster) {
            let error = format!("{error:#}");
            tracing::warn!(error, "the universe is not kept: the next start is a cold one");
        }
    }

    fn write(&self, world: &World, roster: &Roster) -> Result<()> {
        let tip = world.tip();
        let kept = Kept {
            chain_id: self.place.chain_id,
            fingerprint: self.fingerprint,
            block: tip.number.0,
            hash: tip.hash,
            told: roster.told.clone(),
            pair_counts: roster.pair_counts.clone(),
            pools: universe::kept(world, roster),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; 32]);
        let mut bytes = postcard::to_extend(&kept, bytes)?;
        let sum = keccak256(&bytes[MAGIC.len() + 32..]);
        bytes[MAGIC.len()..MAGIC.len() + 32].copy_from_slice(sum.as_slice());
        self.place.make()?;
        // Written beside and renamed: a start never finds half a file.
        let beside = self.path.with_extension(format!("pools.{}", std::process::id()));
        let written = std::fs::write(&beside, &bytes);
        let moved = written.and_then(|()| std::fs::rename(&beside, &self.path));
        moved.with_context(|| format!("writing {}", self.path.display()))
    }
}

/// Brings what was kept up to the reader's block, or says why it does not hold.
fn follow<S>(kept: Kept, config: &Config<S>, reader: &mut Reader<'_>) -> Result<Found> {
    let Kept { block, hash, told, pair_counts, pools, .. } = kept;
    let anchor = reader.anchor.number.0;
    let gap = anchor.checked_sub(block).context("the node is behind it")?;
    ensure!(gap <= GAP_BLOCKS_MAX, "it is {gap} blocks old");
    let named = json!(BlockNumber(block).0);
    let number = json!(format!("{:#x}", named.as_u64().unwrap_or_default()));
    let found: Value = reader.rpc.call("eth_getBlockByNumber", &json!([number, false]))?;
    ensure!(found["hash"] == json!(hash), "its block {block} is not on the node's chain");

    let since = block + 1..=anchor;
    let mut fresh = discover::announced(reader, &config.factories, since.clone())?;
    let pair_counts = discover::complete(reader, &config.factories, &pair_counts, &mut fresh)?;
    let touched = discover::touched(reader, &topics::MOVES, since)?;
    let (moved, calm): (Vec<_>, Vec<_>) =
        pools.into_iter().partition(|pool| touched.contains(&pool.known.address));
    compare(reader, &calm, &addresses(config))?;

    let mut known: Vec<_> = moved.iter().map(|pool| pool.known).collect();
    let held: HashSet<Address> = calm.iter().map(|pool| pool.known.address).collect();
    known.extend(fresh.iter().filter(|pool| !held.contains(&pool.address)));
    known.sort_unstable_by_key(|pool| pool.address);
    known.dedup_by_key(|pool| pool.address);
    tracing::info!(
        block,
        gap,
        kept = calm.len(),
        read_again = moved.len(),
        new = fresh.len(),
        "taking up what an earlier run kept"
    );
    let mut pools = calm;
    pools.extend(states(reader, &known, &addresses(config))?);
    Ok(Found { pools, told, pair_counts })
}

/// Reads again the pools that nothing has touched, and the ticks of some of them. A node that has
/// pruned the logs since, and gives none, does not pass for one on which nothing happened.
fn compare(reader: &mut Reader<'_>, pools: &[Read], factories: &[Address]) -> Result<()> {
    let known: Vec<_> = pools.iter().map(|pool| pool.known).collect();
    let read = states(reader, &known, factories)?;
    ensure!(read.len() == pools.len(), "pools of it are gone");
    for (kept, read) in pools.iter().zip(&read) {
        let is_same = kept.reading == read.reading;
        ensure!(is_same, "pool {} is not what it was, and no log says why", kept.known.address);
    }
    let chance = RandomState::new();
    let mut ranged: Vec<(&Read, Read)> =
        pools.iter().zip(read).filter(|(kept, _)| kept.ticks.is_some()).collect();
    ranged.sort_by_cached_key(|(kept, _)| chance.hash_one(kept.known.address));
    ranged.truncate(SAMPLE);
    let (kept, mut sample): (Vec<&Read>, Vec<Read>) = ranged.into_iter().unzip();
    super::read_ticks(reader, &mut sample)?;
    ensure!(sample.len() == kept.len(), "ticks of it are gone");
    for (kept, read) in kept.iter().zip(sample) {
        let is_same = kept.ticks == read.ticks;
        ensure!(is_same, "pool {} has other ticks, and no log says why", kept.known.address);
    }
    Ok(())
}

/// Of everything that decides which pools there are and how they are ranked.
fn fingerprint<S>(config: &Config<S>) -> B256 {
    let factories: Vec<_> = config
        .factories
        .iter()
        .map(|named| {
            let kind = format!("{:?}", named.factory.kind);
            (named.factory.address, kind, named.factory.fee_pips, named.deployed_block)
        })
        .collect();
    let native = config.chain.wrapped_native;
    let meant = (config.chain.id, native, factories, &config.base_tokens, config.pools_max);
    let bytes = postcard::to_stdvec(&meant).map_err(|error| anyhow!(error)).unwrap_or_default();
    keccak256(bytes)
}
