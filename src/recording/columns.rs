//! Reads blocks and their logs column by column: for flights over many blocks, in bounded memory.
//!
//! ```text
//! logs/PART.parquet ─► row groups that may have events of pools, by their Bloom filter
//!                       └─► batch of columns ─► which of its addresses are followed, once each
//!                                           └─► rows of one block ─► the logs of those
//! ```
//!
//! Only what the engine looks at is unpacked: events that move pools, and of their topics behind
//! the first those that say something. Nothing is allocated for a row: a log borrows its data from
//! the batch.
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
use gannet_engine::decode::topics::{MOVES, is_ranged};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::bloom_filter::Sbbf;

use super::read::{Recording, rows};
use super::rows::{BlockRow, LogColumns, Row};
use super::write::TOPIC;

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

    /// Visits each block of a range of heights in order, with the events of the contracts that are
    /// followed which move a pool ([`MOVES`]), until `visit` breaks off; with its header the next
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
        mut visit: impl FnMut(Headers<'_>, &mut [Log<'_>]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let recording = self.recording;
        for part in recording.parts_within((from, to)) {
            let part = part?;
            let start = Instant::now();
            let path = |table: &str| recording.folder().join(table).join(format!("{part}.parquet"));
            let mut headers = rows::<BlockRow>(&path(BlockRow::TABLE))?;
            headers.sort_by_key(|header| header.block_number);
            let mut groups = Groups::open(&path(LogColumns::TABLE))?;
            groups.is_there_for(&headers)?;
            self.read += start.elapsed();
            for (place, header) in headers.iter().enumerate() {
                let number = header.block_number.0;
                let start = Instant::now();
                let spent = groups.read();
                let pieces = groups.take(number, &follows)?;
                if number < from {
                    continue;
                }
                if number > to {
                    return Ok(());
                }
                let mut logs = logs_of(header, &pieces).with_context(|| told(&groups.path))?;
                let read = groups.read().saturating_sub(spent);
                self.read += read;
                self.rows += start.elapsed().saturating_sub(read);
                let both = (header, headers.get(place + 1));
                if visit(both, &mut logs)?.is_break() {
                    return Ok(());
                }
            }
            groups.end(&follows)?;
        }
        Ok(())
    }
}

/// The row groups of a file, block by block. Within each, rows are in the order of blocks.
struct Groups {
    path: PathBuf,
    runs: Vec<Runs>,
}

impl Groups {
    /// Opens those that may have events that move pools; of no file there are none.
    fn open(path: &Path) -> Result<Self> {
        let opened = if path.exists() { open(path) } else { Ok(Vec::new()) };
        let runs = opened.with_context(|| told(path))?;
        Ok(Self { path: path.to_owned(), runs })
    }

    /// Blocks without logs need no file.
    fn is_there_for(&self, headers: &[BlockRow]) -> Result<()> {
        if !self.path.exists()
            && let Some(header) = headers.iter().find(|header| header.has_logs())
        {
            let (path, number) = (self.path.display(), header.block_number.0);
            bail!("{path} is missing, but block {number} has logs: make the recording anew");
        }
        Ok(())
    }

    /// What reading took.
    fn read(&self) -> Duration {
        self.runs.iter().map(|runs| runs.read).sum()
    }

    /// The rows of a block; blocks are asked for in order.
    fn take(&mut self, number: u64, follows: &impl Fn(&Address) -> bool) -> Result<Vec<Piece>> {
        let mut pieces = Vec::with_capacity(2);
        for runs in &mut self.runs {
            runs.take(number, follows, &mut pieces).with_context(|| told(&self.path))?;
        }
        Ok(pieces)
    }

    /// Makes sure that nothing is left.
    fn end(&mut self, follows: &impl Fn(&Address) -> bool) -> Result<()> {
        for runs in &mut self.runs {
            if runs.fill(follows).with_context(|| told(&self.path))? {
                bail!("{}: rows of a block that has no header", self.path.display());
            }
        }
        Ok(())
    }
}

fn told(path: &Path) -> String {
    format!("reading {}", path.display())
}

/// The rows of a row group, block by block.
struct Runs {
    reader: ParquetRecordBatchReader,
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
    const fn new(reader: ParquetRecordBatchReader) -> Self {
        Self { reader, chunk: None, row: 0, known: None, read: Duration::ZERO }
    }

    /// Adds the rows of a block to `pieces`.
    fn take(
        &mut self,
        number: u64,
        follows: &impl Fn(&Address) -> bool,
        pieces: &mut Vec<Piece>,
    ) -> Result<()> {
        while self.fill(follows)? {
            let Some(chunk) = &self.chunk else { break };
            let rest = &chunk.numbers.values()[self.row..];
            let found = rest.first().map_or(u64::MAX, |found| u64::from(*found));
            if found < number {
                bail!("rows of block {found}, which has no header");
            }
            if found > number {
                break;
            }
            let count = rest.iter().position(|other| u64::from(*other) != number);
            let end = self.row + count.unwrap_or(rest.len());
            pieces.push((Rc::clone(chunk), self.row..end));
            self.row = end;
        }
        Ok(())
    }

    /// Whether there is a row; reads the next batch where the last one is used up.
    fn fill(&mut self, follows: &impl Fn(&Address) -> bool) -> Result<bool> {
        while self.chunk.as_ref().is_none_or(|chunk| self.row >= chunk.numbers.len()) {
            let start = Instant::now();
            let Some(batch) = self.reader.next() else { return Ok(false) };
            let batch = batch?;
            self.read += start.elapsed();
            let chunk = self.chunk_of(&batch, follows)?;
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

    /// Whether a row is of a contract that is followed.
    fn is_followed(&self, row: usize) -> bool {
        self.follows.get(self.key(row)).is_some_and(|is_so| *is_so)
    }

    /// Whether a row is an event that moves a pool.
    fn is_move(&self, row: usize) -> bool {
        let topic = self.topics[0].is_valid(row).then(|| self.topics[0].value(row));
        topic.is_some_and(|topic| MOVES.iter().any(|moves| moves == topic))
    }

    /// The place of a row's address; a file's keys are not below zero.
    fn key(&self, row: usize) -> usize {
        usize::try_from(self.keys.value(row)).unwrap_or(usize::MAX)
    }
}

/// The events that move pools, of the contracts that are followed.
fn logs_of<'p>(header: &BlockRow, pieces: &'p [Piece]) -> Result<Vec<Log<'p>>> {
    let wanted = |(chunk, rows): &'p Piece| {
        let is_wanted = |row: &usize| chunk.is_followed(*row) && chunk.is_move(*row);
        rows.clone().filter(is_wanted).map(move |row| (&**chunk, row))
    };
    // Of a row group of moves, most rows are followed.
    let count = pieces.iter().map(|(_, rows)| rows.len()).sum();
    let mut logs: Vec<Log<'p>> = Vec::with_capacity(count);
    for (chunk, row) in pieces.iter().flat_map(wanted) {
        logs.push(chunk.log(header, row)?);
    }
    if !logs.is_sorted_by_key(|log| log.log_index) {
        logs.sort_by_key(|log| log.log_index);
    }
    Ok(logs)
}

/// Readers of the row groups that may have events that move pools.
fn open(path: &Path) -> Result<Vec<Runs>> {
    let file = File::open(path)?;
    let metadata = metadata(&file)?;
    let mask = ProjectionMask::columns(metadata.parquet_schema(), COLUMNS);
    let mut runs = Vec::new();
    for group in 0..metadata.metadata().num_row_groups() {
        let file = file.try_clone()?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        if may_move(&builder, group)? {
            let builder = builder.with_row_groups(vec![group]).with_projection(mask.clone());
            runs.push(Runs::new(builder.with_batch_size(BATCH_ROWS).build()?));
        }
    }
    Ok(runs)
}

/// Whether a row group may have an event that moves a pool; one without a Bloom filter may.
fn may_move(builder: &ParquetRecordBatchReaderBuilder<File>, group: usize) -> Result<bool> {
    let columns = builder.parquet_schema().columns().iter();
    let Some(place) = columns.map(|column| column.name()).position(|name| name == TOPIC) else {
        return Ok(true);
    };
    let filter = builder.get_row_group_column_bloom_filter(group, place)?;
    let may_have = |filter: Sbbf| MOVES.iter().any(|topic| filter.check::<[u8]>(topic.as_slice()));
    Ok(filter.is_none_or(may_have))
}

/// What a file says of itself; bytes are read without a copy, addresses as a dictionary.
fn metadata(file: &File) -> Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
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
    Ok(ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?)
}

#[cfg(test)]
mod tests {
    use gannet_engine::decode::topics::{SYNC, TRANSFER, V3_MINT};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::recording::column::Height;
    use crate::recording::write_table;

    /// A log of a block, at a place in it, of an event.
    fn row(number: u64, log_index: u32, topic: B256) -> LogColumns {
        LogColumns {
            block_number: Height(number),
            transaction_index: log_index / 2,
            log_index,
            transaction_hash: B256::repeat_byte(1),
            address: Address::repeat_byte(2),
            topic0: Some(topic),
            topic1: None,
            topic2: None,
            topic3: None,
            data: None,
            chain_id: 1,
            block_hash: None,
            removed: false,
        }
    }

    fn path_of(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()))
    }

    /// Row groups that are read of a file with these, and what is found: block, and place in it.
    fn read(name: &str, groups: [Vec<LogColumns>; 2]) -> (usize, Vec<(u64, u32)>) {
        let path = path_of(name);
        write_table(&path, groups).expect("it can be written");
        read_file(&path)
    }

    fn read_file(path: &Path) -> (usize, Vec<(u64, u32)>) {
        let mut groups = Groups::open(path).expect("it can be read");
        let mut found = Vec::new();
        for number in 1..=3 {
            let pieces = groups.take(number, &|_| true).expect("rows are in order");
            let logs = logs_of(&BlockRow::unknown(number, 1), &pieces).expect("they are right");
            found.extend(logs.iter().map(|log| (log.block_number, log.log_index)));
        }
        groups.end(&|_| true).expect("nothing is left");
        std::fs::remove_file(path).expect("it is ours");
        (groups.runs.len(), found)
    }

    #[test]
    fn row_groups_without_an_event_that_moves_a_pool_are_passed_over() {
        let moves = vec![row(1, 1, SYNC), row(1, 4, V3_MINT), row(3, 0, SYNC)];
        let others = vec![row(1, 0, TRANSFER), row(2, 7, TRANSFER), row(3, 1, TRANSFER)];
        let wanted = vec![(1, 1), (1, 4), (3, 0)];
        assert_eq!(read("apart", [moves.clone(), others.clone()]), (1, wanted.clone()));
        assert_eq!(read("behind", [others.clone(), moves.clone()]), (1, wanted.clone()));
        let mut mixed = [moves, others].concat();
        mixed.sort_by_key(|row| (row.block_number, row.log_index));
        assert_eq!(read("mixed", [mixed, Vec::new()]), (1, wanted));
    }

    #[test]
    fn row_groups_without_a_bloom_filter_are_read_one_after_the_other() {
        let path = path_of("plain");
        let file = File::create(&path).expect("it can be made");
        let writer = ArrowWriter::try_new(file, LogColumns::schema(), None);
        let mut writer = writer.expect("it can be written");
        let first = vec![row(1, 0, TRANSFER), row(1, 1, SYNC), row(2, 2, SYNC)];
        let second = vec![row(2, 3, V3_MINT), row(2, 4, TRANSFER), row(3, 0, SYNC)];
        for rows in [first, second] {
            let batch = LogColumns::to_batch(rows).expect("columns are of one length");
            writer.write(&batch).expect("it can be written");
            writer.flush().expect("it can be written");
        }
        writer.close().expect("it can be written");
        assert_eq!(read_file(&path), (2, vec![(1, 1), (2, 2), (2, 3), (3, 0)]));
    }

    #[test]
    fn logs_that_a_header_speaks_of_are_missed() {
        let groups = Groups::open(&path_of("missing")).expect("there may be none");
        let empty = BlockRow { logs_complete: Some(true), ..BlockRow::unknown(7, 1) };
        let quiet = BlockRow { logs_bloom: Some(vec![0; 256].into()), ..empty.clone() };
        groups.is_there_for(&[empty, quiet.clone()]).expect("there are none");
        let loud = BlockRow { logs_bloom: Some(vec![1; 256].into()), ..quiet };
        let error = groups
            .is_there_for(std::slice::from_ref(&loud))
            .expect_err("there are some")
            .to_string();
        assert!(error.ends_with("is missing, but block 7 has logs: make the recording anew"));
        let partial = BlockRow { logs_complete: Some(false), ..loud };
        groups.is_there_for(&[partial]).expect("what is there is not all");
    }

    #[test]
    fn events_of_one_block_in_two_row_groups_are_in_the_order_of_the_block() {
        let odd = vec![row(1, 1, SYNC), row(2, 3, SYNC), row(3, 5, SYNC)];
        let even = vec![row(1, 0, SYNC), row(2, 4, V3_MINT), row(3, 2, SYNC)];
        let wanted = vec![(1, 0), (1, 1), (2, 3), (2, 4), (3, 2), (3, 5)];
        assert_eq!(read("woven", [odd, even]), (2, wanted));
    }
}
