//! Swaps through Uniswap V2's Router02, and straight at a pair.
//!
//! A V3 pool's own swap (`swap(address,bool,int256,uint160,bytes)`, `128acb08`) is not among them:
//! the pool calls its caller back for the payment, so from an account without code it reverts, and
//! it is nothing to follow.
//!
//! Temperature: hot.

use alloy_primitives::{Address, U256};

use super::abi::{Arguments, narrow, saturated, timestamp};
use super::path::Path;
use super::selector::functions;
use crate::decode::DecodeError;

functions! {
    /// A swap function of Uniswap V2's Router02.
    RouterFunction {
        /// Exact tokens in, at least so many tokens out.
        ExactTokensForTokens =
            "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)", 0x38ed_1739;
        /// At most so many tokens in, exact tokens out.
        TokensForExactTokens =
            "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)", 0x8803_dbee;
        /// Exact native in, at least so many tokens out.
        ExactNativeForTokens =
            "swapExactETHForTokens(uint256,address[],address,uint256)", 0x7ff3_6ab5;
        /// At most so many tokens in, exact native out.
        TokensForExactNative =
            "swapTokensForExactETH(uint256,uint256,address[],address,uint256)", 0x4a25_d94a;
        /// Exact tokens in, at least so much native out.
        ExactTokensForNative =
            "swapExactTokensForETH(uint256,uint256,address[],address,uint256)", 0x18cb_afe5;
        /// At most the native sent along in, exact tokens out.
        NativeForExactTokens =
            "swapETHForExactTokens(uint256,address[],address,uint256)", 0xfb3b_db41;
        /// Exact tokens in; what arrives is measured, as tokens may take a fee on transfer.
        ExactTokensForTokensWithFee =
            "swapExactTokensForTokensSupportingFeeOnTransferTokens(\
             uint256,uint256,address[],address,uint256)", 0x5c11_d795;
        /// Exact native in; what arrives is measured, as tokens may take a fee on transfer.
        ExactNativeForTokensWithFee =
            "swapExactETHForTokensSupportingFeeOnTransferTokens(\
             uint256,address[],address,uint256)", 0xb6f9_de95;
        /// Exact tokens in for native; what arrives is measured, as tokens may take a fee on
        /// transfer.
        ExactTokensForNativeWithFee =
            "swapExactTokensForETHSupportingFeeOnTransferTokens(\
             uint256,uint256,address[],address,uint256)", 0x791a_c947;
    }
}

impl RouterFunction {
    /// Whether it fixes what goes in; otherwise it fixes what comes out.
    #[must_use]
    pub const fn is_exact_in(self) -> bool {
        match self {
            Self::TokensForExactTokens
            | Self::TokensForExactNative
            | Self::NativeForExactTokens => false,
            Self::ExactTokensForTokens
            | Self::ExactNativeForTokens
            | Self::ExactTokensForNative
            | Self::ExactTokensForTokensWithFee
            | Self::ExactNativeForTokensWithFee
            | Self::ExactTokensForNativeWithFee => true,
        }
    }

    /// Whether the first token is native, sent along as the transaction's value.
    #[must_use]
    pub const fn native_in(self) -> bool {
        match self {
            Self::ExactNativeForTokens
            | Self::NativeForExactTokens
            | Self::ExactNativeForTokensWithFee => true,
            Self::ExactTokensForTokens
            | Self::TokensForExactTokens
            | Self::TokensForExactNative
            | Self::ExactTokensForNative
            | Self::ExactTokensForTokensWithFee
            | Self::ExactTokensForNativeWithFee => false,
        }
    }

    /// Whether the last token is paid out as native.
    #[must_use]
    pub const fn native_out(self) -> bool {
        match self {
            Self::TokensForExactNative
            | Self::ExactTokensForNative
            | Self::ExactTokensForNativeWithFee => true,
            Self::ExactTokensForTokens
            | Self::TokensForExactTokens
            | Self::ExactNativeForTokens
            | Self::NativeForExactTokens
            | Self::ExactTokensForTokensWithFee
            | Self::ExactNativeForTokensWithFee => false,
        }
    }

    /// Whether the router measures what arrives instead of computing it beforehand.
    #[must_use]
    pub const fn fee_on_transfer(self) -> bool {
        match self {
            Self::ExactTokensForTokensWithFee
            | Self::ExactNativeForTokensWithFee
            | Self::ExactTokensForNativeWithFee => true,
            Self::ExactTokensForTokens
            | Self::TokensForExactTokens
            | Self::ExactNativeForTokens
            | Self::TokensForExactNative
            | Self::ExactTokensForNative
            | Self::NativeForExactTokens => false,
        }
    }
}

/// Selector of a pair's own `swap(uint256,uint256,address,bytes)`.
pub const PAIR_SWAP: [u8; 4] = [0x02, 0x2c, 0x0d, 0x9f];

/// What calldata asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// A swap through the router.
    Router(RouterSwap<'a>),
    /// A swap straight at a pair.
    Pair(PairSwap),
    /// Something that the engine does not follow.
    Other,
}

/// A swap through Uniswap V2's Router02.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterSwap<'a> {
    /// Which function; its methods say what is exact and what is native.
    pub function: RouterFunction,
    /// What is exact, in the smallest unit of the first token (exact in) or of the last (exact
    /// out).
    pub amount: u128,
    /// Least output (exact in) or most input (exact out); a larger number saturates, which no
    /// amount of a pool can tell from the number itself.
    pub limit: u128,
    /// The tokens, in order.
    pub path: Path<'a>,
    /// Who receives.
    pub to: Address,
    /// The last timestamp, in seconds, at which the router accepts it; saturates.
    pub deadline: u64,
}

/// A swap straight at a Uniswap V2 pair, which was paid beforehand or is paid in the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairSwap {
    /// Token 0 out.
    pub amount0_out: u128,
    /// Token 1 out.
    pub amount1_out: u128,
    /// Who receives.
    pub to: Address,
    /// Whether the pair calls the receiver back (a flash swap).
    pub has_callback: bool,
}

/// Reads calldata; `value` is the native wei that the transaction sends along.
///
/// # Errors
/// When the selector is a swap's but the arguments are not.
pub fn parse(input: &[u8], value: U256) -> Result<Call<'_>, DecodeError> {
    let Some((selector, rest)) = input.split_first_chunk() else { return Ok(Call::Other) };
    let arguments = Arguments { bytes: rest };
    if let Some(function) = RouterFunction::of(*selector) {
        router_swap(function, &arguments, value).map(Call::Router)
    } else if *selector == PAIR_SWAP {
        pair_swap(&arguments).map(Call::Pair)
    } else {
        Ok(Call::Other)
    }
}

#[inline]
fn router_swap<'a>(
    function: RouterFunction,
    arguments: &Arguments<'a>,
    value: U256,
) -> Result<RouterSwap<'a>, DecodeError> {
    // Functions that take native lack the first argument: the value stands for it.
    let (first, second, head) = match function.native_in() {
        true if function.is_exact_in() => (value, arguments.integer(0)?, 1),
        true => (arguments.integer(0)?, value, 1),
        false => (arguments.integer(0)?, arguments.integer(1)?, 2),
    };
    // Every function's exact amount comes first, and its bound second.
    Ok(RouterSwap {
        function,
        amount: narrow(first)?,
        limit: saturated(second),
        path: Path::words(arguments, head)?,
        to: arguments.address(head + 1)?,
        deadline: timestamp(arguments.integer(head + 2)?),
    })
}

#[inline]
fn pair_swap(arguments: &Arguments<'_>) -> Result<PairSwap, DecodeError> {
    Ok(PairSwap {
        amount0_out: narrow(arguments.integer(0)?)?,
        amount1_out: narrow(arguments.integer(1)?)?,
        to: arguments.address(2)?,
        has_callback: !arguments.byte_string(3)?.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use alloy::sol;
    use alloy::sol_types::SolCall;
    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    use super::*;
    use crate::limits::PATH_TOKENS_MAX;

    sol! {
        function swapExactTokensForTokens(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swapTokensForExactTokens(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swapExactETHForTokens(uint256 a, address[] path, address to, uint256 end);
        function swapTokensForExactETH(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swapExactTokensForETH(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swapETHForExactTokens(uint256 a, address[] path, address to, uint256 end);
        function swapExactTokensForTokensSupportingFeeOnTransferTokens(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swapExactETHForTokensSupportingFeeOnTransferTokens(
            uint256 a, address[] path, address to, uint256 end);
        function swapExactTokensForETHSupportingFeeOnTransferTokens(
            uint256 a, uint256 b, address[] path, address to, uint256 end);
        function swap(uint256 a, uint256 b, address to, bytes data);
    }

    /// What a call is made of.
    #[derive(Clone, Debug)]
    struct Parts {
        a: U256,
        b: U256,
        path: Vec<Address>,
        to: Address,
        end: U256,
        value: U256,
    }

    impl Parts {
        fn encode(&self, function: RouterFunction) -> Vec<u8> {
            let Self { a, b, path, to, end, .. } = self.clone();
            match function {
                RouterFunction::ExactTokensForTokens => {
                    swapExactTokensForTokensCall { a, b, path, to, end }.abi_encode()
                }
                RouterFunction::TokensForExactTokens => {
                    swapTokensForExactTokensCall { a, b, path, to, end }.abi_encode()
                }
                RouterFunction::ExactNativeForTokens => {
                    swapExactETHForTokensCall { a, path, to, end }.abi_encode()
                }
                RouterFunction::TokensForExactNative => {
                    swapTokensForExactETHCall { a, b, path, to, end }.abi_encode()
                }
                RouterFunction::ExactTokensForNative => {
                    swapExactTokensForETHCall { a, b, path, to, end }.abi_encode()
                }
                RouterFunction::NativeForExactTokens => {
                    swapETHForExactTokensCall { a, path, to, end }.abi_encode()
                }
                RouterFunction::ExactTokensForTokensWithFee => {
                    swapExactTokensForTokensSupportingFeeOnTransferTokensCall {
                        a,
                        b,
                        path,
                        to,
                        end,
                    }
                    .abi_encode()
                }
                RouterFunction::ExactNativeForTokensWithFee => {
                    swapExactETHForTokensSupportingFeeOnTransferTokensCall { a, path, to, end }
                        .abi_encode()
                }
                RouterFunction::ExactTokensForNativeWithFee => {
                    swapExactTokensForETHSupportingFeeOnTransferTokensCall { a, b, path, to, end }
                        .abi_encode()
                }
            }
        }

        /// What is exact, and its bound, as Router02's own parameter names say.
        fn terms(&self, function: RouterFunction) -> (U256, U256) {
            match function {
                // (amountIn, amountOutMin) or (amountOut, amountInMax)
                RouterFunction::ExactTokensForTokens
                | RouterFunction::TokensForExactTokens
                | RouterFunction::TokensForExactNative
                | RouterFunction::ExactTokensForNative
                | RouterFunction::ExactTokensForTokensWithFee
                | RouterFunction::ExactTokensForNativeWithFee => (self.a, self.b),
                // msg.value, (amountOutMin)
                RouterFunction::ExactNativeForTokens
                | RouterFunction::ExactNativeForTokensWithFee => (self.value, self.a),
                // (amountOut), msg.value
                RouterFunction::NativeForExactTokens => (self.a, self.value),
            }
        }
    }

    fn integers() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0..256_usize)
            .prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
    }

    fn addresses() -> impl Strategy<Value = Address> {
        any::<[u8; 20]>().prop_map(Address::new)
    }

    fn parts() -> impl Strategy<Value = Parts> {
        let path = prop::collection::vec(addresses(), 0..9);
        (integers(), integers(), path, addresses(), integers(), integers())
            .prop_map(|(a, b, path, to, end, value)| Parts { a, b, path, to, end, value })
    }

    fn saturated(value: U256) -> u128 {
        value.try_into().unwrap_or(u128::MAX)
    }

    proptest! {
        #[test]
        fn every_router_swap_is_read_as_alloy_encodes_it(parts in parts()) {
            for function in RouterFunction::ALL {
                let input = parts.encode(*function);
                let (exact, bound) = parts.terms(*function);
                let found = parse(&input, parts.value);
                if exact > U256::from(u128::MAX) {
                    prop_assert_eq!(found, Err(DecodeError::AmountTooLarge));
                    continue;
                }
                if !(2..=PATH_TOKENS_MAX).contains(&parts.path.len()) {
                    prop_assert_eq!(found, Err(DecodeError::PathLength));
                    continue;
                }
                let Ok(Call::Router(swap)) = found else {
                    return Err(TestCaseError::fail("not a router swap"));
                };
                prop_assert_eq!(swap.function, *function);
                prop_assert_eq!(U256::from(swap.amount), exact);
                prop_assert_eq!(swap.limit, saturated(bound));
                prop_assert!(swap.path.iter().eq(parts.path.iter().copied()));
                prop_assert_eq!(swap.path.len(), parts.path.len());
                prop_assert_eq!(swap.path.get(1), Some(parts.path[1]));
                prop_assert_eq!(swap.path.get(parts.path.len()), None);
                prop_assert_eq!(swap.to, parts.to);
                prop_assert_eq!(swap.deadline, parts.end.try_into().unwrap_or(u64::MAX));
                // Cut anywhere, it is an error and never a panic; longer, it is the same.
                for cut in 4..input.len() {
                    prop_assert!(parse(&input[..cut], parts.value).is_err());
                }
                let longer = [&input[..], &[0xff; 7]].concat();
                prop_assert_eq!(parse(&longer, parts.value), Ok(Call::Router(swap)));
            }
        }

        #[test]
        fn a_pair_swap_is_read_as_alloy_encodes_it(
            (a, b) in (integers(), integers()), to in addresses(),
            data in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let has_callback = !data.is_empty();
            let input = swapCall { a, b, to, data: data.into() }.abi_encode();
            let found = parse(&input, U256::ZERO);
            if a.max(b) > U256::from(u128::MAX) {
                prop_assert_eq!(found, Err(DecodeError::AmountTooLarge));
            } else {
                let (amount0_out, amount1_out) = (saturated(a), saturated(b));
                let swap = PairSwap { amount0_out, amount1_out, to, has_callback };
                prop_assert_eq!(found, Ok(Call::Pair(swap)));
            }
        }

        #[test]
        fn hostile_offsets_and_lengths_never_panic(
            parts in parts(),
            index in 0_usize..12,
            hostile in prop_oneof![
                integers(),
                (0_u64..400).prop_map(U256::from),
                (0_u64..400).prop_map(|near| U256::from(u64::MAX - near)),
                (0_u64..400).prop_map(|near| U256::MAX - U256::from(near)),
            ],
        ) {
            for function in RouterFunction::ALL {
                let mut input = parts.encode(*function);
                if let Some(word) = input.get_mut(4 + index * 32..4 + index * 32 + 32) {
                    word.copy_from_slice(&hostile.to_be_bytes::<32>());
                }
                let _ignored = parse(&input, parts.value);
                // The same words as a pair's swap.
                input[..4].copy_from_slice(&PAIR_SWAP);
                let _ignored = parse(&input, parts.value);
            }
        }

        #[test]
        fn no_bytes_panic(
            input in prop::collection::vec(any::<u8>(), 0..400), pick in 0_usize..10,
        ) {
            let selector = RouterFunction::ALL.get(pick).map_or(PAIR_SWAP, |name| name.selector());
            let input = [&selector[..], &input].concat();
            let _ignored = parse(&input, U256::ZERO);
        }
    }

    #[test]
    fn every_selector_is_the_hash_of_its_signature() {
        for function in RouterFunction::ALL {
            let hash = keccak256(function.signature());
            assert_eq!(hash[..4], function.selector(), "{}", function.signature());
            assert_eq!(RouterFunction::of(function.selector()), Some(*function));
        }
        assert_eq!(keccak256("swap(uint256,uint256,address,bytes)")[..4], PAIR_SWAP);
        assert_eq!(RouterFunction::ALL.len(), 9);
    }

    #[test]
    fn what_is_no_swap_is_something_else() {
        for input in [&[][..], &[1, 2, 3], &[0xa9, 0x05, 0x9c, 0xbb], &[0; 100]] {
            assert_eq!(parse(input, U256::ZERO), Ok(Call::Other));
        }
    }

    #[test]
    fn offsets_need_not_be_canonical_but_addresses_must_be_clean() {
        let parts = Parts {
            a: U256::from(5),
            b: U256::from(4),
            path: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
            to: Address::repeat_byte(3),
            end: U256::from(9),
            value: U256::ZERO,
        };
        let input = parts.encode(RouterFunction::ExactTokensForTokens);
        // Three bytes further on, and the offset says so.
        let (head, tail) = input.split_at(4 + 5 * 32);
        let mut shifted = [head, &[0xee; 3], tail].concat();
        shifted[4 + 2 * 32 + 31] += 3;
        assert_eq!(parse(&shifted, U256::ZERO), parse(&input, U256::ZERO));
        for word in [3, 6, 7] {
            let mut dirty = input.clone();
            dirty[4 + word * 32] = 1;
            assert_eq!(parse(&dirty, U256::ZERO), Err(DecodeError::DirtyAddress), "{word}");
        }
    }
}
