//! Which prices are made of which feeds: every price is modelled over Chainlink's proxies where its
//! contract says that it is, and read in each block where it does not.
//!
//! ```text
//! price ─► its source's views ─► proxies ─► aggregators ─► Prices, held against the price itself
//!                                                └─► Source: whose pending updates are believed
//! ```
//!
//! A wrong model does no harm: what differs from the chain is read in each block, too.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, I256, U256};
use anyhow::Result;
use gannet_engine::lending::price::{
    FeedId, FeedSpec, Node, NodeId, PriceError, PriceId, PriceLimits, Prices,
};
use gannet_engine::lending::transmission::Route;
use gannet_engine::loans::source::{Sender, Source};

use crate::bootstrap::Reader;
use crate::lending::abi::{AaveOracle, Aggregator, FeedProxy, Forwarder, MarketOracle};
use crate::lending::calls::{long_views, views};

/// How much a feed moves beside others: that of a dollar, and that of anything else. What is pegged
/// moves by hundredths of a per cent and others by per cents, so these get nearly all the slack
/// that a position has before it is looked at again.
const PEGGED: u8 = 1;
const FREE: u8 = 16;
/// A price is taken for a dollar's within this share of one, in per cent.
const PEG_PER_CENT: u64 = 2;
/// Decimals of a price in dollars.
const DOLLAR_DECIMALS: u8 = 8;
/// Feeds of a Morpho oracle beside its two vaults.
const MARKET_FEEDS: usize = 4;
/// Words of the longest list of transmitters or senders that is read: OCR has at most 31 oracles.
const LIST_WORDS: u16 = 2 + 64;
/// What a dual aggregator's name begins with: its events do not say which of its proxies answers.
const DUAL: &str = "Dual";

/// How a price is asked of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An Aave oracle, by the number of its book, for an asset or a category's own source.
    Asset { book: u8, asset: Address },
    /// A Morpho market's oracle.
    Market(Address),
    /// A market of Compound III, for what one of its feeds says.
    Feed { market: Address, feed: Address },
}

/// What prices are made of.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) prices: Prices,
    /// In the order in which they were asked for.
    pub(super) ids: Vec<PriceId>,
    /// Each feed's proxy.
    pub(super) proxies: Vec<(FeedId, Address)>,
    pub(super) sources: Vec<Source>,
}

/// What a price's contract says that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    /// Nothing that is known here.
    Unknown,
    /// What one proxy answers.
    Proxy(Address),
    /// A Morpho oracle without vaults: its scale, and its feeds above and below, zero for none.
    Market { scale: U256, feeds: [Address; MARKET_FEEDS] },
}

impl Parts {
    fn proxies(&self) -> impl Iterator<Item = Address> + use<> {
        let all = match *self {
            Self::Unknown => [Address::ZERO; MARKET_FEEDS],
            Self::Proxy(proxy) => [proxy, Address::ZERO, Address::ZERO, Address::ZERO],
            Self::Market { feeds, .. } => feeds,
        };
        all.into_iter().filter(|proxy| !proxy.is_zero())
    }
}

/// What stands behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) aggregator: Address,
    pub(crate) answer: I256,
    decimals: u8,
}

/// Builds the prices that are asked for; `oracles` are those of Aave by the number of their book,
/// and `told` is what the chain says of each price. The block's time is `at`.
pub(super) fn graph(
    reader: &mut Reader<'_>,
    (asked, oracles): (&[Asked], &[Address]),
    told: &[Option<U256>],
    at: u64,
) -> Result<Graph> {
    let parts = parts(reader, asked, oracles)?;
    let mut proxies: Vec<Address> = parts.iter().flat_map(Parts::proxies).collect();
    proxies.sort_unstable();
    proxies.dedup();
    let behind = behind(reader, &proxies)?;
    let known: BTreeMap<Address, Behind> =
        proxies.into_iter().zip(behind).filter_map(|(proxy, held)| Some((proxy, held?))).collect();
    let mut aggregators: Vec<Address> = known.values().map(|held| held.aggregator).collect();
    aggregators.sort_unstable();
    aggregators.dedup();
    let duals = duals(reader, &aggregators)?;
    let known: BTreeMap<Address, Behind> =
        known.into_iter().filter(|(_, held)| !duals.contains(&held.aggregator)).collect();
    aggregators.retain(|aggregator| !duals.contains(aggregator));
    let sources = sources(reader, &aggregators)?;
    let priced = asked.iter().zip(parts).zip(told);
    let priced = priced.map(|((asked, parts), told)| (*asked, parts, *told));
    let graph = build(&known, &priced.collect::<Vec<_>>(), at)
        .map_err(|why| anyhow::anyhow!("prices cannot be modelled: {why:?}"))?;
    Ok(Graph { sources, ..graph })
}

/// What each price's contract says that it is made of.
fn parts(reader: &mut Reader<'_>, asked: &[Asked], oracles: &[Address]) -> Result<Vec<Parts>> {
    let mut parts = vec![Parts::Unknown; asked.len()];
    let (mut assets, mut markets) = (Vec::new(), Vec::new());
    for (place, asked) in asked.iter().enumerate() {
        match *asked {
            Asked::Asset { book, asset } => {
                let oracle = oracles.get(usize::from(book)).copied().unwrap_or_default();
                assets.push((place, (oracle, AaveOracle::getSourceOfAssetCall { asset })));
            }
            Asked::Market(oracle) => markets.push((place, oracle)),
            // The market asks it for its answer, and changes nothing about that.
            Asked::Feed { feed, .. } => parts[place] = Parts::Proxy(feed),
        }
    }
    let calls: Vec<_> = assets.iter().map(|(_, call)| call.clone()).collect();
    for ((place, _), source) in assets.iter().zip(views(reader, "price sources", &calls)?) {
        // An asset without one is priced by a fallback, or is what prices are told in.
        parts[*place] =
            source.filter(|source| !source.is_zero()).map_or(Parts::Unknown, Parts::Proxy);
    }
    let oracles: Vec<Address> = markets.iter().map(|(_, oracle)| *oracle).collect();
    for ((place, _), found) in markets.iter().zip(market_parts(reader, &oracles)?) {
        parts[*place] = found;
    }
    Ok(parts)
}

/// What Morpho oracles of the second version say of themselves. One with a vault grows with what
/// the vault earns, which no event tells, and is read in each block; so is any other contract.
fn market_parts(reader: &mut Reader<'_>, oracles: &[Address]) -> Result<Vec<Parts>> {
    let base_vaults = of_each(reader, oracles, &MarketOracle::BASE_VAULTCall {})?;
    let quote_vaults = of_each(reader, oracles, &MarketOracle::QUOTE_VAULTCall {})?;
    let feeds = [
        of_each(reader, oracles, &MarketOracle::BASE_FEED_1Call {})?,
        of_each(reader, oracles, &MarketOracle::BASE_FEED_2Call {})?,
        of_each(reader, oracles, &MarketOracle::QUOTE_FEED_1Call {})?,
        of_each(reader, oracles, &MarketOracle::QUOTE_FEED_2Call {})?,
    ];
    let scales = of_each(reader, oracles, &MarketOracle::SCALE_FACTORCall {})?;
    let found = (0..oracles.len()).map(|place| {
        let has_no_vault = [&base_vaults, &quote_vaults].map(|of| of[place] == Some(Address::ZERO));
        let [one, two, three, four] = feeds.each_ref().map(|of| of[place]);
        match (has_no_vault, scales[place]) {
            ([true, true], Some(scale)) => {
                let feeds = Some([one?, two?, three?, four?]);
                feeds.map(|feeds| Parts::Market { scale, feeds })
            }
            _ => None,
        }
    });
    Ok(found.map(|found| found.unwrap_or(Parts::Unknown)).collect())
}

/// One view of each of these contracts.
fn of_each<C: SolCall + Clone>(
    reader: &mut Reader<'_>,
    contracts: &[Address],
    call: &C,
) -> Result<Vec<Option<C::Return>>> {
    let asked: Vec<_> = contracts.iter().map(|to| (*to, call.clone())).collect();
    views(reader, "price feeds", &asked)
}

/// The aggregator behind each proxy, and its answer; `None` for what is no proxy of Chainlink's.
pub(crate) fn behind(reader: &mut Reader<'_>, proxies: &[Address]) -> Result<Vec<Option<Behind>>> {
    let aggregators = of_each(reader, proxies, &FeedProxy::aggregatorCall {})?;
    let decimals = of_each(reader, proxies, &FeedProxy::decimalsCall {})?;
    let answers = of_each(reader, proxies, &FeedProxy::latestAnswerCall {})?;
    // Newer ones have only this.
    let rounds = of_each(reader, proxies, &FeedProxy::latestRoundDataCall {})?;
    let found = aggregators.into_iter().zip(decimals).zip(answers.into_iter().zip(rounds));
    let found = found.map(|((aggregator, decimals), (answer, round))| {
        let answer = answer.or_else(|| round.map(|[_, answer, ..]| I256::from_raw(answer)))?;
        let aggregator = aggregator.filter(|aggregator| !aggregator.is_zero())?;
        Some(Behind { aggregator, answer, decimals: decimals? })
    });
    Ok(found.collect())
}

/// Those aggregators that answer two proxies differently.
fn duals(reader: &mut Reader<'_>, aggregators: &[Address]) -> Result<Vec<Address>> {
    let names = of_each(reader, aggregators, &Aggregator::typeAndVersionCall {})?;
    let named = aggregators.iter().zip(names);
    let duals = named.filter(|(_, name)| name.as_ref().is_some_and(|name| name.starts_with(DUAL)));
    Ok(duals.map(|(aggregator, _)| *aggregator).collect())
}

/// Whose transmissions these aggregators take. One that does not say all of it is left out: its
/// pending updates are not followed, and its events are.
pub(crate) fn sources(reader: &mut Reader<'_>, aggregators: &[Address]) -> Result<Vec<Source>> {
    let configs = of_each(reader, aggregators, &Aggregator::latestConfigDetailsCall {})?;
    let leasts = of_each(reader, aggregators, &Aggregator::minAnswerCall {})?;
    let mosts = of_each(reader, aggregators, &Aggregator::maxAnswerCall {})?;
    let asked: Vec<_> =
        aggregators.iter().map(|to| (*to, Aggregator::transmittersCall {})).collect();
    let ones = long_views(reader, "transmitters", &asked, LIST_WORDS)?;
    let asked: Vec<_> =
        aggregators.iter().map(|to| (*to, Aggregator::getTransmittersCall {})).collect();
    let others = long_views(reader, "transmitters", &asked, LIST_WORDS)?;
    let lists: Vec<Vec<Address>> = ones
        .into_iter()
        .zip(others)
        .map(|(one, other)| one.or(other).unwrap_or_default())
        .collect();
    let mut contracts: Vec<Address> = lists.iter().flatten().copied().collect();
    contracts.sort_unstable();
    contracts.dedup();
    let senders = senders(reader, &contracts)?;
    let mut sources = Vec::new();
    for (place, aggregator) in aggregators.iter().enumerate() {
        let (Some([_, _, digest]), Some(least), Some(most)) =
            (configs[place], leasts[place], mosts[place])
        else {
            continue;
        };
        let of = |contract: &Address| senders.get(contract).cloned().unwrap_or_default();
        let senders: Vec<Sender> = lists[place].iter().flat_map(of).collect();
        if !senders.is_empty() {
            let (config, bounds) = (digest_of(digest), [least, most].map(I256::from_raw));
            let (aggregator, newest) = (*aggregator, 0);
            sources.push(Source { aggregator, config, bounds, senders, newest });
        }
    }
    Ok(sources)
}

/// A configuration's digest as transmissions name it: OCR1 has 16 bytes, in front in the answer and
/// behind in the report.
fn digest_of(word: U256) -> B256 {
    let low = word.wrapping_shl(128);
    if low.is_zero() { (word.wrapping_shr(128)).into() } else { word.into() }
}

/// Who sends through each of these transmitters: whom a forwarder lets, or itself.
fn senders(
    reader: &mut Reader<'_>,
    transmitters: &[Address],
) -> Result<BTreeMap<Address, Vec<Sender>>> {
    let asked: Vec<_> =
        transmitters.iter().map(|to| (*to, Forwarder::getAuthorizedSendersCall {})).collect();
    let lists = long_views(reader, "forwarders", &asked, LIST_WORDS)?;
    let singles = of_each(reader, transmitters, &Forwarder::senderCall {})?;
    let found = transmitters.iter().zip(lists.into_iter().zip(singles));
    let found = found.map(|(contract, (list, single))| {
        let accounts = list.or_else(|| single.map(|one| vec![one]));
        let accounts = accounts.unwrap_or_else(|| vec![*contract]);
        let of = |account| Sender { contract: *contract, account };
        (*contract, accounts.into_iter().map(of).collect())
    });
    Ok(found.collect())
}

/// Builds the graph over the proxies that are known, without sources, and holds each price against
/// the chain.
fn build(
    known: &BTreeMap<Address, Behind>,
    priced: &[(Asked, Parts, Option<U256>)],
    at: u64,
) -> Result<Graph, PriceError> {
    let feeds = known.len() + priced.len();
    let limits = PriceLimits {
        feeds,
        nodes: feeds,
        prices: priced.len(),
        leaves: priced.len() * MARKET_FEEDS,
    };
    let mut prices = Prices::new(limits);
    let (mut leaves, mut proxies) = (BTreeMap::new(), Vec::new());
    for (proxy, Behind { aggregator, answer, decimals }) in known {
        let feed = prices.add_feed(&FeedSpec {
            proxy: *proxy,
            aggregator: *aggregator,
            route: Route::Primary,
            weight: weight(answer.into_raw(), *decimals),
            answer: *answer,
        })?;
        leaves.insert(*proxy, prices.add_node(Node::Feed(feed))?);
        proxies.push((feed, *proxy));
    }
    let mut ids = Vec::with_capacity(priced.len());
    for (asked, parts, told) in priced {
        let root = root(&mut prices, &leaves, parts)?;
        let own = match asked {
            Asked::Asset { .. } | Asked::Feed { .. } => {
                weight(told.unwrap_or_default(), DOLLAR_DECIMALS)
            }
            Asked::Market(_) => FREE,
        };
        let id = prices.add_price(root, own)?;
        prices.verify(id, *told, at, &mut drop);
        ids.push(id);
    }
    Ok(Graph { prices, ids, proxies, sources: Vec::new() })
}

/// The root of a price; `None` if a part of it is not known.
fn root(
    prices: &mut Prices,
    leaves: &BTreeMap<Address, NodeId>,
    parts: &Parts,
) -> Result<Option<NodeId>, PriceError> {
    match *parts {
        Parts::Unknown => Ok(None),
        Parts::Proxy(proxy) => Ok(leaves.get(&proxy).copied()),
        Parts::Market { scale, feeds } => {
            if feeds.iter().any(|feed| !feed.is_zero() && !leaves.contains_key(feed)) {
                return Ok(None);
            }
            let [one, two, three, four] = feeds.map(|feed| leaves.get(&feed).copied());
            let (base, quote) = ([None, one, two], [None, three, four]);
            prices.add_node(Node::Market { scale, base, quote }).map(Some)
        }
    }
}

/// How much what answers this moves: little if it is a dollar's worth.
fn weight(answer: U256, decimals: u8) -> u8 {
    let Some(dollar) = U256::from(10).checked_pow(U256::from(decimals)) else { return FREE };
    let off = answer.abs_diff(dollar).saturating_mul(U256::from(100));
    if off <= dollar.saturating_mul(U256::from(PEG_PER_CENT)) { PEGGED } else { FREE }
}

#[cfg(test)]
mod tests {
    use gannet_engine::lending::price::Mark;

    use super::*;

    const ETH: Address = Address::repeat_byte(1);
    const USD: Address = Address::repeat_byte(2);
    const STRANGER: Address = Address::repeat_byte(3);
    const ASSET: Asked = Asked::Asset { book: 0, asset: Address::repeat_byte(9) };

    fn behind(place: u8, answer: u64) -> Behind {
        let answer = I256::try_from(answer).unwrap();
        Behind { aggregator: Address::repeat_byte(0xa0 + place), answer, decimals: 8 }
    }

    fn known() -> BTreeMap<Address, Behind> {
        [(ETH, behind(1, 200_000_000_000)), (USD, behind(2, 100_050_000))].into()
    }

    #[test]
    fn what_is_pegged_to_the_dollar_weighs_little() {
        for (answer, decimals, wanted) in [
            (100_000_000, 8, PEGGED),
            (98_000_000, 8, PEGGED),
            (102_000_000, 8, PEGGED),
            (97_999_999, 8, FREE),
            (102_000_001, 8, FREE),
            (1_000_000, 6, PEGGED),
            (100_000_000, 18, FREE),
            (0, 8, FREE),
        ] {
            assert_eq!(weight(U256::from(answer), decimals), wanted, "{answer} of {decimals}");
        }
        assert_eq!(weight(U256::MAX, u8::MAX), FREE);
    }

    #[test]
    fn a_digest_of_sixteen_bytes_is_moved_to_where_reports_have_it() {
        let ocr2 = B256::repeat_byte(7);
        assert_eq!(digest_of(ocr2.into()), ocr2);
        let ocr1 = B256::right_padding_from(&[9; 16]);
        assert_eq!(digest_of(ocr1.into()), B256::left_padding_from(&[9; 16]));
    }

    #[test]
    fn a_price_is_modelled_over_known_proxies_that_say_what_it_is() {
        let scale = U256::from(10).pow(U256::from(24));
        let feeds = [ETH, Address::ZERO, USD, Address::ZERO];
        let market = Parts::Market { scale, feeds };
        let told = U256::from(200_000_000_000_u64) * scale / U256::from(100_050_000);
        let priced = [
            (ASSET, Parts::Proxy(ETH), Some(U256::from(200_000_000_000_u64))),
            (Asked::Market(STRANGER), market, Some(told)),
        ];
        let Graph { prices, ids, proxies, .. } = build(&known(), &priced, 0).unwrap();
        assert_eq!(proxies, [(FeedId(0), ETH), (FeedId(1), USD)]);
        assert_eq!(ids.iter().map(|id| prices.mark(*id)).collect::<Vec<_>>(), [Mark::Modelled; 2]);
        assert_eq!(prices.value(ids[1], 0), Ok(told));
        assert_eq!(prices.feeds().map(|(_, feed)| feed.weight).collect::<Vec<_>>()[..2], [16, 1]);
    }

    #[test]
    fn what_is_unknown_or_other_than_its_model_is_read_in_each_block() {
        let (one, two) = (U256::from(7), U256::from(8));
        let scale = U256::from(1);
        let feeds = [ETH, STRANGER, Address::ZERO, Address::ZERO];
        let priced = [
            (ASSET, Parts::Unknown, Some(one)),
            (ASSET, Parts::Proxy(STRANGER), Some(two)),
            (ASSET, Parts::Proxy(ETH), Some(one)),
            (Asked::Market(ETH), Parts::Market { scale, feeds }, None),
        ];
        let Graph { prices, ids, .. } = build(&known(), &priced, 0).unwrap();
        assert!(ids.iter().all(|id| prices.mark(*id) == Mark::ReadEachBlock));
        let values: Vec<_> = ids.iter().map(|id| prices.value(*id, 0).ok()).collect();
        assert_eq!(values, [Some(one), Some(two), Some(one), None]);
    }
}
