//! The logs that move a market's state, from topics and data to a plain event.
//!
//! A log comes from anybody, so nothing about its shape is taken for granted: what is not exactly
//! as its signature says is refused. Who wrote it is for the table to judge.
//!
//! Temperature: hot.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

use alloy_primitives::{Address, B256, U256};

use super::topics;

/// Why a log is no event of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Malformed {
    /// Its first topic is none of a market's, or it has none.
    Unknown,
    /// It has fewer or more topics than its event.
    Topics,
    /// Its data is shorter or longer than its event's.
    Data,
    /// A number or address is larger than its type.
    Range,
}

/// What changes a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveChange {
    /// Its rates and indices, as of the event's block.
    Data {
        /// Collateral's yearly rate and index, in ray.
        liquidity: (u128, u128),
        /// Debt's yearly rate and index, in ray.
        borrow: (u128, u128),
    },
    /// Its numbers as collateral, in basis points.
    Collateral {
        /// Liquidation threshold.
        threshold_bps: u16,
        /// Liquidation bonus.
        bonus_bps: u16,
    },
    /// Whether it is in use.
    Active(bool),
    /// Whether nothing may be done with it.
    Paused(bool),
    /// The protocol's part of the bonus, in basis points.
    Fee(u16),
    /// No liquidation before this time is over, in seconds; 0 is no grace.
    Grace(u64),
    /// Its one category (revisions 1 to 4); 0 is none.
    Category(u8),
}

/// What changes a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategoryChange {
    /// Its numbers.
    Numbers {
        /// Liquidation threshold, in basis points.
        threshold_bps: u16,
        /// Liquidation bonus, in basis points.
        bonus_bps: u16,
        /// Whether it has a price of its own.
        has_price_source: bool,
    },
    /// A reserve is collateral of it, or no longer (revisions 5 and later).
    Collateral {
        /// The reserve's underlying.
        asset: Address,
        /// Whether it is.
        is_collateral: bool,
    },
}

/// What a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something about a reserve.
    Reserve {
        /// The reserve's underlying.
        asset: Address,
        /// What about it.
        change: ReserveChange,
    },
    /// An account uses a reserve as collateral, or no longer.
    CollateralUse {
        /// The reserve's underlying.
        asset: Address,
        /// The account.
        user: Address,
        /// Whether it uses it.
        is_used: bool,
    },
    /// An account chose a category.
    UserCategory {
        /// The account.
        user: Address,
        /// The category; 0 is none.
        category: u8,
    },
    /// An account's balance in the pool moved: a supply, withdrawal, repayment, or written-off
    /// debt.
    Moved {
        /// The account.
        user: Address,
    },
    /// An account borrowed.
    Borrowed {
        /// The account that owes it.
        user: Address,
    },
    /// An account was liquidated.
    Liquidated {
        /// The reserve whose collateral was taken.
        collateral: Address,
        /// The reserve whose debt was repaid.
        debt: Address,
        /// The account.
        user: Address,
        /// Debt that was repaid, in the underlying.
        repaid: U256,
        /// Collateral that the liquidator got, in the underlying.
        seized: U256,
        /// Who did it.
        liquidator: Address,
    },
    /// A reserve's treasury or deficit moved; neither concerns an account.
    Treasury {
        /// The reserve's underlying.
        asset: Address,
    },
    /// Scaled balances of a collateral or debt token moved.
    Minted {
        /// Whose balance.
        user: Address,
    },
    /// The same, downwards.
    Burnt {
        /// Whose balance.
        user: Address,
    },
    /// A collateral token went from one account to another.
    Transferred {
        /// Who had it.
        from: Address,
        /// Who has it.
        to: Address,
    },
    /// A new reserve.
    Listed {
        /// The reserve's underlying.
        asset: Address,
        /// Its collateral token.
        a_token: Address,
        /// Its debt token.
        debt_token: Address,
    },
    /// A reserve takes no more supplies or borrows, or does again: no matter to a liquidation.
    Frozen {
        /// The reserve's underlying.
        asset: Address,
    },
    /// Something about a category.
    Category {
        /// The category.
        category: u8,
        /// What about it.
        change: CategoryChange,
    },
    /// A category's collateral may stand only with its own kind: limits new debt, no liquidation.
    Isolation {
        /// The category.
        category: u8,
    },
    /// The source of an asset's price changed.
    PriceSource {
        /// The asset.
        asset: Address,
    },
    /// The oracle or what it falls back to changed: all prices have to be looked up anew.
    Oracle,
    /// A contract of the market was replaced: its revision has to be read anew.
    Upgraded,
}

const WORD: usize = 32;

/// A log's words after its first topic.
#[derive(Clone, Copy)]
struct Words<'a> {
    topics: &'a [B256],
    data: &'a [u8],
}

impl Words<'_> {
    /// It has these many indexed words, and these many in its data.
    const fn are(&self, indexed: usize, words: usize) -> Result<(), Malformed> {
        if self.topics.len() != indexed {
            return Err(Malformed::Topics);
        }
        let (whole, rest) = (self.data.len() / WORD, self.data.len() % WORD);
        if whole != words || rest != 0 { Err(Malformed::Data) } else { Ok(()) }
    }

    fn indexed(&self, place: usize) -> Result<U256, Malformed> {
        self.topics.get(place).map(|word| (*word).into()).ok_or(Malformed::Topics)
    }

    fn word(&self, place: usize) -> Result<U256, Malformed> {
        let (words, _) = self.data.as_chunks::<WORD>();
        words.get(place).map(|word| U256::from_be_bytes(*word)).ok_or(Malformed::Data)
    }

    /// The address in an indexed word.
    fn who(&self, place: usize) -> Result<Address, Malformed> {
        address(self.indexed(place)?)
    }
}

fn address(word: U256) -> Result<Address, Malformed> {
    let bytes = word.to_be_bytes::<WORD>();
    let (zeros, rest) = bytes.split_at(12);
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(Malformed::Range);
    }
    Ok(Address::from_slice(rest))
}

fn small<T: TryFrom<u64>>(word: U256) -> Result<T, Malformed> {
    let [low, rest @ ..] = word.into_limbs();
    if rest != [0; 3] {
        return Err(Malformed::Range);
    }
    T::try_from(low).ok().ok_or(Malformed::Range)
}

fn ray(word: U256) -> Result<u128, Malformed> {
    u128::try_from(word).ok().ok_or(Malformed::Range)
}

fn flag(word: U256) -> Result<bool, Malformed> {
    Ok(small::<u8>(word)
        .and_then(|byte| if byte > 1 { Err(Malformed::Range) } else { Ok(byte) })?
        == 1)
}

/// Reads a log.
///
/// # Errors
/// When it is none of a market's events, or not shaped as its signature says.
pub fn decode(topics: &[B256], data: &[u8]) -> Result<Event, Malformed> {
    let Some((first, rest)) = topics.split_first() else { return Err(Malformed::Unknown) };
    let words = Words { topics: rest, data };
    let read = match classify(first) {
        Some(Family::Pool) => of_pool,
        Some(Family::Token) => of_token,
        Some(Family::Configurator) => of_configurator,
        Some(Family::Category) => of_category,
        Some(Family::Prices) => of_prices,
        None => return Err(Malformed::Unknown),
    };
    read(first, words)
}

/// Which contract of a market writes an event.
#[derive(Clone, Copy)]
enum Family {
    Pool,
    Token,
    Configurator,
    Category,
    Prices,
}

fn classify(topic: &B256) -> Option<Family> {
    use topics as t;
    const POOL: [B256; 12] = [
        t::RESERVE_DATA,
        t::COLLATERAL_ENABLED,
        t::COLLATERAL_DISABLED,
        t::USER_EMODE_SET,
        t::SUPPLY,
        t::WITHDRAW,
        t::BORROW,
        t::REPAY,
        t::LIQUIDATION_CALL,
        t::MINTED_TO_TREASURY,
        t::DEFICIT_CREATED,
        t::DEFICIT_COVERED,
    ];
    const CONFIGURATOR: [B256; 8] = [
        t::RESERVE_INITIALIZED,
        t::COLLATERAL_CONFIGURATION,
        t::RESERVE_ACTIVE,
        t::RESERVE_FROZEN,
        t::RESERVE_PAUSED,
        t::PROTOCOL_FEE,
        t::GRACE_CHANGED,
        t::GRACE_DISABLED,
    ];
    const CATEGORY: [B256; 4] =
        [t::CATEGORY_ADDED, t::CATEGORY_COLLATERAL, t::ASSET_CATEGORY, t::CATEGORY_ISOLATION];
    const PRICES: [B256; 5] =
        [t::ASSET_SOURCE, t::FALLBACK_ORACLE, t::PRICE_ORACLE, t::POOL_UPDATED, t::UPGRADED];
    if [t::MINT, t::BURN, t::BALANCE_TRANSFER].contains(topic) {
        Some(Family::Token)
    } else if POOL.contains(topic) {
        Some(Family::Pool)
    } else if CONFIGURATOR.contains(topic) {
        Some(Family::Configurator)
    } else if CATEGORY.contains(topic) {
        Some(Family::Category)
    } else if PRICES.contains(topic) {
        Some(Family::Prices)
    } else {
        None
    }
}

fn of_pool(topic: &B256, words: Words<'_>) -> Result<Event, Malformed> {
    match *topic {
        topics::RESERVE_DATA => {
            words.are(1, 5)?;
            let change = ReserveChange::Data {
                liquidity: (ray(words.word(0)?)?, ray(words.word(3)?)?),
                borrow: (ray(words.word(2)?)?, ray(words.word(4)?)?),
            };
            Ok(Event::Reserve { asset: words.who(0)?, change })
        }
        topics::COLLATERAL_ENABLED | topics::COLLATERAL_DISABLED => {
            words.are(2, 0)?;
            let is_used = *topic == topics::COLLATERAL_ENABLED;
            Ok(Event::CollateralUse { asset: words.who(0)?, user: words.who(1)?, is_used })
        }
        topics::USER_EMODE_SET => {
            words.are(1, 1)?;
            Ok(Event::UserCategory { user: words.who(0)?, category: small(words.word(0)?)? })
        }
        topics::SUPPLY | topics::REPAY => {
            words.are(3, 2)?;
            Ok(Event::Moved { user: words.who(1)? })
        }
        topics::WITHDRAW => {
            words.are(3, 1)?;
            Ok(Event::Moved { user: words.who(1)? })
        }
        topics::BORROW => {
            words.are(3, 4)?;
            Ok(Event::Borrowed { user: words.who(1)? })
        }
        topics::LIQUIDATION_CALL => liquidated(words),
        topics::DEFICIT_CREATED => {
            words.are(2, 1)?;
            Ok(Event::Moved { user: words.who(0)? })
        }
        topics::MINTED_TO_TREASURY => {
            words.are(1, 1)?;
            Ok(Event::Treasury { asset: words.who(0)? })
        }
        topics::DEFICIT_COVERED => {
            words.are(1, 2)?;
            Ok(Event::Treasury { asset: words.who(0)? })
        }
        _ => Err(Malformed::Unknown),
    }
}

fn liquidated(words: Words<'_>) -> Result<Event, Malformed> {
    words.are(3, 4)?;
    Ok(Event::Liquidated {
        collateral: words.who(0)?,
        debt: words.who(1)?,
        user: words.who(2)?,
        repaid: words.word(0)?,
        seized: words.word(1)?,
        liquidator: address(words.word(2)?)?,
    })
}

fn of_token(topic: &B256, words: Words<'_>) -> Result<Event, Malformed> {
    match *topic {
        topics::MINT => {
            words.are(2, 3)?;
            Ok(Event::Minted { user: words.who(1)? })
        }
        topics::BURN => {
            words.are(2, 3)?;
            Ok(Event::Burnt { user: words.who(0)? })
        }
        topics::BALANCE_TRANSFER => {
            words.are(2, 2)?;
            Ok(Event::Transferred { from: words.who(0)?, to: words.who(1)? })
        }
        _ => Err(Malformed::Unknown),
    }
}

fn of_configurator(topic: &B256, words: Words<'_>) -> Result<Event, Malformed> {
    let (indexed, length) = match *topic {
        topics::RESERVE_INITIALIZED => (2, 3),
        topics::COLLATERAL_CONFIGURATION => (1, 3),
        topics::PROTOCOL_FEE => (1, 2),
        topics::GRACE_DISABLED => (1, 0),
        _ => (1, 1),
    };
    words.are(indexed, length)?;
    let asset = words.who(0)?;
    let change = match *topic {
        topics::RESERVE_INITIALIZED => {
            let (a_token, debt_token) = (words.who(1)?, address(words.word(1)?)?);
            return Ok(Event::Listed { asset, a_token, debt_token });
        }
        topics::RESERVE_FROZEN => return flag(words.word(0)?).map(|_| Event::Frozen { asset }),
        topics::COLLATERAL_CONFIGURATION => {
            let (threshold_bps, bonus_bps) = (small(words.word(1)?)?, small(words.word(2)?)?);
            ReserveChange::Collateral { threshold_bps, bonus_bps }
        }
        topics::RESERVE_ACTIVE => ReserveChange::Active(flag(words.word(0)?)?),
        topics::RESERVE_PAUSED => ReserveChange::Paused(flag(words.word(0)?)?),
        topics::PROTOCOL_FEE => ReserveChange::Fee(small(words.word(1)?)?),
        topics::GRACE_CHANGED => ReserveChange::Grace(small(words.word(0)?)?),
        topics::GRACE_DISABLED => ReserveChange::Grace(0),
        _ => return Err(Malformed::Unknown),
    };
    Ok(Event::Reserve { asset, change })
}

fn of_category(topic: &B256, words: Words<'_>) -> Result<Event, Malformed> {
    match *topic {
        topics::CATEGORY_ADDED => category_added(words),
        topics::CATEGORY_COLLATERAL => {
            words.are(1, 2)?;
            let (asset, is_collateral) = (words.who(0)?, flag(words.word(1)?)?);
            let change = CategoryChange::Collateral { asset, is_collateral };
            Ok(Event::Category { category: small(words.word(0)?)?, change })
        }
        topics::ASSET_CATEGORY => {
            words.are(1, 2)?;
            small::<u8>(words.word(0)?)?;
            let change = ReserveChange::Category(small(words.word(1)?)?);
            Ok(Event::Reserve { asset: words.who(0)?, change })
        }
        topics::CATEGORY_ISOLATION => {
            words.are(1, 1)?;
            flag(words.word(0)?)?;
            Ok(Event::Isolation { category: small(words.indexed(0)?)? })
        }
        _ => Err(Malformed::Unknown),
    }
}

/// Its label, at the end, is of any length.
fn category_added(words: Words<'_>) -> Result<Event, Malformed> {
    if words.topics.len() != 1 {
        return Err(Malformed::Topics);
    }
    let oracle = address(words.word(3)?)?;
    let change = CategoryChange::Numbers {
        threshold_bps: small(words.word(1)?)?,
        bonus_bps: small(words.word(2)?)?,
        has_price_source: !oracle.is_zero(),
    };
    Ok(Event::Category { category: small(words.indexed(0)?)?, change })
}

fn of_prices(topic: &B256, words: Words<'_>) -> Result<Event, Malformed> {
    match *topic {
        topics::ASSET_SOURCE => {
            words.are(2, 0)?;
            Ok(Event::PriceSource { asset: words.who(0)? })
        }
        topics::FALLBACK_ORACLE => words.are(1, 0).map(|()| Event::Oracle),
        topics::PRICE_ORACLE => words.are(2, 0).map(|()| Event::Oracle),
        topics::POOL_UPDATED => words.are(2, 0).map(|()| Event::Upgraded),
        topics::UPGRADED => words.are(1, 0).map(|()| Event::Upgraded),
        _ => Err(Malformed::Unknown),
    }
}

#[cfg(test)]
mod tests;
