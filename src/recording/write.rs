//! Writes a recording.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use anyhow::{Context as _, Result, bail};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use serde::Serialize;

use super::column::Height;
use super::rows::{
    AccountRow, BlockHashRow, BlockRow, CodeRow, LogColumns, MempoolRow, PoolRow, Row, StorageRow,
    TickRow, TransactionRow,
};
use super::{MANIFEST, Manifest, Mempool, MempoolPart, PENDING_UNKNOWN, RecordedBlock, Snapshot};

/// Rows of a part, about: what is read at once.
const PART_ROWS: usize = 1 << 18;
/// Rows of a part of the mempool, which are larger.
const MEMPOOL_PART_ROWS: usize = 1 << 16;
/// Below this, words of data unpack more slowly; above it, nothing does faster. The thread
/// that writes is none that anybody waits for.
const ZSTD_LEVEL: i32 = 6;

/// A column whose values repeat is kept as a dictionary up to this size: enough for the accounts
/// and transactions of a part, which is smaller then, and read faster.
const DICTIONARY_BYTES: usize = 1 << 23;
/// Columns whose values hardly ever come back, or right behind each other: without a dictionary
/// they are smaller, and read faster.
const PLAIN_COLUMNS: [&str; 2] = ["transaction_hash", "data"];

/// The column by whose Bloom filter row groups of logs are passed over.
pub(super) const TOPIC: &str = "topic0";
/// Different values of it in a part, at most or about.
const TOPICS: u64 = 1 << 13;
/// How often one that is not there is taken for there.
const FALSE_TOPICS: f64 = 1e-4;

/// What a recording takes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Size {
    pub(crate) blocks: u64,
    /// Bytes on disk, by table.
    pub(crate) bytes: BTreeMap<&'static str, u64>,
}

/// A recording that is being made; nothing of it stays if it is dropped before it is finished.
#[derive(Debug)]
pub(crate) struct Writer {
    out: PathBuf,
    /// Where it is made.
    staging: PathBuf,
    manifest: Manifest,
    part: Part,
    /// Of the next part of the mempool.
    pending: Vec<MempoolRow>,
    size: Size,
    /// Whether `out` is a recording already, which gets a mempool.
    is_addition: bool,
    is_finished: bool,
}

/// The rows of a part.
#[derive(Debug, Default)]
struct Part {
    blocks: Vec<BlockRow>,
    transactions: Vec<TransactionRow>,
    /// Events that move pools, and all others: each in a row group of its own, so that a flight
    /// reads the first only.
    logs: [Vec<LogColumns>; 2],
    accounts: Vec<AccountRow>,
    storage: Vec<StorageRow>,
    codes: Vec<CodeRow>,
    block_hashes: Vec<BlockHashRow>,
    pools: Vec<PoolRow>,
    ticks: Vec<TickRow>,
}

impl Part {
    const fn rows(&self) -> usize {
        let [moves, others] = &self.logs;
        let logs = moves.len() + others.len();
        self.blocks.len() + self.transactions.len() + logs + self.storage.len()
    }
}

impl Writer {
    /// A recording at `out`, which must not be there yet.
    ///
    /// # Errors
    /// When there is something, or nothing can be made there.
    pub(crate) fn create(out: &Path, chain_id: u64, origin: &str) -> Result<Self> {
        if out.exists() {
            bail!("{} is there already: name another folder, or remove it", out.display());
        }
        let manifest = Manifest::new(chain_id, origin);
        Self::stage(out, manifest)
    }

    /// Adds a mempool to the recording at `out`, which has none yet; until it is finished the
    /// recording is as it was. Where there is nothing it is a new recording.
    ///
    /// # Errors
    /// When there is something else, it is of another chain, or it has a mempool.
    pub(crate) fn extend(out: &Path, chain_id: u64, origin: &str) -> Result<Self> {
        if !out.join(MANIFEST).is_file() {
            return Self::create(out, chain_id, origin);
        }
        let mut manifest = Manifest::read(out)?;
        let path = out.display();
        if manifest.chain_id != chain_id {
            let found = manifest.chain_id;
            bail!("{path} is a recording of chain {found}; wanted one of chain {chain_id}");
        }
        if manifest.mempool.is_some() {
            bail!(
                "{path} has a mempool already: name another folder, or make it anew and import all \
                 of the mempool's files at once"
            );
        }
        manifest.origin = format!("{}, {origin}", manifest.origin);
        let lengths = manifest
            .segments
            .iter()
            .map(|run| run.last_block.saturating_sub(run.first_block).saturating_add(1));
        let blocks = lengths.fold(0, u64::saturating_add);
        let mut writer = Self::stage(out, manifest)?;
        writer.size.blocks = blocks;
        writer.is_addition = true;
        Ok(writer)
    }

    fn stage(out: &Path, manifest: Manifest) -> Result<Self> {
        let name = out.file_name().context("the recording needs a name")?;
        let mut staged = name.to_owned();
        staged.push(".partial");
        let staging = out.with_file_name(staged);
        if staging.exists() {
            // Of an import that was killed.
            fs::remove_dir_all(&staging)
                .with_context(|| format!("removing {}", staging.display()))?;
        }
        fs::create_dir_all(&staging).with_context(|| format!("making {}", staging.display()))?;
        Ok(Self {
            out: out.to_owned(),
            staging,
            manifest,
            part: Part::default(),
            pending: Vec::new(),
            size: Size::default(),
            is_addition: false,
            is_finished: false,
        })
    }

    /// Begins a segment at a block, from the pools before it. The block comes next.
    ///
    /// # Errors
    /// When the part before it cannot be written.
    pub(crate) fn begin(&mut self, number: u64, snapshot: Snapshot) -> Result<()> {
        self.flush()?;
        let (pools, ticks) = snapshot.into_rows(number);
        (self.part.pools, self.part.ticks) = (pools, ticks);
        Ok(())
    }

    /// Adds a block; blocks come in order of height.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub(crate) fn add(&mut self, block: RecordedBlock) -> Result<()> {
        let number = block.number();
        if let Some(last) = self.manifest.segments.last().filter(|last| last.last_block >= number) {
            bail!("block {number} comes after block {}", last.last_block);
        }
        if self.part.blocks.is_empty() && !self.part.pools.is_empty() {
            self.manifest.begin(number, block.state.is_some(), true);
        } else {
            self.manifest.extend(std::slice::from_ref(&block));
        }
        let part = &mut self.part;
        block.put_logs(self.manifest.chain_id, &mut part.logs);
        let RecordedBlock { header, transactions, state, .. } = block;
        part.blocks.push(header);
        part.transactions.extend(transactions);
        let block_number = Height(number);
        for (address, account) in state.iter().flat_map(|state| &state.accounts) {
            part.accounts.push(AccountRow {
                block_number,
                address: *address,
                balance: account.balance,
                nonce: account.nonce,
                code_hash: account.code_hash,
            });
            let slots = account.storage.iter().map(|(slot, value)| StorageRow {
                block_number,
                address: *address,
                slot: *slot,
                value: *value,
            });
            part.storage.extend(slots);
        }
        for (earlier, hash) in state.iter().flat_map(|state| &state.block_hashes) {
            let row = BlockHashRow { block_number, number: *earlier, hash: *hash };
            part.block_hashes.push(row);
        }
        self.size.blocks += 1;
        if self.part.rows() > PART_ROWS { self.flush() } else { Ok(()) }
    }

    /// Adds a contract's code.
    pub(crate) fn add_code(&mut self, code_hash: B256, code: Bytes) {
        self.part.codes.push(CodeRow { code_hash, code });
    }

    /// Adds a sighting of a pending transaction; they come in order of time.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub(crate) fn add_pending(&mut self, row: MempoolRow) -> Result<()> {
        let mempool = self.manifest.mempool.get_or_insert_default();
        let at = row.timestamp.0;
        let before = self.pending.last().map(|last| last.timestamp.0);
        let before = before.or_else(|| mempool.parts.last().map(|part| part.last_ms));
        if let Some(before) = before.filter(|before| *before > at) {
            bail!("a transaction that was seen at {at} comes after one that was seen at {before}");
        }
        mempool.rows += 1;
        mempool.without_raw += u64::from(row.raw_tx.is_none());
        self.pending.push(row);
        if self.pending.len() >= MEMPOOL_PART_ROWS { self.flush_pending() } else { Ok(()) }
    }

    fn flush_pending(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.pending);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let (first_ms, last_ms) = (first.timestamp.0, last.timestamp.0);
        let mempool = self.manifest.mempool.get_or_insert_default();
        // Not named by time: a part may begin in the millisecond in which another one ends.
        let name = format!("{:06}", mempool.parts.len());
        mempool.parts.push(MempoolPart { name: name.clone(), first_ms, last_ms });
        self.write(&name, [rows])
    }

    /// Adds a remark for whoever relies on the recording.
    pub(crate) fn remark(&mut self, remark: String) {
        self.manifest.remarks.push(remark);
    }

    /// Gives the recording its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<(Manifest, Size)> {
        self.flush()?;
        self.flush_pending()?;
        if let Some(Mempool { rows, without_raw, .. }) = self.manifest.mempool {
            if rows > without_raw {
                self.manifest.remarks.retain(|remark| remark != PENDING_UNKNOWN);
            }
            if without_raw > 0 {
                self.manifest.remarks.push(format!(
                    "{without_raw} of {rows} pending transactions come without signed bytes: they \
                     cannot be replayed"
                ));
            }
        }
        self.manifest.write(&self.staging)?;
        let told = || format!("giving the recording its name {}", self.out.display());
        if self.is_addition {
            self.join().with_context(told)?;
        } else {
            fs::rename(&self.staging, &self.out).with_context(told)?;
        }
        self.is_finished = true;
        Ok((self.manifest.clone(), self.size.clone()))
    }

    /// Moves the mempool into the recording that is there; its manifest comes last, and names it.
    fn join(&self) -> std::io::Result<()> {
        let home = self.out.join(MempoolRow::TABLE);
        if home.exists() {
            // Of an import that was killed before the manifest named it.
            fs::remove_dir_all(&home)?;
        }
        let made = self.staging.join(MempoolRow::TABLE);
        if made.exists() {
            fs::rename(made, home)?;
        }
        fs::rename(self.staging.join(MANIFEST), self.out.join(MANIFEST))?;
        fs::remove_dir(&self.staging)
    }

    fn flush(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.part);
        let (Some(first), Some(last)) = (part.blocks.first(), part.blocks.last()) else {
            return Ok(());
        };
        let name = format!("{:010}-{:010}", first.block_number.0, last.block_number.0);
        self.write(&name, [part.blocks])?;
        self.write(&name, [part.transactions])?;
        self.write(&name, part.logs)?;
        self.write(&name, [part.accounts])?;
        self.write(&name, [part.storage])?;
        self.write(&name, [part.codes])?;
        self.write(&name, [part.block_hashes])?;
        self.write(&name, [part.pools])?;
        self.write(&name, [part.ticks])?;
        self.manifest.parts.push(name);
        Ok(())
    }

    /// Writes the rows of one table, in row groups; a table without any has no file.
    fn write<R: Row, const N: usize>(&mut self, name: &str, groups: [Vec<R>; N]) -> Result<()> {
        if groups.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let folder = self.staging.join(R::TABLE);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{name}.parquet"));
        write_table(&path, groups)?;
        let told = || format!("writing {}", path.display());
        let bytes = fs::metadata(&path).with_context(told)?.len();
        *self.size.bytes.entry(R::TABLE).or_default() += bytes;
        Ok(())
    }
}

/// Writes rows as a Parquet file, in these row groups.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_table<R: Row, const N: usize>(path: &Path, groups: [Vec<R>; N]) -> Result<()> {
    let told = || format!("writing {}", path.display());
    let compression = Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?);
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_column_bloom_filter_enabled(TOPIC.into(), true)
        .set_column_bloom_filter_max_ndv(TOPIC.into(), TOPICS)
        .set_column_bloom_filter_fpp(TOPIC.into(), FALSE_TOPICS);
    let plain = |properties: WriterPropertiesBuilder, column: &&str| {
        properties.set_column_dictionary_enabled((*column).into(), false)
    };
    let properties = PLAIN_COLUMNS.iter().fold(properties, plain).build();
    let file = File::create(path).with_context(told)?;
    let mut writer = ArrowWriter::try_new(file, R::schema(), Some(properties))?;
    for rows in groups.into_iter().filter(|rows| !rows.is_empty()) {
        writer.write(&R::to_batch(rows)?).with_context(told)?;
        writer.flush().with_context(told)?;
    }
    writer.close().with_context(told)?;
    Ok(())
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_dir_all(&self.staging)
        {
            let path = self.staging.display();
            tracing::warn!(%path, %error, "what was half made is left behind");
        }
    }
}
