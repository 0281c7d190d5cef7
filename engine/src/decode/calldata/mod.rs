//! What a pending transaction calls: swaps through the routers of Uniswap V2, V3 and of both, or
//! straight at a pair.
//!
//! Takes decoded calldata and returns what it fixes: [`parse`] for Router02 and pairs, one swap a
//! transaction; [`actions`] for `SwapRouter`, `SwapRouter02` and the Universal Router, which do
//! several things one after another. Total on hostile calldata: offsets may point anywhere, lengths
//! may be anything, calls may be nested in themselves, and none of it is followed out of the data
//! or without an end. What a contract would accept but nobody sends in earnest (an address with
//! something in its upper bytes) is refused rather than guessed at. The layout is the contracts'
//! own: offsets need not be canonical, and bytes after the last argument are ignored.
//!
//! Temperature: hot.

pub(crate) mod abi;
mod action;
mod path;
mod periphery;
mod router;
mod selector;
mod universal;

pub use self::action::{Action, Actions, Amount, Recipient, RoutedSwap};
pub use self::path::Path;
pub use self::periphery::PeripheryFunction;
pub use self::router::{Call, PAIR_SWAP, PairSwap, RouterFunction, RouterSwap, parse};
pub use self::universal::UniversalFunction;

use self::action::Reader;
use crate::decode::DecodeError;
use crate::world::RouterKind;

/// Reads calldata that is sent to a router of this kind.
///
/// # Errors
/// When it asks for anything that is not followed, or for more than is, or is no call at all.
pub fn actions(input: &[u8], kind: RouterKind) -> Result<Actions<'_>, DecodeError> {
    let mut reader = Reader::new(kind);
    match kind {
        RouterKind::SwapRouter | RouterKind::SwapRouter02 => {
            periphery::call(&mut reader, input, 0)?;
        }
        RouterKind::Universal => universal::call(&mut reader, input)?,
    }
    Ok(reader.found)
}

#[cfg(test)]
#[expect(non_snake_case, reason = "fields are named as the contracts name them")]
mod tests;
