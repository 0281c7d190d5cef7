//! The routers of Uniswap V3's periphery: `SwapRouter`, and `SwapRouter02`, which has V2's swaps
//! too.
//!
//! Temperature: hot.

use alloy_primitives::{Address, B256, U256};

use super::abi::{Arguments, narrow, saturated, timestamp};
use super::action::{Action, Amount, Reader, Recipient, RoutedSwap};
use super::path::Path;
use super::selector::functions;
use crate::decode::DecodeError;
use crate::target::Way;
use crate::world::RouterKind;

functions! {
    /// A function of V3's `SwapRouter` or of `SwapRouter02`.
    PeripheryFunction {
        /// Several calls one after another, all or none.
        Multicall = "multicall(bytes[])", 0xac96_50d8;
        /// The same, with a deadline.
        MulticallUntil = "multicall(uint256,bytes[])", 0x5ae4_01dc;
        /// The same, right behind one block.
        MulticallBehind = "multicall(bytes32,bytes[])", 0x1f04_64d1;
        /// Exact input through one pool, with a deadline.
        ExactInputSingleUntil =
            "exactInputSingle(\
             (address,address,uint24,address,uint256,uint256,uint256,uint160))", 0x414b_f389;
        /// Exact input along a path, with a deadline.
        ExactInputUntil = "exactInput((bytes,address,uint256,uint256,uint256))", 0xc04b_8d59;
        /// Exact output through one pool, with a deadline.
        ExactOutputSingleUntil =
            "exactOutputSingle(\
             (address,address,uint24,address,uint256,uint256,uint256,uint160))", 0xdb3e_2198;
        /// Exact output along a path, with a deadline.
        ExactOutputUntil = "exactOutput((bytes,address,uint256,uint256,uint256))", 0xf28c_0498;
        /// Exact input through one pool.
        ExactInputSingle =
            "exactInputSingle(\
             (address,address,uint24,address,uint256,uint256,uint160))", 0x04e4_5aaf;
        /// Exact input along a path.
        ExactInput = "exactInput((bytes,address,uint256,uint256))", 0xb858_183f;
        /// Exact output through one pool.
        ExactOutputSingle =
            "exactOutputSingle(\
             (address,address,uint24,address,uint256,uint256,uint160))", 0x5023_b4df;
        /// Exact output along a path.
        ExactOutput = "exactOutput((bytes,address,uint256,uint256))", 0x09b8_1346;
        /// Exact input through V2's pairs.
        ExactTokensForTokens =
            "swapExactTokensForTokens(uint256,uint256,address[],address)", 0x472b_43f3;
        /// Exact output through V2's pairs.
        TokensForExactTokens =
            "swapTokensForExactTokens(uint256,uint256,address[],address)", 0x4271_2a67;
        /// Unwraps what the router holds.
        Unwrap = "unwrapWETH9(uint256,address)", 0x4940_4b7c;
        /// The same, for the sender.
        UnwrapForSender = "unwrapWETH9(uint256)", 0x4961_6997;
        /// Unwraps what the router holds, and pays a part of it to somebody else.
        UnwrapWithFee = "unwrapWETH9WithFee(uint256,address,uint256,address)", 0x9b2c_0a37;
        /// The same, for the sender.
        UnwrapWithFeeForSender = "unwrapWETH9WithFee(uint256,uint256,address)", 0xd4ef_38de;
        /// Pays all that the router holds of a token.
        Sweep = "sweepToken(address,uint256,address)", 0xdf2a_b5bb;
        /// The same, for the sender.
        SweepForSender = "sweepToken(address,uint256)", 0xe90a_182f;
        /// Pays all that the router holds of a token, a part of it to somebody else.
        SweepWithFee = "sweepTokenWithFee(address,uint256,address,uint256,address)", 0xe0e1_89a0;
        /// The same, for the sender.
        SweepWithFeeForSender = "sweepTokenWithFee(address,uint256,uint256,address)", 0x3068_c554;
        /// Gives back the native that is left.
        Refund = "refundETH()", 0x1221_0e8a;
        /// Wraps native that was sent along.
        Wrap = "wrapETH(uint256)", 0x1c58_db4f;
        /// Takes a token from the sender.
        Pull = "pull(address,uint256)", 0xf2d5_d56b;
        /// A signed approval of the token that is paid.
        SelfPermit = "selfPermit(address,uint256,uint256,uint8,bytes32,bytes32)", 0xf399_5c67;
        /// The same, unless there is one.
        SelfPermitIfNecessary =
            "selfPermitIfNecessary(address,uint256,uint256,uint8,bytes32,bytes32)", 0xc2e3_140a;
        /// The same, as DAI has it.
        SelfPermitAllowed =
            "selfPermitAllowed(address,uint256,uint256,uint8,bytes32,bytes32)", 0x4659_a494;
        /// The same, as DAI has it, unless there is one.
        SelfPermitAllowedIfNecessary =
            "selfPermitAllowedIfNecessary(\
             address,uint256,uint256,uint8,bytes32,bytes32)", 0xa4a7_8f0c;
    }
}

impl PeripheryFunction {
    /// Whether this router has it.
    #[must_use]
    pub const fn is_of(self, kind: RouterKind) -> bool {
        match self {
            Self::ExactInputSingleUntil
            | Self::ExactInputUntil
            | Self::ExactOutputSingleUntil
            | Self::ExactOutputUntil => matches!(kind, RouterKind::SwapRouter),
            Self::MulticallUntil
            | Self::MulticallBehind
            | Self::ExactInputSingle
            | Self::ExactInput
            | Self::ExactOutputSingle
            | Self::ExactOutput
            | Self::ExactTokensForTokens
            | Self::TokensForExactTokens
            | Self::UnwrapForSender
            | Self::UnwrapWithFeeForSender
            | Self::SweepForSender
            | Self::SweepWithFeeForSender
            | Self::Wrap
            | Self::Pull => matches!(kind, RouterKind::SwapRouter02),
            Self::Multicall
            | Self::Unwrap
            | Self::UnwrapWithFee
            | Self::Sweep
            | Self::SweepWithFee
            | Self::Refund
            | Self::SelfPermit
            | Self::SelfPermitIfNecessary
            | Self::SelfPermitAllowed
            | Self::SelfPermitAllowedIfNecessary => {
                matches!(kind, RouterKind::SwapRouter | RouterKind::SwapRouter02)
            }
        }
    }
}

/// Reads one call, and those that are within it.
pub(super) fn call<'a>(
    reader: &mut Reader<'a>,
    input: &'a [u8],
    depth: u8,
) -> Result<(), DecodeError> {
    use PeripheryFunction as F;

    reader.enter()?;
    let (selector, rest) = input.split_first_chunk().ok_or(DecodeError::Unknown)?;
    let arguments = Arguments { bytes: rest };
    let function = F::of(*selector).filter(|function| function.is_of(reader.kind));
    let function = function.ok_or(DecodeError::Unknown)?;
    match function {
        F::Multicall => multicall(reader, &arguments, 0, depth),
        F::MulticallUntil => {
            reader.not_after(timestamp(arguments.integer(0)?));
            multicall(reader, &arguments, 1, depth)
        }
        F::MulticallBehind => {
            reader.behind(B256::new(*arguments.word(0)?))?;
            multicall(reader, &arguments, 1, depth)
        }
        F::ExactInputSingleUntil | F::ExactInputSingle => single(reader, &arguments, Way::ExactIn),
        F::ExactOutputSingleUntil | F::ExactOutputSingle => {
            single(reader, &arguments, Way::ExactOut)
        }
        F::ExactInputUntil | F::ExactInput => along(reader, &arguments, Way::ExactIn),
        F::ExactOutputUntil | F::ExactOutput => along(reader, &arguments, Way::ExactOut),
        F::ExactTokensForTokens => pairs(reader, &arguments, Way::ExactIn),
        F::TokensForExactTokens => pairs(reader, &arguments, Way::ExactOutForward),
        F::Unwrap
        | F::UnwrapForSender
        | F::UnwrapWithFee
        | F::UnwrapWithFeeForSender
        | F::Sweep
        | F::SweepForSender
        | F::SweepWithFee
        | F::SweepWithFeeForSender
        | F::Refund
        | F::Wrap
        | F::Pull
        | F::SelfPermit
        | F::SelfPermitIfNecessary
        | F::SelfPermitAllowed
        | F::SelfPermitAllowedIfNecessary => payment(reader, function, &arguments),
    }
}

fn multicall<'a>(
    reader: &mut Reader<'a>,
    arguments: &Arguments<'a>,
    index: usize,
    depth: u8,
) -> Result<(), DecodeError> {
    let depth = Reader::deeper(depth)?;
    let (count, calls) = arguments.byte_strings(index)?;
    for place in 0..count {
        call(reader, calls.byte_string(place)?, depth)?;
    }
    Ok(())
}

/// The functions through one pool: three words of path, and five or four more.
fn single<'a>(
    reader: &mut Reader<'a>,
    arguments: &Arguments<'a>,
    way: Way,
) -> Result<(), DecodeError> {
    let path = Path::single(arguments)?;
    let behind = terms(reader, arguments, way, 3)?;
    let price_limit = arguments.integer(behind.next)?;
    if price_limit >> 160 != U256::ZERO {
        return Err(DecodeError::Unknown);
    }
    reader.push(Action::Swap(RoutedSwap { path, price_limit, ..behind.swap(way, path) }))
}

/// The functions along a path: a tuple whose first word points to it.
fn along<'a>(
    reader: &mut Reader<'a>,
    arguments: &Arguments<'a>,
    way: Way,
) -> Result<(), DecodeError> {
    let tuple = arguments.tuple(0)?;
    let path = Path::packed(&tuple, 0, matches!(way, Way::ExactOut))?;
    let terms = terms(reader, &tuple, way, 1)?;
    reader.push(Action::Swap(terms.swap(way, path)))
}

/// `SwapRouter02`'s functions through pairs.
fn pairs<'a>(
    reader: &mut Reader<'a>,
    arguments: &Arguments<'a>,
    way: Way,
) -> Result<(), DecodeError> {
    let amount = exact(reader.kind, way, arguments.integer(0)?)?;
    let limit = saturated(arguments.integer(1)?);
    let path = Path::words(arguments, 2)?;
    let to = recipient(reader.kind, arguments.address(3)?);
    let terms = Terms { amount, limit, to, next: 4 };
    reader.push(Action::Swap(terms.swap(way, path)))
}

/// What V3's swaps have in common.
struct Terms {
    amount: Amount,
    limit: u128,
    to: Recipient,
    /// The word behind them.
    next: usize,
}

impl Terms {
    fn swap<'a>(&self, way: Way, path: Path<'a>) -> RoutedSwap<'a> {
        RoutedSwap {
            way,
            amount: self.amount,
            limit: self.limit,
            path,
            price_limit: U256::ZERO,
            is_paid_by_router: self.amount == Amount::Held,
            to: self.to,
        }
    }
}

/// Recipient, deadline (`SwapRouter` only), amount and limit, from word `at`.
fn terms(
    reader: &mut Reader<'_>,
    arguments: &Arguments<'_>,
    way: Way,
    at: usize,
) -> Result<Terms, DecodeError> {
    let to = recipient(reader.kind, arguments.address(at)?);
    let mut next = at + 1;
    if reader.kind == RouterKind::SwapRouter {
        reader.not_after(timestamp(arguments.integer(next)?));
        next += 1;
    }
    let amount = exact(reader.kind, way, arguments.integer(next)?)?;
    let limit = saturated(arguments.integer(next + 1)?);
    Ok(Terms { amount, limit, to, next: next + 2 })
}

/// An input of nothing is all that `SwapRouter02` holds; elsewhere it is nothing, and reverts.
fn exact(kind: RouterKind, way: Way, word: U256) -> Result<Amount, DecodeError> {
    if kind == RouterKind::SwapRouter02 && way == Way::ExactIn {
        return Reader::amount(word, U256::ZERO);
    }
    narrow(word).map(Amount::Exactly)
}

/// Each router has its own numbers for the sender and for itself.
fn recipient(kind: RouterKind, to: Address) -> Recipient {
    let number = |number| to == Address::with_last_byte(number);
    match kind {
        RouterKind::SwapRouter if to.is_zero() => Recipient::Router,
        RouterKind::SwapRouter02 if number(1) => Recipient::Sender,
        RouterKind::SwapRouter02 if number(2) => Recipient::Router,
        RouterKind::SwapRouter | RouterKind::SwapRouter02 | RouterKind::Universal => {
            Recipient::Other(to)
        }
    }
}

/// What pays and what approves.
fn payment(
    reader: &mut Reader<'_>,
    function: PeripheryFunction,
    arguments: &Arguments<'_>,
) -> Result<(), DecodeError> {
    use PeripheryFunction as F;

    let (integer, address) = (|index| arguments.integer(index), |index| arguments.address(index));
    let other = |index| address(index).map(Recipient::Other);
    // A fee comes out of what must be at least so much.
    match function {
        F::UnwrapForSender => unwrap(reader, integer(0)?, Recipient::Sender),
        F::Unwrap => unwrap(reader, integer(0)?, other(1)?),
        F::UnwrapWithFeeForSender => {
            fee(arguments, 1)?;
            unwrap(reader, integer(0)?, Recipient::Sender)
        }
        F::UnwrapWithFee => {
            fee(arguments, 2)?;
            unwrap(reader, integer(0)?, other(1)?)
        }
        F::SweepForSender => reader.sweep(address(0)?, integer(1)?, Recipient::Sender),
        F::Sweep => reader.sweep(address(0)?, integer(1)?, other(2)?),
        F::SweepWithFeeForSender => {
            fee(arguments, 2)?;
            reader.sweep(address(0)?, integer(1)?, Recipient::Sender)
        }
        F::SweepWithFee => {
            fee(arguments, 3)?;
            reader.sweep(address(0)?, integer(1)?, other(2)?)
        }
        F::Refund => reader.sweep(Address::ZERO, U256::ZERO, Recipient::Sender),
        F::Wrap => {
            let amount = Amount::Exactly(narrow(integer(0)?)?);
            reader.push(Action::Wrap { amount, to: Recipient::Router })
        }
        F::Pull => {
            let (token, amount) = (address(0)?, narrow(integer(1)?)?);
            reader.push(Action::Pull { token, amount, to: Recipient::Router })
        }
        // Whether a permit is good cannot be seen from here; one that is not reverts it all.
        F::SelfPermit
        | F::SelfPermitIfNecessary
        | F::SelfPermitAllowed
        | F::SelfPermitAllowedIfNecessary => arguments.head(6).map(|_| ()),
        F::Multicall
        | F::MulticallUntil
        | F::MulticallBehind
        | F::ExactInputSingleUntil
        | F::ExactInputUntil
        | F::ExactOutputSingleUntil
        | F::ExactOutputUntil
        | F::ExactInputSingle
        | F::ExactInput
        | F::ExactOutputSingle
        | F::ExactOutput
        | F::ExactTokensForTokens
        | F::TokensForExactTokens => Err(DecodeError::Unknown),
    }
}

fn unwrap(reader: &mut Reader<'_>, least: U256, to: Recipient) -> Result<(), DecodeError> {
    reader.push(Action::Unwrap { least: saturated(least), to })
}

/// The routers take up to one percent, and more than nothing; who receives it stands behind it.
fn fee(arguments: &Arguments<'_>, index: usize) -> Result<(), DecodeError> {
    let (bips, _) = (arguments.integer(index)?, arguments.address(index + 1)?);
    if bips.is_zero() || bips > U256::from(100) { Err(DecodeError::Unknown) } else { Ok(()) }
}
