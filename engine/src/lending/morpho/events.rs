//! What the contracts report: Morpho's own events, the adaptive curve's, and those of
//! pre-liquidations.
//!
//! A log is read by its first topic alone: whether its emitter is to be believed is for the caller
//! to say, who knows the addresses. Whatever is in a log, it is an event, none of ours or
//! [`Malformed`].
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

pub use super::topics::{
    ACCRUE_INTEREST, ALL, BORROW, BORROW_RATE_UPDATE, CREATE_MARKET, CREATE_PRE_LIQUIDATION,
    LIQUIDATE, PRE_LIQUIDATE, REPAY, SET_AUTHORIZATION, SET_FEE, SET_FEE_RECIPIENT, SUPPLY,
    SUPPLY_COLLATERAL, WITHDRAW, WITHDRAW_COLLATERAL,
};
use super::{FEE_MAX, Params, Terms, WAD_U64};
use crate::decode::log::Log;

/// Why a log that has one of these topics is none of these events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Malformed {
    /// Too few or too many topics.
    Topics,
    /// Its data is shorter or longer than the event's, or not hexadecimal.
    Data,
    /// A word that should be an address is more than that.
    Address,
    /// A number that the contract could not have written.
    Number,
    /// A market's name that is not the hash of its parameters.
    Id,
}

/// Assets and shares that an account moves in or out of a market's total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The market.
    pub id: B256,
    /// Whose shares they are.
    pub account: Address,
    /// In units of the loan token.
    pub assets: u128,
    /// Shares of the total.
    pub shares: u128,
}

/// Collateral that an account gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The market.
    pub id: B256,
    /// Whose position it is.
    pub account: Address,
    /// In units of the collateral token.
    pub collateral: u128,
}

/// What a liquidation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidated {
    /// The market.
    pub id: B256,
    /// Who liquidated.
    pub liquidator: Address,
    /// Who was liquidated.
    pub borrower: Address,
    /// What was paid, in units of the loan token.
    pub repaid_assets: u128,
    /// The shares that this repaid.
    pub repaid_shares: u128,
    /// What was taken, in units of the collateral token.
    pub seized: u128,
    /// What the lenders lost; nothing in a pre-liquidation.
    pub bad_debt_assets: u128,
    /// The shares that nobody repays; none in a pre-liquidation.
    pub bad_debt_shares: u128,
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A market was made.
    CreateMarket(Params),
    /// Interest was added.
    AccrueInterest {
        /// The market.
        id: B256,
        /// The rate that held, per second in WAD.
        rate: U256,
        /// What it came to, in units of the loan token.
        interest: u128,
        /// Shares of the supply that were made for the fee.
        fee_shares: u128,
    },
    /// Somebody lent.
    Supply(Flow),
    /// A lender took back.
    Withdraw(Flow),
    /// Somebody borrowed.
    Borrow(Flow),
    /// A debt was repaid.
    Repay(Flow),
    /// Collateral was given.
    SupplyCollateral(Deposit),
    /// Collateral was taken back.
    WithdrawCollateral(Deposit),
    /// A position was liquidated.
    Liquidate(Liquidated),
    /// A market's fee is another.
    SetFee {
        /// The market.
        id: B256,
        /// The share of the interest from now on, in WAD.
        fee: u64,
    },
    /// The fees go to another.
    SetFeeRecipient(Address),
    /// An account lets another act for it, or no longer.
    SetAuthorization {
        /// The account.
        authorizer: Address,
        /// Who may act.
        authorized: Address,
        /// Whether he may.
        is_authorized: bool,
    },
    /// The adaptive curve's rate at target moved.
    BorrowRateUpdate {
        /// The market.
        id: B256,
        /// The rate at target from now on, per second in WAD.
        rate_at_target: u64,
    },
    /// A pre-liquidation contract was made.
    CreatePreLiquidation {
        /// Its address.
        contract: Address,
        /// The market.
        id: B256,
        /// Its terms.
        terms: Terms,
    },
    /// A position was pre-liquidated.
    PreLiquidate(Liquidated),
}

impl Event {
    /// Reads a log of the node's; `None` if it is of another kind.
    ///
    /// # Errors
    /// When it has one of these topics, and is no such event.
    pub fn of_log(log: &Log<'_>) -> Result<Option<Self>, Malformed> {
        Reader { topics: log.topics(), bytes: log.data_bytes(), word: |at| log.word(at).ok() }
            .read()
    }

    /// Reads a log from its topics and its data in bytes; `None` if it is of another kind.
    ///
    /// # Errors
    /// When it has one of these topics, and is no such event.
    pub fn decode(topics: &[B256], data: &[u8]) -> Result<Option<Self>, Malformed> {
        let (words, _) = data.as_chunks::<32>();
        let word = |at: usize| words.get(at).map(|word| U256::from_be_bytes(*word));
        Reader { topics, bytes: data.len(), word }.read()
    }
}

/// A log's parts; `word` gives a word of its data.
struct Reader<'a, W> {
    topics: &'a [B256],
    bytes: usize,
    word: W,
}

impl<W: Fn(usize) -> Option<U256>> Reader<'_, W> {
    fn read(&self) -> Result<Option<Event>, Malformed> {
        let Some(topic) = self.topics.first() else { return Ok(None) };
        let event = match *topic {
            CREATE_MARKET => self.create_market()?,
            ACCRUE_INTEREST => self.accrue_interest()?,
            SUPPLY => Event::Supply(self.flow_in()?),
            WITHDRAW => Event::Withdraw(self.flow_out()?),
            BORROW => Event::Borrow(self.flow_out()?),
            REPAY => Event::Repay(self.flow_in()?),
            SUPPLY_COLLATERAL => Event::SupplyCollateral(self.deposit()?),
            WITHDRAW_COLLATERAL => Event::WithdrawCollateral(self.withdrawal()?),
            LIQUIDATE => Event::Liquidate(self.liquidated(5)?),
            SET_FEE => self.set_fee()?,
            SET_FEE_RECIPIENT => {
                self.expect(2, 0)?;
                Event::SetFeeRecipient(self.topic_address(1)?)
            }
            SET_AUTHORIZATION => self.set_authorization()?,
            BORROW_RATE_UPDATE => {
                self.expect(2, 2)?;
                Event::BorrowRateUpdate { id: self.topic(1)?, rate_at_target: self.u64(1)? }
            }
            CREATE_PRE_LIQUIDATION => self.create_pre_liquidation()?,
            PRE_LIQUIDATE => Event::PreLiquidate(self.liquidated(3)?),
            _ => return Ok(None),
        };
        Ok(Some(event))
    }

    fn create_market(&self) -> Result<Event, Malformed> {
        self.expect(2, 5)?;
        let params = Params {
            loan_token: self.address(0)?,
            collateral_token: self.address(1)?,
            oracle: self.address(2)?,
            irm: self.address(3)?,
            lltv: self.below(4, WAD_U64)?,
        };
        if params.id() != self.topic(1)? {
            return Err(Malformed::Id);
        }
        Ok(Event::CreateMarket(params))
    }

    fn accrue_interest(&self) -> Result<Event, Malformed> {
        self.expect(2, 3)?;
        let (rate, interest, fee_shares) = (self.word(0)?, self.u128(1)?, self.u128(2)?);
        Ok(Event::AccrueInterest { id: self.topic(1)?, rate, interest, fee_shares })
    }

    /// With the caller and the account in topics.
    fn flow_in(&self) -> Result<Flow, Malformed> {
        self.expect(4, 2)?;
        self.topic_address(2)?;
        let (id, account) = (self.topic(1)?, self.topic_address(3)?);
        Ok(Flow { id, account, assets: self.u128(0)?, shares: self.u128(1)? })
    }

    /// With the account and the receiver in topics, and the caller in the data.
    fn flow_out(&self) -> Result<Flow, Malformed> {
        self.expect(4, 3)?;
        self.topic_address(3)?;
        self.address(0)?;
        let (id, account) = (self.topic(1)?, self.topic_address(2)?);
        Ok(Flow { id, account, assets: self.u128(1)?, shares: self.u128(2)? })
    }

    fn deposit(&self) -> Result<Deposit, Malformed> {
        self.expect(4, 1)?;
        self.topic_address(2)?;
        let (id, account) = (self.topic(1)?, self.topic_address(3)?);
        Ok(Deposit { id, account, collateral: self.u128(0)? })
    }

    fn withdrawal(&self) -> Result<Deposit, Malformed> {
        self.expect(4, 2)?;
        self.topic_address(3)?;
        self.address(0)?;
        let (id, account) = (self.topic(1)?, self.topic_address(2)?);
        Ok(Deposit { id, account, collateral: self.u128(1)? })
    }

    /// With so many words of data; those that a pre-liquidation does not have are zero.
    fn liquidated(&self, words: usize) -> Result<Liquidated, Malformed> {
        self.expect(4, words)?;
        let has_bad_debt = words == 5;
        let bad_debt = |at| if has_bad_debt { self.u128(at) } else { Ok(0) };
        Ok(Liquidated {
            id: self.topic(1)?,
            liquidator: self.topic_address(2)?,
            borrower: self.topic_address(3)?,
            repaid_assets: self.u128(0)?,
            repaid_shares: self.u128(1)?,
            seized: self.u128(2)?,
            bad_debt_assets: bad_debt(3)?,
            bad_debt_shares: bad_debt(4)?,
        })
    }

    fn set_fee(&self) -> Result<Event, Malformed> {
        self.expect(2, 1)?;
        let fee = self.u64(0)?;
        if fee > FEE_MAX {
            return Err(Malformed::Number);
        }
        Ok(Event::SetFee { id: self.topic(1)?, fee })
    }

    fn set_authorization(&self) -> Result<Event, Malformed> {
        self.expect(4, 1)?;
        self.topic_address(1)?;
        let (authorizer, authorized) = (self.topic_address(2)?, self.topic_address(3)?);
        let is_authorized = self.below(0, 2)? == 1;
        Ok(Event::SetAuthorization { authorizer, authorized, is_authorized })
    }

    fn create_pre_liquidation(&self) -> Result<Event, Malformed> {
        self.expect(2, 7)?;
        let id = B256::from(self.word(0)?);
        let terms = Terms {
            threshold: self.below(1, WAD_U64)?,
            close_factors: [self.u128(2)?, self.u128(3)?],
            incentives: [self.u128(4)?, self.u128(5)?],
            oracle: self.address(6)?,
        };
        Ok(Event::CreatePreLiquidation { contract: self.topic_address(1)?, id, terms })
    }

    fn expect(&self, topics: usize, words: usize) -> Result<(), Malformed> {
        if self.topics.len() != topics {
            return Err(Malformed::Topics);
        }
        if Some(self.bytes) != words.checked_mul(32) {
            return Err(Malformed::Data);
        }
        Ok(())
    }

    fn topic(&self, at: usize) -> Result<B256, Malformed> {
        self.topics.get(at).copied().ok_or(Malformed::Topics)
    }

    fn topic_address(&self, at: usize) -> Result<Address, Malformed> {
        address_in(self.topic(at)?)
    }

    fn word(&self, at: usize) -> Result<U256, Malformed> {
        (self.word)(at).ok_or(Malformed::Data)
    }

    fn address(&self, at: usize) -> Result<Address, Malformed> {
        address_in(self.word(at)?.into())
    }

    fn u128(&self, at: usize) -> Result<u128, Malformed> {
        u128::try_from(self.word(at)?).map_or(Err(Malformed::Number), Ok)
    }

    fn u64(&self, at: usize) -> Result<u64, Malformed> {
        u64::try_from(self.word(at)?).map_or(Err(Malformed::Number), Ok)
    }

    fn below(&self, at: usize, limit: u64) -> Result<u64, Malformed> {
        let number = self.u64(at)?;
        if number < limit { Ok(number) } else { Err(Malformed::Number) }
    }
}

/// The address in a word, which has nothing else in it.
fn address_in(word: B256) -> Result<Address, Malformed> {
    let address = Address::from_word(word);
    if address.into_word() == word { Ok(address) } else { Err(Malformed::Address) }
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

    fn word(number: u64) -> [u8; 32] {
        U256::from(number).to_be_bytes()
    }

    #[test]
    fn an_address_with_more_in_it_and_a_number_too_large_are_malformed() {
        let id = B256::repeat_byte(7);
        let good = [SUPPLY_COLLATERAL, id, B256::with_last_byte(1), B256::with_last_byte(2)];
        let account = Address::with_last_byte(2);
        let expected = Event::SupplyCollateral(Deposit { id, account, collateral: 9 });
        assert_eq!(Event::decode(&good, &word(9)), Ok(Some(expected)));
        assert_eq!(Event::decode(&good, &[0xff; 32]), Err(Malformed::Number));
        assert_eq!(Event::decode(&good, &[0; 31]), Err(Malformed::Data));
        assert_eq!(Event::decode(&good, &[0; 64]), Err(Malformed::Data));
        assert_eq!(Event::decode(&good[..3], &word(9)), Err(Malformed::Topics));
        let bad = [SUPPLY_COLLATERAL, id, B256::with_last_byte(1), id];
        assert_eq!(Event::decode(&bad, &word(9)), Err(Malformed::Address));
        assert_eq!(Event::decode(&[], &[]), Ok(None));
        assert_eq!(Event::decode(&[id], &[]), Ok(None));
    }

    #[test]
    fn a_market_is_believed_only_under_its_own_name() {
        let params = Params { lltv: WAD_U64 - 1, ..Params::default() };
        let data = |lltv| [[0; 32], [0; 32], [0; 32], [0; 32], word(lltv)].concat();
        let topics = [CREATE_MARKET, params.id()];
        let made = Event::decode(&topics, &data(params.lltv));
        assert_eq!(made, Ok(Some(Event::CreateMarket(params))));
        assert_eq!(Event::decode(&topics, &data(1)), Err(Malformed::Id));
        assert_eq!(Event::decode(&topics, &data(WAD_U64)), Err(Malformed::Number));
        let fee = [SET_FEE, B256::ZERO];
        assert!(Event::decode(&fee, &word(FEE_MAX)).is_ok());
        assert_eq!(Event::decode(&fee, &word(FEE_MAX + 1)), Err(Malformed::Number));
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_log_it_is_read_or_refused(
            kind in 0..ALL.len(), topics in proptest::collection::vec(any::<[u8; 32]>(), 0..4),
            words in proptest::collection::vec(any::<[u8; 32]>(), 0..9), rest in 0_usize..32,
            are_small in any::<bool>(),
        ) {
            // Small numbers come further.
            let shrink = |word: &[u8; 32]| match are_small {
                true => U256::from(u64::from(word[0])).into(),
                false => B256::from(*word),
            };
            let mut all = Vec::from([ALL[kind].1]);
            all.extend(topics.iter().map(shrink));
            let mut data: Vec<u8> = words.iter().flat_map(|word| shrink(word).0).collect();
            data.resize(data.len() + rest % 2, 0);
            let read = Event::decode(&all, &data);
            prop_assert!(!matches!(read, Ok(None)));
        }
    }
}
