//! Reads a recording.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use anyhow::{Context as _, Result, anyhow, bail};
use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::column::{Millis, Misfit};
use super::rows::{
    AccountRow, ArrivalRow, BlockHashRow, BlockRow, CodeRow, LogColumns, LogRow, MempoolRow, Row,
    StorageRow, TransactionRow,
};
use super::{Account, FORMAT, MANIFEST, Manifest, RecordedBlock, Segment};
use crate::recorder::{blocks_of, entries};

impl Manifest {
    /// Reads that of a recording.
    ///
    /// # Errors
    /// When there is none, or it is of another layout.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).with_context(|| {
            let path = path.display();
            format!("reading {path}: a recording is a folder that `gannet import` or `record` made")
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no manifest", path.display()))?;
        if manifest.format != FORMAT {
            let (found, folder) = (manifest.format, folder.display());
            bail!("{folder} has layout {found}; this build reads {FORMAT}: make it anew");
        }
        manifest.check().with_context(|| format!("{} is no manifest", path.display()))?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Whether a part is of a segment that begins with its pools.
    fn is_from_pools(&self, part: &str) -> bool {
        let first = part.split_once('-').and_then(|(first, _)| first.parse::<u64>().ok());
        let is_its = |segment: &&Segment| {
            first.is_some_and(|first| (segment.first_block..=segment.last_block).contains(&first))
        };
        self.segments.iter().find(is_its).is_some_and(|segment| segment.has_pools)
    }

    /// Names lead nowhere else, and runs of blocks are in order.
    fn check(&self) -> Result<()> {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let is_part = |name: &str| {
            name.split_once('-').is_some_and(|(first, last)| is_digits(first) && is_digits(last))
        };
        let is_tape = |name: &str| {
            let number = name.strip_prefix("tape-").and_then(|rest| rest.strip_suffix(".bin"));
            number.is_some_and(is_digits)
        };
        if let Some(name) = self.parts.iter().find(|name| !is_part(name)) {
            bail!("found part {name:?}; wanted FIRST-LAST");
        }
        let mut tapes = self.tape.iter().chain(&self.tape_before);
        if let Some(name) = tapes.find(|name| !is_tape(name)) {
            bail!("found tape {name:?}; wanted tape-NUMBER.bin");
        }
        let is_run = |run: &Segment| run.first_block <= run.last_block && run.last_block < u64::MAX;
        let is_ordered = self.segments.is_sorted_by(|run, next| run.last_block < next.first_block);
        if !is_ordered || !self.segments.iter().all(is_run) {
            bail!("its segments are no runs of blocks in order");
        }
        Ok(())
    }
}

/// A recording on disk.
#[derive(Debug)]
pub(crate) struct Recording {
    folder: PathBuf,
    pub(crate) manifest: Manifest,
    /// Contracts' code, by its hash.
    pub(crate) codes: BTreeMap<B256, Bytes>,
    /// Blocks that are on no table yet: those of a run that is going on, or was killed.
    taped: Vec<RecordedBlock>,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// When there is none, or it is of another layout.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let mut recording =
            Self { folder: folder.to_owned(), manifest, codes: BTreeMap::new(), taped: Vec::new() };
        for part in &recording.manifest.parts {
            let codes = recording.table::<CodeRow>(part)?;
            recording.codes.extend(codes.into_iter().map(|row| (row.code_hash, row.code)));
        }
        if let Some(tape) = recording.tape(&recording.manifest.tape)? {
            let mut both = recording.tape(&recording.manifest.tape_before)?.unwrap_or_default();
            both.extend(tape);
            let known = recording.manifest.segments.last().map(|run| run.last_block);
            let is_new = |block: &RecordedBlock| known.is_none_or(|last| block.number() > last);
            recording.taped = blocks_of(&both).into_iter().filter(is_new).collect();
            recording.manifest.extend(&recording.taped);
            let blocks = recording.taped.len();
            let remark =
                format!("the run goes on or was killed: {blocks} blocks are read off its tape");
            recording.manifest.remarks.push(remark);
        }
        Ok(recording)
    }

    /// The header of a block.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub(crate) fn header(&self, number: u64) -> Result<Option<BlockRow>> {
        let Some(part) = self.parts_within((number, number)).next() else { return Ok(None) };
        let mut headers = self.table::<BlockRow>(part?)?.into_iter();
        Ok(headers.find(|header| header.block_number.0 == number))
    }

    /// Visits each block of a range of heights, in order, but those of segments that begin with
    /// their pools: these are read in columns.
    ///
    /// # Errors
    /// When the recording cannot be read, or those of `visit`.
    pub(crate) fn each(
        &self,
        (from, to): (u64, u64),
        mut visit: impl FnMut(RecordedBlock) -> Result<()>,
    ) -> Result<()> {
        for part in self.parts_within((from, to)) {
            let part = part?;
            if self.manifest.is_from_pools(part) {
                continue;
            }
            for block in self.part(part)? {
                if (from..=to).contains(&block.number()) {
                    visit(block)?;
                }
            }
        }
        let taped = self.taped.iter().filter(|block| (from..=to).contains(&block.number()));
        taped.cloned().try_for_each(visit)
    }

    /// The parts with blocks of a range of heights, in order.
    pub(super) fn parts_within(
        &self,
        (from, to): (u64, u64),
    ) -> impl Iterator<Item = Result<&String>> {
        let range = |part: &String| {
            let (first, last) = part.split_once('-')?;
            Some(first.parse::<u64>().ok()?..=last.parse::<u64>().ok()?)
        };
        self.manifest.parts.iter().filter_map(move |part| match range(part) {
            Some(range) if *range.start() > to || *range.end() < from => None,
            Some(_) => Some(Ok(part)),
            None => Some(Err(anyhow!("{part} is no range of blocks"))),
        })
    }

    /// What is on a tape.
    fn tape(&self, name: &Option<String>) -> Result<Option<Vec<u8>>> {
        let read = |tape: &String| {
            let path = self.folder.join(tape);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        name.as_ref().map(read).transpose()
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Visits each input of a run, in order; those on the tape of one that was killed come last.
    ///
    /// # Errors
    /// When the recording cannot be read, or those of `visit`.
    pub(crate) fn each_arrival(
        &self,
        mut visit: impl FnMut(ArrivalRow) -> Result<()>,
    ) -> Result<()> {
        for part in &self.manifest.parts {
            let path = self.folder.join(ArrivalRow::TABLE).join(format!("{part}.parquet"));
            if path.exists() {
                each_batch(&path, |rows: Vec<ArrivalRow>| {
                    rows.into_iter().try_for_each(&mut visit)
                })?;
            }
        }
        let bytes = self.tape(&self.manifest.tape)?.unwrap_or_default();
        entries(&bytes).try_for_each(|entry| visit(entry.to_row()?))
    }

    /// Visits each sighting of a pending transaction within a range of times in milliseconds, in
    /// order.
    ///
    /// # Errors
    /// When the recording cannot be read, or those of `visit`.
    pub(crate) fn each_pending(
        &self,
        (from, to): (Millis, Millis),
        mut visit: impl FnMut(MempoolRow) -> Result<()>,
    ) -> Result<()> {
        for part in self.manifest.mempool.iter().flat_map(|mempool| &mempool.parts) {
            if part.first_ms <= to.0 && part.last_ms >= from.0 {
                let rows = self.table::<MempoolRow>(&part.name)?;
                rows.into_iter()
                    .filter(|row| (from..=to).contains(&row.timestamp))
                    .try_for_each(&mut visit)?;
            }
        }
        Ok(())
    }

    /// The blocks of a part, in order.
    fn part(&self, part: &str) -> Result<Vec<RecordedBlock>> {
        let mut blocks = BTreeMap::new();
        for header in self.table::<BlockRow>(part)? {
            let number = header.block_number.0;
            let (transactions, logs) = (Vec::new(), Vec::new());
            blocks.insert(number, RecordedBlock { header, transactions, logs, state: None });
        }
        let stray = |number: u64| anyhow!("part {part} has rows of block {number}, but no header");
        for row in self.table::<TransactionRow>(part)? {
            let number = row.block_number.0;
            blocks.get_mut(&number).ok_or_else(|| stray(number))?.transactions.push(row);
        }
        for row in self.table::<LogColumns>(part)? {
            let row = LogRow::from(row);
            let number = row.block_number;
            blocks.get_mut(&number).ok_or_else(|| stray(number))?.logs.push(row);
        }
        for row in self.table::<AccountRow>(part)? {
            let number = row.block_number.0;
            let block = blocks.get_mut(&number).ok_or_else(|| stray(number))?;
            let AccountRow { balance, nonce, code_hash, .. } = row;
            let account = Account { balance, nonce, code_hash, storage: BTreeMap::new() };
            block.state.get_or_insert_default().accounts.insert(row.address, account);
        }
        for row in self.table::<StorageRow>(part)? {
            let number = row.block_number.0;
            let block = blocks.get_mut(&number).ok_or_else(|| stray(number))?;
            let accounts = &mut block.state.get_or_insert_default().accounts;
            accounts.entry(row.address).or_default().storage.insert(row.slot, row.value);
        }
        for row in self.table::<BlockHashRow>(part)? {
            let number = row.block_number.0;
            let block = blocks.get_mut(&number).ok_or_else(|| stray(number))?;
            block.state.get_or_insert_default().block_hashes.insert(row.number, row.hash);
        }
        let mut blocks: Vec<RecordedBlock> = blocks.into_values().collect();
        for block in &mut blocks {
            block.transactions.sort_by_key(|row| row.transaction_index);
            block.logs.sort_by_key(|row| row.log_index);
        }
        Ok(blocks)
    }

    fn table<R: Row>(&self, part: &str) -> Result<Vec<R>> {
        let path = self.folder.join(R::TABLE).join(format!("{part}.parquet"));
        if path.exists() { rows(&path) } else { Ok(Vec::new()) }
    }
}

/// The rows of a Parquet file.
///
/// # Errors
/// When it is none, or a row is not what its columns say: with its row and column.
pub(crate) fn rows<R: Row>(path: &Path) -> Result<Vec<R>> {
    let mut all = Vec::new();
    each_batch(path, |rows| {
        all.extend(rows);
        Ok(())
    })?;
    Ok(all)
}

/// Visits the rows of a Parquet file, some at a time.
fn each_batch<R: Row>(path: &Path, mut visit: impl FnMut(Vec<R>) -> Result<()>) -> Result<()> {
    let mut batches = Batches::open(path)?;
    while let Some(batch) = batches.next()? {
        visit(batch.rows::<R>()?)?;
    }
    Ok(())
}

/// A Parquet file that is read piece by piece.
#[derive(Debug)]
pub(crate) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// Names of its columns.
    pub(crate) columns: Vec<String>,
    /// Rows of the whole file.
    pub(crate) row_count: usize,
    next_row: usize,
}

impl Batches {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is no Parquet file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let told = || format!("reading {}", path.display());
        let file = File::open(path).with_context(told)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(told)?;
        let columns = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        let row_count = usize::try_from(reader.metadata().file_metadata().num_rows());
        let row_count = row_count.with_context(told)?;
        let reader = reader.build().with_context(told)?;
        Ok(Self { path: path.to_owned(), reader, columns, row_count, next_row: 0 })
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>> {
        let first_row = self.next_row;
        let told = || format!("reading {} from row {first_row} on", self.path.display());
        let Some(columns) = self.reader.next() else { return Ok(None) };
        let columns = columns.with_context(told)?;
        self.next_row += columns.num_rows();
        Ok(Some(Batch { path: self.path.clone(), first_row, columns }))
    }
}

/// Some rows of a file.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) path: PathBuf,
    /// The place of the first, from 0.
    pub(crate) first_row: usize,
    pub(crate) columns: RecordBatch,
}

impl Batch {
    /// The rows.
    ///
    /// # Errors
    /// When a row is not what its columns say: with its row and column.
    pub(crate) fn rows<R: Row>(&self) -> Result<Vec<R>> {
        R::from_batch(&self.columns).map_err(|(column, misfit)| self.wrong(column, &misfit))
    }

    /// What is wrong, and where.
    pub(crate) fn wrong(&self, column: &str, misfit: &Misfit) -> anyhow::Error {
        let (path, what) = (self.path.display(), &misfit.what);
        match misfit.row {
            Some(row) => {
                anyhow!("{path}: row {}, column {column}: {what}", self.first_row + row)
            }
            None => anyhow!("{path}: column {column} {what}"),
        }
    }
}
