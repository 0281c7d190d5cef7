//! Loans that are followed: loaded at a block for the engine, with what it takes to read any part
//! of them again.
//!
//! ```text
//! reader ─► pools, markets ─► feeds ─► Loans ─► world
//!                                └───► Guide ─► whoever reads them again
//! ```
//!
//! Temperature: cold.

mod feeds;
mod guide;

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Address, U256};
use anyhow::Result;
use gannet_engine::ids::TokenId;
use gannet_engine::lending::aave::price_source_key;
use gannet_engine::lending::comet::Priced;
use gannet_engine::lending::morpho::{MarketId, Params};
use gannet_engine::lending::price::PriceId;
use gannet_engine::loans::aave::AaveBook;
use gannet_engine::loans::comet::CometBook;
use gannet_engine::loans::morpho::MorphoBook;
use gannet_engine::loans::{Book, Followed, Loans, Vault};
use gannet_engine::strategy::StrategySet;
use gannet_engine::world::World;

use self::feeds::{Asked, Graph, graph};
pub(super) use self::guide::{Guide, Wanted};
use super::{LoanSummary, Roll, RollFile, Room, aave, balancer, comet, morpho};
use crate::bootstrap::Reader;
use crate::config::{Config, Lending};
use crate::feed::rpc::Rpc;

/// The strategy that loans are followed for.
const STRATEGY: &str = "liquidation";

/// Lending protocols whose loans are followed: what cold threads load them from.
#[derive(Clone, Debug)]
pub(crate) struct Lenders {
    lending: Arc<Lending>,
    /// The tokens that profit is kept in: no other is lent.
    base_tokens: Arc<[Address]>,
    /// How the loans that were loaded last are read again, and those before them: a world has these
    /// until it gets the others, which it need not.
    guides: Arc<Mutex<[Arc<Guide>; 2]>>,
    /// Who may owe something, as far as that is known; and where it is kept, if it is.
    roll: Arc<Mutex<Roll>>,
    file: Option<RollFile>,
}

impl Lenders {
    /// Whether a configuration has anybody who wants loans.
    pub(crate) fn are_wanted<S: StrategySet>(config: &Config<S>) -> bool {
        config.strategies.is_enabled(STRATEGY)
    }

    /// Those of a configuration, with whom earlier runs knew of; `None` if nobody wants them.
    pub(crate) fn of<S: StrategySet>(config: &Config<S>) -> Option<Self> {
        let file = RollFile::of(config.place());
        let lenders = Self::knowing(config, Roll::default())?;
        *lenders.roll.lock().unwrap_or_else(PoisonError::into_inner) = file.take_up();
        Some(Self { file: Some(file), ..lenders })
    }

    /// The same with these names, which are not kept.
    pub(crate) fn knowing<S: StrategySet>(config: &Config<S>, roll: Roll) -> Option<Self> {
        if !Self::are_wanted(config) {
            return None;
        }
        if config.lending.is_empty() {
            tracing::warn!("no lending protocol is named that {STRATEGY} could follow: it waits");
            return None;
        }
        let (lending, roll) = (Arc::new(config.lending.clone()), Arc::new(Mutex::new(roll)));
        let base_tokens = config.base_tokens.as_slice().into();
        Some(Self { lending, base_tokens, guides: Arc::default(), roll, file: None })
    }

    /// Gives a world their loans at the block that it stands at.
    ///
    /// # Errors
    /// When they cannot be [loaded](Self::load).
    pub(crate) fn lend(&self, world: &mut World, rpc: &mut Rpc) -> Result<()> {
        let mut reader = Reader::new(rpc, *world.tip())?;
        let height = reader.height();
        self.roll.lock().unwrap_or_else(PoisonError::into_inner).expire(height);
        let loans = self.load(&mut reader, |token| world.tokens.id_of(token))?;
        reader.finish()?;
        drop(world.lend(loans));
        Ok(())
    }

    /// What is followed of the chain for them.
    pub(crate) fn followed(&self) -> Followed {
        if self.lending.comet.is_empty() { Followed::Loans } else { Followed::LoansAndTransfers }
    }

    /// Loads their loans at the reader's block. `tokens` knows the universe.
    ///
    /// # Errors
    /// When a contract is not what it should be, or the node does not answer.
    pub(crate) fn load(
        &self,
        reader: &mut Reader<'_>,
        tokens: impl Fn(&Address) -> Option<TokenId>,
    ) -> Result<Loans> {
        let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = Wish {
            lending: &self.lending,
            base_tokens: &self.base_tokens,
            is_again: self.newest().serial > 0,
        };
        let (loans, guide) = load(reader, &mut roll, wanted, tokens)?;
        drop(roll);
        tell(&loans);
        Ok(loans.with_serial(self.publish(guide)))
    }

    /// Who may owe something, as far as that is known.
    pub(crate) fn roll(&self) -> Roll {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps that for the next run.
    pub(crate) fn keep_roll(&self) {
        if let Some(file) = &self.file {
            file.keep(&self.roll());
        }
    }

    /// How loans are read again, if they are not of a load long ago.
    pub(super) fn guide(&self, serial: u64) -> Option<Arc<Guide>> {
        let guides = self.guides.lock().unwrap_or_else(PoisonError::into_inner);
        guides.iter().find(|guide| guide.serial == serial).map(Arc::clone)
    }

    fn newest(&self) -> Arc<Guide> {
        let [newest, _] = &*self.guides.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(newest)
    }

    /// The number of these loans.
    fn publish(&self, guide: Guide) -> u64 {
        let [newest, before] = &mut *self.guides.lock().unwrap_or_else(PoisonError::into_inner);
        let serial = newest.serial + 1;
        *before = std::mem::replace(newest, Arc::new(Guide { serial, ..guide }));
        serial
    }
}

/// A deployment as it was read.
enum Read {
    Aave(Box<aave::Pool>),
    Morpho(Box<morpho::Unpriced>),
    Comet(Box<comet::Unpriced>),
}

/// What reading a deployment again takes.
#[derive(Clone, Debug)]
enum Scope {
    Aave(aave::Scope),
    Morpho(morpho::Scope),
    Comet(comet::Scope),
}

impl Scope {
    /// The oracle that is asked for assets; zero where each market has one, or its own feeds.
    const fn oracle(&self) -> Address {
        match self {
            Self::Aave(scope) => scope.contracts.oracle,
            Self::Morpho(_) | Self::Comet(_) => Address::ZERO,
        }
    }
}

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'w> {
    pub(super) lending: &'w Lending,
    /// The tokens that profit is kept in.
    pub(super) base_tokens: &'w [Address],
    /// Whether it has been before.
    pub(super) is_again: bool,
}

pub(super) fn load(
    reader: &mut Reader<'_>,
    roll: &mut Roll,
    wanted: Wish<'_>,
    tokens: impl Fn(&Address) -> Option<TokenId>,
) -> Result<(Loans, Guide)> {
    let lending = wanted.lending;
    let (mut reads, mut scopes, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for (book, deployment) in (0_u8..).zip(&lending.aave_v3) {
        let pool = aave::pool(reader, roll, deployment, Room::Growing)?;
        asked.extend(pool.keys.iter().map(|(_, asset)| Asked::Asset { book, asset: *asset }));
        scopes.push(Scope::Aave(pool.scope.clone()));
        reads.push(Read::Aave(Box::new(pool)));
    }
    for deployment in &lending.morpho {
        // What cannot be bought and sold cannot be liquidated, and most markets are of such tokens.
        let is_wanted = |params: &Params| {
            let pair = [params.loan_token, params.collateral_token];
            !params.oracle.is_zero() && pair.iter().all(|token| tokens(token).is_some())
        };
        let read = morpho::unpriced(reader, roll, (deployment, Room::Growing), is_wanted)?;
        asked.extend(read.table.markets().iter().map(|market| Asked::Market(market.params.oracle)));
        scopes.push(Scope::Morpho(read.scope.clone()));
        reads.push(Read::Morpho(Box::new(read)));
    }
    for deployment in &lending.comet {
        let read = comet::unpriced(reader, roll, deployment, Room::Growing)?;
        let market = read.scope.address;
        asked.extend(read.feeds.iter().map(|feed| Asked::Feed { market, feed: *feed }));
        scopes.push(Scope::Comet(read.scope.clone()));
        reads.push(Read::Comet(Box::new(read)));
    }
    let oracles: Vec<Address> = scopes.iter().map(Scope::oracle).collect();
    let told = told(reader, &asked, &oracles)?;
    let at = reader.timestamp();
    let Graph { prices, ids, proxies, sources } = graph(reader, (&asked, &oracles), &told, at)?;
    let mut ids = ids.into_iter();
    let books = reads.into_iter().map(|read| match read {
        Read::Aave(pool) => Ok(Book::Aave(aave_book(*pool, &mut ids, &tokens)?)),
        Read::Morpho(read) => Ok(Book::Morpho(morpho_book(*read, &mut ids, &tokens)?)),
        Read::Comet(read) => Ok(Book::Comet(comet_book(*read, &mut ids, &tokens)?)),
    });
    let books = books.collect::<Result<Vec<_>>>()?;
    let (vaults, of_vaults) = vaults(reader, wanted, &tokens)?;
    let guide = Guide { serial: 0, scopes, asked, proxies, vaults: of_vaults };
    Ok((Loans::new(prices, books, sources).with_vaults(vaults), guide))
}

/// Vaults that lend the base tokens of the universe, with what reading them again takes.
fn vaults(
    reader: &mut Reader<'_>,
    Wish { lending, base_tokens, is_again }: Wish<'_>,
    tokens: &impl Fn(&Address) -> Option<TokenId>,
) -> Result<(Vec<Vault>, Vec<balancer::Scope>)> {
    let lent = base_tokens.iter().filter_map(|token| Some((*token, tokens(token)?)));
    let (addresses, ids): (Vec<Address>, Vec<TokenId>) = lent.unzip();
    let mut all = (Vec::new(), Vec::new());
    for vault in &lending.balancer {
        let (scope, state) = match balancer::read(reader, vault, &addresses) {
            Ok(read) => read,
            // Borrowers are worth following without it.
            Err(error) if is_again => {
                let error = format!("{error:#}");
                tracing::warn!(error, "a vault that lends is left out until the next reload");
                continue;
            }
            Err(error) => return Err(error),
        };
        all.0.push(Vault::new(scope.address, &ids, &state));
        all.1.push(scope);
    }
    Ok(all)
}

/// What the chain says of prices; `oracles` are those of Aave by the number of their book.
fn told(
    reader: &mut Reader<'_>,
    asked: &[Asked],
    oracles: &[Address],
) -> Result<Vec<Option<U256>>> {
    let (mut assets, mut markets, mut feeds) = (Vec::new(), Vec::new(), Vec::new());
    for (place, asked) in asked.iter().enumerate() {
        match *asked {
            Asked::Asset { book, asset } => {
                let oracle = oracles.get(usize::from(book)).copied().unwrap_or_default();
                assets.push((place, (oracle, asset)));
            }
            Asked::Market(oracle) => markets.push((place, oracle)),
            Asked::Feed { market, feed } => feeds.push((place, (market, feed))),
        }
    }
    let mut told = vec![None; asked.len()];
    let (places, calls): (Vec<usize>, Vec<_>) = assets.into_iter().unzip();
    for (place, price) in places.into_iter().zip(aave::prices(reader, "assets", &calls)?) {
        told[place] = price;
    }
    let (places, calls): (Vec<usize>, Vec<_>) = markets.into_iter().unzip();
    for (place, price) in places.into_iter().zip(morpho::prices(reader, "markets", &calls)?) {
        told[place] = price;
    }
    let (places, calls): (Vec<usize>, Vec<_>) = feeds.into_iter().unzip();
    for (place, price) in places.into_iter().zip(comet::prices(reader, "feeds", &calls)?) {
        told[place] = price;
    }
    Ok(told)
}

fn aave_book(
    pool: aave::Pool,
    ids: &mut impl Iterator<Item = PriceId>,
    tokens: &impl Fn(&Address) -> Option<TokenId>,
) -> Result<AaveBook> {
    let aave::Pool { market, room, keys, flash_bps, is_sentinel_open, .. } = pool;
    let mut book = AaveBook::new(market, room, u16::try_from(flash_bps)?, is_sentinel_open);
    for ((key, asset), price) in keys.into_iter().zip(ids) {
        match key.checked_sub(price_source_key(0)) {
            Some(category) => book.set_category_price(u8::try_from(category)?, Some(price)),
            None => book.set_reserve(key, tokens(&asset), Some(price)),
        }
    }
    Ok(book)
}

fn morpho_book(
    read: morpho::Unpriced,
    ids: &mut impl Iterator<Item = PriceId>,
    tokens: &impl Fn(&Address) -> Option<TokenId>,
) -> Result<MorphoBook> {
    let morpho::Unpriced { scope, table, room: (markets, positions) } = read;
    let listed = table.markets().iter().map(|market| market.params).collect::<Vec<_>>();
    let room = (markets, u32::try_from(positions)?);
    let mut book = MorphoBook::new(table, [scope.address, scope.adaptive_curve], room);
    for ((place, params), price) in (0..).zip(listed).zip(ids) {
        let pair = [params.loan_token, params.collateral_token].map(|token| tokens(&token));
        book.set_market(MarketId(place), pair, Some(price));
    }
    Ok(book)
}

fn comet_book(
    read: comet::Unpriced,
    ids: &mut impl Iterator<Item = PriceId>,
    tokens: &impl Fn(&Address) -> Option<TokenId>,
) -> Result<CometBook> {
    let comet::Unpriced { scope, table, market, feeds } = read;
    let mut book = CometBook::new(table, market, scope.address);
    let priced = (0..).map(Priced::Asset).zip(&scope.assets);
    let priced = std::iter::once((Priced::Base, &scope.base_token)).chain(priced);
    anyhow::ensure!(feeds.len() == scope.assets.len() + 1, "each token has a feed");
    for ((what, token), price) in priced.zip(ids.take(feeds.len())) {
        book.set_token(what, tokens(token), Some(price));
    }
    Ok(book)
}

/// Says what was loaded.
fn tell(loans: &Loans) {
    let LoanSummary { borrowers, prices_read, .. } = LoanSummary::of(loans).unwrap_or_default();
    tracing::info!(
        borrowers,
        books = loans.books().len(),
        prices = loans.prices.price_count(),
        read_each_block = prices_read,
        sources = loans.sources().len(),
        vaults = loans.vaults().len(),
        "loans loaded"
    );
}
