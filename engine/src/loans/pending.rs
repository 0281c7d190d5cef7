//! Pending transactions that concern loans: oracle updates, and help for a borrower.
//!
//! Total on hostile calldata.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use super::book::{Book, Relief, Size};
use super::comet::BASE;
use super::source::{Report, age_of};
use super::{Loans, Source};
use crate::decode::DecodeError;
use crate::decode::calldata::abi::Arguments;
use crate::ids::LoanId;
use crate::lending::morpho::Params;
use crate::lending::transmission::Transmission;

/// `repay(address,uint256,uint256,address)` of Aave's pool.
pub const AAVE_REPAY: [u8; 4] = [0x57, 0x3a, 0xde, 0x81];
/// `repayWithATokens(address,uint256,uint256)` of Aave's pool.
pub const AAVE_REPAY_WITH_A_TOKENS: [u8; 4] = [0x2d, 0xad, 0x97, 0xd4];
/// `supply(address,uint256,address,uint16)` of Aave's pool.
pub const AAVE_SUPPLY: [u8; 4] = [0x61, 0x7b, 0xa0, 0x37];
/// `repay((address,address,address,address,uint256),uint256,uint256,address,bytes)` of Morpho.
pub const MORPHO_REPAY: [u8; 4] = [0x20, 0xb7, 0x6e, 0x81];
/// `supplyCollateral((address,address,address,address,uint256),uint256,address,bytes)` of Morpho.
pub const MORPHO_SUPPLY: [u8; 4] = [0x23, 0x8d, 0x65, 0x79];
/// `supply(address,uint256)` of a market of Compound III.
pub const COMET_SUPPLY: [u8; 4] = [0xf2, 0xb9, 0xfd, 0xb8];
/// `supplyTo(address,address,uint256)` of a market of Compound III.
pub const COMET_SUPPLY_TO: [u8; 4] = [0x42, 0x32, 0xcd, 0x63];

/// What a pending transaction does to loans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Brings an oracle update.
    Report(Report),
    /// Helps a borrower, in a reserve of this number.
    Relief(LoanId, u16, Relief),
}

impl Loans {
    /// Whether a pending transaction to this contract may concern loans.
    #[must_use]
    pub fn is_concerned(&self, to: &Address) -> bool {
        let is_source = |source: &Source| {
            source.aggregator == *to || source.senders.iter().any(|sender| sender.contract == *to)
        };
        !self.is_empty()
            && (self.books.iter().any(|book| book.is_called(to))
                || self.sources.iter().any(is_source))
    }

    /// Reads calldata that `from` sends to `to`; `None` if it does nothing to loans.
    #[must_use]
    pub fn pending(&self, [from, to]: [Address; 2], calldata: &[u8]) -> Option<Pending> {
        let numbered = (0..self.books.len()).zip(&self.books);
        let called = numbered.into_iter().find(|(_, book)| book.is_called(&to));
        if let Some((number, book)) = called {
            let (place, reserve, relief) = match book {
                Book::Aave(_) => self.aave(number, from, calldata)?,
                Book::Morpho(_) => self.morpho(number, calldata)?,
                Book::Comet(_) => self.comet(number, from, calldata)?,
            };
            return Some(Pending::Relief(self.handle(number, place), reserve, relief));
        }
        let pending = Transmission::parse(to, calldata).ok()?;
        let sources = (0_u16..).zip(&self.sources);
        let mut sources = sources.into_iter();
        let (source, _) = sources.find(|(_, source)| source.takes(&pending, from))?;
        let Transmission { route, answer, .. } = pending;
        Some(Pending::Report(Report { source, route, answer, age: age_of(&pending) }))
    }

    /// Counts a pending transaction that [is a concern](Self::is_concerned): what it was read as.
    pub(crate) fn count_pending(&mut self, pending: Option<&Pending>) {
        if let Some(Pending::Report(report)) = pending
            && let Some(source) = self.sources.get_mut(usize::from(report.source))
        {
            // The aggregator takes no older one behind it, and nobody sends one before it.
            source.newest = source.newest.max(report.age);
        }
        let counts = &mut self.counts;
        let count = match pending {
            Some(Pending::Report(_)) => &mut counts.transmissions,
            Some(Pending::Relief(..)) => &mut counts.reliefs,
            None => &mut counts.passed_over,
        };
        *count += 1;
    }

    fn aave(&self, number: usize, from: Address, calldata: &[u8]) -> Option<(u32, u16, Relief)> {
        let Some(Book::Aave(book)) = self.books.get(number) else { return None };
        let (selector, bytes) = calldata.split_first_chunk()?;
        let arguments = Arguments { bytes };
        let amount = || arguments.integer(1).ok().map(saturated);
        let (relief, user) = match *selector {
            AAVE_REPAY => (Relief::Repay(Size::Debt(amount()?)), arguments.address(3).ok()?),
            AAVE_REPAY_WITH_A_TOKENS => (Relief::Repay(Size::Debt(amount()?)), from),
            AAVE_SUPPLY => (Relief::Supply(amount()?), arguments.address(2).ok()?),
            _ => return None,
        };
        let reserve = book.market.reserve_of(&arguments.address(0).ok()?)?;
        Some((book.market.account_of(&user)?, reserve, relief))
    }

    fn morpho(&self, number: usize, calldata: &[u8]) -> Option<(u32, u16, Relief)> {
        let Some(Book::Morpho(book)) = self.books.get(number) else { return None };
        let (selector, bytes) = calldata.split_first_chunk()?;
        let arguments = Arguments { bytes };
        let name = market_of(&arguments).ok()?;
        let number_at = |at| arguments.integer(at).ok().map(saturated);
        let (relief, user) = match *selector {
            MORPHO_REPAY => {
                let size = match (number_at(5)?, number_at(6)?) {
                    (assets, 0) => Size::Debt(assets),
                    (0, shares) => Size::Shares(shares),
                    _ => return None,
                };
                (Relief::Repay(size), arguments.address(7).ok()?)
            }
            MORPHO_SUPPLY => (Relief::Supply(number_at(5)?), arguments.address(6).ok()?),
            _ => return None,
        };
        let market = book.table.market_id(&name)?;
        Some((book.table.position_id(market, user)?.0, 0, relief))
    }

    /// What is supplied of the base token repays a debt first.
    fn comet(&self, number: usize, from: Address, calldata: &[u8]) -> Option<(u32, u16, Relief)> {
        let Some(Book::Comet(book)) = self.books.get(number) else { return None };
        let (selector, bytes) = calldata.split_first_chunk()?;
        let arguments = Arguments { bytes };
        let (user, asset, amount) = match *selector {
            COMET_SUPPLY => (from, 0, 1),
            COMET_SUPPLY_TO => (arguments.address(0).ok()?, 1, 2),
            _ => return None,
        };
        let amount = saturated(arguments.integer(amount).ok()?);
        let reserve = book.reserve_of(&arguments.address(asset).ok()?)?;
        let relief = match reserve {
            BASE => Relief::Repay(Size::Debt(amount)),
            _ => Relief::Supply(amount),
        };
        Some((book.account_of(&user)?, reserve, relief))
    }
}

impl Book {
    /// Whether this contract is the one that borrowers call.
    fn is_called(&self, to: &Address) -> bool {
        match self {
            Self::Aave(book) => book.market.contracts().pool == *to,
            Self::Morpho(book) => book.address() == *to,
            Self::Comet(book) => book.address() == *to,
        }
    }
}

/// The name of the market whose parameters are the first five words.
fn market_of(arguments: &Arguments<'_>) -> Result<B256, DecodeError> {
    let lltv = arguments.integer(4)?;
    let params = Params {
        loan_token: arguments.address(0)?,
        collateral_token: arguments.address(1)?,
        oracle: arguments.address(2)?,
        irm: arguments.address(3)?,
        lltv: u64::try_from(lltv).or(Err(DecodeError::AmountTooLarge))?,
    };
    Ok(params.id())
}

fn saturated(amount: U256) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn every_selector_is_that_of_its_signature() {
        let params = "(address,address,address,address,uint256)";
        let morpho = |name: &str, rest: &str| std::format!("{name}({params},{rest})");
        for (selector, signature) in [
            (AAVE_REPAY, "repay(address,uint256,uint256,address)".into()),
            (AAVE_REPAY_WITH_A_TOKENS, "repayWithATokens(address,uint256,uint256)".into()),
            (AAVE_SUPPLY, "supply(address,uint256,address,uint16)".into()),
            (COMET_SUPPLY, "supply(address,uint256)".into()),
            (COMET_SUPPLY_TO, "supplyTo(address,address,uint256)".into()),
            (MORPHO_REPAY, morpho("repay", "uint256,uint256,address,bytes")),
            (MORPHO_SUPPLY, morpho("supplyCollateral", "uint256,address,bytes")),
        ] {
            assert_eq!(selector, keccak256(signature.as_bytes())[..4], "{signature}");
        }
    }
}
