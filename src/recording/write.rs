//! Writes a recording.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use anyhow::{Context as _, Result, bail};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use super::column::Height;
use super::rows::{
    AccountRow, BlockHashRow, BlockRow, CodeRow, LogColumns, Row, StorageRow, TransactionRow,
};
use super::{Manifest, RecordedBlock};

/// Rows of a part, about: what is read at once.
const PART_ROWS: usize = 1 << 18;
/// What more than this saves, it costs in time.
const ZSTD_LEVEL: i32 = 3;

/// What a recording takes.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Size {
    pub(crate) blocks: u64,
    /// Bytes on disk, by table.
    pub(crate) bytes: BTreeMap<&'static str, u64>,
}

/// A recording that is being made; nothing of it stays if it is dropped before it is finished.
#[derive(Debug)]
pub(crate) struct Writer {
    out: PathBuf,
    /// Where it is made.
    staging: PathBuf,
    manifest: Manifest,
    part: Part,
    size: Size,
    is_finished: bool,
}

/// The rows of a part.
#[derive(Debug, Default)]
struct Part {
    blocks: Vec<BlockRow>,
    transactions: Vec<TransactionRow>,
    logs: Vec<LogColumns>,
    accounts: Vec<AccountRow>,
    storage: Vec<StorageRow>,
    codes: Vec<CodeRow>,
    block_hashes: Vec<BlockHashRow>,
}

impl Part {
    const fn rows(&self) -> usize {
        self.transactions.len() + self.logs.len() + self.storage.len()
    }
}

impl Writer {
    /// A recording at `out`, which must not be there yet.
    ///
    /// # Errors
    /// When there is something, or nothing can be made there.
    pub(crate) fn create(out: &Path, chain_id: u64, origin: &str) -> Result<Self> {
        if out.exists() {
            bail!("{} is there already: name another folder, or remove it", out.display());
        }
        let name = out.file_name().context("the recording needs a name")?;
        let mut staged = name.to_owned();
        staged.push(".partial");
        let staging = out.with_file_name(staged);
        if staging.exists() {
            // Of an import that was killed.
            fs::remove_dir_all(&staging)
                .with_context(|| format!("removing {}", staging.display()))?;
        }
        fs::create_dir_all(&staging).with_context(|| format!("making {}", staging.display()))?;
        let manifest = Manifest::new(chain_id, origin);
        Ok(Self {
            out: out.to_owned(),
            staging,
            manifest,
            part: Part::default(),
            size: Size::default(),
            is_finished: false,
        })
    }

    /// Adds a block; blocks come in order of height.
    ///
    /// # Errors
    /// When it is out of order, or cannot be written.
    pub(crate) fn add(&mut self, block: RecordedBlock) -> Result<()> {
        let number = block.number();
        if let Some(last) = self.manifest.segments.last().filter(|last| last.last_block >= number) {
            bail!("block {number} comes after block {}", last.last_block);
        }
        self.manifest.extend(std::slice::from_ref(&block));
        let RecordedBlock { header, transactions, logs, state } = block;
        let chain_id = self.manifest.chain_id;
        let part = &mut self.part;
        part.logs.extend(logs.iter().map(|log| log.to_columns(chain_id, header.block_hash)));
        part.blocks.push(header);
        part.transactions.extend(transactions);
        let block_number = Height(number);
        for (address, account) in state.iter().flat_map(|state| &state.accounts) {
            part.accounts.push(AccountRow {
                block_number,
                address: *address,
                balance: account.balance,
                nonce: account.nonce,
                code_hash: account.code_hash,
            });
            let slots = account.storage.iter().map(|(slot, value)| StorageRow {
                block_number,
                address: *address,
                slot: *slot,
                value: *value,
            });
            part.storage.extend(slots);
        }
        for (earlier, hash) in state.iter().flat_map(|state| &state.block_hashes) {
            let row = BlockHashRow { block_number, number: *earlier, hash: *hash };
            part.block_hashes.push(row);
        }
        self.size.blocks += 1;
        if self.part.rows() > PART_ROWS { self.flush() } else { Ok(()) }
    }

    /// Adds a contract's code.
    pub(crate) fn add_code(&mut self, code_hash: B256, code: Bytes) {
        self.part.codes.push(CodeRow { code_hash, code });
    }

    /// Adds a remark for whoever relies on the recording.
    pub(crate) fn remark(&mut self, remark: String) {
        self.manifest.remarks.push(remark);
    }

    /// Gives the recording its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<(Manifest, Size)> {
        self.flush()?;
        self.manifest.write(&self.staging)?;
        fs::rename(&self.staging, &self.out)
            .with_context(|| format!("giving the recording its name {}", self.out.display()))?;
        self.is_finished = true;
        Ok((self.manifest.clone(), self.size.clone()))
    }

    fn flush(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.part);
        let (Some(first), Some(last)) = (part.blocks.first(), part.blocks.last()) else {
            return Ok(());
        };
        let name = format!("{:010}-{:010}", first.block_number.0, last.block_number.0);
        self.write(&name, part.blocks)?;
        self.write(&name, part.transactions)?;
        self.write(&name, part.logs)?;
        self.write(&name, part.accounts)?;
        self.write(&name, part.storage)?;
        self.write(&name, part.codes)?;
        self.write(&name, part.block_hashes)?;
        self.manifest.parts.push(name);
        Ok(())
    }

    /// Writes the rows of one table; a table without any has no file.
    fn write<R: Row>(&mut self, name: &str, rows: Vec<R>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let folder = self.staging.join(R::TABLE);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{name}.parquet"));
        write_table(&path, rows)?;
        let told = || format!("writing {}", path.display());
        let bytes = fs::metadata(&path).with_context(told)?.len();
        *self.size.bytes.entry(R::TABLE).or_default() += bytes;
        Ok(())
    }
}

/// Writes rows as a Parquet file.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_table<R: Row>(path: &Path, rows: Vec<R>) -> Result<()> {
    let told = || format!("writing {}", path.display());
    let compression = Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?);
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = File::create(path).with_context(told)?;
    let mut writer = ArrowWriter::try_new(file, R::schema(), Some(properties))?;
    writer.write(&R::to_batch(rows)?).with_context(told)?;
    writer.close().with_context(told)?;
    Ok(())
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_dir_all(&self.staging)
        {
            let path = self.staging.display();
            tracing::warn!(%path, %error, "what was half made is left behind");
        }
    }
}
