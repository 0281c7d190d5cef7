//! Files of one block each: `N.json.gz` with the state that the block touches and its contracts'
//! code, or without any.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718 as _, Typed2718 as _};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, U256, keccak256};
use anyhow::{Context as _, Result, anyhow, bail};

use super::Imported;
use super::json::{self, At};
use crate::progress::Progress;
use crate::recording::column::Height;
use crate::recording::rows::{BlockRow, LogRow, TransactionRow};
use crate::recording::{Account, PENDING_UNKNOWN, RecordedBlock, State, Writer};

/// These files are mainnet's.
const CHAIN_ID: u64 = 1;
/// The file that holds contracts' code by its hash, beside the blocks.
const CODES: [&str; 2] = ["codes.json.gz", "codes.json"];
/// Where a folder of such folders keeps the blocks.
const FOLDERS: [&str; 3] = ["witness", "mevinspect", "logs_only"];

/// Makes a recording of a file, a folder of files, or a folder of such folders.
///
/// # Errors
/// When a file is not what it should be, with the place in it; nothing stays then.
pub(crate) fn import(path: &Path, out: &Path) -> Result<Imported> {
    let files = files(path)?;
    let mut writer = Writer::create(out, CHAIN_ID, "witness")?;
    let mut progress = Progress::new(Some("importing blocks"), files.len());
    let (mut wanted, mut incomplete) = (BTreeSet::new(), Vec::new());
    for file in files.values() {
        let told = || format!("importing {}", file.display());
        let block = read(file).with_context(told)?;
        let accounts = block.state.iter().flat_map(|state| state.accounts.values());
        wanted.extend(accounts.filter_map(|account| account.code_hash));
        if block.header.logs_complete == Some(false) {
            incomplete.push(block.number().to_string());
        }
        writer.add(block).with_context(told)?;
        progress.advance(1);
    }
    drop(progress);
    wanted.remove(&keccak256([]));
    if !wanted.is_empty() {
        let folders: BTreeSet<&Path> = files.values().filter_map(|file| file.parent()).collect();
        for folder in folders {
            let found = codes(folder, |hash| wanted.remove(hash))?;
            found.into_iter().for_each(|(hash, code)| writer.add_code(hash, code));
        }
        let absent = wanted.len();
        if absent > 0 {
            writer.remark(format!("{absent} contracts' code is not there: calls of them fail"));
        }
    }
    if !incomplete.is_empty() {
        let blocks = incomplete.join(", ");
        writer.remark(format!("logs are missing, by the bloom filter of the header: {blocks}"));
    }
    writer.remark(PENDING_UNKNOWN.into());
    let (manifest, size) = writer.finish()?;
    Ok(Imported::new(out.to_owned(), manifest, size))
}

/// The files of blocks, by height.
fn files(path: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let mut files = BTreeMap::new();
    let folders: Vec<PathBuf> = FOLDERS.iter().map(|name| path.join(name)).collect();
    if path.is_file() {
        let number = number_of(path);
        let number = number.ok_or_else(|| anyhow!("{} is not called N.json.gz", path.display()))?;
        files.insert(number, path.to_owned());
    } else if folders.iter().any(|folder| folder.is_dir()) {
        // A block with state is worth more than the same without.
        for folder in folders.iter().rev().filter(|folder| folder.is_dir()) {
            files.extend(files_in(folder)?);
        }
    } else {
        files = files_in(path)?;
    }
    if files.is_empty() {
        bail!("{} holds no file N.json.gz of a block", path.display());
    }
    Ok(files)
}

/// The files of a folder, by height.
pub(crate) fn files_in(folder: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let told = || format!("reading {}", folder.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(told)? {
        let path = entry.with_context(told)?.path();
        if let Some(number) = number_of(&path) {
            files.insert(number, path);
        }
    }
    Ok(files)
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".json")?.parse().ok()
}

/// The code that is kept beside the blocks of a folder, as far as it is wanted, by its hash.
///
/// # Errors
/// When the file is not what it should be, with the place in it.
pub(crate) fn codes(
    folder: &Path,
    mut is_wanted: impl FnMut(&B256) -> bool,
) -> Result<BTreeMap<B256, Bytes>> {
    let mut codes = BTreeMap::new();
    for path in CODES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()) {
        let file = json::read(&path)?;
        for (key, code) in At::root(&file).members()? {
            let told = || format!("importing {}", path.display());
            let hash: B256 =
                key.parse().map_err(|_no_hash| anyhow!("{key:?} is no hash")).with_context(told)?;
            if is_wanted(&hash) {
                let code = code.bytes().with_context(told)?;
                if keccak256(&code) != hash {
                    bail!("{}: the code of {hash} has another hash", path.display());
                }
                codes.insert(hash, code);
            }
        }
    }
    Ok(codes)
}

/// Reads a block.
///
/// # Errors
/// When the file is not what it should be, with the place in it.
pub(crate) fn read(file: &Path) -> Result<RecordedBlock> {
    let value = json::read(file)?;
    let root = At::root(&value);
    let mut header = header(&root.get("header"))?;
    let number = header.block_number.0;
    let logs = logs(&root, number)?;
    let bloom = root.get("header").get("logsBloom");
    if let Some(bloom) =
        bloom.optional(At::bytes)?.filter(|bloom| bloom.len() == Bloom::len_bytes())
    {
        let said = bloom_of(&logs);
        header.logs_complete = Some(said.as_slice() == &bloom[..]);
        header.logs_bloom = Some(bloom);
    }
    let transactions = transactions(&root, number)?;
    let state = root.get("pre_state").optional(|held| state(held, &root.get("block_hashes")))?;
    // Without the signed bytes nothing can be executed on it.
    let is_whole = transactions.iter().all(|row| row.raw.is_some());
    Ok(RecordedBlock { header, transactions, logs, state: state.filter(|_| is_whole) })
}

fn header(at: &At<'_>) -> Result<BlockRow> {
    let hash = |key| at.get(key).optional(At::hash);
    let number = |key| at.get(key).optional(At::number);
    Ok(BlockRow {
        block_hash: hash("hash")?,
        author: at.get("miner").optional(At::address)?,
        block_number: Height(at.get("number").number()?),
        gas_used: number("gasUsed")?,
        extra_data: at.get("extraData").optional(At::bytes)?,
        timestamp: number("timestamp")?.map(Height),
        base_fee_per_gas: number("baseFeePerGas")?,
        chain_id: CHAIN_ID,
        parent_hash: hash("parentHash")?,
        gas_limit: number("gasLimit")?,
        logs_bloom: None,
        receipts_root: hash("receiptsRoot")?,
        difficulty: at.get("difficulty").optional(At::word)?,
        mix_hash: hash("mixHash")?,
        excess_blob_gas: number("excessBlobGas")?,
        parent_beacon_block_root: hash("parentBeaconBlockRoot")?,
        logs_complete: None,
        header: None,
        withdrawals: None,
        total_difficulty: None,
        size: None,
    })
}

/// The logs: of the receipts, or in a list of their own.
fn logs(root: &At<'_>, block_number: u64) -> Result<Vec<LogRow>> {
    let mut logs = Vec::new();
    let mut take = |log: &At<'_>, (place, hash): (u64, B256)| -> Result<()> {
        let topics = log.get("t").items()?.map(|topic| topic.hash());
        logs.push(LogRow {
            block_number,
            transaction_index: u32::try_from(place).context("its transaction's place")?,
            log_index: u32::try_from(log.get("li").number()?).context("its place")?,
            transaction_hash: hash,
            address: log.get("a").address()?,
            topics: topics.collect::<Result<_>>()?,
            data: log.get("d").bytes()?,
        });
        Ok(())
    };
    if root.get("receipts").is_null() {
        for log in root.get("logs").items()? {
            take(&log, (log.get("ti").number()?, log.get("tx").hash()?))?;
        }
    } else {
        for receipt in root.get("receipts").items()? {
            let place = (receipt.get("i").number()?, receipt.get("hash").hash()?);
            for log in receipt.get("logs").items()? {
                take(&log, place)?;
            }
        }
    }
    logs.sort_by_key(|log| log.log_index);
    Ok(logs)
}

/// The filter that speaks of exactly these logs.
pub(super) fn bloom_of(logs: &[LogRow]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
    }
    bloom
}

fn transactions(root: &At<'_>, block_number: u64) -> Result<Vec<TransactionRow>> {
    let mut ends = BTreeMap::new();
    if !root.get("receipts").is_null() {
        for receipt in root.get("receipts").items()? {
            let gas_used = receipt.get("gasUsed").optional(At::number)?;
            let success = receipt.get("status").optional(At::flag)?;
            ends.insert(receipt.get("hash").hash()?, (gas_used, success));
        }
    }
    let mut rows = Vec::new();
    for (place, tx) in (0..).zip(root.get("txs").items()?) {
        let row = transaction(&tx, (block_number, place))?;
        let (gas_used, success) = ends.get(&row.transaction_hash).copied().unwrap_or_default();
        rows.push(TransactionRow { gas_used, success: success.or(row.success), ..row });
    }
    Ok(rows)
}

fn transaction(tx: &At<'_>, (block_number, place): (u64, u64)) -> Result<TransactionRow> {
    let number = |key| tx.get(key).optional(At::number);
    let row = TransactionRow {
        block_number: Height(block_number),
        transaction_index: place,
        transaction_hash: tx.get("hash").hash()?,
        nonce: number("nonce")?,
        from_address: tx.get("from").optional(At::address)?,
        to_address: tx.get("to").optional(At::address)?,
        value_binary: tx.get("value").optional(At::word)?,
        input: tx.get("input").optional(At::bytes)?,
        gas_limit: tx.either(["gas", "gasLimit"]).optional(At::number)?,
        gas_used: None,
        gas_price: number("gasPrice")?,
        transaction_type: None,
        max_priority_fee_per_gas: number("maxPriorityFeePerGas")?,
        max_fee_per_gas: number("maxFeePerGas")?,
        success: tx.get("status").optional(At::flag)?,
        chain_id: CHAIN_ID,
        raw: None,
        blob_gas_used: None,
        blob_gas_price: None,
    };
    let raw = tx.get("raw");
    let Some(bytes) = raw.optional(At::bytes)?.filter(|bytes| !bytes.is_empty()) else {
        return Ok(row);
    };
    if keccak256(&bytes) != row.transaction_hash {
        bail!("the signed bytes of transaction {place} do not hash to {}", row.transaction_hash);
    }
    signed(row, bytes).with_context(|| format!("transaction {place}"))
}

/// A transaction by its signed bytes.
fn signed(row: TransactionRow, raw: Bytes) -> Result<TransactionRow> {
    let envelope = TxEnvelope::decode_2718(&mut &raw[..])?;
    let narrow = |fee: u128| u64::try_from(fee).ok();
    let is_dynamic = envelope.ty() >= 2;
    Ok(TransactionRow {
        nonce: Some(envelope.nonce()),
        gas_limit: Some(envelope.gas_limit()),
        gas_price: envelope.gas_price().and_then(narrow),
        transaction_type: Some(u32::from(envelope.ty())),
        max_priority_fee_per_gas: envelope.max_priority_fee_per_gas().and_then(narrow),
        max_fee_per_gas: is_dynamic.then(|| envelope.max_fee_per_gas()).and_then(narrow),
        raw: Some(raw),
        ..row
    })
}

fn state(held: &At<'_>, hashes: &At<'_>) -> Result<State> {
    let mut state = State::default();
    for (key, account) in held.members()? {
        let address: Address =
            key.parse().map_err(|_no_address| anyhow!("pre_state: {key:?} is no address"))?;
        state.accounts.insert(address, account_of(&account)?);
    }
    if !hashes.is_null() {
        for (key, hash) in hashes.members()? {
            let number =
                key.parse().map_err(|_no_number| anyhow!("block_hashes: {key:?} is no height"))?;
            state.block_hashes.insert(number, hash.hash()?);
        }
    }
    Ok(state)
}

fn account_of(at: &At<'_>) -> Result<Account> {
    let mut storage = BTreeMap::new();
    let slots = at.get("storage");
    if !slots.is_null() {
        for (key, value) in slots.members()? {
            let slot = match key.strip_prefix("0x") {
                Some(digits) => U256::from_str_radix(digits, 16).ok(),
                None => key.parse().ok(),
            };
            storage.insert(slot.ok_or_else(|| anyhow!("{key:?} is no slot"))?, value.word()?);
        }
    }
    Ok(Account {
        balance: at.get("balance").word()?,
        nonce: at.get("nonce").number()?,
        code_hash: at.get("code_hash").optional(At::hash)?,
        storage,
    })
}
