//! Reads blocks and their logs column by column: for flights over many blocks, in bounded memory.
//!
//! ```text
//! logs/PART.parquet ─► batch of columns ─► which of its addresses are followed, once an address
//!                                      └─► rows of one block ─► the logs of those
//! ```
//!
//! Only what the engine looks at is unpacked: of topics behind the first, those that a pool's event
//! says something in. Nothing is allocated for a row: a log borrows its data from the batch.
//!
//! Temperature: cold.

use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256};
use anyhow::{Context as _, Result, anyhow, bail};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BinaryViewArray, Int32Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use gannet_engine::decode::log::{Data, Log, TOPICS_MAX};
use gannet_engine::decode::topics::is_ranged;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::read::{Recording, rows};
use super::rows::{BlockRow, LogColumns, Row};

/// Rows of a batch: the columns of so many fit a core's cache.
const BATCH_ROWS: usize = 8_192;
/// The columns that are read, in the order in which [`Chunk`] takes them.
const COLUMNS: [&str; 10] = [
    "block_number",
    "transaction_index",
    "log_index",
    "transaction_hash",
    "address",
    "topic0",
    "topic1",
    "topic2",
    "topic3",
    "data",
];

/// A block's header, and the next one's.
pub(crate) type Headers<'h> = (&'h BlockRow, Option<&'h BlockRow>);

/// A way through the blocks of a recording.
#[derive(Debug)]
pub(crate) struct Lane<'r> {
    recording: &'r Recording,
    /// What reading and unpacking took, and picking the logs out of it.
    pub(crate) read: Duration,
    pub(crate) rows: Duration,
}

impl<'r> Lane<'r> {
    pub(crate) const fn new(recording: &'r Recording) -> Self {
        Self { recording, read: Duration::ZERO, rows: Duration::ZERO }
    }

    /// Visits each block of a range of heights in order, with the logs of the contracts that are
    /// followed and whether it has none at all, until `visit` breaks off; with its header the next
    /// one, if it stands in the same file. The logs' block hash is that of the header, or zero
    /// where that is not recorded; of topics behind the first, those of ranged events are there
    /// ([`is_ranged`]), and others zero.
    ///
    /// # Errors
    /// When the recording cannot be read, and those of `visit`.
    pub(crate) fn each(
        &mut self,
        (from, to): (u64, u64),
        follows: impl Fn(&Address) -> bool,
        mut visit: impl FnMut(Headers<'_>, &mut [Log<'_>], bool) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let recording = self.recording;
        for part in recording.parts_within((from, to)) {
            let part = part?;
            let start = Instant::now();
            let path = |table: &str| recording.folder().join(table).join(format!("{part}.parquet"));
            let mut headers = rows::<BlockRow>(&path(BlockRow::TABLE))?;
            headers.sort_by_key(|header| header.block_number);
            let mut runs = Runs::open(&path(LogColumns::TABLE))?;
            self.read += start.elapsed();
            for (place, header) in headers.iter().enumerate() {
                let number = header.block_number.0;
                let start = Instant::now();
                let spent = runs.read;
                let pieces = runs.take(number, &follows)?;
                if number < from {
                    continue;
                }
                if number > to {
                    return Ok(());
                }
                let mut logs = logs_of(header, &pieces).with_context(|| runs.told())?;
                let is_empty = pieces.is_empty();
                let read = runs.read.saturating_sub(spent);
                self.read += read;
                self.rows += start.elapsed().saturating_sub(read);
                let both = (header, headers.get(place + 1));
                if visit(both, &mut logs, is_empty)?.is_break() {
                    return Ok(());
                }
            }
            runs.end(&follows)?;
        }
        Ok(())
    }
}

/// The rows of a file, block by block.
struct Runs {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
    chunk: Option<Rc<Chunk>>,
    /// The next row of the chunk.
    row: usize,
    /// The addresses of the last batch, and which of them are followed: batches share them.
    known: Option<(ArrayRef, Rc<[bool]>)>,
    read: Duration,
}

/// Rows of one block that stand in one chunk.
type Piece = (Rc<Chunk>, Range<usize>);

impl Runs {
    fn open(path: &Path) -> Result<Self> {
        let told = || format!("reading {}", path.display());
        let reader = path.exists().then(|| reader(path)).transpose().with_context(told)?;
        let read = Duration::ZERO;
        Ok(Self { path: path.to_owned(), reader, chunk: None, row: 0, known: None, read })
    }

    fn told(&self) -> String {
        format!("reading {}", self.path.display())
    }

    /// The rows of a block; blocks are asked for in order.
    fn take(&mut self, number: u64, follows: &impl Fn(&Address) -> bool) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        while self.fill(follows)? {
            let Some(chunk) = &self.chunk else { break };
            let rest = &chunk.numbers.values()[self.row..];
            let found = rest.first().map_or(u64::MAX, |found| u64::from(*found));
            if found < number {
                bail!("{}: rows of block {found}, which has no header", self.path.display());
            }
            if found > number {
                break;
            }
            let count = rest.iter().position(|other| u64::from(*other) != number);
            let end = self.row + count.unwrap_or(rest.len());
            pieces.push((Rc::clone(chunk), self.row..end));
            self.row = end;
        }
        Ok(pieces)
    }

    /// Whether there is a row; reads the next batch where the last one is used up.
    fn fill(&mut self, follows: &impl Fn(&Address) -> bool) -> Result<bool> {
        while self.chunk.as_ref().is_none_or(|chunk| self.row >= chunk.numbers.len()) {
            let start = Instant::now();
            let Some(batch) = self.reader.as_mut().and_then(Iterator::next) else {
                return Ok(false);
            };
            let batch = batch.with_context(|| self.told())?;
            self.read += start.elapsed();
            let chunk = self.chunk_of(&batch, follows).with_context(|| self.told())?;
            (self.chunk, self.row) = (Some(Rc::new(chunk)), 0);
        }
        Ok(true)
    }

    fn chunk_of(
        &mut self,
        batch: &RecordBatch,
        follows: &impl Fn(&Address) -> bool,
    ) -> Result<Chunk> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| anyhow!("column {name} is missing"))
        };
        let numbers = |name: &str| -> Result<UInt32Array> {
            let column = column(name)?.as_primitive_opt::<UInt32Type>();
            let column = column.filter(|column| column.null_count() == 0);
            column.cloned().ok_or_else(|| anyhow!("column {name} holds no 32-bit numbers"))
        };
        let bytes = |name: &str| -> Result<BinaryViewArray> {
            let column = column(name)?.as_byte_view_opt::<arrow_array::types::BinaryViewType>();
            column.cloned().ok_or_else(|| anyhow!("column {name} holds no bytes"))
        };
        let addresses = column("address")?;
        let dictionary = addresses.as_dictionary_opt::<Int32Type>();
        let dictionary = dictionary.filter(|column| column.null_count() == 0);
        let dictionary = dictionary.ok_or_else(|| anyhow!("column address has holes"))?;
        let values = dictionary.values();
        let known =
            self.known.as_ref().filter(|(held, _)| held.to_data().ptr_eq(&values.to_data()));
        let follows = match known {
            Some((_, known)) => Rc::clone(known),
            None => {
                let known = followed(values, follows)?;
                self.known = Some((Arc::clone(values), Rc::clone(&known)));
                known
            }
        };
        Ok(Chunk {
            numbers: numbers("block_number")?,
            tx_indices: numbers("transaction_index")?,
            log_indices: numbers("log_index")?,
            tx_hashes: bytes("transaction_hash")?,
            keys: dictionary.keys().clone(),
            addresses: Arc::clone(values),
            follows,
            topics: [bytes("topic0")?, bytes("topic1")?, bytes("topic2")?, bytes("topic3")?],
            data: bytes("data")?,
        })
    }

    /// Makes sure that nothing is left.
    fn end(&mut self, follows: &impl Fn(&Address) -> bool) -> Result<()> {
        if self.fill(follows)? {
            bail!("{}: rows of a block that has no header", self.path.display());
        }
        Ok(())
    }
}

/// Which addresses are followed.
fn followed(values: &ArrayRef, follows: impl Fn(&Address) -> bool) -> Result<Rc<[bool]>> {
    let values = values.as_binary_opt::<i32>().context("column address holds no bytes")?;
    let is_followed = |value: Option<&[u8]>| {
        // An entry that no row uses may be anything.
        let Some(value) = value else { return Ok(false) };
        let address = Address::try_from(value);
        let address =
            address.map_err(|_length| anyhow!("found {} bytes as an address", value.len()));
        Ok(follows(&address?))
    };
    values.iter().map(is_followed).collect()
}

/// The columns of some rows.
struct Chunk {
    numbers: UInt32Array,
    tx_indices: UInt32Array,
    log_indices: UInt32Array,
    tx_hashes: BinaryViewArray,
    /// Places in `addresses`, and in `follows`.
    keys: Int32Array,
    addresses: ArrayRef,
    follows: Rc<[bool]>,
    topics: [BinaryViewArray; TOPICS_MAX],
    data: BinaryViewArray,
}

impl Chunk {
    fn log(&self, header: &BlockRow, row: usize) -> Result<Log<'_>> {
        let word = |column: &BinaryViewArray, name: &str| {
            let hash = B256::try_from(column.value(row));
            hash.map_err(|_length| anyhow!("column {name}, row {row} of a batch: no 32 bytes"))
        };
        let mut topics = [B256::ZERO; TOPICS_MAX];
        let mut count = 0;
        for (place, column) in self.topics.iter().enumerate() {
            if !column.is_valid(row) {
                break;
            }
            // Those of other events are somewhere in the memory, and for nothing.
            if place == 0 || is_ranged(&topics[0]) {
                topics[place] = word(column, "topic")?;
            }
            count += 1;
        }
        let address = self.addresses.as_binary::<i32>().value(self.key(row));
        Ok(Log {
            address: Address::from_slice(address),
            topics,
            topic_count: count,
            data: Data::Binary(if self.data.is_valid(row) { self.data.value(row) } else { &[] }),
            block_number: header.block_number.0,
            block_hash: header.block_hash.unwrap_or_default(),
            tx_hash: word(&self.tx_hashes, "transaction_hash")?,
            tx_index: self.tx_indices.value(row),
            log_index: self.log_indices.value(row),
            removed: false,
        })
    }

    /// The place of a row's address; a file's keys are not below zero.
    fn key(&self, row: usize) -> usize {
        usize::try_from(self.keys.value(row)).unwrap_or(usize::MAX)
    }
}

/// The logs of the contracts that are followed. Of those without a topic nothing follows.
fn logs_of<'p>(header: &BlockRow, pieces: &'p [Piece]) -> Result<Vec<Log<'p>>> {
    let followed = |(chunk, rows): &'p Piece| {
        let is_followed =
            |row: &usize| chunk.follows.get(chunk.key(*row)).is_some_and(|is_so| *is_so);
        rows.clone().filter(is_followed).map(move |row| (&**chunk, row))
    };
    // Logs are large: room is taken for those that are wanted.
    let count = pieces.iter().flat_map(followed).count();
    let mut logs: Vec<Log<'p>> = Vec::with_capacity(count);
    for (chunk, row) in pieces.iter().flat_map(followed) {
        if chunk.topics[0].is_valid(row) {
            logs.push(chunk.log(header, row)?);
        }
    }
    if !logs.is_sorted_by_key(|log| log.log_index) {
        logs.sort_by_key(|log| log.log_index);
    }
    Ok(logs)
}

/// A reader of the columns that are wanted: bytes without a copy, addresses as a dictionary.
fn reader(path: &Path) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let typed = |field: &Arc<Field>| {
        let data_type = match (field.name().as_str(), field.data_type()) {
            ("address", DataType::LargeBinary | DataType::Binary) => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))
            }
            (_, DataType::LargeBinary | DataType::Binary) => DataType::BinaryView,
            (_, other) => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    };
    let fields: Vec<Field> = metadata.schema().fields().iter().map(typed).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
    let mask = ProjectionMask::columns(metadata.parquet_schema(), COLUMNS);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    Ok(builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?)
}
