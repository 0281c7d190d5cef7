//! Comet's logs, as small events in the engine's own numbers.
//!
//! No event has a principal in it: a log that moves base tokens says whose account to read again,
//! not what it became. One that moves collateral says all.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use super::pause;
pub use super::topics::{
    ABSORB_COLLATERAL, ABSORB_DEBT, ALL, BUY_COLLATERAL, PAUSE_ACTION, SUPPLY, SUPPLY_COLLATERAL,
    TRANSFER, TRANSFER_COLLATERAL, UPGRADED, WITHDRAW, WITHDRAW_COLLATERAL, WITHDRAW_RESERVES,
};
use crate::decode::DecodeError;
use crate::decode::log::Log;

/// What a market's log says. Amounts are in the token's smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Base tokens arrived for an account.
    Supply {
        /// Whose principal rose.
        to: Address,
        /// What arrived.
        amount: u128,
    },
    /// Base tokens left from an account.
    Withdraw {
        /// Whose principal fell.
        from: Address,
        /// What left.
        amount: u128,
    },
    /// The positive part of a move of base tokens; one side is zero.
    Transfer {
        /// Whose principal fell, or zero.
        from: Address,
        /// Whose principal rose, or zero.
        to: Address,
    },
    /// Collateral arrived for an account.
    SupplyCollateral {
        /// Whose it is.
        to: Address,
        /// The collateral's token.
        asset: Address,
        /// What arrived.
        amount: u128,
    },
    /// Collateral moved between accounts.
    TransferCollateral {
        /// Whose it was.
        from: Address,
        /// Whose it is.
        to: Address,
        /// The collateral's token.
        asset: Address,
        /// What moved.
        amount: u128,
    },
    /// Collateral left from an account.
    WithdrawCollateral {
        /// Whose it was.
        from: Address,
        /// The collateral's token.
        asset: Address,
        /// What left.
        amount: u128,
    },
    /// An account's debt became the protocol's; it may have a credit now.
    AbsorbDebt {
        /// Whose it was.
        borrower: Address,
        /// What the reserves paid.
        base_paid_out: u128,
    },
    /// An account's collateral became the protocol's, all that it had.
    AbsorbCollateral {
        /// Whose it was.
        borrower: Address,
        /// The collateral's token.
        asset: Address,
        /// What it was.
        amount: u128,
    },
    /// The protocol sold collateral.
    BuyCollateral {
        /// The collateral's token.
        asset: Address,
        /// Base tokens that arrived.
        base_amount: u128,
        /// Collateral that left.
        collateral_amount: u128,
    },
    /// What is paused from now on: bits of [`pause`].
    Pause {
        /// All of them.
        bits: u8,
    },
    /// Base tokens that the governor took.
    WithdrawReserves {
        /// What left.
        amount: u128,
    },
    /// The market's code is another.
    Upgraded {
        /// Where the code is.
        implementation: Address,
    },
}

impl Event {
    /// Reads a log of a market; `None` if nothing that is mirrored is moved by it.
    ///
    /// # Errors
    /// When it has fewer topics or data than its first topic promises, or a value that no token
    /// has: such a log leaves the market to be read anew.
    pub fn of_log(log: &Log<'_>) -> Result<Option<Self>, DecodeError> {
        Self::decode(log.topics(), &|index| log.word(index))
    }

    /// The same from a log's topics and its data as bytes.
    ///
    /// # Errors
    /// As [`Self::of_log`].
    pub fn of_bytes(topics: &[B256], data: &[u8]) -> Result<Option<Self>, DecodeError> {
        let (words, _) = data.as_chunks::<32>();
        Self::decode(topics, &|index| {
            words.get(index).map(|word| U256::from_be_bytes(*word)).ok_or(DecodeError::OutOfBounds)
        })
    }

    fn decode(
        topics: &[B256],
        word: &impl Fn(usize) -> Result<U256, DecodeError>,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(first) = topics.first() else { return Ok(None) };
        let whose = |index| address(topics, index);
        let amount =
            |index| u128::try_from(word(index)?).map_err(|_overflow| DecodeError::AmountTooLarge);
        Ok(Some(match *first {
            SUPPLY => Self::Supply { to: whose(2)?, amount: amount(0)? },
            WITHDRAW => Self::Withdraw { from: whose(1)?, amount: amount(0)? },
            TRANSFER => Self::Transfer { from: whose(1)?, to: whose(2)? },
            SUPPLY_COLLATERAL => {
                Self::SupplyCollateral { to: whose(2)?, asset: whose(3)?, amount: amount(0)? }
            }
            TRANSFER_COLLATERAL => {
                let (from, to, asset) = (whose(1)?, whose(2)?, whose(3)?);
                Self::TransferCollateral { from, to, asset, amount: amount(0)? }
            }
            WITHDRAW_COLLATERAL => {
                Self::WithdrawCollateral { from: whose(1)?, asset: whose(3)?, amount: amount(0)? }
            }
            ABSORB_DEBT => Self::AbsorbDebt { borrower: whose(2)?, base_paid_out: amount(0)? },
            ABSORB_COLLATERAL => {
                Self::AbsorbCollateral { borrower: whose(2)?, asset: whose(3)?, amount: amount(0)? }
            }
            BUY_COLLATERAL => {
                let (base_amount, collateral_amount) = (amount(0)?, amount(1)?);
                Self::BuyCollateral { asset: whose(2)?, base_amount, collateral_amount }
            }
            PAUSE_ACTION => Self::Pause { bits: pause_bits(word)? },
            WITHDRAW_RESERVES => Self::WithdrawReserves { amount: amount(0)? },
            UPGRADED => Self::Upgraded { implementation: whose(1)? },
            _ => return Ok(None),
        }))
    }
}

/// The five switches, in the order in which the contract packs them.
fn pause_bits(word: &impl Fn(usize) -> Result<U256, DecodeError>) -> Result<u8, DecodeError> {
    let order = [pause::SUPPLY, pause::TRANSFER, pause::WITHDRAW, pause::ABSORB, pause::BUY];
    let mut bits = 0;
    for (index, bit) in order.into_iter().enumerate() {
        match word(index)? {
            U256::ZERO => {}
            U256::ONE => bits |= bit,
            _ => return Err(DecodeError::Contradiction),
        }
    }
    Ok(bits)
}

fn address(topics: &[B256], index: usize) -> Result<Address, DecodeError> {
    let topic = topics.get(index).ok_or(DecodeError::TopicCount)?;
    let (dirt, address) = topic.split_at(12);
    if dirt.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::DirtyAddress);
    }
    Ok(Address::from_slice(address))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        for (signature, topic) in ALL {
            assert_eq!(keccak256(signature), *topic, "{signature}");
        }
    }

    #[test]
    fn every_topic_is_an_event() {
        let word = |byte| B256::with_last_byte(byte);
        for (signature, topic) in ALL {
            let topics = [*topic, word(1), word(2), word(3)];
            let event = Event::of_bytes(&topics, &[0; 160]).expect(signature);
            assert!(event.is_some(), "{signature}");
            assert!(Event::of_bytes(&topics[..1], &[]).is_err(), "{signature}");
        }
        assert_eq!(Event::of_bytes(&[word(9)], &[]), Ok(None));
        assert_eq!(Event::of_bytes(&[], &[]), Ok(None));
    }

    #[test]
    fn accounts_and_amounts_stand_where_the_contract_puts_them() {
        let whose = |byte| Address::with_last_byte(byte);
        let topics = |topic| [topic, 1, 2, 3].map(B256::with_last_byte);
        let of = |topic: B256| {
            let mut topics = topics(0);
            topics[0] = topic;
            let data = [B256::with_last_byte(8), B256::with_last_byte(9)].concat();
            Event::of_bytes(&topics, &data).unwrap().unwrap()
        };
        assert_eq!(of(SUPPLY), Event::Supply { to: whose(2), amount: 8 });
        assert_eq!(of(WITHDRAW), Event::Withdraw { from: whose(1), amount: 8 });
        let asset = whose(3);
        assert_eq!(
            of(SUPPLY_COLLATERAL),
            Event::SupplyCollateral { to: whose(2), asset, amount: 8 }
        );
        let borrower = whose(2);
        assert_eq!(of(ABSORB_COLLATERAL), Event::AbsorbCollateral { borrower, asset, amount: 8 });
        let (asset, base_amount, collateral_amount) = (whose(2), 8, 9);
        assert_eq!(
            of(BUY_COLLATERAL),
            Event::BuyCollateral { asset, base_amount, collateral_amount }
        );
    }

    #[test]
    fn values_that_no_market_writes_are_errors() {
        let word = |byte| B256::with_last_byte(byte);
        let dirty = [SUPPLY, word(1), B256::repeat_byte(1)];
        assert_eq!(Event::of_bytes(&dirty, &[0; 32]), Err(DecodeError::DirtyAddress));
        let topics = [SUPPLY, word(1), word(2)];
        assert_eq!(Event::of_bytes(&topics, &[1; 32]), Err(DecodeError::AmountTooLarge));
        assert_eq!(Event::of_bytes(&topics, &[0; 31]), Err(DecodeError::OutOfBounds));
        assert_eq!(Event::of_bytes(&topics[..2], &[0; 32]), Err(DecodeError::TopicCount));
        let mut switches = [0; 160];
        switches[31] = 2;
        assert_eq!(Event::of_bytes(&[PAUSE_ACTION], &switches), Err(DecodeError::Contradiction));
    }

    proptest! {
        #[test]
        fn no_log_is_too_odd_to_be_refused(
            first in 0..ALL.len(),
            rest in prop::collection::vec(any::<[u8; 32]>(), 0..5),
            data in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut topics: Vec<_> = rest.into_iter().map(B256::from).collect();
            let _read = Event::of_bytes(&topics, &data);
            topics.insert(0, ALL[first].1);
            let _read = Event::of_bytes(&topics, &data);
        }
    }
}
