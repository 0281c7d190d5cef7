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
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Address, B256, Bloom, keccak256};
use anyhow::{Context, Result, anyhow, ensure};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::topics;
use gannet_engine::world::{Stale, World};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pool::Read;
use super::read::Reader;
use super::{Found, Roster, addresses, discover, states, universe};
use crate::config::{Config, NamedFactory, Node, Place};
use crate::sealed::{self, Magic};

/// What the file begins with: its kind, and the version of its format.
const MAGIC: &Magic = b"gannet pools v3\n";
/// Blocks since the file was written that are still made up for; a cold start is not slower then.
const GAP_BLOCKS_MAX: u64 = 4_096;
/// Blocks after which pools are chosen anew, a week of 12 s blocks: what was too small then is not
/// kept, and may be large by now.
const CHOICE_BLOCKS_MAX: u64 = 50_400;
/// Blocks below the newest at which what is kept is renewed: reorganisations seldom reach them.
const RENEWAL_DEPTH: u64 = 8;
/// First blocks since that are searched for one with logs.
const LOOKED_AT: usize = 8;
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
    /// The block of the last cold start.
    chosen_at: u64,
    pools: Vec<Read>,
    /// Those of them whose states are not to be trusted.
    doubted: Vec<Address>,
}

/// Where the universe of a configuration is kept.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    place: Place,
    path: PathBuf,
    fingerprint: B256,
    factories: Vec<NamedFactory>,
    /// Whether the run is over; held while the file is replaced.
    is_closed: Arc<Mutex<bool>>,
}

impl Shelf {
    pub(crate) fn of<S>(config: &Config<S>) -> Self {
        let place =
            Place { chain_id: config.chain.id, state_dir: config.runtime.state_dir.clone() };
        let fingerprint = fingerprint(config);
        // Bots with other universes do not push each other's file off the shelf.
        let short: String = fingerprint.to_string().chars().skip(2).take(8).collect();
        let path = place.state_dir.join(format!("{}-{short}.pools", place.chain_id));
        let factories = config.factories.clone();
        Self { place, path, fingerprint, factories, is_closed: Arc::default() }
    }

    /// What was kept, brought up to the reader's block; `None` where a cold start is needed.
    pub(super) fn take_up(&self, reader: &mut Reader<'_>) -> Option<Found> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%error, %path, "the kept universe cannot be read: cold start");
                return None;
            }
        };
        match self.open_for(reader, &bytes).and_then(|kept| follow(kept, &self.factories, reader)) {
            Ok((found, followed)) => {
                let Followed { gap, kept, read_again, new } = followed;
                tracing::info!(gap, kept, read_again, new, "taking up what an earlier run kept");
                Some(found)
            }
            Err(why) => {
                let why = format!("{why:#}");
                tracing::info!(why, "what an earlier run kept does not hold: cold start");
                None
            }
        }
    }

    /// For a start, which chooses anew once in a while.
    fn open_for(&self, reader: &Reader<'_>, bytes: &[u8]) -> Result<Kept> {
        let kept = self.open(bytes)?;
        let age = reader.anchor.number.0.saturating_sub(kept.chosen_at);
        ensure!(age <= CHOICE_BLOCKS_MAX, "its pools were chosen {age} blocks ago");
        Ok(kept)
    }

    fn open(&self, bytes: &[u8]) -> Result<Kept> {
        let body = sealed::open(MAGIC, bytes)?;
        let kept: Kept = postcard::from_bytes(body).context("it cannot be read")?;
        ensure!(kept.chain_id == self.place.chain_id, "it is of another chain");
        ensure!(kept.fingerprint == self.fingerprint, "factories or universe are others now");
        Ok(kept)
    }

    /// Keeps the world as it is at its last sealed block; a block that is open is taken back. Says
    /// so where it cannot: a run that ends well does not end badly for that.
    pub(crate) fn put(&self, world: &mut World, roster: &Roster) {
        let is_lost = world.freshness().has(Stale::Lost);
        if is_lost || world.leave_open_block().is_err() {
            // What was kept before still holds: the next start makes up for what came since.
            tracing::info!("the universe is not kept as it is: the world has lost the chain");
            return;
        }
        self.put_as_loaded(world, roster);
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The same for a world that was only just loaded, and has no feed yet.
    pub(crate) fn put_as_loaded(&self, world: &World, roster: &Roster) {
        let tip = world.tip();
        let pools = world.pools.ids().iter().map(|id| world.pools.get(*id));
        let doubted = pools.filter(|pool| pool.is_quarantined).map(|pool| pool.address).collect();
        let kept = Kept {
            chain_id: self.place.chain_id,
            fingerprint: self.fingerprint,
            block: tip.number.0,
            hash: tip.hash,
            told: roster.told.clone(),
            pair_counts: roster.pair_counts.clone(),
            chosen_at: roster.chosen_at,
            pools: universe::kept(world, roster),
            doubted,
        };
        if let Err(error) = self.write(&kept) {
            let error = format!("{error:#}");
            tracing::warn!(error, "the universe is not kept: the next start is a cold one");
        }
    }

    /// Brings what is kept up to a block that is almost the newest, as a warm start would, so that
    /// the next one finds little to make up for, whatever this run ends of. The world has no part
    /// in it.
    ///
    /// # Errors
    /// When the node cannot be asked, or what is kept does not hold.
    pub(super) fn renew(&self, nodes: &[Node], chain: &ChainSpec) -> Result<()> {
        let bytes = std::fs::read(&self.path).context("reading what is kept")?;
        let kept = self.open(&bytes)?;
        drop(bytes);
        let mut rpc = super::connect(nodes, chain.id)?;
        let newest = super::latest(&mut rpc, chain)?.number.0;
        let number = format!("{:#x}", newest.saturating_sub(RENEWAL_DEPTH));
        let anchor = super::block(&mut rpc, chain, &number)?;
        if anchor.number.0 <= kept.block {
            return Ok(());
        }
        let mut reader = Reader::new(&mut rpc, anchor)?;
        let (found, _) = follow(kept, &self.factories, &mut reader)?;
        let Found { mut pools, told, pair_counts, chosen_at } = found;
        super::read_ticks(&mut reader, &mut pools)?;
        reader.finish()?;
        self.write(&Kept {
            chain_id: self.place.chain_id,
            fingerprint: self.fingerprint,
            block: anchor.number.0,
            hash: anchor.hash,
            told,
            pair_counts,
            chosen_at,
            pools,
            doubted: Vec::new(),
        })
    }

    fn write(&self, kept: &Kept) -> Result<()> {
        let body = postcard::to_stdvec(kept)?;
        self.place.make()?;
        let is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            // A renewal that comes after the end: what the run left is newer.
            return Ok(());
        }
        sealed::write(&self.path, MAGIC, &body)
    }
}

/// What has become of what was kept.
#[derive(Clone, Copy, Debug)]
struct Followed {
    /// Blocks since.
    gap: u64,
    /// Pools that are as they were.
    kept: usize,
    /// Pools with a log since, or in doubt.
    read_again: usize,
    /// Pools that were made since.
    new: usize,
}

/// Brings what was kept up to the reader's block, or says why it does not hold.
fn follow(
    kept: Kept,
    factories: &[NamedFactory],
    reader: &mut Reader<'_>,
) -> Result<(Found, Followed)> {
    let Kept { block, hash, told, pair_counts, chosen_at, pools, doubted, .. } = kept;
    let anchor = reader.anchor.number.0;
    let gap = anchor.checked_sub(block).context("the node is behind it")?;
    ensure!(gap <= GAP_BLOCKS_MAX, "it is {gap} blocks old");
    ensure!(
        header(reader, block)?["hash"] == json!(hash),
        "its block {block} is not on the node's chain"
    );

    let since = block + 1..=anchor;
    demand_logs(reader, since.clone().take(LOOKED_AT))?;
    let mut fresh = discover::announced(reader, factories, since.clone())?;
    let pair_counts = discover::complete(reader, factories, &pair_counts, &mut fresh)?;
    let mut touched = discover::touched(reader, &topics::MOVES, since)?;
    touched.extend(doubted);
    let (moved, calm): (Vec<_>, Vec<_>) =
        pools.into_iter().partition(|pool| touched.contains(&pool.known.address));
    let addresses = addresses(factories);
    compare(reader, &calm, &addresses)?;

    let mut known: Vec<_> = moved.iter().map(|pool| pool.known).collect();
    let held: HashSet<Address> = calm.iter().map(|pool| pool.known.address).collect();
    known.extend(fresh.iter().filter(|pool| !held.contains(&pool.address)));
    known.sort_unstable_by_key(|pool| pool.address);
    known.dedup_by_key(|pool| pool.address);
    let followed = Followed { gap, kept: calm.len(), read_again: moved.len(), new: fresh.len() };
    let mut pools = calm;
    pools.extend(states(reader, &known, &addresses)?);
    Ok((Found { pools, told, pair_counts, chosen_at }, followed))
}

pub(crate) fn header(reader: &mut Reader<'_>, number: u64) -> Result<Value> {
    let number = json!(format!("{number:#x}"));
    reader.rpc.call("eth_getBlockByNumber", &json!([number, false]))
}

/// Makes sure that the node still has the logs of these blocks: those of the first one whose bloom
/// filter says that it has some. They are pruned from the oldest on.
pub(crate) fn demand_logs(
    reader: &mut Reader<'_>,
    blocks: impl Iterator<Item = u64>,
) -> Result<()> {
    for number in blocks {
        let header = header(reader, number)?;
        let bloom = header["logsBloom"].as_str().and_then(|text| text.parse::<Bloom>().ok());
        // A chain that has none fills it with one and the same bit.
        if bloom.is_none_or(|bloom| [Bloom::ZERO, Bloom::repeat_byte(0xff)].contains(&bloom)) {
            continue;
        }
        let block = json!(format!("{number:#x}"));
        let asked = json!([{ "fromBlock": block, "toBlock": block }]);
        let logs: Vec<IgnoredAny> = reader.rpc.call("eth_getLogs", &asked)?;
        ensure!(!logs.is_empty(), "the node has not the logs of block {number} any more");
        break;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use gannet_scripted_node::archive::{Archive, Plan, Server};
    use gannet_strategies::Standard;

    use super::super::{Loaded, connect, latest, load};
    use super::*;
    use crate::config::Config;

    const PLAN: Plan = Plan {
        seed: 3,
        chain_id: 31_337,
        blocks: 10_000,
        pairs: 60,
        concentrated: 20,
        ticks: 8,
        solidly: 10,
    };
    /// Less than what a warm start makes up for; twice as much is more.
    const GAP: u64 = 3_000;

    struct Place {
        node: Server,
        config: Config<Standard>,
        shelf: Shelf,
        loaded: Loaded,
    }

    impl Place {
        /// A universe that was just loaded, and kept.
        fn new(name: &str) -> Self {
            let node = Server::start(Archive::new(PLAN)).unwrap();
            let folder = format!("gannet-kept-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            let text = node.archive().config(node.url());
            let text = format!("{text}state_dir = \"{}\"\n", folder.display());
            let config: Config<Standard> = Config::parse(&text, &[]).unwrap();
            let mut rpc = connect(&config.nodes, config.chain.id).unwrap();
            let loaded = load(&config, &mut rpc).unwrap();
            let shelf = Shelf::of(&config);
            shelf.put_as_loaded(&loaded.world, &loaded.roster);
            Self { node, config, shelf, loaded }
        }

        fn renew(&self) {
            self.shelf.renew(&self.config.nodes, &self.config.chain).unwrap();
        }

        /// What a start would take up.
        fn taken_up(&self) -> Option<Found> {
            let Config { nodes, chain, .. } = &self.config;
            let mut rpc = connect(nodes, chain.id).unwrap();
            let anchor = latest(&mut rpc, chain).unwrap();
            let mut reader = Reader::new(&mut rpc, anchor).unwrap();
            self.shelf.take_up(&mut reader)
        }

        /// The block that what is kept stands at.
        fn block(&self) -> u64 {
            self.shelf.open(&std::fs::read(&self.shelf.path).unwrap()).unwrap().block
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.config.runtime.state_dir).unwrap();
        }
    }

    #[test]
    fn a_run_that_was_killed_after_long_leaves_what_was_renewed() {
        let place = Place::new("killed");
        place.node.archive().go_on(GAP, 40);
        place.renew();
        place.node.archive().go_on(GAP, 20);
        let found = place.taken_up().expect("it is renewed");
        assert_eq!(found.pools.len(), place.loaded.world.pools.len());
        place.node.archive().go_on(GAP, 20);
        assert!(place.taken_up().is_none(), "without a renewal it is too old");
    }

    #[test]
    fn a_renewal_is_a_few_blocks_deep_and_never_older_than_what_is_kept() {
        let place = Place::new("deep");
        // Fewer blocks than the depth: it would be older than what is kept.
        place.node.archive().go_on(5, 5);
        place.renew();
        assert_eq!(place.block(), PLAN.blocks);
        place.node.archive().go_on(100, 5);
        place.renew();
        assert_eq!(place.block(), PLAN.blocks + 105 - RENEWAL_DEPTH);
    }

    #[test]
    fn nothing_is_renewed_after_the_end() {
        let mut place = Place::new("end");
        let Loaded { world, roster, .. } = &mut place.loaded;
        place.shelf.put(world, roster);
        place.node.archive().go_on(GAP, 40);
        place.renew();
        assert_eq!(place.block(), PLAN.blocks, "it stands where the run ended");
    }

    #[test]
    fn what_was_chosen_long_ago_is_chosen_anew() {
        let place = Place::new("chosen");
        for _ in 0..=CHOICE_BLOCKS_MAX / GAP {
            place.node.archive().go_on(GAP, 5);
            place.renew();
        }
        assert_eq!(place.block(), PLAN.blocks + 17 * GAP - RENEWAL_DEPTH);
        assert!(place.taken_up().is_none(), "it is 51,000 blocks since a cold start");
    }

    #[test]
    fn what_is_of_another_chain_or_universe_is_not_taken_up() {
        let mut place = Place::new("other");
        let fingerprint = std::mem::take(&mut place.shelf.fingerprint);
        let bytes = std::fs::read(&place.shelf.path).unwrap();
        let said = |shelf: &Shelf| shelf.open(&bytes).unwrap_err().to_string();
        assert_eq!(said(&place.shelf), "factories or universe are others now");
        place.shelf.fingerprint = fingerprint;
        place.shelf.place.chain_id = 1;
        assert_eq!(said(&place.shelf), "it is of another chain");
    }
}
