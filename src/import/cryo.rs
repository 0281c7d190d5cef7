//! Folders that cryo wrote: Parquet files of blocks, transactions and logs.
//!
//! cryo's data sets are optional, and so are many of their columns: what cannot be checked because
//! of that is said in the recording's remarks.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bloom};
use anyhow::{Result, bail};

use super::Imported;
use super::chunks::{Folder, Outline, Table, Transaction};
use super::witness::bloom_of;
use crate::progress::Progress;
use crate::recording::rows::{BlockRow, LogColumns, LogRow, Row, TransactionRow};
use crate::recording::{PENDING_UNKNOWN, RecordedBlock, Snapshot, Writer};

const BLOCKS: &str = BlockRow::TABLE;
const TRANSACTIONS: &str = TransactionRow::TABLE;
const LOGS: &str = LogColumns::TABLE;
/// The data sets that a recording has tables for.
const DATA_SETS: [&str; 3] = [BLOCKS, TRANSACTIONS, LOGS];

/// Columns that cryo may leave out, and what cannot be checked then.
const CHECKS: [(&str, &str, &str); 6] = [
    (BLOCKS, "parent_hash", "that blocks follow each other"),
    (BLOCKS, "gas_limit", "that blocks use no more gas than they may"),
    (BLOCKS, "logs_bloom", "whether logs are missing"),
    (BLOCKS, "chain_id", "the chain of these blocks"),
    (TRANSACTIONS, "block_hash", "that transactions are of these blocks and not of their forks"),
    (LOGS, "block_hash", "that logs are of these blocks and not of their forks"),
];

/// Makes a recording of a folder, or of a file of it. `pools` is asked for the pools before each
/// run of blocks, by its first block and the chain.
///
/// # Errors
/// When a file is not what it should be, with the place in it, or files contradict each other;
/// nothing stays then.
pub(crate) fn import(
    path: &Path,
    out: &Path,
    mut pools: Option<&mut dyn FnMut(u64, u64) -> Result<Snapshot>>,
) -> Result<Imported> {
    let mut folder = Folder::list(path)?;
    let mut found = Found::default();
    for (name, chunks) in &folder.chunks {
        if let Some(name) = DATA_SETS.into_iter().find(|known| known == name) {
            found.outlines.insert(name, Outline::of(chunks)?);
        }
    }
    let Some(chain_id) = found.chain_id(path)? else {
        bail!(
            "{} holds no rows of cryo's blocks, transactions or logs with a chain_id: wanted files \
             called NETWORK__DATASET__FROM_to_TO.parquet",
            path.display()
        );
    };
    let mut writer = Writer::create(out, chain_id, "cryo")?;
    let mut chunks = |name: &str| folder.chunks.remove(name).unwrap_or_default();
    let mut blocks = Table::<BlockRow>::new(chain_id, chunks(BLOCKS));
    let mut transactions = Table::<Transaction>::new(chain_id, chunks(TRANSACTIONS));
    let mut logs = Table::<LogColumns>::new(chain_id, chunks(LOGS));
    let rows = found.outlines.values().map(|outline| outline.rows).sum();
    let mut progress = Progress::new(Some("importing rows"), rows);
    let mut before = None;
    loop {
        let next =
            [blocks.next_block()?, transactions.next_block()?, logs.next_block()?].into_iter();
        let Some(number) = next.flatten().min() else { break };
        let assembled = Assembled {
            number,
            header: blocks.take(number)?.pop(),
            transactions: transactions.take(number)?,
            logs: logs.take(number)?,
        };
        progress.advance(assembled.rows());
        let block = found.check(assembled, chain_id)?;
        let is_next = before.is_some_and(|before: u64| before.checked_add(1) == Some(number));
        if let Some(pools) = pools.as_mut().filter(|_| !is_next) {
            writer.begin(number, pools(number, chain_id)?)?;
        }
        before = Some(number);
        writer.add(block)?;
    }
    drop(progress);
    found.repeated = blocks.repeated + transactions.repeated + logs.repeated;
    found.remarks(&folder).into_iter().for_each(|remark| writer.remark(remark));
    let (manifest, size) = writer.finish()?;
    Ok(Imported::new(out.to_owned(), manifest, size))
}

/// What the files hold of a block.
struct Assembled {
    number: u64,
    header: Option<BlockRow>,
    transactions: Vec<Transaction>,
    logs: Vec<LogColumns>,
}

impl Assembled {
    const fn rows(&self) -> usize {
        self.header.is_some() as usize + self.transactions.len() + self.logs.len()
    }

    /// The hash that every row speaks of; none if none does.
    fn hash(&self) -> Result<Option<B256>> {
        let header = self.header.iter().map(|header| (BLOCKS, header.block_hash));
        let transactions = self.transactions.iter().map(|row| (TRANSACTIONS, row.block_hash));
        let logs = self.logs.iter().map(|log| (LOGS, log.block_hash));
        let mut said: Option<(&str, B256)> = None;
        for (table, hash) in header.chain(transactions).chain(logs) {
            let Some(hash) = hash else { continue };
            match said {
                Some((other, before)) if before != hash => bail!(
                    "block {}: its hash is {before} in {other} and {hash} in {table}",
                    self.number
                ),
                Some(_) => {}
                None => said = Some((table, hash)),
            }
        }
        Ok(said.map(|(_, hash)| hash))
    }

    /// Demands that logs are of the transactions that are there.
    fn agree(&self) -> Result<()> {
        let rows = self.transactions.iter();
        let hashes: BTreeMap<u64, B256> =
            rows.map(|row| (row.row.transaction_index, row.row.transaction_hash)).collect();
        for log in &self.logs {
            let (place, found) = (log.transaction_index, log.transaction_hash);
            let wanted = hashes.get(&place.into()).filter(|hash| **hash != found);
            if let Some(wanted) = wanted {
                let (number, log) = (self.number, log.log_index);
                bail!(
                    "block {number}, log {log}: is of transaction {found}; transaction {place} is \
                     {wanted}"
                );
            }
        }
        Ok(())
    }

    /// A header of what is known without one.
    fn derived(&self, chain_id: u64) -> BlockRow {
        BlockRow {
            timestamp: self.transactions.iter().find_map(|row| row.timestamp),
            ..BlockRow::unknown(self.number, chain_id)
        }
    }
}

/// What was found, for the remarks.
#[derive(Debug, Default)]
struct Found {
    outlines: BTreeMap<&'static str, Outline>,
    /// The block before, and its hash.
    last: Option<(u64, B256)>,
    /// How many blocks there are, and the first.
    derived: Option<(u64, u64)>,
    incomplete: Option<(u64, u64)>,
    repeated: u64,
}

impl Found {
    /// The chain that all files are of.
    fn chain_id(&self, path: &Path) -> Result<Option<u64>> {
        let mut said: Option<&(u64, PathBuf)> = None;
        for chain in self.outlines.values().filter_map(|outline| outline.chain.as_ref()) {
            match said {
                Some(before) if before.0 != chain.0 => bail!(
                    "{}: {} is of chain {}, {} of {}: import them apart",
                    path.display(),
                    before.1.display(),
                    before.0,
                    chain.1.display(),
                    chain.0,
                ),
                Some(_) => {}
                None => said = Some(chain),
            }
        }
        Ok(said.map(|(chain_id, _)| *chain_id))
    }

    /// A block, if its rows agree with each other and with the block before.
    fn check(&mut self, assembled: Assembled, chain_id: u64) -> Result<RecordedBlock> {
        let number = assembled.number;
        let hash = assembled.hash()?;
        assembled.agree()?;
        let mut header = assembled.header.clone().unwrap_or_else(|| {
            self.derived.get_or_insert((0, number)).0 += 1;
            assembled.derived(chain_id)
        });
        header.block_hash = hash;
        if let (Some(parent), Some((last, before))) = (header.parent_hash, self.last)
            && last + 1 == number
            && parent != before
        {
            bail!("block {number}: its parent is {parent}; block {last} is {before}");
        }
        self.last = hash.map(|hash| (number, hash));
        if let (Some(used), Some(limit)) = (header.gas_used, header.gas_limit)
            && used > limit
        {
            bail!("block {number}: it used {used} gas; its limit is {limit}");
        }
        let logs: Vec<LogRow> = assembled.logs.into_iter().map(LogRow::from).collect();
        if let Some(bloom) = &header.logs_bloom {
            if bloom.len() != Bloom::len_bytes() {
                let (found, wanted) = (bloom.len(), Bloom::len_bytes());
                bail!("block {number}, column logs_bloom: found {found} bytes; wanted {wanted}");
            }
            let is_complete = bloom_of(&logs).as_slice() == &bloom[..];
            header.logs_complete = Some(is_complete);
            if !is_complete {
                self.incomplete.get_or_insert((0, number)).0 += 1;
            }
        }
        let transactions = assembled.transactions.into_iter().map(|row| row.row).collect();
        Ok(RecordedBlock { header, transactions, logs, state: None })
    }

    /// What whoever relies on the recording should know.
    fn remarks(&self, folder: &Folder) -> Vec<String> {
        let mut remarks = Vec::new();
        let others: Vec<_> = folder
            .chunks
            .keys()
            .chain(&folder.strange)
            .map(String::as_str)
            .filter(|name| !DATA_SETS.contains(name))
            .collect();
        if !others.is_empty() {
            remarks.push(format!("passed over: {}", others.join(", ")));
        }
        for name in DATA_SETS.iter().filter(|name| !self.outlines.contains_key(*name)) {
            remarks.push(format!("there is no data set of {name}"));
        }
        if let Some((count, first)) = self.derived {
            remarks.push(format!(
                "{count} blocks, from {first} on, have no header: they are derived from their \
                 transactions and logs, so blocks without any are not there, and base fees are \
                 unknown"
            ));
        }
        for (table, column, what) in CHECKS {
            let Some(outline) = self.outlines.get(table) else { continue };
            let (lacking, files) = (outline.lacking(column), outline.files);
            if lacking > 0 {
                remarks.push(format!(
                    "not checked: {what} ({lacking} of {files} files of {table} lack {column})"
                ));
            }
        }
        if let Some(outline) = self.outlines.get(TRANSACTIONS) {
            let lacking = outline.lacking("value_binary").min(outline.lacking("value_string"));
            if lacking > 0 {
                remarks.push(format!(
                    "values are unknown: {lacking} files of transactions have neither value_binary \
                     nor value_string, and a value_f64 is not exact"
                ));
            }
        }
        if let Some((count, first)) = self.incomplete {
            remarks.push(format!(
                "logs are missing, by the bloom filter of the header, in {count} blocks from \
                 {first} on"
            ));
        }
        if self.repeated > 0 {
            remarks.push(format!("{} rows are in two files and count once", self.repeated));
        }
        remarks.push("no state and no signed bytes are known: nothing can be executed".to_owned());
        remarks.push(PENDING_UNKNOWN.to_owned());
        remarks
    }
}
