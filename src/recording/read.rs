//! Reads a recording.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use anyhow::{Context as _, Result, anyhow, bail};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::rows::{
    AccountRow, ArrivalRow, BlockHashRow, BlockRow, CodeRow, LogColumns, LogRow, Row, StorageRow,
    TransactionRow,
};
use super::{Account, FORMAT, MANIFEST, Manifest, RecordedBlock};
use crate::recorder::{blocks_of, entries};

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
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).with_context(|| {
            let path = path.display();
            format!("reading {path}: a recording is a folder that `gannet import` or `record` made")
        })?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no manifest", path.display()))?;
        if manifest.format != FORMAT {
            let (found, folder) = (manifest.format, folder.display());
            bail!("{folder} has layout {found}; this build reads {FORMAT}: make it anew");
        }
        let mut recording =
            Self { folder: folder.to_owned(), manifest, codes: BTreeMap::new(), taped: Vec::new() };
        for part in &recording.manifest.parts {
            let codes = recording.table::<CodeRow>(part)?;
            recording.codes.extend(codes.into_iter().map(|row| (row.code_hash, row.code)));
        }
        if let Some(tape) = recording.tape()? {
            recording.taped = blocks_of(&tape);
            recording.manifest.extend(&recording.taped);
            let blocks = recording.taped.len();
            let remark = format!("the recorder was killed: {blocks} blocks are read off its tape");
            recording.manifest.remarks.push(remark);
        }
        Ok(recording)
    }

    /// Visits each block of a range of heights, in order.
    ///
    /// # Errors
    /// When the recording cannot be read, or those of `visit`.
    pub(crate) fn each(
        &self,
        (from, to): (u64, u64),
        mut visit: impl FnMut(RecordedBlock) -> Result<()>,
    ) -> Result<()> {
        for part in &self.manifest.parts {
            let is_within = part.split_once('-').and_then(|(first, last)| {
                Some(first.parse::<u64>().ok()? <= to && last.parse::<u64>().ok()? >= from)
            });
            if is_within.ok_or_else(|| anyhow!("{part} is no range of blocks"))? {
                for block in self.part(part)? {
                    if (from..=to).contains(&block.number()) {
                        visit(block)?;
                    }
                }
            }
        }
        let taped = self.taped.iter().filter(|block| (from..=to).contains(&block.number()));
        taped.cloned().try_for_each(visit)
    }

    /// What is on the tape that is open.
    fn tape(&self) -> Result<Option<Vec<u8>>> {
        let read = |tape: &String| {
            let path = self.folder.join(tape);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        self.manifest.tape.as_ref().map(read).transpose()
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
        let bytes = self.tape()?.unwrap_or_default();
        entries(&bytes).try_for_each(|entry| visit(entry.to_row()?))
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
    let told = || format!("reading {}", path.display());
    let file = File::open(path).with_context(told)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(told)?;
    let mut before = 0;
    for batch in reader.build().with_context(told)? {
        let batch = batch.with_context(told)?;
        let read = R::from_batch(&batch).map_err(|(column, misfit)| {
            let what = misfit.what;
            match misfit.row {
                Some(row) => {
                    let row = before + row;
                    anyhow!("{}: row {row}, column {column}: {what}", path.display())
                }
                None => anyhow!("{}: column {column} {what}", path.display()),
            }
        })?;
        before += read.len();
        visit(read)?;
    }
    Ok(())
}
