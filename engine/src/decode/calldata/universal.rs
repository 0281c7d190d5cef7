//! The Universal Router: a string of commands, each with its own input.
//!
//! A command's upper bit allows it to fail. For swaps and payments it changes nothing: the router
//! makes them itself, and what reverts there reverts it all. It counts for a plan within the plan,
//! which is a call of its own.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use super::abi::{Arguments, narrow, saturated, timestamp};
use super::action::{Action, Amount, Reader, Recipient, RoutedSwap};
use super::path::Path;
use super::selector::functions;
use crate::decode::DecodeError;
use crate::target::Way;

functions! {
    /// A function of the Universal Router.
    UniversalFunction {
        /// Commands, with a deadline.
        ExecuteUntil = "execute(bytes,bytes[],uint256)", 0x3593_564c;
        /// Commands.
        Execute = "execute(bytes,bytes[])", 0x2485_6bc3;
    }
}

const V3_SWAP_EXACT_IN: u8 = 0x00;
const V3_SWAP_EXACT_OUT: u8 = 0x01;
const PERMIT2_TRANSFER_FROM: u8 = 0x02;
const PERMIT2_PERMIT_BATCH: u8 = 0x03;
const SWEEP: u8 = 0x04;
const TRANSFER: u8 = 0x05;
const PAY_PORTION: u8 = 0x06;
const V2_SWAP_EXACT_IN: u8 = 0x08;
const V2_SWAP_EXACT_OUT: u8 = 0x09;
const PERMIT2_PERMIT: u8 = 0x0a;
const WRAP_NATIVE: u8 = 0x0b;
const UNWRAP_NATIVE: u8 = 0x0c;
const PERMIT2_TRANSFER_FROM_BATCH: u8 = 0x0d;
const EXECUTE_SUB_PLAN: u8 = 0x21;
const MAY_FAIL: u8 = 0x80;

/// Stands for all that the router holds.
const CONTRACT_BALANCE: U256 = U256::from_limbs([0, 0, 0, 1 << 63]);
/// A permit's token, amount, expiration, nonce, spender and deadline stand before its signature.
const PERMIT_WORDS: usize = 6;

/// Where in a plan a command stands.
#[derive(Clone, Copy)]
struct Place {
    depth: u8,
    /// Whether the plan around it may fail.
    may_fail: bool,
}

/// Reads a call.
pub(super) fn call<'a>(reader: &mut Reader<'a>, input: &'a [u8]) -> Result<(), DecodeError> {
    let (selector, rest) = input.split_first_chunk().ok_or(DecodeError::Unknown)?;
    let arguments = Arguments { bytes: rest };
    if UniversalFunction::of(*selector).ok_or(DecodeError::Unknown)?
        == UniversalFunction::ExecuteUntil
    {
        reader.not_after(timestamp(arguments.integer(2)?));
    }
    plan(reader, &arguments, Place { depth: 0, may_fail: false })
}

fn plan<'a>(
    reader: &mut Reader<'a>,
    arguments: &Arguments<'a>,
    place: Place,
) -> Result<(), DecodeError> {
    let place = Place { depth: Reader::deeper(place.depth)?, ..place };
    let commands = arguments.byte_string(0)?;
    let (count, inputs) = arguments.byte_strings(1)?;
    if commands.len() != count {
        return Err(DecodeError::Contradiction);
    }
    for (index, byte) in commands.iter().enumerate() {
        reader.enter()?;
        let input = Arguments { bytes: inputs.byte_string(index)? };
        command(reader, *byte, &input, place)?;
    }
    Ok(())
}

fn command<'a>(
    reader: &mut Reader<'a>,
    byte: u8,
    input: &Arguments<'a>,
    place: Place,
) -> Result<(), DecodeError> {
    match byte & !MAY_FAIL {
        V3_SWAP_EXACT_IN => swap(reader, input, Way::ExactIn, Path::packed(input, 3, false)?),
        V3_SWAP_EXACT_OUT => swap(reader, input, Way::ExactOut, Path::packed(input, 3, true)?),
        V2_SWAP_EXACT_IN => swap(reader, input, Way::ExactIn, Path::words(input, 3)?),
        V2_SWAP_EXACT_OUT => swap(reader, input, Way::ExactOutForward, Path::words(input, 3)?),
        // Whether a permit is good cannot be seen from here. One that is not, and must be, reverts
        // it all; one that need not be, because the approval is there, changes nothing.
        PERMIT2_PERMIT => input.byte_string(PERMIT_WORDS).map(|_| ()),
        PERMIT2_PERMIT_BATCH => input.byte_string(1).map(|_| ()),
        PERMIT2_TRANSFER_FROM_BATCH => transfers(reader, input),
        EXECUTE_SUB_PLAN => sub_plan(reader, byte, input, place),
        other => payment(reader, other, input),
    }
}

fn sub_plan<'a>(
    reader: &mut Reader<'a>,
    byte: u8,
    input: &Arguments<'a>,
    place: Place,
) -> Result<(), DecodeError> {
    if byte & MAY_FAIL == 0 {
        return plan(reader, input, place);
    }
    // An attempt within an attempt is more than anybody needs.
    if place.may_fail {
        return Err(DecodeError::TooMuch);
    }
    let start = reader.count();
    reader.push(Action::Try { count: 0 })?;
    plan(reader, input, Place { may_fail: true, ..place })?;
    reader.close_try(start);
    Ok(())
}

/// Recipient, amount, limit, path, and whether the sender pays.
fn swap<'a>(
    reader: &mut Reader<'a>,
    input: &Arguments<'a>,
    way: Way,
    path: Path<'a>,
) -> Result<(), DecodeError> {
    let amount = match way {
        // V2's swap pays this number as it is: the mark for all works there as far as the payment,
        // which is all that goes in.
        Way::ExactIn => Reader::amount(input.integer(1)?, CONTRACT_BALANCE)?,
        Way::ExactOut | Way::ExactOutForward => Amount::Exactly(narrow(input.integer(1)?)?),
    };
    let is_paid_by_router = !input.flag(4)?;
    // V2's input of nothing is what was paid to the pair before, and not known. The mark for all
    // is too large an amount for a sender to pay from.
    let is_unknown = !path.has_fees() && amount == Amount::Exactly(0)
        || amount == Amount::Held && !is_paid_by_router;
    if is_unknown {
        return Err(DecodeError::Unknown);
    }
    reader.push(Action::Swap(RoutedSwap {
        way,
        amount,
        limit: saturated(input.integer(2)?),
        path,
        price_limit: U256::ZERO,
        is_paid_by_router,
        to: recipient(input.address(0)?),
    }))
}

/// Permit2's list of transfers from the sender: from, to, amount, token. Recipients are as they
/// are here: no number stands for anybody.
fn transfers(reader: &mut Reader<'_>, input: &Arguments<'_>) -> Result<(), DecodeError> {
    let (count, bytes) = input.list(0)?;
    let items = Arguments { bytes };
    for at in (0..count).map(|item| item.saturating_mul(4)) {
        reader.enter()?;
        let (to, amount) = (items.address(at + 1)?, narrow(items.integer(at + 2)?)?);
        let (to, token) = (Recipient::Other(to), items.address(at + 3)?);
        reader.push(Action::Pull { token, amount, to })?;
    }
    Ok(())
}

fn payment(reader: &mut Reader<'_>, byte: u8, input: &Arguments<'_>) -> Result<(), DecodeError> {
    let (integer, address) = (|index| input.integer(index), |index| input.address(index));
    match byte {
        PERMIT2_TRANSFER_FROM => {
            let (token, to) = (address(0)?, recipient(address(1)?));
            reader.push(Action::Pull { token, amount: narrow(integer(2)?)?, to })
        }
        SWEEP => reader.sweep(address(0)?, integer(2)?, recipient(address(1)?)),
        TRANSFER => {
            let (token, to) = (address(0)?, recipient(address(1)?));
            let amount = Reader::amount(integer(2)?, CONTRACT_BALANCE)?;
            reader.push(Action::Pay { token, amount, to })
        }
        PAY_PORTION => {
            let (token, to, bips) = (address(0)?, recipient(address(1)?), integer(2)?);
            let bips = u16::try_from(bips).ok().filter(|bips| *bips <= 10_000);
            reader.push(Action::PayPortion { token, bips: bips.ok_or(DecodeError::Unknown)?, to })
        }
        WRAP_NATIVE => {
            let amount = Reader::amount(integer(1)?, CONTRACT_BALANCE)?;
            reader.push(Action::Wrap { amount, to: recipient(address(0)?) })
        }
        UNWRAP_NATIVE => {
            let (to, least) = (recipient(address(0)?), saturated(integer(1)?));
            reader.push(Action::Unwrap { least, to })
        }
        _ => Err(DecodeError::Unknown),
    }
}

fn recipient(to: Address) -> Recipient {
    match to {
        _ if to == Address::with_last_byte(1) => Recipient::Sender,
        _ if to == Address::with_last_byte(2) => Recipient::Router,
        _ => Recipient::Other(to),
    }
}
