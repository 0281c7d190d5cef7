//! The files of mempool-dumpster, piece by piece: Parquet in its new and old shape, and CSV.
//!
//! A row of a CSV file is read by the column names of its header. The collector's files have the
//! signed bytes and little else; the published ones have everything but these.
//!
//! Temperature: cold.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow_array::{ArrayRef, LargeStringArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use csv::StringRecord;
use flate2::read::MultiGzDecoder;

use crate::recording::rows::{MempoolRow, Row as _};
use crate::recording::{Batch, Batches};

/// The columns of CSV files, and what they are called in Parquet.
const CSV_COLUMNS: [(&str, &str); 19] = [
    ("timestamp_ms", "timestamp"),
    ("hash", "hash"),
    ("chain_id", "chainId"),
    ("tx_type", "txType"),
    ("from", "from"),
    ("to", "to"),
    ("value", "value"),
    ("nonce", "nonce"),
    ("gas", "gas"),
    ("gas_price", "gasPrice"),
    ("gas_tip_cap", "gasTipCap"),
    ("gas_fee_cap", "gasFeeCap"),
    ("data_size", "dataSize"),
    ("data_4bytes", "data4Bytes"),
    ("sources", "sources"),
    ("included_at_block_height", "includedAtBlockHeight"),
    ("included_block_timestamp_ms", "includedBlockTimestamp"),
    ("inclusion_delay_ms", "inclusionDelayMs"),
    ("raw_tx", "rawTx"),
];
/// The collector's columns, which files without a header have.
const COLLECTED: [&str; 3] = ["timestamp_ms", "hash", "raw_tx"];
/// Columns of a list of who saw what, which says nothing of the transactions.
const SOURCE_LOG: [&str; 3] = ["timestamp_ms", "hash", "source"];
/// Rows of a CSV file that are read at once.
const CSV_BATCH_ROWS: usize = 1 << 12;

/// A file that is being read.
pub(super) struct Sightings {
    path: PathBuf,
    source: Source,
}

enum Source {
    Parquet(Batches),
    Csv(Csv),
}

impl fmt::Debug for Sightings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sightings").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sightings {
    /// Opens a file; none if it holds no transactions, but who saw them.
    ///
    /// # Errors
    /// When it is neither Parquet nor a CSV file with mempool-dumpster's columns.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let told = || format!("reading {}", path.display());
        let mut file = BufReader::new(File::open(path).with_context(told)?);
        let head = file.fill_buf().with_context(told)?;
        if head.starts_with(b"PK") {
            bail!("{} is a ZIP archive: unpack it and import what is in it", path.display());
        }
        let source = if head.starts_with(b"PAR1") {
            Source::Parquet(Batches::open(path)?)
        } else {
            let is_zipped = head.starts_with(&[0x1f, 0x8b]);
            let text: Box<dyn Read> =
                if is_zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
            match Csv::open(path, text)? {
                Some(csv) => Source::Csv(csv),
                None => return Ok(None),
            }
        };
        Ok(Some(Self { path: path.to_owned(), source }))
    }

    /// The next rows, and the place of the first; none at the end.
    ///
    /// # Errors
    /// When a row is not what it should be: with its row and column.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Vec<MempoolRow>)>> {
        let batch = match &mut self.source {
            Source::Parquet(batches) => batches.next()?,
            Source::Csv(csv) => csv.next(&self.path)?,
        };
        let Some(batch) = batch else { return Ok(None) };
        let rows = MempoolRow::from_batch(&batch.columns);
        let rows = rows.map_err(|(column, misfit)| batch.wrong(self.called(column), &misfit))?;
        Ok(Some((batch.first_row, rows)))
    }

    /// What a column is called in this file.
    pub(super) fn called(&self, column: &'static str) -> &'static str {
        let in_csv = || CSV_COLUMNS.iter().find(|(_, parquet)| *parquet == column);
        match self.source {
            Source::Parquet(_) => column,
            Source::Csv(_) => in_csv().map_or(column, |(csv, _)| csv),
        }
    }
}

/// A CSV file.
struct Csv {
    reader: csv::Reader<Box<dyn Read>>,
    /// Its columns by their names in Parquet; none is passed over.
    columns: Vec<Option<&'static str>>,
    /// The first row of a file without a header.
    held: Option<StringRecord>,
    next_row: usize,
}

impl Csv {
    fn open(path: &Path, text: Box<dyn Read>) -> Result<Option<Self>> {
        let told = || format!("reading {}", path.display());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
        let mut head = StringRecord::new();
        reader.read_record(&mut head).with_context(told)?;
        if head == SOURCE_LOG[..] {
            return Ok(None);
        }
        let is_row = head.len() == COLLECTED.len()
            && head.get(0).is_some_and(|time| time.parse::<u64>().is_ok());
        let names: Vec<&str> = if is_row { COLLECTED.to_vec() } else { head.iter().collect() };
        if !names.contains(&"timestamp_ms") || !names.contains(&"hash") {
            let shown: String = names.join(",").chars().take(100).collect();
            bail!(
                "{}: found the columns {shown:?}; wanted Parquet, or CSV with timestamp_ms and \
                 hash",
                path.display()
            );
        }
        let known = |name: &&str| CSV_COLUMNS.iter().find(|(csv, _)| csv == name);
        let columns = names.iter().map(|name| known(name).map(|(_, parquet)| *parquet)).collect();
        let held = is_row.then_some(head);
        Ok(Some(Self { reader, columns, held, next_row: 0 }))
    }

    fn next(&mut self, path: &Path) -> Result<Option<Batch>> {
        let first_row = self.next_row;
        let mut records: Vec<StringRecord> = self.held.take().into_iter().collect();
        for record in self.reader.records().take(CSV_BATCH_ROWS) {
            records.push(record.with_context(|| format!("reading {}", path.display()))?);
        }
        if records.is_empty() {
            return Ok(None);
        }
        self.next_row += records.len();
        let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for (place, name) in self.columns.iter().enumerate() {
            let Some(name) = name else { continue };
            let cells =
                records.iter().map(|record| record.get(place).filter(|cell| !cell.is_empty()));
            arrays.push(Arc::new(cells.collect::<LargeStringArray>()));
            fields.push(Field::new(*name, DataType::LargeUtf8, true));
        }
        let columns = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        Ok(Some(Batch { path: path.to_owned(), first_row, columns }))
    }
}
