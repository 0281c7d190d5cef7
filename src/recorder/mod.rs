//! The recorder: a cold thread that keeps every input of a run, in the order in which the engine
//! saw it.
//!
//! ```text
//! hot thread ─► Tape (ring of bytes) ─► cold thread ─► tape-N.bin    as it comes
//!                                                  └─► part N        Parquet; the tape is gone
//! ```
//!
//! What a run does not hear of its blocks, their transactions and receipts, the node is asked for
//! at leisure, once they are some blocks old.
//!
//! A tape is written as it comes, so a process that is killed leaves all but the last moment. When
//! it is long enough, it becomes a part of the recording, and the next one begins. The manifest
//! says which tape is open; it is replaced as a whole.
//!
//! Temperature: cold.

mod bodies;
mod derive;
mod entry;
mod history;
mod loans;
mod orders;
mod play;
mod start;
mod tape;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::{Context as _, Result, anyhow, bail};
use rtrb::Consumer;

pub(crate) use self::bodies::Witnesses;
use self::bodies::{Bodies, END_PATIENCE};
use self::derive::Deriver;
pub(crate) use self::derive::blocks_of;
pub(crate) use self::entry::entries;
pub(crate) use self::history::History;
pub(crate) use self::loans::LoansRead;
pub(crate) use self::play::{Played, play};
pub(crate) use self::start::Start;
pub(crate) use self::tape::Tape;
use crate::recording::rows::ArrivalRow;
use crate::recording::{Manifest, RecordedBlock, Size, write_table};

/// How often the thread looks for inputs.
const LOOK: Duration = Duration::from_millis(10);
/// A tape of more bytes becomes a part.
const TAPE_BYTES_MAX: usize = 1 << 26;
/// Rows of whole blocks that are not written yet: more become a part.
const BODY_ROWS_MAX: usize = 1 << 17;
/// How long the making of a part waits for blocks that are asked for: the ring has room meanwhile.
const PART_PATIENCE: Duration = Duration::from_secs(1);

/// The recorder of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Size>>>,
}

impl Recorder {
    /// Begins a recording at `out`, where nothing may be yet, of a run that starts from `start`,
    /// and from these loans if it follows any.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub(crate) fn begin(
        out: &Path,
        (start, loans): (&Start, Option<&LoansRead>),
        witnesses: Witnesses,
    ) -> Result<(Tape, Self)> {
        if out.exists() {
            bail!("{} is there already: name another folder, or remove it", out.display());
        }
        fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        start.write(out)?;
        loans.map_or(Ok(()), |loans| loans.write(out))?;
        let mut bodies = Bodies::start(witnesses, out, start)?;
        // What a replay stands at before the first block that is heard.
        bodies.ask(start.anchor());
        let mut desk = Desk {
            bodies,
            whole: BTreeMap::new(),
            whole_rows: 0,
            anchor: Some(start.anchor()),
            folder: out.to_owned(),
            manifest: Manifest::of_a_run(start.chain_id()),
            tape: None,
            number: 0,
            unread: Vec::new(),
            taped: 0,
            arrivals: Vec::new(),
            deriver: Deriver::default(),
            size: Size::default(),
        };
        desk.begin_tape()?;
        let (tape, mut ring) = Tape::new();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("gannet-recorder".to_owned())
            .spawn(move || {
                let ended = desk.fly(&mut ring, &over);
                if let Err(error) = &ended {
                    // Told now: the run goes on, and its end may be far.
                    let error = format!("{error:#}");
                    tracing::error!(error, "the recording cannot be written: it ends here");
                }
                ended
            })
            .context("starting the recorder's thread")?;
        Ok((tape, Self { is_over, thread: Some(thread) }))
    }

    /// Ends the recording; what it takes on disk.
    ///
    /// # Errors
    /// When something of it could not be written.
    pub(crate) fn end(mut self) -> Result<Size> {
        self.is_over.store(true, Ordering::Release);
        let thread = self.thread.take().context("it has ended before")?;
        thread.join().map_err(|_panic| anyhow!("the recorder's thread had panicked"))?
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the recorder's thread had panicked");
        }
    }
}

/// The thread's end.
struct Desk {
    bodies: Bodies,
    /// Whole blocks that are not written yet.
    whole: BTreeMap<B256, RecordedBlock>,
    whole_rows: usize,
    /// The block that the run began at, until it is written.
    anchor: Option<B256>,
    folder: PathBuf,
    manifest: Manifest,
    /// The tape that is open.
    tape: Option<File>,
    number: u32,
    /// Bytes that are no whole entry yet.
    unread: Vec<u8>,
    /// Bytes on the open tape.
    taped: usize,
    /// What is on it.
    arrivals: Vec<ArrivalRow>,
    deriver: Deriver,
    size: Size,
}

impl Desk {
    fn fly(&mut self, ring: &mut Consumer<u8>, over: &AtomicBool) -> Result<Size> {
        // Read before the last look, so that nothing that was pushed before it is left.
        while !over.load(Ordering::Acquire) {
            self.work(ring)?;
            std::thread::sleep(LOOK);
        }
        self.work(ring)?;
        self.finish()
    }

    /// Takes what there is.
    fn work(&mut self, ring: &mut Consumer<u8>) -> Result<()> {
        let ready = ring.slots();
        if ready == 0 {
            return Ok(());
        }
        let chunk = ring.read_chunk(ready).context("the ring has lost what it had")?;
        let (first, second) = chunk.as_slices();
        let tape = self.tape.as_mut().context("no tape is open")?;
        for bytes in [first, second] {
            tape.write_all(bytes).context("writing the tape")?;
            self.unread.extend_from_slice(bytes);
        }
        self.taped += ready;
        chunk.commit_all();
        let mut used = 0;
        for entry in entries(&self.unread) {
            used = entry.end;
            self.deriver.take(&entry);
            self.arrivals.push(entry.to_row()?);
        }
        self.unread.drain(..used);
        self.deriver.settled(false).into_iter().for_each(|hash| self.bodies.ask(hash));
        self.take_bodies(Duration::ZERO);
        // A part is named by its blocks, so it has some.
        let is_much = self.taped > TAPE_BYTES_MAX || self.whole_rows > BODY_ROWS_MAX;
        let is_due = is_much && self.deriver.has_blocks();
        if is_due && self.unread.is_empty() { self.rotate() } else { Ok(()) }
    }

    /// Takes the blocks that nodes tell, for so long at most.
    fn take_bodies(&mut self, patience: Duration) {
        for (hash, block) in self.bodies.take(Instant::now() + patience) {
            self.whole_rows += block.transactions.len() + block.logs.len();
            self.whole.insert(hash, block);
        }
    }

    /// Makes a part of the open tape, and begins the next.
    fn rotate(&mut self) -> Result<()> {
        self.take_bodies(PART_PATIENCE);
        self.make_part(false)?;
        self.begin_tape()
    }

    /// Begins a tape. The manifest names it last, so it is never without its tape.
    fn begin_tape(&mut self) -> Result<()> {
        let old = self.manifest.tape_before.take();
        // Its last blocks may still be left for others, and are in no part yet.
        self.manifest.tape_before = self.manifest.tape.take();
        self.number += 1;
        let name = format!("tape-{:05}.bin", self.number);
        let path = self.folder.join(&name);
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        self.tape = Some(file);
        self.taped = 0;
        self.manifest.tape = Some(name);
        self.manifest.write(&self.folder)?;
        self.remove(old)
    }

    fn remove(&self, tape: Option<String>) -> Result<()> {
        let Some(tape) = tape else { return Ok(()) };
        let path = self.folder.join(tape);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    /// Writes what the tape holds as tables.
    fn make_part(&mut self, is_last: bool) -> Result<()> {
        let derived = self.blocks(is_last);
        let arrivals = std::mem::take(&mut self.arrivals);
        if arrivals.is_empty() && derived.is_empty() {
            return Ok(());
        }
        let name = self.manifest.name_part(&derived);
        self.size.blocks += derived.len() as u64;
        let mut table = |bytes: u64, table: &'static str| {
            *self.size.bytes.entry(table).or_default() += bytes;
        };
        table(write_part(&self.folder, &name, [arrivals])?, "arrivals");
        let chain_id = self.manifest.chain_id;
        let mut logs = [Vec::new(), Vec::new()];
        derived.iter().for_each(|block| block.put_logs(chain_id, &mut logs));
        table(write_part(&self.folder, &name, logs)?, "logs");
        self.manifest.extend(&derived);
        let (headers, transactions): (Vec<_>, Vec<_>) =
            derived.into_iter().map(|block| (block.header, block.transactions)).unzip();
        let transactions = transactions.into_iter().flatten().collect();
        table(write_part(&self.folder, &name, [transactions])?, "transactions");
        table(write_part(&self.folder, &name, [headers])?, "blocks");
        self.manifest.parts.push(name);
        Ok(())
    }

    /// The blocks that stay, whole where they were told; the one that the run began at first.
    fn blocks(&mut self, is_last: bool) -> Vec<RecordedBlock> {
        let derived = self.deriver.blocks(is_last);
        let mut blocks = Vec::with_capacity(derived.len() + 1);
        if let Some(anchor) = self.anchor.take_if(|_| is_last || !derived.is_empty()) {
            // It may have been heard of as well.
            let first = derived.first().map(RecordedBlock::number);
            let follows = |block: &RecordedBlock| first.is_none_or(|first| block.number() < first);
            if self.whole.get(&anchor).is_some_and(follows) {
                blocks.extend(self.whole.remove(&anchor));
            }
        }
        for block in derived {
            let whole = block.header.block_hash.and_then(|hash| self.whole.remove(&hash));
            blocks.push(match whole {
                Some(whole) if whole.has_all_logs() => whole,
                // There are no receipts: the logs are those that were heard.
                Some(whole) => RecordedBlock { logs: block.logs, ..whole },
                None => block,
            });
        }
        let given = blocks.last().map_or(0, RecordedBlock::number);
        // Of branches that were left.
        self.whole.retain(|_, block| block.number() > given);
        let rows = |block: &RecordedBlock| block.transactions.len() + block.logs.len();
        self.whole_rows = self.whole.values().map(rows).sum();
        blocks
    }

    fn finish(&mut self) -> Result<Size> {
        self.deriver.settled(true).into_iter().for_each(|hash| self.bodies.ask(hash));
        self.take_bodies(END_PATIENCE);
        self.make_part(true)?;
        if self.bodies.missing > 0 {
            let missing = self.bodies.missing;
            tracing::warn!(missing, "blocks are recorded as they were heard only");
        }
        let tapes = [self.manifest.tape_before.take(), self.manifest.tape.take()];
        self.manifest.write(&self.folder)?;
        tapes.into_iter().try_for_each(|tape| self.remove(tape))?;
        Ok(self.size.clone())
    }
}

/// Writes a table of a part, in row groups; its size on disk.
fn write_part<R: crate::recording::rows::Row, const N: usize>(
    folder: &Path,
    name: &str,
    groups: [Vec<R>; N],
) -> Result<u64> {
    if groups.iter().all(Vec::is_empty) {
        return Ok(0);
    }
    let folder = folder.join(R::TABLE);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(format!("{name}.parquet"));
    write_table(&path, groups)?;
    let told = || format!("reading {}", path.display());
    Ok(fs::metadata(&path).with_context(told)?.len())
}
