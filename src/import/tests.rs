//! Imports, tried on files that are made here.
//!
//! Temperature: cold.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use alloy::consensus::{
    SignableTransaction as _, TxEip1559, TxEip4844, TxEip4844Variant, TxEip4844WithSidecar,
    TxEnvelope, TxLegacy,
};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip4844::{Blob, BlobTransactionSidecar, Bytes48};
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray,
    RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;

use super::{Imported, cryo, mempool};
use crate::recording::column::Millis;
use crate::recording::rows::MempoolRow;
use crate::recording::{PENDING_UNKNOWN, RecordedBlock, Recording};

const CHAIN: u64 = 31_337;

/// A folder that is gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(path.join("in")).unwrap();
        Self(path)
    }

    fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("in").join(name)
    }

    /// Writes a Parquet file.
    fn write(&self, name: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let file = fs::File::create(self.file(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.file(name)
    }

    fn text(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.file(name), text).unwrap();
        self.file(name)
    }

    fn cryo(&self) -> anyhow::Result<Imported> {
        cryo::import(&self.0.join("in"), &self.out(), None)
    }

    /// What an import fails with; nothing may stay of it.
    fn refused(&self) -> String {
        self.gone(self.cryo())
    }

    fn gone(&self, imported: anyhow::Result<Imported>) -> String {
        let error = format!("{:#}", imported.unwrap_err());
        let left = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["in"], "{error}");
        error
    }

    fn blocks(&self) -> Vec<RecordedBlock> {
        let mut blocks = Vec::new();
        let recording = Recording::open(&self.out()).unwrap();
        let mut visit = |block| {
            blocks.push(block);
            Ok(())
        };
        recording.each((0, u64::MAX), &mut visit).unwrap();
        blocks
    }

    fn pending(&self, from: u64, to: u64) -> Vec<MempoolRow> {
        let mut rows = Vec::new();
        let mut visit = |row| {
            rows.push(row);
            Ok(())
        };
        let recording = Recording::open(&self.out()).unwrap();
        recording.each_pending((Millis(from), Millis(to)), &mut visit).unwrap();
        rows
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn hash(seed: u64) -> B256 {
    B256::from(U256::from(seed))
}

fn bytes<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> ArrayRef {
    Arc::new(LargeBinaryArray::from_iter_values(values))
}

fn hashes(seeds: &[u64]) -> ArrayRef {
    let seeds: Vec<_> = seeds.iter().map(|seed| hash(*seed)).collect();
    bytes(seeds.iter().map(|seed| seed.as_slice()))
}

fn u32s(values: &[u32]) -> ArrayRef {
    Arc::new(UInt32Array::from(values.to_vec()))
}

fn u64s(values: &[u64]) -> ArrayRef {
    Arc::new(UInt64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(LargeStringArray::from(values.to_vec()))
}

type Columns = Vec<(&'static str, ArrayRef)>;

/// Blocks with the hash of their height, and the columns that cryo writes unasked.
fn blocks(numbers: &[u32]) -> Columns {
    let seeds: Vec<u64> = numbers.iter().map(|number| u64::from(*number)).collect();
    let times: Vec<u32> = numbers.iter().map(|number| number * 12).collect();
    vec![
        ("block_hash", hashes(&seeds)),
        ("author", bytes(numbers.iter().map(|_| &[7_u8; 20][..]))),
        ("block_number", u32s(numbers)),
        ("gas_used", u64s(&vec![21_000; numbers.len()])),
        ("extra_data", bytes(numbers.iter().map(|_| &b""[..]))),
        ("timestamp", u32s(&times)),
        ("base_fee_per_gas", u64s(&vec![7; numbers.len()])),
        ("chain_id", u64s(&vec![CHAIN; numbers.len()])),
    ]
}

/// One transaction a block.
fn transactions(numbers: &[u32]) -> Columns {
    let seeds: Vec<u64> = numbers.iter().map(|number| 1_000 + u64::from(*number)).collect();
    let count = numbers.len();
    vec![
        ("block_number", u32s(numbers)),
        ("transaction_index", u64s(&vec![0; count])),
        ("transaction_hash", hashes(&seeds)),
        ("nonce", u64s(&vec![3; count])),
        ("value_string", texts(&vec!["340282366920938463463374607431768211456"; count])),
        ("value_f64", Arc::new(Float64Array::from(vec![3.4e38; count]))),
        ("chain_id", u64s(&vec![CHAIN; count])),
    ]
}

/// One log a block.
fn logs(numbers: &[u32]) -> Columns {
    let seeds: Vec<u64> = numbers.iter().map(|number| 1_000 + u64::from(*number)).collect();
    let count = numbers.len();
    vec![
        ("block_number", u32s(numbers)),
        ("transaction_index", u32s(&vec![0; count])),
        ("log_index", u32s(&vec![0; count])),
        ("transaction_hash", hashes(&seeds)),
        ("address", bytes(numbers.iter().map(|_| &[9_u8; 20][..]))),
        ("topic0", hashes(&vec![5; count])),
        ("topic1", hashes(&vec![6; count])),
        ("topic2", Arc::new(LargeBinaryArray::from_iter(vec![None::<&[u8]>; count]))),
        ("data", bytes(numbers.iter().map(|_| &b"\x01\x02"[..]))),
        ("chain_id", u64s(&vec![CHAIN; count])),
    ]
}

/// Replaces a column, or adds it.
fn with(mut columns: Columns, name: &'static str, column: ArrayRef) -> Columns {
    columns.retain(|(other, _)| *other != name);
    columns.push((name, column));
    columns
}

fn without(mut columns: Columns, name: &str) -> Columns {
    columns.retain(|(other, _)| *other != name);
    columns
}

fn said(imported: &Imported, what: &str) -> bool {
    imported.remarks.iter().any(|remark| remark.contains(what))
}

#[test]
fn chunks_of_three_data_sets_become_blocks() {
    let scratch = Scratch::new("cryo");
    scratch.write("network_1__blocks__00000010_to_00000011.parquet", blocks(&[10, 11]));
    scratch.write("network_1__blocks__00000012_to_00000013.parquet", blocks(&[12, 13]));
    scratch.write("network_1__transactions__00000010_to_00000013__mine.parquet", {
        transactions(&[10, 12])
    });
    scratch.write("network_1__logs__00000010_to_00000013.parquet", logs(&[12]));
    scratch.write("network_1__contracts__00000010_to_00000013.parquet", blocks(&[10]));
    let imported = scratch.cryo().unwrap();
    assert_eq!((imported.chain_id, imported.blocks, imported.segments.len()), (CHAIN, 4, 1));
    assert!(said(&imported, "passed over: contracts"), "{:?}", imported.remarks);
    assert!(said(&imported, "1 of 1 files of logs lack block_hash"), "{:?}", imported.remarks);
    assert!(said(&imported, "2 of 2 files of blocks lack parent_hash"), "{:?}", imported.remarks);
    let blocks = scratch.blocks();
    let counts = blocks.iter().map(|block| (block.transactions.len(), block.logs.len()));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 0), (0, 0), (1, 1), (0, 0)]);
    let header = &blocks[2].header;
    assert_eq!((header.block_hash, header.timestamp.unwrap().0), (Some(hash(12)), 144));
    assert_eq!(blocks[2].transactions[0].value_binary, Some(U256::ONE << 128));
    assert_eq!(blocks[2].logs[0].topics, [hash(5), hash(6)]);
    assert!(!said(&imported, "derived"));
}

#[test]
fn columns_are_read_from_other_types_and_from_hexadecimal_digits() {
    let scratch = Scratch::new("cryo-types");
    let plain = blocks(&[10]);
    let wide = with(plain, "block_number", u64s(&[10]));
    let digits = format!("{}", hash(10));
    let wide = with(wide, "block_hash", texts(&[&digits]));
    let wide = with(wide, "extra_data", Arc::new(BinaryArray::from_iter_values([b"hi"])));
    scratch.write("n__blocks__10_to_10.parquet", wide);
    let plain = without(transactions(&[10]), "value_string");
    let rows = with(plain, "value_binary", texts(&[&format!("{}", hash(77))]));
    scratch.write("n__transactions__10_to_10.parquet", rows);
    let rows = with(logs(&[10]), "log_index", Arc::new(Int64Array::from(vec![0])));
    scratch.write("n__logs__10_to_10.parquet", with(rows, "data", texts(&["0x0102"])));
    scratch.cryo().unwrap();
    let blocks = scratch.blocks();
    let RecordedBlock { header, transactions, logs, .. } = &blocks[0];
    assert_eq!((header.block_number.0, header.block_hash), (10, Some(hash(10))));
    assert_eq!(header.extra_data, Some(Bytes::from_static(b"hi")));
    assert_eq!(transactions[0].value_binary, Some(U256::from(77)));
    assert_eq!(logs[0].data, Bytes::from_static(&[1, 2]));
}

#[test]
fn blocks_are_derived_where_their_data_set_is_missing() {
    let scratch = Scratch::new("cryo-derived");
    let homes = with(transactions(&[10, 12]), "timestamp", u32s(&[120, 144]));
    scratch.write("n__transactions__10_to_12.parquet", homes);
    let homes = with(logs(&[11, 12]), "block_hash", hashes(&[11, 12]));
    scratch.write("n__logs__10_to_12.parquet", homes);
    let imported = scratch.cryo().unwrap();
    assert!(said(&imported, "3 blocks, from 10 on, have no header"), "{:?}", imported.remarks);
    assert!(said(&imported, "there is no data set of blocks"));
    let blocks = scratch.blocks();
    let known = blocks.iter().map(|block| {
        let header = &block.header;
        (block.number(), header.timestamp.map(|time| time.0), header.block_hash)
    });
    let wanted =
        [(10, Some(120), None), (11, None, Some(hash(11))), (12, Some(144), Some(hash(12)))];
    assert_eq!(known.collect::<Vec<_>>(), wanted);
}

#[test]
fn rows_of_overlapping_chunks_count_once_and_must_not_contradict() {
    let scratch = Scratch::new("cryo-overlap");
    scratch.write("n__logs__10_to_12.parquet", logs(&[10, 11, 12]));
    let path = scratch.write("n__logs__11_to_13.parquet", logs(&[11, 12, 13]));
    let imported = scratch.cryo().unwrap();
    assert_eq!(imported.blocks, 4);
    assert!(said(&imported, "2 rows are in two files and count once"), "{:?}", imported.remarks);
    assert!(scratch.blocks().iter().all(|block| block.logs.len() == 1));
    fs::remove_dir_all(scratch.out()).unwrap();
    let other = with(logs(&[11, 12, 13]), "topic1", hashes(&[6, 8, 6]));
    scratch.write("n__logs__11_to_13.parquet", other);
    let error = scratch.refused();
    let place = format!("{}: row 1, column topic1: contradicts row 2 of ", path.display());
    assert!(error.starts_with(&place) && error.ends_with("both of block 12"), "{error}");
}

/// Imports one malformed file, and demands these words of the error.
#[track_caller]
fn refuses(name: &'static str, columns: Columns, wanted: &str) {
    let scratch = Scratch::new(&format!("cryo-bad-{}", wanted.len()));
    scratch.write("n__blocks__10_to_11.parquet", blocks(&[10, 11]));
    let path = scratch.write(name, columns);
    let error = scratch.refused();
    assert!(error.contains(wanted), "{error}");
    assert!(error.contains(&path.display().to_string()) || error.starts_with("block "), "{error}");
}

#[test]
fn malformed_files_are_refused_with_their_place() {
    let name = "n__logs__10_to_11.parquet";
    let both = || logs(&[10, 11]);
    refuses(name, without(both(), "address"), "column address is missing");
    let short = bytes([&[9_u8; 20][..], &[9; 19]]);
    let what = "row 1, column address: found 19 bytes; wanted 20";
    refuses(name, with(both(), "address", short), what);
    let digits = texts(&["0x01", "0xzz"]);
    let what = "row 1, column data: found \"0xzz\"; wanted hexadecimal digits";
    refuses(name, with(both(), "data", digits), what);
    let what = "row 1, column block_number: found 12; wanted 10 to 11, as the file is called";
    refuses(name, logs(&[10, 12]), what);
    refuses(name, logs(&[11, 10]), "row 1, column block_number: found 10 after 11");
    let chain = u64s(&[CHAIN, 1]);
    let what = "row 1, column chain_id: found 1; wanted 31337";
    refuses(name, with(both(), "chain_id", chain), what);
    let hole = Arc::new(LargeBinaryArray::from_iter([Some(&[5_u8; 32][..]), None]));
    let what = "row 1, column topic0: found nothing, but a topic1; wanted a value";
    refuses(name, with(both(), "topic0", hole), what);
    let fork = with(both(), "block_hash", hashes(&[10, 99]));
    refuses(name, fork, "block 11: its hash is");
    let chains = with(both(), "chain_id", u64s(&[1, 1]));
    refuses(name, chains, "is of chain 31337");
    let name = "n__transactions__10_to_11.parquet";
    let float = with(transactions(&[10, 11]), "value_string", texts(&["1", "1.5e3"]));
    refuses(name, float, "row 1, column value_string: found \"1.5e3\"; wanted a number");
}

#[test]
fn headers_that_do_not_follow_each_other_are_refused() {
    let scratch = Scratch::new("cryo-parent");
    let chained = with(blocks(&[10, 11, 12]), "parent_hash", hashes(&[9, 10, 99]));
    scratch.write("n__blocks__10_to_12.parquet", chained);
    assert!(scratch.refused().starts_with("block 12: its parent is 0x"));
}

#[test]
fn logs_of_other_transactions_than_those_there_are_refused() {
    let scratch = Scratch::new("cryo-agree");
    scratch.write("n__transactions__10_to_10.parquet", transactions(&[10]));
    let other = with(logs(&[10]), "transaction_hash", hashes(&[4]));
    scratch.write("n__logs__10_to_10.parquet", other);
    assert!(scratch.refused().starts_with("block 10, log 0: is of transaction 0x"));
}

#[test]
fn the_bloom_filter_says_which_blocks_lack_logs() {
    let scratch = Scratch::new("cryo-bloom");
    let some = [0xff; 256];
    let filters = bytes([&[0_u8; 256][..], &some]);
    let filtered = with(blocks(&[10, 11]), "logs_bloom", filters);
    scratch.write("n__blocks__10_to_11.parquet", filtered);
    let imported = scratch.cryo().unwrap();
    assert!(said(&imported, "in 1 blocks from 11 on"), "{:?}", imported.remarks);
    let complete = scratch.blocks().into_iter().map(|block| block.header.logs_complete);
    assert_eq!(complete.collect::<Vec<_>>(), [Some(true), Some(false)]);
}

#[test]
fn what_is_no_data_set_is_refused_and_what_was_killed_leaves_nothing() {
    let scratch = Scratch::new("cryo-none");
    assert!(scratch.refused().contains("holds no rows of cryo's"));
    let path = scratch.text("n__logs__10_to_10.parquet", "no Parquet");
    assert!(scratch.refused().starts_with(&format!("reading {}", path.display())));
    scratch.write("n__logs__10_to_10.parquet", logs(&[10]));
    let partial = scratch.0.join("out.partial");
    fs::create_dir_all(partial.join("logs")).unwrap();
    fs::write(partial.join("logs/half.parquet"), "half").unwrap();
    scratch.cryo().unwrap();
    assert!(!partial.exists() && !scratch.out().join("logs/half.parquet").exists());
}

/// A signed transaction, and the address that signed it.
fn signed(nonce: u64) -> (TxEnvelope, Address) {
    let signer = PrivateKeySigner::from_bytes(&hash(7)).unwrap();
    let tx = TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 50_000,
        max_fee_per_gas: 20,
        max_priority_fee_per_gas: 2,
        to: TxKind::Call(Address::repeat_byte(3)),
        value: U256::from(5),
        input: Bytes::from_static(&[1, 2, 3, 4, 5]),
        access_list: Default::default(),
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    (tx.into_signed(signature).into(), signer.address())
}

fn line(time: u64, envelope: &TxEnvelope) -> String {
    let raw = hex::encode_prefixed(envelope.encoded_2718());
    format!("{time},{},{raw}\n", envelope.tx_hash())
}

const COLLECTED: &str = "timestamp_ms,hash,raw_tx\n";
const PUBLISHED: &str = "timestamp_ms,hash,chain_id,from,to,value,nonce,gas,gas_price,gas_tip_cap,\
    gas_fee_cap,data_size,data_4bytes,sources,included_at_block_height,\
    included_block_timestamp_ms,inclusion_delay_ms";

#[test]
fn the_collectors_file_says_everything_by_its_signed_bytes() {
    let scratch = Scratch::new("mempool-collected");
    let ((first, from), (second, _)) = (signed(1), signed(2));
    // One line stands late, as lines do where several write.
    let text = format!("{COLLECTED}{}{}", line(2_000, &second), line(1_500, &first));
    let path = scratch.text("collected.csv", &text);
    let imported = mempool::import(&[path], &scratch.out()).unwrap();
    let held = imported.mempool.as_ref().unwrap();
    assert_eq!((imported.chain_id, held.rows, held.without_raw), (CHAIN, 2, 0));
    let rows = scratch.pending(0, u64::MAX);
    assert_eq!(rows.iter().map(|row| row.timestamp.0).collect::<Vec<_>>(), [1_500, 2_000]);
    assert_eq!(scratch.pending(1_501, 2_000).len(), 1);
    let row = &rows[0];
    assert_eq!(row.hash.0, *first.tx_hash());
    assert_eq!(row.from.unwrap().0, from);
    assert_eq!((row.nonce.unwrap().0, row.gas.unwrap().0), (1, 50_000));
    assert_eq!(row.gas_price.unwrap().0, U256::from(20));
    assert_eq!(row.gas_tip_cap.unwrap().0, U256::from(2));
    assert_eq!((row.tx_type, row.data_size), (Some(2), Some(5)));
    assert_eq!(row.data_four_bytes.as_deref(), Some("0x01020304"));
    assert_eq!(row.raw_tx, Some(first.encoded_2718().into()));
    assert!(imported.to_string().contains("import blocks elsewhere"));
}

#[test]
fn published_metadata_are_arrival_times_and_join_signed_bytes() {
    let scratch = Scratch::new("mempool-published");
    let (envelope, from) = signed(1);
    let known = envelope.tx_hash();
    let row = format!(
        "1500,{known},{CHAIN},{from},,5,1,50000,20,2,20,5,0x01020304,local infura,7,1700,200\n\
         1600,{},{CHAIN},{from},,5,2,50000,20,2,20,0,,local,0,0,0\n",
        hash(8)
    );
    let old = scratch.text("old.csv", &format!("{PUBLISHED}\n{row}"));
    let new = row.replace('\n', ",2\n");
    let new = scratch.text("new.csv", &format!("{PUBLISHED},tx_type\n{new}"));
    // Without a header.
    let collected = scratch.text("collected.csv", &line(1_500, &envelope));
    let log = scratch.text("log.csv", "timestamp_ms,hash,source\n1500,0x00,local\n");
    let imported = mempool::import(&[old, new, collected, log], &scratch.out()).unwrap();
    let held = imported.mempool.as_ref().unwrap();
    assert_eq!((held.rows, held.without_raw), (2, 1));
    assert!(said(&imported, "1 of 2 pending transactions come without signed bytes"));
    assert!(said(&imported, "3 sightings came twice"), "{:?}", imported.remarks);
    assert!(said(&imported, "passed over, for they say only who saw what"));
    let rows = scratch.pending(0, u64::MAX);
    assert_eq!(rows[0].sources.as_deref(), Some(&["local".to_owned(), "infura".to_owned()][..]));
    assert!(rows[0].raw_tx.is_some() && rows[0].to.is_some());
    assert_eq!(
        (rows[0].included_at_block_height, rows[0].inclusion_delay_ms),
        (Some(7), Some(200))
    );
    assert_eq!((rows[1].tx_type, &rows[1].raw_tx), (Some(2), &None));
}

/// The columns of old files.
fn old_parquet(hashes: &[&str]) -> Columns {
    let count = hashes.len();
    let text = |text| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    let numbers = |number| -> ArrayRef { Arc::new(Int64Array::from(vec![number; count])) };
    let times = TimestampMillisecondArray::from(vec![1_500; count]).with_timezone("UTC");
    vec![
        ("timestamp", Arc::new(times)),
        ("hash", Arc::new(StringArray::from(hashes.to_vec()))),
        ("chainId", text("31337")),
        ("from", text("0x0303030303030303030303030303030303030303")),
        ("to", text("")),
        ("value", text("340282366920938463463374607431768211456")),
        ("nonce", numbers(4)),
        ("gas", numbers(21_000)),
        ("gasPrice", text("20")),
        ("gasTipCap", text("2")),
        ("gasFeeCap", text("20")),
        ("dataSize", numbers(0)),
        ("data4Bytes", text("")),
    ]
}

#[test]
fn parquet_files_are_read_in_their_old_and_new_shape() {
    let scratch = Scratch::new("mempool-parquet");
    let one = hash(1).to_string();
    let old = scratch.write("old.parquet", old_parquet(&[&one]));
    let (envelope, from) = signed(4);
    let hash = envelope.tx_hash().to_string();
    let raw = envelope.encoded_2718();
    let new = with(old_parquet(&[&hash]), "nonce", texts(&["4"]));
    let new = with(new, "rawTx", Arc::new(BinaryArray::from_iter_values([&raw])));
    let new = with(new, "inclusionDelayMs", Arc::new(Int64Array::from(vec![-12])));
    let new = scratch.write("new.parquet", new);
    let imported = mempool::import(&[scratch.0.join("in")], &scratch.out()).unwrap();
    let held = imported.mempool.as_ref().unwrap();
    assert_eq!((held.rows, held.without_raw, imported.blocks), (2, 1, 0));
    let rows = scratch.pending(1_500, 1_500);
    let [row] = &rows.iter().filter(|row| row.raw_tx.is_some()).collect::<Vec<_>>()[..] else {
        panic!("{rows:?}")
    };
    assert_eq!((row.nonce.unwrap().0, row.inclusion_delay_ms), (4, Some(-12)));
    // What a file says of a transaction is kept as it says it.
    assert_eq!(row.value.unwrap().0, U256::ONE << 128);
    assert_ne!(row.from.unwrap().0, from);
    assert!(old.exists() && new.exists());
}

#[test]
fn a_mempool_joins_the_recording_of_its_chain_and_only_once() {
    let scratch = Scratch::new("mempool-join");
    scratch.write("n__logs__10_to_10.parquet", logs(&[10]));
    let imported = scratch.cryo().unwrap();
    assert!(imported.remarks.iter().any(|remark| remark == PENDING_UNKNOWN));
    let path = scratch.text("a.csv", &format!("{COLLECTED}{}", line(1_500, &signed(1).0)));
    // Of an import that was killed just before its end.
    fs::create_dir_all(scratch.out().join("mempool")).unwrap();
    fs::write(scratch.out().join("mempool/000007.parquet"), "half").unwrap();
    let imported = mempool::import(std::slice::from_ref(&path), &scratch.out()).unwrap();
    assert_eq!((imported.blocks, imported.origin.as_str()), (1, "cryo, mempool-dumpster"));
    assert!(!imported.remarks.iter().any(|remark| remark == PENDING_UNKNOWN));
    assert!(!scratch.out().join("mempool/000007.parquet").exists());
    assert!(!scratch.0.join("out.partial").exists());
    assert_eq!((scratch.blocks().len(), scratch.pending(0, u64::MAX).len()), (1, 1));
    let again = mempool::import(&[path], &scratch.out()).unwrap_err().to_string();
    assert!(again.contains("has a mempool already"), "{again}");
    let other = scratch.text("b.csv", &format!("timestamp_ms,hash,chain_id\n1,{},1\n", hash(1)));
    let refused = mempool::import(&[other], &scratch.out()).unwrap_err().to_string();
    assert!(refused.contains("is a recording of chain 31337; wanted one of chain 1"), "{refused}");
    assert_eq!(scratch.pending(0, u64::MAX).len(), 1);
}

#[track_caller]
fn refuses_text(text: &str, wanted: &str) {
    let scratch = Scratch::new(&format!("mempool-bad-{}", wanted.len()));
    let path = scratch.text("bad.csv", text);
    let error = scratch.gone(mempool::import(&[path], &scratch.out()));
    assert!(error.contains("bad.csv") && error.contains(wanted), "{error}");
}

#[test]
fn malformed_sightings_are_refused_with_their_place() {
    let (one, two) = (signed(1).0, signed(2).0);
    let forged = line(1_600, &one).replace(&two.tx_hash().to_string(), "");
    let forged = forged.replace(&one.tx_hash().to_string(), &two.tx_hash().to_string());
    let text = format!("{COLLECTED}{}{forged}", line(1_500, &one));
    refuses_text(&text, "row 1, column raw_tx: found bytes that hash to 0x");
    let junk = "0x0203";
    let hashed = alloy_primitives::keccak256(hex!("0203"));
    let text = format!("{COLLECTED}1,{hashed},{junk}\n");
    refuses_text(&text, "row 0, column raw_tx: found no transaction");
    let text = format!("{COLLECTED}noon,{hashed},{junk}\n");
    refuses_text(&text, "row 0, column timestamp_ms: found \"noon\"; wanted a number");
    let text = format!("{COLLECTED},{hashed},{junk}\n");
    refuses_text(&text, "row 0, column timestamp_ms: found nothing; wanted a value");
    let text = format!("{COLLECTED}1,0x12,{junk}\n");
    refuses_text(&text, "column hash: found \"0x12\"; wanted 32 bytes in hexadecimal digits");
    let text = format!("{COLLECTED}1,{hashed}\n");
    refuses_text(&text, "found record with 2 fields, but the previous record has 3 fields");
    refuses_text("a,b\n1,2\n", "found the columns \"a,b\"; wanted Parquet, or CSV with");
    refuses_text("PK\x03\x04", "is a ZIP archive");
    let rows = format!("1,{},1\n2,{},5\n", hash(1), hash(2));
    let text = format!("timestamp_ms,hash,chain_id\n{rows}");
    refuses_text(&text, "row 1, column chain_id: found 5; wanted 1");
    let rows = format!("1,{0},1\n1,{0},2\n", hash(1));
    let text = format!("timestamp_ms,hash,nonce\n{rows}");
    refuses_text(&text, "row 1, column nonce: contradicts");
}

#[test]
fn blobs_are_taken_off_a_transaction_whose_hash_is_without_them() {
    let scratch = Scratch::new("mempool-blob");
    let tx = TxEip4844 { chain_id: CHAIN, gas_limit: 21_000, ..TxEip4844::default() };
    let commitment = Bytes48::repeat_byte(1);
    let sidecar =
        BlobTransactionSidecar::new(vec![Blob::repeat_byte(0)], vec![commitment], vec![commitment]);
    let sidecar = BlobTransactionSidecarVariant::Eip4844(sidecar);
    let whole: TxEip4844Variant = TxEip4844WithSidecar::from_tx_and_sidecar(tx, sidecar).into();
    let signer = PrivateKeySigner::from_bytes(&hash(7)).unwrap();
    let signature = signer.sign_hash_sync(&whole.signature_hash()).unwrap();
    let whole = TxEnvelope::from(whole.into_signed(signature));
    assert!(whole.encoded_2718().len() > 131_072);
    let path = scratch.text("a.csv", &format!("{COLLECTED}{}", line(1, &whole)));
    mempool::import(&[path], &scratch.out()).unwrap();
    let row = &scratch.pending(0, 1)[0];
    assert_eq!(alloy_primitives::keccak256(row.raw_tx.as_ref().unwrap()), *whole.tx_hash());
}

#[test]
fn a_transaction_of_no_chain_is_of_the_recordings() {
    let scratch = Scratch::new("mempool-legacy");
    let signer = PrivateKeySigner::from_bytes(&hash(7)).unwrap();
    let tx = TxLegacy { gas_limit: 21_000, gas_price: 9, ..TxLegacy::default() };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    let path = scratch.text("a.csv", &format!("{COLLECTED}{}", line(1, &envelope)));
    let imported = mempool::import(&[path], &scratch.out()).unwrap();
    assert_eq!(imported.chain_id, 1);
    assert!(said(&imported, "no pending transaction names a chain"));
    let row = &scratch.pending(0, 1)[0];
    assert_eq!((row.chain_id.unwrap().0, row.tx_type, row.to), (0, Some(0), None));
    assert_eq!(row.gas_tip_cap.unwrap().0, U256::from(9));
}
