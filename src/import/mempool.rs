//! Files of Flashbots' mempool-dumpster: transactions as they were seen before any block had them.
//!
//! A row is a sighting: a transaction that several files saw at different times has several. Rows
//! without signed bytes are kept, for the times are worth something, but cannot be replayed.
//!
//! Temperature: cold.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::consensus::{EthereumTxEnvelope, Transaction as _, TxEnvelope};
use alloy::eips::Typed2718 as _;
use alloy::eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{B256, Bytes, U256, hex, keccak256};
use anyhow::{Context as _, Result, anyhow, bail};
use rayon::prelude::*;

use super::Imported;
use super::sightings::Sightings;
use crate::progress::Progress;
use crate::recording::Writer;
use crate::recording::column::Text;
use crate::recording::rows::MempoolRow;

/// The chain of data sets in which no transaction names one.
const MAINNET: u64 = 1;
/// How many rows late a row may stand in its file: collectors write as it comes.
const LATE_ROWS_MAX: usize = 1 << 14;
/// EIP-4844.
const BLOB_TYPE: u8 = 3;

/// Makes a recording of files, or of folders of them; adds to it if `out` is one.
///
/// # Errors
/// When a file is not what it should be, with the place in it; nothing stays then.
pub(crate) fn import(paths: &[PathBuf], out: &Path) -> Result<Imported> {
    let mut merge = Merge::default();
    let files = files(paths)?;
    let file_count = files.len();
    let mut chain: Option<(u64, PathBuf)> = None;
    for path in files {
        let Some(file) = Opened::open(&path)? else {
            merge.passed_over.push(path.display().to_string());
            continue;
        };
        let Some(first) = file.first_ms() else { continue };
        let said = file.held.iter().find_map(|(_, row)| chain_of(row));
        chain = chain.or(said.map(|chain_id| (chain_id, path.clone())));
        merge.waiting.push((first, path));
    }
    merge.waiting.sort();
    merge.waiting.reverse();
    if merge.waiting.is_empty() {
        bail!("there is no row of mempool-dumpster's in {file_count} files");
    }
    let chain_id = chain.as_ref().map_or(MAINNET, |(chain_id, _)| *chain_id);
    let mut writer = Writer::extend(out, chain_id, "mempool-dumpster")?;
    if chain.is_none() {
        writer.remark("no pending transaction names a chain: they are taken for mainnet's".into());
    }
    let mut progress = Progress::new(Some("importing files"), merge.waiting.len());
    merge.run(chain_id, &mut writer, &mut progress)?;
    drop(progress);
    merge.remarks().into_iter().for_each(|remark| writer.remark(remark));
    let (manifest, size) = writer.finish()?;
    Ok(Imported::new(out.to_owned(), manifest, size))
}

/// The files of these paths.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let told = || format!("reading {}", path.display());
        for entry in fs::read_dir(path).with_context(told)? {
            let path = entry.with_context(told)?.path();
            let name = path.to_string_lossy();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            if name.ends_with(".parquet") || name.ends_with(".csv") {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        bail!("there is no file .parquet, .csv or .csv.gz");
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The chain that a row names: transactions from before EIP-155 name none.
fn chain_of(row: &MempoolRow) -> Option<u64> {
    row.chain_id.map(|Text(chain_id)| chain_id).filter(|chain_id| *chain_id != 0)
}

/// A file that is being read.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    sightings: Sightings,
    /// Rows with their places in the file; empty at its end only.
    held: VecDeque<(usize, MempoolRow)>,
    /// Rows whose signed bytes are of a type that this build does not know.
    unknown: u64,
}

impl Opened {
    /// Opens a file; none if it holds no transactions.
    fn open(path: &Path) -> Result<Option<Self>> {
        let Some(sightings) = Sightings::open(path)? else { return Ok(None) };
        let held = VecDeque::new();
        let mut opened = Self { path: path.to_owned(), sightings, held, unknown: 0 };
        opened.fill()?;
        Ok(Some(opened))
    }

    /// When the first rows were seen.
    fn first_ms(&self) -> Option<u64> {
        self.held.iter().map(|(_, row)| row.timestamp.0).min()
    }

    /// Reads on until there is a row, or the file ends.
    fn fill(&mut self) -> Result<()> {
        while self.held.is_empty()
            && let Some((first, rows)) = self.sightings.next()?
        {
            // Signers are recovered here, which takes longer than all else.
            let completed: Vec<_> = rows.into_par_iter().map(complete).collect();
            for (completed, at) in completed.into_iter().zip(first..) {
                let (row, is_known) =
                    completed.map_err(|(column, what)| self.wrong(at, column, &what))?;
                self.unknown += u64::from(!is_known);
                self.held.push_back((at, row));
            }
        }
        Ok(())
    }

    fn wrong(&self, at: usize, column: &'static str, what: &str) -> anyhow::Error {
        let column = self.sightings.called(column);
        anyhow!("{}: row {at}, column {column}: {what}", self.path.display())
    }
}

/// A column, and what is wrong with it.
type Wrong = (&'static str, String);

/// The row with what its signed bytes say, and whether these could be read.
fn complete(mut row: MempoolRow) -> Result<(MempoolRow, bool), Wrong> {
    row.raw_tx = row.raw_tx.filter(|raw| !raw.is_empty());
    let Some(raw) = row.raw_tx.take() else { return Ok((row, true)) };
    let (raw, envelope) = signed(raw, row.hash.0).map_err(|what| ("rawTx", what))?;
    row.raw_tx = Some(raw);
    let Some(envelope) = envelope else { return Ok((row, false)) };
    let chain_id = envelope.chain_id();
    if let (Some(signed), Some(said)) = (chain_id, chain_of(&row))
        && signed != said
    {
        return Err(("chainId", format!("found {said}; the transaction is signed for {signed}")));
    }
    let fee = |fee: u128| Some(Text(U256::from(fee)));
    let input = envelope.input();
    let price = envelope.max_fee_per_gas();
    let tip = envelope.max_priority_fee_per_gas().unwrap_or(price);
    let selector = input.get(..4).map(|selector| format!("0x{}", hex::encode(selector)));
    row.chain_id = row.chain_id.or(Some(Text(chain_id.unwrap_or_default())));
    row.tx_type = row.tx_type.or(Some(envelope.ty().into()));
    row.to = row.to.or(envelope.to().map(Text));
    row.value = row.value.or(Some(Text(envelope.value())));
    row.nonce = row.nonce.or(Some(Text(envelope.nonce())));
    row.gas = row.gas.or(Some(Text(envelope.gas_limit())));
    row.gas_price = row.gas_price.or(fee(price));
    row.gas_tip_cap = row.gas_tip_cap.or(fee(tip));
    row.gas_fee_cap = row.gas_fee_cap.or(fee(price));
    row.data_size = row.data_size.or(i64::try_from(input.len()).ok());
    row.data_four_bytes = row.data_four_bytes.or(selector);
    if row.from.is_none() {
        let signer = envelope.recover_signer();
        let signer = signer.map_err(|error| ("rawTx", format!("found no signer: {error}")))?;
        row.from = Some(Text(signer));
    }
    Ok((row, true))
}

/// The signed bytes as blocks have them, if they are of the transaction with this hash, and the
/// transaction; none if this build does not know its type.
fn signed(raw: Bytes, hash: B256) -> Result<(Bytes, Option<TxEnvelope>), String> {
    let found = keccak256(&raw);
    let envelope = TxEnvelope::decode_2718_exact(&raw);
    if found == hash {
        let is_typed = raw.first().is_some_and(|first| *first < 0x80);
        return match envelope {
            Ok(envelope) => Ok((raw, Some(envelope))),
            Err(_) if is_typed && raw.first() > Some(&4) => Ok((raw, None)),
            Err(error) => Err(format!("found no transaction: {error}")),
        };
    }
    // On their way to a block, blobs are with the transaction; its hash is without them.
    if raw.first() == Some(&BLOB_TYPE)
        && let Ok(EthereumTxEnvelope::Eip4844(pooled)) = envelope
    {
        let bare = TxEnvelope::Eip4844(pooled.map(|tx| tx.drop_sidecar()));
        let raw = bare.encoded_2718();
        if keccak256(&raw) == hash {
            return Ok((raw.into(), Some(bare)));
        }
    }
    Err(format!("found bytes that hash to {found}; wanted those of {hash}"))
}

/// Brings the rows of all files in order.
#[derive(Debug, Default)]
struct Merge {
    /// Not opened yet, by their first rows, the earliest last.
    waiting: Vec<(u64, PathBuf)>,
    open: Vec<Opened>,
    /// Rows that wait for late ones.
    late: BTreeMap<(u64, B256), (MempoolRow, String)>,
    passed_over: Vec<String>,
    repeated: u64,
    unknown: u64,
}

impl Merge {
    fn run(
        &mut self,
        chain_id: u64,
        writer: &mut Writer,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        while let Some(place) = self.next()? {
            let file = &mut self.open[place];
            let Some((at, row)) = file.held.pop_front() else { continue };
            if let Some(found) = chain_of(&row).filter(|found| *found != chain_id) {
                let what = format!("found {found}; wanted {chain_id}, as the first row has it");
                return Err(file.wrong(at, "chainId", &what));
            }
            let told = format!("{}: row {at}", file.path.display());
            if file.held.is_empty() {
                file.fill()?;
            }
            if file.held.is_empty() {
                self.unknown += file.unknown;
                self.open.swap_remove(place);
                progress.advance(1);
            }
            self.hold(row, told)?;
            if self.late.len() > LATE_ROWS_MAX {
                self.release(writer)?;
            }
        }
        while !self.late.is_empty() {
            self.release(writer)?;
        }
        Ok(())
    }

    /// The file whose next row was seen first.
    fn next(&mut self) -> Result<Option<usize>> {
        loop {
            let next = self.open.iter().enumerate();
            let next = next.filter_map(|(place, file)| {
                file.held.front().map(|(_, row)| (row.timestamp.0, place))
            });
            let next = next.min();
            let is_due = |waiting: &mut (u64, PathBuf)| next.is_none_or(|next| waiting.0 <= next.0);
            let Some((_, path)) = self.waiting.pop_if(is_due) else {
                return Ok(next.map(|(_, place)| place));
            };
            self.open.extend(Opened::open(&path)?);
        }
    }

    /// Keeps a row back; a sighting that two files have is one.
    fn hold(&mut self, row: MempoolRow, told: String) -> Result<()> {
        match self.late.entry((row.timestamp.0, row.hash.0)) {
            Entry::Vacant(entry) => {
                entry.insert((row, told));
            }
            Entry::Occupied(mut entry) => {
                let (held, before) = entry.get_mut();
                join(held, row).map_err(|column| {
                    anyhow!("{told}, column {column}: contradicts {before}, which is the same")
                })?;
                self.repeated += 1;
            }
        }
        Ok(())
    }

    fn release(&mut self, writer: &mut Writer) -> Result<()> {
        let Some((_, (row, told))) = self.late.pop_first() else { return Ok(()) };
        let hint = format!("{told}, column timestamp: is too late in its file, which is by time");
        writer.add_pending(row).context(hint)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.passed_over.is_empty() {
            let files = self.passed_over.join(", ");
            remarks.push(format!("passed over, for they say only who saw what: {files}"));
        }
        if self.repeated > 0 {
            remarks.push(format!("{} sightings came twice and count once", self.repeated));
        }
        if self.unknown > 0 {
            let count = self.unknown;
            remarks.push(format!("{count} pending transactions are of a type yet unknown here"));
        }
        remarks
    }
}

/// Adds what another row of the same sighting says.
///
/// # Errors
/// The column in which they contradict each other.
fn join(row: &mut MempoolRow, other: MempoolRow) -> Result<(), &'static str> {
    // What a transaction is, and then what observers say of it: the first to say has it.
    macro_rules! join {
        ($($same:ident)+; $($said:ident)+) => {
            $(match (&row.$same, other.$same) {
                (Some(one), Some(other)) if *one != other => return Err(stringify!($same)),
                (None, other) => row.$same = other,
                (Some(_), _) => {}
            })+
            $(row.$said = row.$said.take().or(other.$said);)+
        };
    }
    join!(
        chain_id tx_type from to value nonce gas raw_tx;
        gas_price gas_tip_cap gas_fee_cap data_size data_four_bytes sources
        included_at_block_height included_block_timestamp inclusion_delay_ms
    );
    Ok(())
}
