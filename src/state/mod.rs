//! What outlives the process: submissions that are not final, and the books of those that are.
//!
//! ```text
//! header │ checkpoint A │ checkpoint B │ record 0 │ record 1 │ …
//! ```
//!
//! One file of fixed size, taken from the disk at the start and written in place, so that a disk
//! that fills up later changes nothing. A submission's record is written before its transaction
//! leaves: whatever the process dies of, the next one knows every nonce that it may have used. A
//! checkpoint holds the books of everything that is final and says which records still count; the
//! two are written in turn, so that one is always whole. Writes are plain ones: they survive the
//! process at once, and a power cut when the operating system has written them out, which the
//! scribe asks for every second.
//!
//! Temperature: warm.

mod codec;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, bail};
use gannet_engine::finality::Legacy;
use gannet_engine::flight::Flight;
use gannet_engine::growth::Growth;
use gannet_engine::guard::Losses;
use gannet_engine::ids::{PoolId, StrategyId, TokenId, WalletId};
use gannet_engine::limits::{FLIGHTS_MAX, SETTLED_MAX};
use gannet_engine::pipeline::Engine;
use gannet_engine::world::World;

use self::codec::{Checkpoint, Record};
use crate::allocation::aside;

/// Submissions that are not final, at most.
const RECORDS: usize = SETTLED_MAX + FLIGHTS_MAX;
const HEADER_BYTES: usize = 1 << 12;
const CHECKPOINT_BYTES: usize = 1 << 14;
const RECORD_BYTES: usize = 1 << 10;
const VERSION: &str = "gannet state 1\n";
const FILE_BYTES: usize = HEADER_BYTES + 2 * CHECKPOINT_BYTES + RECORDS * RECORD_BYTES;

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
    path: PathBuf,
    handles: Handles,
    /// The serial number in each record; 0 where it is free.
    places: Vec<u64>,
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
            path,
            handles,
            places: vec![0; RECORDS],
            sequence: 0,
            buffer: vec![0; CHECKPOINT_BYTES],
            is_failing: false,
        };
        let legacy = state.read(owner)?;
        Ok((state, legacy))
    }

    /// The world has grown: what is traded in new pools is recorded too.
    pub(crate) fn grow(&mut self, growth: &Growth) {
        self.handles.extend(growth);
    }

    /// Another handle of the file, for writing it out to the disk.
    pub(crate) fn file(&self) -> Result<File> {
        self.file.try_clone().context("opening the state a second time")
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
        for (place, bytes) in self.places.iter_mut().zip(records.chunks_exact(RECORD_BYTES)) {
            let Some(record) = Record::read(bytes) else { continue };
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
            "the state is of another chain, executor or set of strategies: beginning anew"
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

    /// Writes a submission down, or what has changed of it.
    ///
    /// # Errors
    /// When it could not be written; it must not be sent then.
    pub(crate) fn record(&mut self, flight: &Flight) -> io::Result<()> {
        let held = self.places.iter().position(|serial| *serial == flight.serial);
        let free = || self.places.iter().position(|serial| *serial == 0);
        let Some(place) = held.or_else(free) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let mut bytes = [0; RECORD_BYTES];
        Record::of(flight, &self.handles).write(&mut bytes).ok_or(io::ErrorKind::InvalidData)?;
        let at = HEADER_BYTES + 2 * CHECKPOINT_BYTES + place * RECORD_BYTES;
        self.file
            .write_all_at(&bytes, at as u64)
            .inspect_err(|error| self.report_failure(error))?;
        self.places[place] = flight.serial;
        if self.is_failing {
            self.is_failing = false;
            aside(|| tracing::info!("the state can be written again"));
        }
        Ok(())
    }

    /// Writes the books of what is final, and frees the records of what ended for good. What could
    /// not be written is tried again the next time.
    pub(crate) fn checkpoint<S>(&mut self, engine: &mut Engine<S>) {
        let finality = &mut engine.finality;
        let is_open = |serial: &&u64| **serial != 0 && !finality.closed.contains(*serial);
        self.sequence += 1;
        let mut checkpoint = Checkpoint {
            sequence: self.sequence,
            newest_serial: engine.flights.newest_serial(),
            losses: finality.guard.losses,
            books: finality.books,
            open: self.places.iter().filter(is_open).copied().collect(),
        };
        for (line, now) in (0..).map(StrategyId).zip(engine.books.lines()) {
            checkpoint.books.line_mut(line).opportunities = now.opportunities;
        }
        let at = HEADER_BYTES + usize::from(self.sequence.is_multiple_of(2)) * CHECKPOINT_BYTES;
        self.buffer.fill(0);
        let written = match checkpoint.write(&mut self.buffer) {
            Some(()) => self.file.write_all_at(&self.buffer, at as u64),
            None => Err(io::ErrorKind::InvalidData.into()),
        };
        if let Err(error) = written {
            return self.report_failure(&error);
        }
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
