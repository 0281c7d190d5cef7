//! What outlives the process: submissions that are not final, and the books of those that are.
//!
//! ```text
//! header │ checkpoint A │ checkpoint B │ record 0 │ record 1 │ …
//! ```
//!
//! One file of fixed size, taken from the disk at the start and written in place, so that a disk
//! that fills up later changes nothing. A submission's record is written before its transaction
//! leaves, and holds the bytes that leave, of which the next run takes the hash that they are known
//! by: whatever the process dies of, the next one knows every nonce that it may have used. A
//! checkpoint holds the books of everything that is final and says which records still count; the
//! two are written in turn, so that one is always whole. A new record is put into the file's
//! memory; one that stands already is written over by one call of the system, so that no end of the
//! process tears it. Both survive the process at once, and a power cut once they are on the disk,
//! which the scribe sees to every second.
//!
//! Temperature: warm.

mod codec;
mod memory;

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail};
use gannet_engine::finality::Legacy;
use gannet_engine::flight::Flight;
use gannet_engine::growth::Growth;
use gannet_engine::guard::Losses;
use gannet_engine::ids::{PoolId, StrategyId, TokenId, WalletId};
use gannet_engine::limits::{FLIGHTS_MAX, OWN_TX_BYTES_MAX, SETTLED_MAX};
use gannet_engine::pipeline::Engine;
use gannet_engine::world::World;

use self::codec::{Checkpoint, Record};
use self::memory::Memory;
use crate::allocation::aside;

/// Places for records: as many as there are submissions that are not final, at most.
const PLACES: usize = SETTLED_MAX + FLIGHTS_MAX;
const HEADER_BYTES: usize = 1 << 12;
const CHECKPOINT_BYTES: usize = 1 << 14;
const RECORD_BYTES: usize = 1 << 11;
/// A page, so that no two records share one.
const PLACE_BYTES: usize = 1 << 12;
const VERSION: &str = "gannet state 2\n";
const PLACES_AT: usize = HEADER_BYTES + 2 * CHECKPOINT_BYTES;
const FILE_BYTES: usize = PLACES_AT + PLACES * PLACE_BYTES;
const _: () = assert!(PLACES_AT.is_multiple_of(PLACE_BYTES), "a record lies in one page");
const _: () = assert!(RECORD_BYTES < PLACE_BYTES, "the last byte of the file is nobody's");
const _: () = assert!(OWN_TX_BYTES_MAX + 1_000 < RECORD_BYTES, "a transaction fits its record");

/// Whose state it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// EIP-155 chain id.
    pub(crate) chain_id: u64,
    /// The chain's first block: a test chain that was started anew is another chain.
    pub(crate) genesis: B256,
    /// The executor that the submissions call.
    pub(crate) executor: Address,
    /// The first wallet, whose lock guards the file.
    pub(crate) wallet: Address,
    /// The strategies, by handle.
    pub(crate) strategies: &'a [&'static str],
}

impl Owner<'_> {
    fn file_name(&self, wallet: Address) -> String {
        format!("{}-{wallet:#x}.state", self.chain_id)
    }

    fn header(&self) -> String {
        let Self { genesis, executor, strategies, .. } = self;
        let strategies = strategies.join(",");
        format!("{VERSION}genesis {genesis}\nexecutor {executor}\nstrategies {strategies}\n")
    }

    /// Whether a file with this head is ours. Strategies are known by their places, so those that
    /// were added behind the others since change nothing.
    fn is_owner_of(&self, head: &[u8]) -> bool {
        (1..=self.strategies.len()).any(|count| {
            let strategies = self.strategies.get(..count).unwrap_or_default();
            head.starts_with(Owner { strategies, ..*self }.header().as_bytes())
        })
    }

    /// What the headers of this chain have in common, whatever its executor and strategies.
    fn chain_header(&self) -> String {
        format!("{VERSION}genesis {}\n", self.genesis)
    }
}

/// The file, open for as long as the run lasts.
#[derive(Debug)]
pub(crate) struct State {
    file: File,
    /// The same as memory.
    memory: Arc<Memory>,
    path: PathBuf,
    handles: Handles,
    /// The serial number of the record at each place; 0 where it is free.
    places: Vec<u64>,
    /// Where the search for a free place begins.
    next: usize,
    /// The highest serial number that was given.
    newest: u64,
    /// What was recorded last.
    last: Option<Flight>,
    sequence: u64,
    buffer: Vec<u8>,
    is_failing: bool,
}

/// Addresses by handle: records outlive the handles of one run.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    pools: Vec<Address>,
    tokens: Vec<Address>,
    wallets: Vec<Address>,
}

impl Handles {
    /// The handles of this run.
    pub(crate) fn of(world: &World, wallets: Vec<Address>) -> Self {
        let pools = world.pools.ids().iter().map(|id| world.pools.get(*id).address).collect();
        let tokens = world.tokens.iter().map(|(_, token)| token.address).collect();
        Self { pools, tokens, wallets }
    }

    /// The same, with what the world has taken in.
    #[cold]
    fn extend(&mut self, growth: &Growth) {
        self.pools.extend(growth.pools.iter().map(|(pool, _)| pool.address));
        self.tokens.extend(growth.tokens.iter().map(|(token, _)| *token));
    }
}

impl State {
    /// Opens the state of `owner` in `folder`, or begins it, and reads what an earlier run left.
    ///
    /// # Errors
    /// When the file cannot be read, or has no room on the disk.
    pub(crate) fn open(
        folder: &Path,
        owner: &Owner<'_>,
        handles: Handles,
    ) -> Result<(Self, Legacy)> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        refuse_other_order(folder, owner, &handles.wallets)?;
        let path = folder.join(owner.file_name(owner.wallet));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("opening the state {}", path.display()))?;
        let mut state = Self {
            file,
            memory: Arc::default(),
            path,
            handles,
            places: vec![0; PLACES],
            next: 0,
            newest: 0,
            last: None,
            sequence: 0,
            buffer: vec![0; CHECKPOINT_BYTES],
            is_failing: false,
        };
        let legacy = state.read(owner)?;
        state.newest = legacy.newest_serial;
        state.look_on(0);
        match Memory::of(&state.file, state.next) {
            Ok(memory) => state.memory = Arc::new(memory),
            Err(error) => {
                let path = state.path.display();
                tracing::info!(%error, %path, "the state cannot be mapped: submissions are slower");
            }
        }
        Ok((state, legacy))
    }

    /// The world has grown: what is traded in new pools is recorded too.
    pub(crate) fn grow(&mut self, growth: &Growth) {
        self.handles.extend(growth);
    }

    /// What a cold thread does for it.
    pub(crate) fn care(&self) -> Result<Care> {
        let file = self.file.try_clone().context("opening the state a second time")?;
        Ok(Care { file, memory: Arc::clone(&self.memory), is_failing: false })
    }

    fn read(&mut self, owner: &Owner<'_>) -> Result<Legacy> {
        let mut bytes = vec![0; FILE_BYTES];
        let length = self.file.metadata().context("reading the state")?.len();
        let is_whole =
            length == FILE_BYTES as u64 && self.file.read_exact_at(&mut bytes, 0).is_ok();
        let header = owner.header();
        let (head, rest) = bytes.split_at(HEADER_BYTES);
        let (checkpoints, records) = rest.split_at(2 * CHECKPOINT_BYTES);
        let newest = checkpoints
            .chunks_exact(CHECKPOINT_BYTES)
            .filter_map(Checkpoint::read)
            .max_by_key(|checkpoint| checkpoint.sequence);
        let checkpoint = newest.unwrap_or_default();
        if !is_whole || !owner.is_owner_of(head) {
            if length > 0 {
                self.set_aside()?;
            }
            self.begin(&header)?;
            // A new executor or another strategy brings back nothing that was lost today.
            let is_same_chain = is_whole && head.starts_with(owner.chain_header().as_bytes());
            let losses = if is_same_chain { checkpoint.losses } else { Losses::default() };
            return Ok(Legacy { losses, ..Legacy::default() });
        }
        self.sequence = checkpoint.sequence;
        let mut legacy = Legacy {
            books: checkpoint.books,
            losses: checkpoint.losses,
            booked_serial: checkpoint.newest_serial,
            newest_serial: checkpoint.newest_serial,
            flights: Vec::new(),
        };
        for (place, bytes) in self.places.iter_mut().zip(records.chunks_exact(PLACE_BYTES)) {
            let Some(record) = Record::read(&bytes[..RECORD_BYTES]) else { continue };
            if checkpoint.is_closed(record.serial) {
                continue;
            }
            *place = record.serial;
            // Also of one that is not followed: its number would take its place in the file.
            legacy.newest_serial = legacy.newest_serial.max(record.serial);
            match record.resolve(&self.handles) {
                Some(flight) => legacy.flights.push(flight),
                None => tracing::warn!(
                    hash = %record.hash,
                    wallet = %record.wallet,
                    "a submission of an earlier run is not followed: its wallet or its token is \
                     not configured any more"
                ),
            }
        }
        Ok(legacy)
    }

    /// What is there is of another chain, another set of strategies or another version.
    fn set_aside(&self) -> Result<()> {
        let aside = self.path.with_extension("state.old");
        std::fs::copy(&self.path, &aside)
            .with_context(|| format!("setting the old state aside as {}", aside.display()))?;
        tracing::warn!(
            old = %aside.display(),
            "the state is of another chain, executor, set of strategies or version: beginning anew"
        );
        Ok(())
    }

    /// Takes the whole file from the disk.
    fn begin(&self, header: &str) -> Result<()> {
        let mut bytes = vec![0; FILE_BYTES];
        bytes[..header.len()].copy_from_slice(header.as_bytes());
        let written = self.file.set_len(0).and_then(|()| self.file.write_all_at(&bytes, 0));
        written.and_then(|()| self.file.sync_all()).with_context(|| {
            let path = self.path.display();
            format!("writing the state {path}, which takes {FILE_BYTES} bytes of disk")
        })
    }

    /// Writes a submission down, or what has changed of it. Of one that is about to leave, `raw`
    /// are its bytes, and stand for the hash that it does not have yet.
    ///
    /// # Errors
    /// When it could not be written; it must not be sent then.
    pub(crate) fn record(&mut self, flight: &Flight, raw: &[u8]) -> io::Result<()> {
        // Numbers grow: a higher one has no record.
        let is_new = flight.serial > self.newest;
        let held = if is_new { None } else { self.place_of(flight.serial, 0) };
        let Some(place) = held.or_else(|| self.place_of(0, self.next)) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let mut bytes = [0; RECORD_BYTES];
        let record = Record::of(flight, &self.handles);
        let length = record.write(raw, &mut bytes).ok_or(io::ErrorKind::InvalidData)?;
        let (bytes, at) = (&bytes[..length], PLACES_AT + place * PLACE_BYTES);
        // Once a write has failed, the next ones show when it is over.
        if held.is_some() || self.is_failing || !self.memory.put(at, bytes) {
            let written = self.file.write_all_at(bytes, at as u64);
            written.inspect_err(|error| self.report_failure(error))?;
            if self.is_failing {
                self.is_failing = false;
                aside(|| tracing::info!("the state can be written again"));
            }
        }
        self.places[place] = flight.serial;
        self.newest = self.newest.max(flight.serial);
        self.last = Some(*flight);
        if held.is_none() {
            self.look_on((place + 1) % PLACES);
        }
        self.memory.note(place, self.next);
        Ok(())
    }

    /// The next record will be at the first free place from here on.
    fn look_on(&mut self, start: usize) {
        self.next = self.place_of(0, start).unwrap_or(start);
    }

    /// The first place of a record with this number, or free place, from `start` on and then from
    /// the beginning.
    fn place_of(&self, serial: u64, start: usize) -> Option<usize> {
        let (before, behind) = self.places.split_at(start);
        let is_it = |held: &u64| *held == serial;
        let behind = behind.iter().position(is_it).map(|place| start + place);
        behind.or_else(|| before.iter().position(is_it))
    }

    /// Goes through what recording takes, so that it stays in the caches; nothing is written.
    pub(crate) fn rehearse(&self, raw: &[u8]) {
        if let Some(flight) = &self.last {
            let mut bytes = [0; RECORD_BYTES];
            let length = Record::of(flight, &self.handles).write(raw, &mut bytes);
            black_box(&bytes);
            let at = PLACES_AT + self.next * PLACE_BYTES;
            black_box(self.memory.look(at, length.unwrap_or_default()));
        }
    }

    /// Writes the books of what is final, and frees the records of what ended for good. What could
    /// not be written is tried again the next time.
    pub(crate) fn checkpoint<S>(&mut self, engine: &mut Engine<S>) {
        let finality = &mut engine.finality;
        let is_open = |serial: &&u64| **serial != 0 && !finality.closed.contains(*serial);
        let sequence = self.sequence + 1;
        let mut checkpoint = Checkpoint {
            sequence,
            newest_serial: engine.flights.newest_serial(),
            losses: finality.guard.losses,
            books: finality.books,
            open: self.places.iter().filter(is_open).copied().collect(),
        };
        for (line, now) in (0..).map(StrategyId).zip(engine.books.lines()) {
            checkpoint.books.line_mut(line).opportunities = now.opportunities;
        }
        let at = HEADER_BYTES + usize::from(sequence.is_multiple_of(2)) * CHECKPOINT_BYTES;
        let written = match checkpoint.write(&mut self.buffer) {
            Some(length) => self.file.write_all_at(&self.buffer[..length], at as u64),
            None => Err(io::ErrorKind::InvalidData.into()),
        };
        if let Err(error) = written {
            return self.report_failure(&error);
        }
        // Only now: one that failed may have torn its place, and is tried again there.
        self.sequence = sequence;
        self.memory.note_books();
        for place in &mut self.places {
            if finality.closed.contains(place) {
                *place = 0;
            }
        }
        finality.closed.clear();
    }

    /// A disk that fails is told once until a submission can be written down again.
    #[cold]
    fn report_failure(&mut self, error: &io::Error) {
        if !self.is_failing {
            self.is_failing = true;
            let path = self.path.display();
            aside(|| {
                tracing::error!(%error, %path, "the state cannot be written: nothing is sent");
            });
        }
    }
}

/// What a cold thread does for the state.
#[derive(Debug)]
pub(crate) struct Care {
    file: File,
    memory: Arc<Memory>,
    is_failing: bool,
}

impl Care {
    /// Puts on the disk what was written since the last time. A disk that fails is told once until
    /// it is over.
    pub(crate) fn save(&mut self) {
        match self.memory.save(&self.file) {
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%error, "the state does not reach the disk: a power cut loses it");
            }
            Err(_) => {}
            // What was refused before is among what was saved now.
            Ok(_) => self.is_failing = false,
        }
    }

    /// Makes ready where the next records will be. Wanted more often than the system puts pages on
    /// the disk.
    pub(crate) fn ready(&self) {
        self.memory.ready();
    }
}

/// The state is the first wallet's: with another one first, what was sent and lost would be
/// forgotten.
fn refuse_other_order(folder: &Path, owner: &Owner<'_>, wallets: &[Address]) -> Result<()> {
    if folder.join(owner.file_name(owner.wallet)).exists() {
        return Ok(());
    }
    for wallet in wallets {
        let path = folder.join(owner.file_name(*wallet));
        if path.exists() {
            let path = path.display();
            bail!(
                "the state of earlier runs, {path}, has {wallet} as its first wallet: put it first \
                 in the configuration again, or move that file away"
            );
        }
    }
    Ok(())
}

impl Handles {
    fn pool(&self, address: Address) -> Option<PoolId> {
        let index = self.pools.iter().position(|held| *held == address)?;
        u32::try_from(index).ok().map(PoolId)
    }

    fn token(&self, address: Address) -> Option<TokenId> {
        let index = self.tokens.iter().position(|held| *held == address)?;
        u32::try_from(index).ok().map(TokenId)
    }

    fn wallet(&self, address: Address) -> Option<WalletId> {
        let index = self.wallets.iter().position(|held| *held == address)?;
        u8::try_from(index).ok().map(WalletId)
    }
}

#[cfg(test)]
mod tests;
