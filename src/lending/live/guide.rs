//! How loans are read again: any part of them, at any block.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use anyhow::{Context, Result};
use gannet_engine::lending::aave::table::Listing;
use gannet_engine::lending::price::{FeedId, PriceId};
use gannet_engine::loans::Want;
use gannet_engine::loans::reread::{Account, Reread};
use gannet_engine::world::BlockRef;

use super::feeds::{self, Asked};
use super::{Scope, told};
use crate::bootstrap::Reader;
use crate::lending::{aave, balancer, comet, morpho};

/// What reading loans again takes.
#[derive(Debug, Default)]
pub(in crate::lending) struct Guide {
    /// Which load it is of.
    pub(super) serial: u64,
    /// By the number of the book.
    pub(super) scopes: Vec<Scope>,
    /// How each price is asked for, by its number.
    pub(super) asked: Vec<Asked>,
    /// Each feed's proxy.
    pub(super) proxies: Vec<(FeedId, Address)>,
    /// By the number of the vault.
    pub(super) vaults: Vec<balancer::Scope>,
}

/// What is to be read at a block, beside the vaults: those always are.
#[derive(Clone, Debug, Default)]
pub(in crate::lending) struct Wanted {
    /// Parts of books, by their numbers.
    pub(in crate::lending) wants: Vec<(u8, Want)>,
    /// Prices; all of them if it is whole.
    pub(in crate::lending) prices: Vec<PriceId>,
    /// Whether all prices are read, and what stands behind feeds.
    pub(in crate::lending) is_whole: bool,
}

impl Guide {
    /// Reads what is wanted, and the vaults, at the reader's block.
    pub(in crate::lending) fn read(
        &self,
        reader: &mut Reader<'_>,
        block: BlockRef,
        wanted: &Wanted,
    ) -> Result<Reread> {
        let mut read = Reread { block: Some(block), ..Reread::default() };
        // Those first: borrowers without figures are nobody's.
        for (book, scope) in (0_u8..).zip(&self.scopes) {
            let wants = wanted.wants.iter().filter(|(of, _)| *of == book);
            let wants: Vec<Want> = wants.map(|(_, want)| *want).collect();
            match scope {
                _ if wants.is_empty() => {}
                Scope::Aave(scope) => read_aave(reader, (book, scope), &wants, &mut read)?,
                Scope::Morpho(scope) => read_morpho(reader, (book, scope), &wants, &mut read)?,
                Scope::Comet(scope) => read_comet(reader, (book, scope), &wants, &mut read)?,
            }
        }
        if !self.vaults.is_empty() {
            let found = (0_u8..).zip(balancer::again(reader, &self.vaults)?);
            read.vaults = found.filter_map(|(number, state)| Some((number, state?))).collect();
        }
        let mut oracles: Vec<Address> = self.scopes.iter().map(Scope::oracle).collect();
        let mut prices = wanted.prices.clone();
        if wanted.is_whole {
            prices = (0_u16..).map(PriceId).take(self.asked.len()).collect();
            for (oracle, scope) in oracles.iter_mut().zip(&self.scopes) {
                if let Scope::Aave(aave::Scope { name, contracts, .. }) = scope {
                    // It may be another by now.
                    *oracle = aave::oracle(reader, name, contracts.provider)?;
                }
            }
            self.read_feeds(reader, &mut read)?;
            read.is_whole = true;
        }
        prices.retain(|price| price.index() < self.asked.len());
        let asked: Vec<Asked> = prices.iter().map(|price| self.asked[price.index()]).collect();
        read.prices = prices.into_iter().zip(told(reader, &asked, &oracles)?).collect();
        Ok(read)
    }

    /// Reads what stands behind feeds' proxies, and whose transmissions that takes.
    fn read_feeds(&self, reader: &mut Reader<'_>, read: &mut Reread) -> Result<()> {
        let proxies: Vec<Address> = self.proxies.iter().map(|(_, proxy)| *proxy).collect();
        let behind = feeds::behind(reader, &proxies)?;
        let found = self.proxies.iter().zip(behind);
        read.feeds = found
            .filter_map(|((feed, _), behind)| {
                let behind = behind?;
                Some((*feed, behind.aggregator, behind.answer))
            })
            .collect();
        let mut aggregators: Vec<Address> =
            read.feeds.iter().map(|(_, aggregator, _)| *aggregator).collect();
        aggregators.sort_unstable();
        aggregators.dedup();
        read.sources = feeds::sources(reader, &aggregators)?;
        Ok(())
    }
}

fn read_aave(
    reader: &mut Reader<'_>,
    (book, scope): (u8, &aave::Scope),
    wants: &[Want],
    read: &mut Reread,
) -> Result<()> {
    let (mut users, mut reserves) = (Vec::new(), Vec::new());
    let listed: BTreeMap<u16, Listing> =
        scope.reserves.iter().map(|reserve| (reserve.number, reserve.listing)).collect();
    for want in wants {
        match want {
            Want::Account(user) => users.push(*user),
            Want::Reserve(number) => reserves.extend(listed.get_key_value(number)),
            Want::Market(_) | Want::Position(..) | Want::Totals => {}
        }
    }
    if !users.is_empty() {
        let found = aave::again(reader, scope, &users)?.into_iter();
        let account = |found: aave::Borrower| {
            let aave::Borrower { user, category, entries } = found;
            (book, Account { user, category, entries })
        };
        read.accounts.extend(found.map(account));
    }
    if !reserves.is_empty() {
        let listings: Vec<Listing> = reserves.iter().map(|(_, listing)| **listing).collect();
        let pool = (scope.name.as_str(), scope.contracts.pool);
        let found = aave::available(reader, pool, &scope.rules, &listings)?;
        let found = reserves.into_iter().zip(found);
        read.reserves.extend(found.map(|((number, _), available)| (book, *number, available)));
    }
    Ok(())
}

fn read_morpho(
    reader: &mut Reader<'_>,
    (book, scope): (u8, &morpho::Scope),
    wants: &[Want],
    read: &mut Reread,
) -> Result<()> {
    let (mut markets, mut positions): (Vec<B256>, Vec<(B256, Address)>) = Default::default();
    for want in wants {
        match want {
            Want::Market(id) => markets.push(*id),
            Want::Position(id, user) => positions.push((*id, *user)),
            Want::Account(_) | Want::Reserve(_) | Want::Totals => {}
        }
    }
    if !markets.is_empty() {
        let found = morpho::markets(reader, scope, &markets).context("markets")?;
        read.markets.extend(markets.into_iter().zip(found).map(|(id, state)| (book, id, state)));
    }
    if !positions.is_empty() {
        let found = morpho::positions(reader, scope, &positions)?;
        let found = positions.into_iter().zip(found);
        read.positions.extend(found.map(|((id, user), state)| (book, id, user, state)));
    }
    Ok(())
}

fn read_comet(
    reader: &mut Reader<'_>,
    (book, scope): (u8, &comet::Scope),
    wants: &[Want],
    read: &mut Reread,
) -> Result<()> {
    let (mut owners, mut wants_totals) = (Vec::new(), false);
    for want in wants {
        match want {
            Want::Account(owner) => owners.push(*owner),
            Want::Totals => wants_totals = true,
            Want::Reserve(_) | Want::Market(_) | Want::Position(..) => {}
        }
    }
    if !owners.is_empty() {
        let found = comet::accounts(reader, scope, &owners)?;
        read.comet_accounts.extend(found.into_iter().map(|account| (book, account)));
    }
    if wants_totals {
        read.comet_totals.push((book, comet::totals(reader, scope)?));
    }
    Ok(())
}
