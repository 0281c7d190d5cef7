//! The files of a cryo data set: which there are, and their rows block by block.
//!
//! Files are opened when their blocks come and read piece by piece, so that a data set may be
//! larger than the memory. Rows that two files hold count once, and must be equal.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::{B256, U256};
use anyhow::{Context as _, Result, anyhow, bail};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};

use crate::recording::column::{Cell, Height, Misfit};
use crate::recording::rows::{BlockRow, ChainRow, HomeRow, LogColumns, Row, TransactionRow};
use crate::recording::{Batch, Batches};

/// A file, and the blocks that it holds by its name.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    path: PathBuf,
    from: u64,
    to: u64,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Files by data set, in order.
    pub(super) chunks: BTreeMap<String, Vec<Chunk>>,
    /// Parquet files that are not called as cryo calls them.
    pub(super) strange: BTreeSet<String>,
}

impl Folder {
    /// Lists a folder, or takes a file alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn list(path: &Path) -> Result<Self> {
        let mut folder = Self::default();
        if path.is_file() {
            folder.add(path.to_owned());
        } else {
            let told = || format!("reading {}", path.display());
            for entry in fs::read_dir(path).with_context(told)? {
                folder.add(entry.with_context(told)?.path());
            }
        }
        for chunks in folder.chunks.values_mut() {
            chunks.sort_by(|one, other| (one.from, &one.path).cmp(&(other.from, &other.path)));
        }
        Ok(folder)
    }

    fn add(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".parquet") else { return };
        let mut parts = stem.split("__").skip(1);
        let data_set = parts.next();
        // A suffix of the user's may follow.
        let range = parts.find_map(|part| {
            let (from, to) = part.split_once("_to_")?;
            Some((from.parse().ok()?, to.parse().ok()?))
        });
        match (data_set, range) {
            (Some(data_set), Some((from, to))) => {
                let chunk = Chunk { path, from, to };
                self.chunks.entry(data_set.to_owned()).or_default().push(chunk);
            }
            _ => {
                self.strange.insert(name);
            }
        }
    }
}

/// What the files of a data set have, by their footers.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) rows: usize,
    pub(super) files: usize,
    /// In how many files there is a column.
    columns: BTreeMap<String, usize>,
    /// The chain, and the file that says so.
    pub(super) chain: Option<(u64, PathBuf)>,
}

impl Outline {
    /// Looks at each file.
    ///
    /// # Errors
    /// When one is no Parquet file.
    pub(super) fn of(chunks: &[Chunk]) -> Result<Self> {
        let mut outline = Self { files: chunks.len(), ..Self::default() };
        for Chunk { path, .. } in chunks {
            let mut batches = Batches::open(path)?;
            outline.rows += batches.row_count;
            for column in &batches.columns {
                *outline.columns.entry(column.clone()).or_default() += 1;
            }
            if outline.chain.is_none()
                && batches.columns.iter().any(|column| column == "chain_id")
                && let Some(batch) = batches.next()?
            {
                let row = batch.rows::<ChainRow>()?.into_iter().next();
                outline.chain = row.map(|row| (row.chain_id, path.clone()));
            }
        }
        Ok(outline)
    }

    /// How many files lack a column.
    pub(super) fn lacking(&self, column: &str) -> usize {
        self.files - self.columns.get(column).copied().unwrap_or_default()
    }
}

/// A row that belongs to a block.
pub(super) trait Chunked: Sized {
    /// Its block's height.
    fn block(&self) -> u64;

    /// Its place among the block's.
    fn place(&self) -> u64;

    /// The chain that it is of.
    fn chain_id(&mut self) -> &mut u64;

    /// The first column in which another row of its place differs.
    fn differs(&self, other: &Self) -> Option<&'static str>;

    /// The rows of a batch.
    fn read(batch: Batch) -> Result<Vec<Self>>;
}

impl Chunked for BlockRow {
    fn block(&self) -> u64 {
        self.block_number.0
    }

    fn place(&self) -> u64 {
        0
    }

    fn chain_id(&mut self) -> &mut u64 {
        &mut self.chain_id
    }

    fn differs(&self, other: &Self) -> Option<&'static str> {
        Row::differs(self, other)
    }

    fn read(batch: Batch) -> Result<Vec<Self>> {
        batch.rows()
    }
}

impl Chunked for LogColumns {
    fn block(&self) -> u64 {
        self.block_number.0
    }

    fn place(&self) -> u64 {
        self.log_index.into()
    }

    fn chain_id(&mut self) -> &mut u64 {
        &mut self.chain_id
    }

    fn differs(&self, other: &Self) -> Option<&'static str> {
        Row::differs(self, other)
    }

    fn read(batch: Batch) -> Result<Vec<Self>> {
        let rows = batch.rows::<Self>()?;
        for (row, log) in rows.iter().enumerate() {
            let topics = [log.topic0, log.topic1, log.topic2, log.topic3];
            let hole = topics.windows(2).position(|pair| pair[0].is_none() && pair[1].is_some());
            if let Some(hole) = hole {
                let what = format!("found nothing, but a topic{}; wanted a value", hole + 1);
                return Err(batch.wrong(&format!("topic{hole}"), &Misfit::at(row, what)));
            }
        }
        Ok(rows)
    }
}

/// A transaction, and what is said with it about its block.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) row: TransactionRow,
    pub(super) block_hash: Option<B256>,
    pub(super) timestamp: Option<Height>,
}

impl Chunked for Transaction {
    fn block(&self) -> u64 {
        self.row.block_number.0
    }

    fn place(&self) -> u64 {
        self.row.transaction_index
    }

    fn chain_id(&mut self) -> &mut u64 {
        &mut self.row.chain_id
    }

    fn differs(&self, other: &Self) -> Option<&'static str> {
        let home = |one: &Self| HomeRow { block_hash: one.block_hash, timestamp: one.timestamp };
        self.row.differs(&other.row).or_else(|| home(self).differs(&home(other)))
    }

    fn read(batch: Batch) -> Result<Vec<Self>> {
        let batch = with_exact_value(batch)?;
        let homes = batch.rows::<HomeRow>()?;
        let rows = batch.rows::<TransactionRow>()?.into_iter().zip(homes);
        let rows = rows.map(|(row, HomeRow { block_hash, timestamp })| Self {
            row,
            block_hash,
            timestamp,
        });
        Ok(rows.collect())
    }
}

/// The value in bytes, where the file has it in decimal digits only.
fn with_exact_value(batch: Batch) -> Result<Batch> {
    let (bytes, digits) = ("value_binary", "value_string");
    let columns = &batch.columns;
    if columns.column_by_name(bytes).is_some() {
        return Ok(batch);
    }
    let Some(column) = columns.column_by_name(digits) else { return Ok(batch) };
    let texts = Option::<String>::read(column).map_err(|misfit| batch.wrong(digits, &misfit))?;
    let mut values = Vec::with_capacity(texts.len());
    for (row, text) in texts.into_iter().enumerate() {
        let value = text.map(|text| {
            let wanted = || Misfit::at(row, format!("found {text:?}; wanted a number"));
            text.parse::<U256>().map_err(|_no_number| batch.wrong(digits, &wanted()))
        });
        values.push(value.transpose()?);
    }
    let value = Arc::new(Field::new(bytes, DataType::LargeBinary, true));
    let fields: Vec<_> = columns.schema().fields().iter().cloned().chain([value]).collect();
    let arrays = columns.columns().iter().cloned().chain([Option::write(values)]).collect();
    let columns = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    Ok(Batch { columns, ..batch })
}

/// The rows of a data set, block by block.
#[derive(Debug)]
pub(super) struct Table<R> {
    chain_id: u64,
    /// Not opened yet, in order.
    waiting: VecDeque<Chunk>,
    open: Vec<Open<R>>,
    /// Rows that came more than once.
    pub(super) repeated: u64,
}

impl<R: Chunked> Table<R> {
    pub(super) fn new(chain_id: u64, chunks: Vec<Chunk>) -> Self {
        Self { chain_id, waiting: chunks.into(), open: Vec::new(), repeated: 0 }
    }

    /// The height of the next block that has rows.
    ///
    /// # Errors
    /// When a file is not what it should be.
    pub(super) fn next_block(&mut self) -> Result<Option<u64>> {
        loop {
            let next = self.open.iter().filter_map(Open::next_block).min();
            let is_due = |chunk: &Chunk| next.is_none_or(|next| chunk.from <= next);
            let Some(chunk) = self.waiting.pop_front_if(|chunk| is_due(chunk)) else {
                return Ok(next);
            };
            let open = Open::new(chunk, self.chain_id)?;
            self.open.extend((!open.held.is_empty()).then_some(open));
        }
    }

    /// The rows of the next block, in order; none if the next block is another.
    ///
    /// # Errors
    /// When a file is not what it should be, or two rows contradict each other.
    pub(super) fn take(&mut self, number: u64) -> Result<Vec<R>> {
        let mut taken: BTreeMap<u64, (R, usize, usize)> = BTreeMap::new();
        for place in 0..self.open.len() {
            while let Some((at, row)) = self.open[place].take(number)? {
                if let Some((other, file, line)) = taken.get(&row.place()) {
                    if let Some(column) = row.differs(other) {
                        let (path, other) = (self.path(place), self.path(*file));
                        bail!(
                            "{path}: row {at}, column {column}: contradicts row {line} of {other}, \
                             both of block {number}"
                        );
                    }
                    self.repeated += 1;
                }
                taken.insert(row.place(), (row, place, at));
            }
        }
        self.open.retain(|open| !open.held.is_empty());
        Ok(taken.into_values().map(|(row, ..)| row).collect())
    }

    fn path(&self, place: usize) -> std::path::Display<'_> {
        self.open[place].chunk.path.display()
    }
}

/// A file that is being read.
#[derive(Debug)]
struct Open<R> {
    chunk: Chunk,
    chain_id: u64,
    batches: Batches,
    /// Rows with their places in the file; empty at its end only.
    held: VecDeque<(usize, R)>,
    last_block: u64,
}

impl<R: Chunked> Open<R> {
    fn new(chunk: Chunk, chain_id: u64) -> Result<Self> {
        let batches = Batches::open(&chunk.path)?;
        let mut open = Self { chunk, chain_id, batches, held: VecDeque::new(), last_block: 0 };
        open.fill()?;
        Ok(open)
    }

    fn next_block(&self) -> Option<u64> {
        self.held.front().map(|(_, row)| row.block())
    }

    /// The next row, if it is of this block.
    fn take(&mut self, number: u64) -> Result<Option<(usize, R)>> {
        let row = self.held.pop_front_if(|(_, row)| row.block() == number);
        if self.held.is_empty() {
            self.fill()?;
        }
        Ok(row)
    }

    /// Reads on until there is a row, or the file ends.
    fn fill(&mut self) -> Result<()> {
        while self.held.is_empty()
            && let Some(batch) = self.batches.next()?
        {
            let first = batch.first_row;
            for (row, at) in R::read(batch)?.into_iter().zip(first..) {
                let row = self.checked(row, at)?;
                self.held.push_back((at, row));
            }
        }
        Ok(())
    }

    fn checked(&mut self, mut row: R, at: usize) -> Result<R> {
        let wrong = |column: &str, what: String| {
            anyhow!("{}: row {at}, column {column}: {what}", self.chunk.path.display())
        };
        let (number, Chunk { from, to, .. }) = (row.block(), &self.chunk);
        if !(*from..=*to).contains(&number) {
            let wanted = format!("found {number}; wanted {from} to {to}, as the file is called");
            return Err(wrong("block_number", wanted));
        }
        if number < self.last_block {
            let last = self.last_block;
            let what =
                format!("found {number} after {last}; wanted blocks in order, as cryo sorts");
            return Err(wrong("block_number", what));
        }
        // A file without the column is of the others' chain.
        let says_chain = self.batches.columns.iter().any(|column| column == "chain_id");
        let (chain_id, wanted) = (row.chain_id(), self.chain_id);
        if says_chain && *chain_id != wanted {
            let what = format!("found {chain_id}; wanted {wanted}, which the other files are of");
            return Err(wrong("chain_id", what));
        }
        *chain_id = wanted;
        self.last_block = number;
        Ok(row)
    }
}
