//! Prices as small expressions over leaf feeds, with the exact values that the contracts give.
//!
//! ```text
//! log, rotation, value read, pending transmission ──► feed ──► value(price, at)
//!                         └── Undo, for whoever has to take it back
//! ```
//!
//! An asset's price in a protocol is an expression ([`Node`]) over what feeds answer; of each it is
//! known which feeds it rests on, which way, and how often ([`Leaf`]). It is held against what the
//! chain says ([`Prices::verify`]); one that differs, or that nobody has modelled, is read each
//! block instead, and is then a feed of its own.
//!
//! Values never fall as time passes, as long as no feed moves: caps only grow, discounts only
//! shrink, and neither is taken in a divisor.
//!
//! Temperature: hot.

mod changes;
mod feeds;
mod node;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use alloy_primitives::{Address, I256, U256};

use self::feeds::Feeds;
pub use self::feeds::{
    ANSWER_UPDATED, Answered, Feed, FeedSpec, NEW_TRANSMISSION_OCR1, NEW_TRANSMISSION_OCR2,
};
pub use self::node::{Node, NodeId};
use self::node::{discounted, divided, growth_cap, market, multiplied, or_zero, scaled};
use super::math::Fault;
use super::screen::Figure;
use super::transmission::Route;
use super::trigger::watch::{ONE, parts_of};
use crate::memo::Memo;
use crate::reserve;

/// A leaf: an aggregator behind its proxy, or a value that is read each block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeedId(pub u16);

/// The price of an asset in a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PriceId(pub u16);

impl FeedId {
    /// The array index that this handle stands for.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl PriceId {
    /// The array index that this handle stands for.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// No feed.
pub(super) const NO_FEED: FeedId = FeedId(u16::MAX);
/// Parts below parts.
const DEPTH_MAX: u8 = 12;

/// A feed that a price rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The feed.
    pub feed: FeedId,
    /// How often it multiplies.
    pub up: u8,
    /// How often it divides.
    pub down: u8,
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// From its feeds, by the contracts' arithmetic.
    Modelled,
    /// It is what was read of it last.
    ReadEachBlock,
}

#[derive(Clone, Debug)]
struct Expression {
    /// `None` if nobody has modelled it.
    root: Option<NodeId>,
    mark: Mark,
    /// Whether the protocol takes a price of zero.
    takes_zero: bool,
    /// The feed that it is itself when it is read each block.
    own: FeedId,
    first_leaf: u32,
    leaves: u8,
    /// What it is and how far rounding may take it, at a number of changes and a time.
    known: Memo<(u64, u64), Figure>,
    known_rounding: Memo<(u64, u64), Result<u64, Fault>>,
}

/// What a feed was before it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedUndo {
    /// The feed.
    pub feed: FeedId,
    aggregator: Address,
    answer: I256,
}

/// A change, with all that it takes to take it back. The latest is to be taken back first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// A feed changed.
    Feed(FeedUndo),
    /// A price came from elsewhere.
    Mark(PriceId, Mark),
    /// A cap or a discount was another.
    Node(NodeId, Node),
}

/// Most of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLimits {
    /// Feeds, and one for each price.
    pub feeds: usize,
    /// Parts of all prices together.
    pub nodes: usize,
    /// Prices.
    pub prices: usize,
    /// Feeds of all prices together.
    pub leaves: usize,
}

/// Why a part or a price was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PriceError {
    /// There is no room for it.
    Full,
    /// It names a part or a feed that is not there.
    Unknown,
    /// Its parts are nested too deep.
    TooDeep,
    /// It divides by what grows with time.
    TimedDivisor,
    /// It is made of other parts than what it replaces.
    OtherParts,
}

/// What has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceCounts {
    /// Answers that events or reads changed.
    pub moved: u64,
    /// Answers of zero or less among them.
    pub not_positive: u64,
    /// Aggregators that were replaced.
    pub rotated: u64,
    /// Prices that were not what the chain says.
    pub mismatched: u64,
}

/// All feeds and prices.
#[derive(Debug)]
pub struct Prices {
    feeds: Feeds,
    nodes: Vec<Node>,
    depths: Vec<u8>,
    expressions: Vec<Expression>,
    leaves: Vec<Leaf>,
    limits: PriceLimits,
    counts: PriceCounts,
    /// How often anything changed that a price is made of, changes that were taken back among them.
    changes: u64,
}

impl Prices {
    /// Without any.
    #[must_use]
    pub fn new(limits: PriceLimits) -> Self {
        Self {
            feeds: Feeds::new(limits.feeds),
            nodes: reserve::list(limits.nodes),
            depths: reserve::list(limits.nodes),
            expressions: reserve::list(limits.prices),
            leaves: reserve::list(limits.leaves),
            limits,
            counts: PriceCounts::default(),
            changes: 0,
        }
    }

    /// Adds a feed.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn add_feed(&mut self, spec: &FeedSpec) -> Result<FeedId, PriceError> {
        self.feeds.add(spec).ok_or(PriceError::Full)
    }

    /// Adds a part of prices; what it is made of is there already.
    ///
    /// # Errors
    /// When there is no room for it, or it names what is not there, or is nested too deep.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId, PriceError> {
        if matches!(node, Node::Feed(feed) if feed.index() >= self.feeds.len()) {
            return Err(PriceError::Unknown);
        }
        let mut depth = 0;
        for part in node.operands() {
            let below = *self.depths.get(usize::from(part.0)).ok_or(PriceError::Unknown)?;
            depth = depth.max(below + 1);
        }
        if depth > DEPTH_MAX {
            return Err(PriceError::TooDeep);
        }
        let id = u16::try_from(self.nodes.len()).or(Err(PriceError::Full))?;
        if self.nodes.len() >= self.limits.nodes {
            return Err(PriceError::Full);
        }
        self.nodes.push(node);
        self.depths.push(depth);
        Ok(NodeId(id))
    }

    /// Adds a price; `None` for one that nobody has modelled. `weight` is that of the price itself
    /// while it is read each block.
    ///
    /// # Errors
    /// When there is no room for it, or its root is not there.
    pub fn add_price(&mut self, root: Option<NodeId>, weight: u8) -> Result<PriceId, PriceError> {
        if root.is_some_and(|root| usize::from(root.0) >= self.nodes.len()) {
            return Err(PriceError::Unknown);
        }
        let id = u16::try_from(self.expressions.len()).or(Err(PriceError::Full))?;
        let first = self.leaves.len();
        let noted = match root {
            Some(root) => self.note_leaves(root, false, first),
            None => Ok(()),
        };
        if self.expressions.len() >= self.limits.prices {
            self.leaves.truncate(first);
            return Err(PriceError::Full);
        }
        let noted = noted.and_then(|()| {
            let answer = I256::MINUS_ONE;
            let [proxy, aggregator] = [Address::ZERO; 2];
            let own = FeedSpec { proxy, aggregator, route: Route::Primary, weight, answer };
            let count = u8::try_from(self.leaves.len() - first).or(Err(PriceError::Full))?;
            Ok((self.add_feed(&own)?, count, u32::try_from(first).or(Err(PriceError::Full))?))
        });
        let (own, leaves, first_leaf) = match noted {
            Ok(noted) => noted,
            Err(error) => {
                self.leaves.truncate(first);
                return Err(error);
            }
        };
        let takes_zero = root.is_some_and(|root| matches!(self.node(root), Node::Market { .. }));
        let mark = if root.is_some() { Mark::Modelled } else { Mark::ReadEachBlock };
        let (known, known_rounding) = (Memo::default(), Memo::default());
        let expression =
            Expression { root, mark, takes_zero, own, first_leaf, leaves, known, known_rounding };
        self.expressions.push(expression);
        Ok(PriceId(id))
    }

    fn note_leaves(&mut self, id: NodeId, is_down: bool, first: usize) -> Result<(), PriceError> {
        let node = *self.node(id);
        let divides = |place: usize| match node {
            Node::Quotient { .. } => place == 1,
            Node::Market { base, .. } => place >= base.iter().flatten().count(),
            Node::Constant(_)
            | Node::Feed(_)
            | Node::Scale { .. }
            | Node::Product { .. }
            | Node::Capped { .. }
            | Node::GrowthCapped { .. }
            | Node::Discounted { .. }
            | Node::Fallback(_) => false,
        };
        for (place, part) in node.operands().enumerate() {
            self.note_leaves(part, is_down != divides(place), first)?;
        }
        if is_down && matches!(node, Node::GrowthCapped { .. } | Node::Discounted { .. }) {
            return Err(PriceError::TimedDivisor);
        }
        let Node::Feed(feed) = node else { return Ok(()) };
        let (up, down) = (u8::from(!is_down), u8::from(is_down));
        let noted = self.leaves.iter_mut().skip(first).find(|leaf| leaf.feed == feed);
        if let Some(leaf) = noted {
            leaf.up = leaf.up.saturating_add(up);
            leaf.down = leaf.down.saturating_add(down);
        } else if self.leaves.len() < self.limits.leaves {
            self.leaves.push(Leaf { feed, up, down });
        } else {
            return Err(PriceError::Full);
        }
        Ok(())
    }

    /// A feed.
    #[must_use]
    #[inline]
    pub fn feed(&self, feed: FeedId) -> &Feed {
        self.feeds.get(feed)
    }

    /// Whether a feed stands before this contract.
    #[must_use]
    #[inline]
    pub fn has_aggregator(&self, contract: &Address) -> bool {
        self.feeds.first_of(contract).is_some()
    }

    /// Every feed, by its number.
    pub fn feeds(&self) -> impl Iterator<Item = (FeedId, &Feed)> {
        self.feeds.iter()
    }

    /// How many prices there are: their numbers are below this.
    #[must_use]
    pub fn price_count(&self) -> u16 {
        u16::try_from(self.expressions.len()).unwrap_or(u16::MAX)
    }

    /// What has been seen.
    #[must_use]
    pub const fn counts(&self) -> PriceCounts {
        self.counts
    }

    /// Where a price comes from.
    #[must_use]
    pub fn mark(&self, price: PriceId) -> Mark {
        self.expressions[price.index()].mark
    }

    /// The feeds that a price rests on now, each once.
    #[must_use]
    #[inline]
    pub fn leaves(&self, price: PriceId) -> &[Leaf] {
        let Expression { first_leaf, leaves, .. } = &self.expressions[price.index()];
        let first = *first_leaf as usize;
        self.leaves.get(first..first + usize::from(*leaves)).unwrap_or_default()
    }

    /// The feed that a price is itself, while it is read each block.
    #[must_use]
    pub fn own_feed(&self, price: PriceId) -> Option<FeedId> {
        let expression = &self.expressions[price.index()];
        (expression.mark == Mark::ReadEachBlock).then_some(expression.own)
    }

    /// The price at a time, in seconds, as the protocol would have it.
    ///
    /// # Errors
    /// When there is none: the protocol asks elsewhere or reverts.
    #[inline]
    pub fn value(&self, price: PriceId, at: u64) -> Result<U256, Fault> {
        self.figure(price, at).exact
    }

    /// The same as a float; not a number if there is none.
    #[inline]
    pub(crate) fn float(&self, price: PriceId, at: u64) -> f64 {
        self.figure(price, at).float
    }

    #[inline]
    fn figure(&self, price: PriceId, at: u64) -> Figure {
        let expression = &self.expressions[price.index()];
        expression.known.ask((self.changes, at), || {
            let value = match (expression.mark, expression.root) {
                (Mark::Modelled, Some(root)) => self.evaluate::<false>(root, at, &mut 0),
                (Mark::ReadEachBlock, _) | (_, None) => self.feeds.get(expression.own).price(),
            };
            let is_one = |value: &U256| expression.takes_zero || !value.is_zero();
            Figure::of(value.and_then(|value| Some(value).filter(is_one).ok_or(Fault::NoPrice)))
        })
    }

    /// How far rounding may take a price from the product of its feeds, as parts of [`ONE`]: as
    /// long as those that can hurt it have moved by less than a [`Budget`] lets them.
    ///
    /// Each part that is rounded is off by less than a unit of its value; a value may have halved
    /// since, and lost a unit, which is a quarter if it was four.
    ///
    /// # Errors
    /// When there is no price.
    ///
    /// [`Budget`]: super::trigger::Budget
    pub fn rounding(&self, price: PriceId, at: u64) -> Result<u64, Fault> {
        let expression = &self.expressions[price.index()];
        let (Mark::Modelled, Some(root)) = (expression.mark, expression.root) else { return Ok(0) };
        expression.known_rounding.ask((self.changes, at), || {
            let mut error = 0;
            self.evaluate::<true>(root, at, &mut error)?;
            Ok(error.saturating_mul(4).min(ONE))
        })
    }

    #[inline]
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// The value of a part; if `MEASURES`, `error` gets the rounding of all below it, too.
    fn evaluate<const MEASURES: bool>(
        &self,
        id: NodeId,
        at: u64,
        error: &mut u64,
    ) -> Result<U256, Fault> {
        let node = self.node(id);
        let mut part = |part: NodeId| self.evaluate::<MEASURES>(part, at, &mut *error);
        let value = match *node {
            Node::Constant(value) => value,
            Node::Feed(feed) => self.feeds.get(feed).price()?,
            Node::Scale { of, multiplier, divisor } => scaled(part(of)?, multiplier, divisor)?,
            Node::Product { of: [left, right], multiplier, divisor } => {
                let both = [or_zero(part(left))?, or_zero(part(right))?];
                multiplied(both, multiplier, divisor)?
            }
            Node::Quotient { of: [left, right], multiplier, divisor } => {
                let both = [or_zero(part(left))?, or_zero(part(right))?];
                divided(both, multiplier, divisor)?
            }
            Node::Market { scale, base, quote } => {
                let mut all = [U256::ONE; 6];
                for (value, of) in all.iter_mut().zip(base.into_iter().chain(quote)) {
                    if let Some(of) = of {
                        *value = part(of)?;
                    }
                }
                let [a, b, c, d, e, f] = all;
                market(scale, [a, b, c], [d, e, f])?
            }
            Node::Capped { of, cap } => or_zero(part(of))?.min(cap),
            Node::GrowthCapped { ratio, snapshot, growth, since } => {
                let ratio = part(ratio)?;
                if ratio.is_zero() {
                    return Ok(ratio);
                }
                ratio.min(growth_cap(snapshot, growth, since, at)?)
            }
            Node::Discounted { of, maturity, per_year } => {
                discounted(or_zero(part(of))?, maturity, per_year, at)?
            }
            Node::Fallback([first, second]) => match or_zero(part(first))? {
                U256::ZERO => part(second)?,
                value => value,
            },
        };
        if MEASURES && node.is_rounded() {
            *error = error.saturating_add(parts_of(U256::ONE, value));
        }
        Ok(value)
    }
}
