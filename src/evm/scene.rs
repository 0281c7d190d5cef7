//! A recorded block and the state that it touches, as a database for the EVM.
//!
//! A recording lists what its block touched and leaves zeros out. So a place that it does not list
//! holds zero if the block itself reads it, and is *unknown* otherwise. [`View::Block`] is for
//! running the block: what it reads and the recording lacks is zero, and is remembered as such.
//! [`View::Beyond`] is for everything else: an unknown place is an error, never a zero.
//!
//! Temperature: cold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use revm::database_interface::{DBErrorMarker, DatabaseRef};
use revm::state::AccountInfo;

use super::{Place, Unknown};
use crate::recording::{RecordedBlock, State};

/// Addresses below are or may become precompiles, which have no state worth knowing.
const PRECOMPILES_END: u64 = 0x1000;
/// What a token keeps of one account may fill some slots in a row.
const ENTRY_SLOTS_MAX: U256 = U256::from_limbs([15, 0, 0, 0]);

/// A block, the state before it, and contracts' code.
#[derive(Debug)]
pub(crate) struct Scene<'r> {
    pub(crate) block: &'r RecordedBlock,
    state: &'r State,
    codes: &'r BTreeMap<B256, Bytes>,
    /// What the block read and the recording does not list.
    pub(crate) zeros: RefCell<BTreeSet<Place>>,
}

impl<'r> Scene<'r> {
    /// The scene of a block; none if its state is not known.
    pub(crate) fn new(block: &'r RecordedBlock, codes: &'r BTreeMap<B256, Bytes>) -> Option<Self> {
        let state = block.state.as_ref()?;
        Some(Self { block, state, codes, zeros: RefCell::default() })
    }
}

impl DBErrorMarker for Unknown {}

/// A scene as it is seen by what runs on it.
#[derive(Clone, Debug)]
pub(crate) enum View<'r> {
    /// By the block itself.
    Block(&'r Scene<'r>),
    /// By transactions of ours, which leave the block's tracks. The slots are those that tokens
    /// derive from our own addresses: these have never been seen on the chain, so nothing is there.
    Beyond(&'r Scene<'r>, Rc<RefCell<BTreeSet<U256>>>),
}

impl View<'_> {
    const fn scene(&self) -> &Scene<'_> {
        match self {
            Self::Block(scene) | Self::Beyond(scene, _) => scene,
        }
    }

    /// What stands for a place that the recording does not list.
    fn absent<T: Default>(&self, place: Place) -> Result<T, Unknown> {
        let is_zero = match self {
            Self::Block(scene) => {
                scene.zeros.borrow_mut().insert(place);
                true
            }
            Self::Beyond(scene, ours) => {
                scene.zeros.borrow().contains(&place)
                    || matches!(place, Place::Slot(_, slot) if is_derived(&ours.borrow(), slot))
            }
        };
        if is_zero { Ok(T::default()) } else { Err(Unknown::Place(place)) }
    }
}

/// Whether a slot is that of an entry which begins in one of `entries`.
fn is_derived(entries: &BTreeSet<U256>, slot: U256) -> bool {
    entries.range(slot.saturating_sub(ENTRY_SLOTS_MAX)..=slot).next().is_some()
}

impl DatabaseRef for View<'_> {
    type Error = Unknown;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Unknown> {
        let Some(held) = self.scene().state.accounts.get(&address) else {
            let is_precompile = address.into_word() < B256::from(U256::from(PRECOMPILES_END));
            return if is_precompile { Ok(None) } else { self.absent(Place::Account(address)) };
        };
        Ok(Some(AccountInfo {
            balance: held.balance,
            nonce: held.nonce,
            code_hash: held.code_hash.unwrap_or(KECCAK256_EMPTY),
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Unknown> {
        let code = self.scene().codes.get(&hash);
        let code = code.ok_or(Unknown::Place(Place::Code(hash)))?;
        Ok(Bytecode::new_raw(code.clone()))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Unknown> {
        let account = self.scene().state.accounts.get(&address);
        let held = account.and_then(|account| account.storage.get(&slot));
        held.map_or_else(|| self.absent(Place::Slot(address, slot)), |value| Ok(*value))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Unknown> {
        let held = self.scene().state.block_hashes.get(&number);
        held.copied().ok_or(Unknown::Place(Place::BlockHash(number)))
    }
}
