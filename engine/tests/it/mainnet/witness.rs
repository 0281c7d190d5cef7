//! Whole blocks with the state that they touch, from files, as a database for the EVM.
//!
//! A witness lists what its block touched and leaves zeros out. So a place that it does not list
//! holds zero if the block itself reads it, and is *unknown* otherwise. [`View::Block`] is for
//! running the block: what it reads and the witness lacks is zero, and is remembered as such.
//! [`View::Beyond`] is for everything else: an unknown place is an error, never a zero.
//!
//! Temperature: cold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use alloy::primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256, hex, keccak256};
use flate2::read::MultiGzDecoder;
use revm::bytecode::Bytecode;
use revm::database_interface::{DBErrorMarker, DatabaseRef};
use revm::state::AccountInfo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Addresses up to here are or may become precompiles, which have no state worth knowing.
const PRECOMPILES_END: u64 = 0x1000;
/// What a token keeps of one account may fill some slots in a row.
const ENTRY_SLOTS_MAX: U256 = U256::from_limbs([15, 0, 0, 0]);

/// The folder of real blocks; `None` on a machine that lacks it, which CI may not.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("GANNET_DATA").map_or_else(beside, PathBuf::from);
    if folder.join("witness").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
    println!("skipped: there are no blocks in {}", folder.display());
    None
}

/// Every block of the folder, in order of height, read one at a time.
pub(crate) fn blocks(folder: &Path) -> impl Iterator<Item = Witness> {
    let folder = folder.join("witness");
    let names = folder.read_dir().expect("the folder of blocks is readable");
    let names = names.map(|entry| entry.expect("a file").file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".json.gz")?.parse().ok();
    let numbers: BTreeSet<u64> = names.filter_map(number).collect();
    assert!(!numbers.is_empty(), "{} holds no block", folder.display());
    numbers.into_iter().map(move |number| Witness::read(&folder, number))
}

/// A gzipped JSON file.
pub(crate) fn read_gzip<T: DeserializeOwned>(path: &Path) -> T {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = vec![];
    MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut text).expect("gzip");
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A header's fields that running the block needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) miner: Address,
    pub(crate) receipts_root: B256,
    pub(crate) difficulty: U256,
    pub(crate) number: U64,
    pub(crate) gas_limit: U64,
    pub(crate) gas_used: U64,
    pub(crate) timestamp: U64,
    pub(crate) mix_hash: B256,
    pub(crate) base_fee_per_gas: Option<U64>,
    pub(crate) excess_blob_gas: Option<U64>,
    pub(crate) parent_beacon_block_root: Option<B256>,
}

/// A transaction as it was signed.
#[derive(Debug, Deserialize)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) raw: Bytes,
}

/// What the chain says of a transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    pub(crate) status: u8,
    pub(crate) gas_used: u64,
    pub(crate) logs: Vec<RecordedLog>,
}

/// A log, by the short names of the files.
#[derive(Debug, Deserialize)]
pub(crate) struct RecordedLog {
    #[serde(rename = "li")]
    pub(crate) index: u32,
    #[serde(rename = "a")]
    pub(crate) address: Address,
    #[serde(rename = "t")]
    pub(crate) topics: Vec<B256>,
    #[serde(rename = "d")]
    pub(crate) data: Bytes,
}

/// Which of the recorded receipts' figures agree with the header.
#[derive(Debug, Deserialize)]
pub(crate) struct Checks {
    #[serde(rename = "gas_used_ok")]
    pub(crate) is_gas_right: bool,
    #[serde(rename = "logs_bloom_ok")]
    pub(crate) are_logs_right: bool,
}

#[derive(Debug, Deserialize)]
struct Account {
    balance: U256,
    nonce: U64,
    code_hash: Option<B256>,
    storage: BTreeMap<U256, U256>,
}

/// The file's layout.
#[derive(Deserialize)]
struct Raw {
    header: Value,
    block_hashes: BTreeMap<String, B256>,
    pre_state: BTreeMap<Address, Account>,
    txs: Vec<Tx>,
    receipts: Vec<Recorded>,
    checks: Checks,
}

/// A block and the state before it, as far as the block touched it.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) header: Header,
    /// The header as a node would send it.
    pub(crate) head: Vec<u8>,
    pub(crate) txs: Vec<Tx>,
    pub(crate) receipts: Vec<Recorded>,
    pub(crate) checks: Checks,
    accounts: BTreeMap<Address, Account>,
    block_hashes: BTreeMap<u64, B256>,
    codes: &'static BTreeMap<B256, String>,
    /// What the block read and the file does not list.
    zeros: RefCell<BTreeSet<Place>>,
}

impl Witness {
    fn read(folder: &Path, number: u64) -> Self {
        let mut raw: Raw = read_gzip(&folder.join(format!("{number}.json.gz")));
        // Some sources leave the hash out; it only has to be told from others.
        if raw.header["hash"].is_null() {
            raw.header["hash"] = json!(keccak256(raw.header.to_string()));
        }
        let hash = |(number, hash): (String, B256)| (number.parse().expect("a height"), hash);
        assert_eq!(raw.txs.len(), raw.receipts.len(), "every transaction has a receipt");
        Self {
            head: raw.header.to_string().into(),
            header: serde_json::from_value(raw.header).expect("a header"),
            txs: raw.txs,
            receipts: raw.receipts,
            checks: raw.checks,
            accounts: raw.pre_state,
            block_hashes: raw.block_hashes.into_iter().map(hash).collect(),
            codes: codes(folder),
            zeros: RefCell::default(),
        }
    }

    /// Height.
    pub(crate) fn number(&self) -> u64 {
        self.header.number.to()
    }

    /// How many places the block read that the file does not list.
    pub(crate) fn zero_count(&self) -> usize {
        self.zeros.borrow().len()
    }

    /// The logs of transaction number `tx`, as a node would send them.
    pub(crate) fn node_logs(&self, tx: usize) -> Vec<Value> {
        let node_log = |log: &RecordedLog| {
            json!({
                "address": log.address,
                "topics": log.topics,
                "data": log.data,
                "blockNumber": self.header.number,
                "blockHash": self.header.hash,
                "transactionHash": self.txs[tx].hash,
                "transactionIndex": format!("{tx:#x}"),
                "logIndex": format!("{:#x}", log.index),
                "removed": false,
            })
        };
        self.receipts[tx].logs.iter().map(node_log).collect()
    }
}

/// Every contract of the folder's blocks, by its hash; as hexadecimal digits, since few are run.
pub(crate) fn codes(folder: &Path) -> &'static BTreeMap<B256, String> {
    static CODES: OnceLock<BTreeMap<B256, String>> = OnceLock::new();
    CODES.get_or_init(|| read_gzip(&folder.join("codes.json.gz")))
}

/// A place in the state, or of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Account(Address),
    Slot(Address, U256),
    Code(B256),
    BlockHash(u64),
}

/// The witness does not say what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) Place);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Account(address) => write!(f, "account {address} is not in the witness"),
            Place::Slot(address, slot) => {
                write!(f, "slot {slot:#x} of {address} is not in the witness")
            }
            Place::Code(hash) => write!(f, "code {hash} is not in the witness"),
            Place::BlockHash(number) => write!(f, "hash of {number} is not in the witness"),
        }
    }
}

impl Error for Unknown {}
impl DBErrorMarker for Unknown {}

/// A witness as it is seen by what runs on it.
#[derive(Clone, Debug)]
pub(crate) enum View<'w> {
    /// By the block itself.
    Block(&'w Witness),
    /// By transactions of ours, which leave the block's tracks. The slots are those that tokens
    /// derive from our own addresses: these have never been seen on the chain, so nothing is there.
    Beyond(&'w Witness, Rc<RefCell<BTreeSet<U256>>>),
}

impl View<'_> {
    const fn witness(&self) -> &Witness {
        match self {
            Self::Block(witness) | Self::Beyond(witness, _) => witness,
        }
    }

    /// What stands for a place that the file does not list.
    fn absent<T: Default>(&self, place: Place) -> Result<T, Unknown> {
        let is_zero = match self {
            Self::Block(witness) => {
                witness.zeros.borrow_mut().insert(place);
                true
            }
            Self::Beyond(witness, ours) => {
                witness.zeros.borrow().contains(&place)
                    || matches!(place, Place::Slot(_, slot) if is_derived(&ours.borrow(), slot))
            }
        };
        if is_zero { Ok(T::default()) } else { Err(Unknown(place)) }
    }
}

/// Whether a slot is that of an entry which begins in one of `entries`.
fn is_derived(entries: &BTreeSet<U256>, slot: U256) -> bool {
    entries.range(slot.saturating_sub(ENTRY_SLOTS_MAX)..=slot).next().is_some()
}

impl DatabaseRef for View<'_> {
    type Error = Unknown;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Unknown> {
        let Some(held) = self.witness().accounts.get(&address) else {
            let is_precompile = address.into_word() < B256::from(U256::from(PRECOMPILES_END));
            return if is_precompile { Ok(None) } else { self.absent(Place::Account(address)) };
        };
        Ok(Some(AccountInfo {
            balance: held.balance,
            nonce: held.nonce.to(),
            code_hash: held.code_hash.unwrap_or(KECCAK256_EMPTY),
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Unknown> {
        let digits = self.witness().codes.get(&hash).ok_or(Unknown(Place::Code(hash)))?;
        Ok(Bytecode::new_raw(hex::decode(digits).expect("hexadecimal digits").into()))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Unknown> {
        let held = self.witness().accounts.get(&address).and_then(|held| held.storage.get(&slot));
        held.map_or_else(|| self.absent(Place::Slot(address, slot)), |value| Ok(*value))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Unknown> {
        let held = self.witness().block_hashes.get(&number);
        held.copied().ok_or(Unknown(Place::BlockHash(number)))
    }
}
