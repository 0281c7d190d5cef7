//! The markets and borrowers of one Morpho contract: arenas by handle, found by market and account.
//!
//! [`follow`](super::follow) keeps them equal to the contract's storage. Here is what they are, how
//! they are loaded and how they are found.
//!
//! Invariants: capacities are fixed when the table is made; a market's handle stays valid as long
//! as no reorg takes its creation back; a position's handle as long as the position is not empty,
//! then it is given to another.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256};
use hashbrown::HashMap;

use super::{Irm, Market, Params, Position};
use crate::lending::places::Places;
use crate::reserve;
use crate::world::hash::FixedState;

/// A market of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarketId(pub u16);

impl MarketId {
    /// The array index that this handle stands for.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A borrower's position in one market of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionId(pub u32);

impl PositionId {
    /// The array index that this handle stands for.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What answers a market's price, as whoever keeps the prices calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OracleId(pub u32);

/// A market: what never changes, its state, and what prices it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketEntry {
    /// Its name in the contract.
    pub name: B256,
    /// What makes it.
    pub params: Params,
    /// As of its last change.
    pub state: Market,
    /// What answers its price; nothing until it is said.
    pub oracle: Option<OracleId>,
    /// Its state is the contract's. It is not if an event did not fit it: then it must be read
    /// again.
    pub is_whole: bool,
}

/// A position: whose it is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionEntry {
    /// What is in it.
    pub state: Position,
    /// Whose it is.
    pub account: Address,
    /// The market that it is in.
    pub market: MarketId,
    /// Its state is the contract's. It is not if an event did not fit it, or if an earlier one may
    /// have been lost: then it must be read again.
    pub is_whole: bool,
}

impl PositionEntry {
    /// The place of a position that is there no more.
    pub(super) const VACANT: Self = Self {
        state: Position::EMPTY,
        account: Address::ZERO,
        market: MarketId(0),
        is_whole: true,
    };

    /// Whether a position is here.
    #[must_use]
    #[inline]
    pub const fn is_open(&self) -> bool {
        !self.state.is_empty()
    }
}

/// What did not go as it should, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Markets for which there was no room.
    pub markets_lost: u64,
    /// Changes of positions for which there was no room.
    pub positions_lost: u64,
    /// Events of markets that are not in the table.
    pub strangers: u64,
    /// Events that did not fit a market or a position.
    pub misfits: u64,
}

/// Why nothing was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// There is no room.
    Full,
    /// The market is there already.
    Known,
}

/// Every market and borrower that is followed.
#[derive(Debug)]
pub struct Table {
    pub(super) markets: Vec<MarketEntry>,
    pub(super) market_ids: HashMap<B256, MarketId, FixedState>,
    pub(super) markets_max: usize,
    pub(super) positions: Vec<PositionEntry>,
    /// Those of them that are not whole.
    pub(super) broken: Places,
    pub(super) position_ids: HashMap<(MarketId, Address), PositionId, FixedState>,
    pub(super) positions_max: usize,
    /// Places of positions that are there no more, the last one first to be taken.
    pub(super) vacant: Vec<PositionId>,
    adaptive_curve: Address,
    pub(super) tally: Tally,
}

impl Table {
    /// An empty table for so many markets and positions; `adaptive_curve` is the one contract of
    /// that kind whose markets are modelled.
    ///
    /// # Panics
    /// When handles could not count that far.
    #[must_use]
    #[cold]
    pub fn new(markets_max: usize, positions_max: usize, adaptive_curve: Address) -> Self {
        assert!(u16::try_from(markets_max).is_ok(), "a market's handle is a u16");
        assert!(u32::try_from(positions_max).is_ok(), "a position's handle is a u32");
        Self {
            markets: reserve::list(markets_max),
            market_ids: reserve::table(markets_max, |number| {
                B256::left_padding_from(&number.to_be_bytes())
            }),
            markets_max,
            positions: reserve::list(positions_max),
            broken: Places::new(positions_max),
            position_ids: reserve::table(positions_max, |number| {
                (MarketId(0), Address::left_padding_from(&number.to_be_bytes()))
            }),
            positions_max,
            vacant: reserve::list(positions_max),
            adaptive_curve,
            tally: Tally::default(),
        }
    }

    /// Loads a market as it was read: its state's limit and source of interest are set from the
    /// parameters.
    ///
    /// # Errors
    /// When it is there already, or there is no room.
    #[cold]
    pub fn load_market(&mut self, params: Params, state: Market) -> Result<MarketId, Refused> {
        let name = params.id();
        if self.market_ids.contains_key(&name) {
            return Err(Refused::Known);
        }
        self.push_market(name, params, state).ok_or(Refused::Full)
    }

    /// Says what answers a market's price.
    pub fn set_oracle(&mut self, id: MarketId, oracle: Option<OracleId>) {
        if let Some(entry) = self.markets.get_mut(id.index()) {
            entry.oracle = oracle;
        }
    }

    /// Adds a market that is not there yet; `None` if there is no room.
    pub(super) fn push_market(
        &mut self,
        name: B256,
        params: Params,
        state: Market,
    ) -> Option<MarketId> {
        let id = MarketId(u16::try_from(self.markets.len()).ok()?);
        if self.markets.len() >= self.markets_max {
            return None;
        }
        let state = Market { lltv: params.lltv, irm: self.irm_of(&params), ..state };
        self.market_ids.insert(name, id);
        self.markets.push(MarketEntry { name, params, state, oracle: None, is_whole: true });
        Some(id)
    }

    pub(super) fn irm_of(&self, params: &Params) -> Irm {
        match params.irm {
            Address::ZERO => Irm::None,
            irm if irm == self.adaptive_curve => Irm::AdaptiveCurve,
            _ => Irm::Unmodelled,
        }
    }

    /// The handle of the market of this name.
    #[must_use]
    #[inline]
    pub fn market_id(&self, name: &B256) -> Option<MarketId> {
        self.market_ids.get(name).copied()
    }

    /// The handle of an account's position in a market; `None` if it is empty.
    #[must_use]
    #[inline]
    pub fn position_id(&self, market: MarketId, account: Address) -> Option<PositionId> {
        self.position_ids.get(&(market, account)).copied()
    }

    /// The market of a handle; `None` if a reorg took it back.
    #[must_use]
    #[inline]
    pub fn market(&self, id: MarketId) -> Option<&MarketEntry> {
        self.markets.get(id.index())
    }

    /// The position of a handle; `None` if none is there now.
    #[must_use]
    #[inline]
    pub fn position(&self, id: PositionId) -> Option<&PositionEntry> {
        self.positions.get(id.index()).filter(|entry| entry.is_open())
    }

    /// Every market, in the order of handles.
    #[must_use]
    pub fn markets(&self) -> &[MarketEntry] {
        &self.markets
    }

    /// Every position that is there now, in the order of handles.
    pub fn positions(&self) -> impl Iterator<Item = (PositionId, &PositionEntry)> {
        let numbered = (0..).map(PositionId).zip(&self.positions);
        numbered.filter(|(_, entry)| entry.is_open())
    }

    /// The positions that must be read again, in the order of handles.
    pub fn broken(&self) -> impl Iterator<Item = &PositionEntry> {
        self.broken.iter().filter_map(|place| self.position(PositionId(place)))
    }

    /// How many positions are there now.
    #[must_use]
    pub fn position_count(&self) -> usize {
        self.position_ids.len()
    }

    /// What did not go as it should.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }
}
