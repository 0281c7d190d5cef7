//! Views of many contracts, many in one call: what `abi/Calls.sol` is asked, byte for byte.
//!
//! Temperature: cold.

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, Bytes};
use anyhow::{Context, Result};

use super::abi::Token;
use crate::bootstrap::Reader;
use crate::bootstrap::lens::Question;
use crate::contracts::Calls;

/// Bytes of the longest call: a selector and two words.
const CALL_BYTES: usize = 4 + 2 * 32;
/// Words of an answer that nobody says to be longer: those of the widest record.
const WORDS: u16 = 15;
/// Letters of a token's name that are shown.
const SYMBOL_MAX: usize = 10;

/// One view of one contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    to: Address,
    /// The most bytes of the answer that are wanted.
    most: u16,
    data: [u8; CALL_BYTES],
    length: u8,
}

impl Call {
    /// A call whose answer has so many words at most.
    pub(super) fn new<C: SolCall>(to: Address, call: &C, words: u16) -> Result<Self> {
        let encoded = call.abi_encode();
        let mut data = [0; CALL_BYTES];
        data.get_mut(..encoded.len()).context("a longer call")?.copy_from_slice(&encoded);
        let length = u8::try_from(encoded.len())?;
        Ok(Self { to, most: words.saturating_mul(32), data, length })
    }
}

impl Question for Call {
    /// Nothing else is asked of this code, so it has no number.
    const KIND: u8 = 0;
    const BYTES: usize = 23 + CALL_BYTES;
    const ANSWER_BYTES: usize = 3 + 32;
    /// What was answered; `None` if the contract refuses.
    type Answer = Option<Bytes>;

    fn code() -> &'static [u8] {
        &Calls::BYTECODE
    }

    fn head(_: &mut Vec<u8>) {}

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to.as_slice());
        out.extend_from_slice(&self.most.to_be_bytes());
        out.push(self.length);
        out.extend_from_slice(&self.data[..usize::from(self.length)]);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self::Answer> {
        let ([is_ok, high, low], rest) = bytes.split_first_chunk()?;
        let (answer, rest) = rest.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
        *bytes = rest;
        Some((*is_ok == 1).then(|| Bytes::copy_from_slice(answer)))
    }

    fn rest(&self, _: &Self::Answer) -> Option<Self> {
        None
    }

    fn contract(&self) -> Address {
        self.to
    }
}

/// The answers of views, in order; `None` where a contract refuses or answers something else.
pub(super) fn views<C: SolCall>(
    reader: &mut Reader<'_>,
    label: &str,
    asked: &[(Address, C)],
) -> Result<Vec<Option<C::Return>>> {
    long_views(reader, label, asked, WORDS)
}

/// The same, with answers of so many words at most.
pub(super) fn long_views<C: SolCall>(
    reader: &mut Reader<'_>,
    label: &str,
    asked: &[(Address, C)],
    words: u16,
) -> Result<Vec<Option<C::Return>>> {
    let calls = asked.iter().map(|(to, call)| Call::new(*to, call, words));
    let calls: Vec<Call> = calls.collect::<Result<_>>()?;
    let answers = reader.ask(label, &calls)?.into_iter();
    Ok(answers.map(|answer| C::abi_decode_returns(&answer??).ok()).collect())
}

/// The answer of one view of each of these contracts, all of which must answer: `what` says whose
/// they are.
pub(super) fn needed<C: SolCall>(
    reader: &mut Reader<'_>,
    what: &str,
    asked: &[(Address, C)],
) -> Result<Vec<C::Return>> {
    let answers = views(reader, what, asked)?;
    let whole = answers.into_iter().zip(asked).map(|(answer, (to, _))| {
        answer.with_context(|| format!("{what}: {to} does not answer {}", C::SIGNATURE))
    });
    whole.collect()
}

/// The answer of one view of one contract.
pub(super) fn view<C: SolCall>(
    reader: &mut Reader<'_>,
    what: &str,
    to: Address,
    call: C,
) -> Result<C::Return> {
    let answer = needed(reader, what, &[(to, call)])?.pop();
    answer.with_context(|| format!("{what}: {to} does not answer"))
}

/// What tokens call themselves, as far as it can be shown; their addresses' first letters if not.
pub(crate) fn symbols(reader: &mut Reader<'_>, tokens: &[Address]) -> Result<Vec<String>> {
    let asked: Vec<_> = tokens.iter().map(|token| (*token, Token::symbolCall {})).collect();
    let told = views(reader, "symbols", &asked)?;
    Ok(tokens.iter().zip(told).map(|(token, told)| shown(token, told.as_deref())).collect())
}

/// Tokens' decimals; 0 where one does not say.
pub(crate) fn decimals(reader: &mut Reader<'_>, tokens: &[Address]) -> Result<Vec<u8>> {
    let asked: Vec<_> = tokens.iter().map(|token| (*token, Token::decimalsCall {})).collect();
    let told = views(reader, "decimals", &asked)?;
    Ok(told.into_iter().map(Option::unwrap_or_default).collect())
}

fn shown(token: &Address, told: Option<&str>) -> String {
    let is_plain = |text: &&str| {
        !text.is_empty() && text.len() <= SYMBOL_MAX && text.bytes().all(|c| c.is_ascii_graphic())
    };
    told.filter(is_plain).map_or_else(|| format!("{token}")[..8].to_owned(), str::to_owned)
}
