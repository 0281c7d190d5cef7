//! Tables of a universe that has grown, filled a few pools at a time beside those in use.
//!
//! Invariants: what is filled is kept up to date with every move, so that a search in tables that
//! are full finds what a new searcher would find. (What hubs are worth, by which it is cut short,
//! is taken over from the old tables.)
//!
//! Temperature: hot.

use alloc::boxed::Box;

use super::{Searcher, Tables};
use crate::ids::PoolId;
use crate::limits::TOUCHED_MAX;
use crate::world::pools::PoolTable;

/// Tables that are on their way into use.
#[derive(Debug)]
pub(super) struct Filling {
    tables: Box<Tables>,
    /// So many pools, from the first on, were read.
    filled: usize,
}

impl Searcher {
    /// Takes tables of a universe that has grown. Until they are full, the search knows what it
    /// knew. Gives what they replace, if others were still being filled.
    #[cold]
    pub fn adopt(&mut self, mut tables: Box<Tables>) -> Option<Box<Tables>> {
        let Tables { index, prices, .. } = &*self.tables;
        tables.prices.value_as(&tables.index, (index, prices));
        self.next.replace(Filling { tables, filled: 0 }).map(|replaced| replaced.tables)
    }

    /// Reads up to `most` pools into tables that are being filled, if there are any. If there are
    /// none, rates of as many pairs are made anew, where gas or the market have left them behind.
    /// Not while anything is supposed.
    pub fn fill(&mut self, pools: &PoolTable, most: usize) {
        let Some(Filling { tables, filled }) = &mut self.next else {
            if let Some(asked) = self.asked {
                self.tables.rate(asked, most);
            }
            return;
        };
        let end = filled.saturating_add(most).min(pools.len());
        let some = pools.ids().get(*filled..end).unwrap_or_default();
        tables.prices.refresh(&tables.index, pools, some);
        *filled = end;
    }

    /// Tables that are in use no more, to be freed where that may take its time.
    pub const fn spent(&mut self) -> Option<Box<Tables>> {
        self.spent.take()
    }

    /// Reads the pools that moved into tables that are being filled, and changes over to them if
    /// they are full; gives the pools that are new then.
    pub(super) fn refresh_next<'p>(
        &mut self,
        pools: &'p PoolTable,
        touched: &[PoolId],
    ) -> &'p [PoolId] {
        let Some(mut next) = self.next.take() else { return &[] };
        if touched.len() < TOUCHED_MAX {
            next.tables.refresh(pools, touched);
        } else {
            next.filled = 0;
        }
        if next.filled < pools.len() {
            self.next = Some(next);
            return &[];
        }
        let known = self.tables.index.pool_count();
        self.spent = Some(core::mem::replace(&mut self.tables, next.tables));
        // Slots are others now.
        self.shortlist.mind.clear();
        pools.ids().get(known..).unwrap_or_default()
    }
}
