//! The newer routers' calldata against what `sol!` encodes.
//!
//! Temperature: cold.

use std::vec;
use std::vec::Vec;

use alloy::sol;
use alloy::sol_types::{SolCall, SolValue};
use alloy_primitives::aliases::{U24, U48, U160};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use proptest::prelude::*;

use super::*;
use crate::decode::DecodeError;
use crate::limits::{PATH_TOKENS_MAX, TARGET_STEPS_MAX};
use crate::target::Way;
use crate::world::RouterKind;

mod old {
    alloy::sol! {
        struct SingleIn {
            address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
            uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96;
        }
        struct SingleOut {
            address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
            uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96;
        }
        struct PathIn {
            bytes path; address recipient; uint256 deadline; uint256 amountIn;
            uint256 amountOutMinimum;
        }
        struct PathOut {
            bytes path; address recipient; uint256 deadline; uint256 amountOut;
            uint256 amountInMaximum;
        }
        function exactInputSingle(SingleIn params);
        function exactOutputSingle(SingleOut params);
        function exactInput(PathIn params);
        function exactOutput(PathOut params);
    }
}

mod new {
    alloy::sol! {
        struct SingleIn {
            address tokenIn; address tokenOut; uint24 fee; address recipient;
            uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96;
        }
        struct SingleOut {
            address tokenIn; address tokenOut; uint24 fee; address recipient;
            uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96;
        }
        struct PathIn { bytes path; address recipient; uint256 amountIn; uint256 amountOutMinimum; }
        struct PathOut {
            bytes path; address recipient; uint256 amountOut; uint256 amountInMaximum;
        }
        function exactInputSingle(SingleIn params);
        function exactOutputSingle(SingleOut params);
        function exactInput(PathIn params);
        function exactOutput(PathOut params);
        function swapExactTokensForTokens(
            uint256 amountIn, uint256 amountOutMin, address[] path, address to);
        function swapTokensForExactTokens(
            uint256 amountOut, uint256 amountInMax, address[] path, address to);
    }
}

mod until {
    alloy::sol! {
        function multicall(uint256 deadline, bytes[] data);
        function execute(bytes commands, bytes[] inputs, uint256 deadline);
    }
}

mod behind {
    alloy::sol! {
        function multicall(bytes32 previousBlockhash, bytes[] data);
    }
}

mod sender {
    alloy::sol! {
        function unwrapWETH9(uint256 amountMinimum);
        function unwrapWETH9WithFee(uint256 amountMinimum, uint256 feeBips, address feeRecipient);
        function sweepToken(address token, uint256 amountMinimum);
        function sweepTokenWithFee(
            address token, uint256 amountMinimum, uint256 feeBips, address feeRecipient);
    }
}

sol! {
    function multicall(bytes[] data);
    function unwrapWETH9(uint256 amountMinimum, address recipient);
    function unwrapWETH9WithFee(
        uint256 amountMinimum, address recipient, uint256 feeBips, address feeRecipient);
    function sweepToken(address token, uint256 amountMinimum, address recipient);
    function sweepTokenWithFee(
        address token, uint256 amountMinimum, address recipient, uint256 feeBips,
        address feeRecipient);
    function refundETH();
    function wrapETH(uint256 value);
    function pull(address token, uint256 value);
    function selfPermit(
        address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s);
    function execute(bytes commands, bytes[] inputs);

    struct PermitDetails { address token; uint160 amount; uint48 expiration; uint48 nonce; }
    struct PermitSingle { PermitDetails details; address spender; uint256 sigDeadline; }
    struct PermitBatch { PermitDetails[] details; address spender; uint256 sigDeadline; }
    struct Transfer { address from; address to; uint160 amount; address token; }
}

const OLD: RouterKind = RouterKind::SwapRouter;
const NEW: RouterKind = RouterKind::SwapRouter02;
const UNIVERSAL: RouterKind = RouterKind::Universal;
const FACTORY: Address = Address::repeat_byte(0xfa);
const HELD: U256 = U256::from_limbs([0, 0, 0, 1 << 63]);

/// What a swap is made of.
#[derive(Clone, Debug)]
struct Parts {
    amount: U256,
    limit: U256,
    path: Vec<Address>,
    fees: Vec<u32>,
    to: Address,
    end: U256,
    price_limit: U160,
}

impl Parts {
    /// V3's path, the other way round where the output is exact.
    fn packed(&self, way: Way) -> Bytes {
        let hops = self.path.len().saturating_sub(1);
        let fee = |hop: usize| self.fees[hop % self.fees.len()].to_be_bytes()[1..].to_vec();
        let mut bytes = vec![];
        for place in 0..self.path.len() {
            let place = if way == Way::ExactIn { place } else { hops - place };
            let hop = if way == Way::ExactIn { place } else { place.wrapping_sub(1) };
            bytes.extend(self.path[place]);
            if hop < hops {
                bytes.extend(fee(hop));
            }
        }
        bytes.into()
    }

    fn ends(&self) -> (Address, Address, U24) {
        let end = |token: Option<&Address>| token.copied().unwrap_or_default();
        (end(self.path.first()), end(self.path.get(1)), U24::from(self.fees[0]))
    }

    fn single(&self, kind: RouterKind, way: Way) -> Vec<u8> {
        let (tokenIn, tokenOut, fee) = self.ends();
        let (recipient, deadline, sqrtPriceLimitX96) = (self.to, self.end, self.price_limit);
        let (amount, limit) = (self.amount, self.limit);
        match (kind, way) {
            (OLD, Way::ExactIn) => {
                let (amountIn, amountOutMinimum) = (amount, limit);
                let params = old::SingleIn {
                    tokenIn,
                    tokenOut,
                    fee,
                    recipient,
                    deadline,
                    amountIn,
                    amountOutMinimum,
                    sqrtPriceLimitX96,
                };
                old::exactInputSingleCall { params }.abi_encode()
            }
            (OLD, _) => {
                let (amountOut, amountInMaximum) = (amount, limit);
                let params = old::SingleOut {
                    tokenIn,
                    tokenOut,
                    fee,
                    recipient,
                    deadline,
                    amountOut,
                    amountInMaximum,
                    sqrtPriceLimitX96,
                };
                old::exactOutputSingleCall { params }.abi_encode()
            }
            (_, Way::ExactIn) => {
                let (amountIn, amountOutMinimum) = (amount, limit);
                let params = new::SingleIn {
                    tokenIn,
                    tokenOut,
                    fee,
                    recipient,
                    amountIn,
                    amountOutMinimum,
                    sqrtPriceLimitX96,
                };
                new::exactInputSingleCall { params }.abi_encode()
            }
            (..) => {
                let (amountOut, amountInMaximum) = (amount, limit);
                let params = new::SingleOut {
                    tokenIn,
                    tokenOut,
                    fee,
                    recipient,
                    amountOut,
                    amountInMaximum,
                    sqrtPriceLimitX96,
                };
                new::exactOutputSingleCall { params }.abi_encode()
            }
        }
    }

    fn along(&self, kind: RouterKind, way: Way) -> Vec<u8> {
        let (path, recipient, deadline) = (self.packed(way), self.to, self.end);
        let (amount, limit) = (self.amount, self.limit);
        match (kind, way) {
            (OLD, Way::ExactIn) => {
                let (amountIn, amountOutMinimum) = (amount, limit);
                let params = old::PathIn { path, recipient, deadline, amountIn, amountOutMinimum };
                old::exactInputCall { params }.abi_encode()
            }
            (OLD, _) => {
                let (amountOut, amountInMaximum) = (amount, limit);
                let params = old::PathOut { path, recipient, deadline, amountOut, amountInMaximum };
                old::exactOutputCall { params }.abi_encode()
            }
            (_, Way::ExactIn) => {
                let (amountIn, amountOutMinimum) = (amount, limit);
                let params = new::PathIn { path, recipient, amountIn, amountOutMinimum };
                new::exactInputCall { params }.abi_encode()
            }
            (..) => {
                let (amountOut, amountInMaximum) = (amount, limit);
                let params = new::PathOut { path, recipient, amountOut, amountInMaximum };
                new::exactOutputCall { params }.abi_encode()
            }
        }
    }

    fn pairs(&self, way: Way) -> Vec<u8> {
        let (path, to) = (self.path.clone(), self.to);
        if way == Way::ExactIn {
            let (amountIn, amountOutMin) = (self.amount, self.limit);
            new::swapExactTokensForTokensCall { amountIn, amountOutMin, path, to }.abi_encode()
        } else {
            let (amountOut, amountInMax) = (self.amount, self.limit);
            new::swapTokensForExactTokensCall { amountOut, amountInMax, path, to }.abi_encode()
        }
    }

    /// A command of the Universal Router, and its input.
    fn command(&self, has_fees: bool, way: Way, by_sender: bool) -> (u8, Bytes) {
        let Self { amount, limit, to, .. } = self.clone();
        let input = if has_fees {
            (to, amount, limit, self.packed(way), by_sender).abi_encode_params()
        } else {
            (to, amount, limit, self.path.clone(), by_sender).abi_encode_params()
        };
        (if has_fees { 0 } else { 8 } + u8::from(way != Way::ExactIn), input.into())
    }

    /// What must be found.
    fn check(&self, swap: &RoutedSwap<'_>, way: Way, count: usize, has_fees: bool) {
        let all_held = swap.amount == Amount::Held;
        let exact = if all_held { Amount::Held } else { Amount::Exactly(saturated(self.amount)) };
        assert_eq!((swap.way, swap.amount, swap.limit), (way, exact, saturated(self.limit)));
        assert_eq!(swap.path.len(), count);
        assert!(swap.path.iter().eq(self.path[..count].iter().copied()));
        assert_eq!((swap.path.get(count), swap.path.has_fees()), (None, has_fees));
        for hop in 0..count - 1 {
            let fee = self.fees[hop % self.fees.len()];
            assert_eq!(swap.path.fee(hop), has_fees.then_some(fee));
        }
        assert_eq!(swap.path.fee(count - 1), None);
    }
}

fn saturated(value: U256) -> u128 {
    value.try_into().unwrap_or(u128::MAX)
}

fn integers() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0..256_usize).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
}

fn amounts() -> impl Strategy<Value = U256> {
    (1..=u128::MAX, 0..100_u32).prop_map(|(amount, shift)| U256::from((amount >> shift).max(1)))
}

fn addresses() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

fn hostile() -> impl Strategy<Value = U256> {
    prop_oneof![
        integers(),
        (0_u64..600).prop_map(U256::from),
        (0_u64..600).prop_map(|near| U256::from(u64::MAX - near)),
        (0_u64..600).prop_map(|near| U256::MAX - U256::from(near)),
    ]
}

fn parts() -> impl Strategy<Value = Parts> {
    let path = prop::collection::vec(addresses(), 2..=PATH_TOKENS_MAX);
    let fees = prop::collection::vec(0..1_u32 << 24, 1..6);
    let price = (any::<u128>(), 0..128_u32).prop_map(|(bits, by)| U160::from(bits >> by) << 20);
    (amounts(), integers(), path, fees, addresses(), integers(), price).prop_map(
        |(amount, limit, path, fees, to, end, price_limit)| Parts {
            amount,
            limit,
            path,
            fees,
            to,
            end,
            price_limit,
        },
    )
}

fn one_swap<'a>(found: &'a Actions<'_>) -> &'a RoutedSwap<'a> {
    match found.list() {
        [Action::Swap(swap)] => swap,
        other => panic!("{other:?}"),
    }
}

/// Cut anywhere it is an error; longer, it is the same.
fn cut(input: &[u8], kind: RouterKind, length: usize) {
    let found = actions(input, kind).unwrap();
    for cut in 0..length {
        assert!(actions(&input[..cut], kind).is_err(), "{cut}");
    }
    let longer = [input, &[0xff; 7]].concat();
    assert_eq!(actions(&longer, kind), Ok(found));
}

fn commands(list: &[(u8, Bytes)]) -> Vec<u8> {
    let (commands, inputs): (Vec<u8>, Vec<Bytes>) = list.iter().cloned().unzip();
    executeCall { commands: commands.into(), inputs }.abi_encode()
}

proptest! {
    #[test]
    fn every_v3_swap_is_read_as_alloy_encodes_it(parts in parts()) {
        for kind in [OLD, NEW] {
            for way in [Way::ExactIn, Way::ExactOut] {
                let input = parts.single(kind, way);
                let found = actions(&input, kind).unwrap();
                let swap = one_swap(&found);
                parts.check(swap, way, 2, true);
                prop_assert_eq!(swap.price_limit, U256::from(parts.price_limit));
                prop_assert_eq!(swap.to, Recipient::Other(parts.to));
                prop_assert!(!swap.is_paid_by_router);
                let end = if kind == OLD { parts.end.saturating_to() } else { u64::MAX };
                prop_assert_eq!((found.deadline, found.parent), (end, None));
                cut(&input, kind, input.len());

                let input = parts.along(kind, way);
                let found = actions(&input, kind).unwrap();
                let swap = one_swap(&found);
                parts.check(swap, way, parts.path.len(), true);
                prop_assert_eq!(swap.price_limit, U256::ZERO);
                prop_assert_eq!(found.deadline, end);
                // The last word is padded, and nobody asks for its padding.
                let length = parts.packed(way).len();
                let padding = length.next_multiple_of(32) - length;
                cut(&input, kind, input.len() - padding);

                // The one router's functions are none of the other's.
                let other = if kind == OLD { NEW } else { OLD };
                prop_assert_eq!(actions(&input, other), Err(DecodeError::Unknown));
                prop_assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Unknown));
            }
        }
    }

    #[test]
    fn every_swap_through_pairs_is_read_as_alloy_encodes_it(parts in parts()) {
        for way in [Way::ExactIn, Way::ExactOutForward] {
            let input = parts.pairs(way);
            let found = actions(&input, NEW).unwrap();
            parts.check(one_swap(&found), way, parts.path.len(), false);
            cut(&input, NEW, input.len());
            prop_assert_eq!(actions(&input, OLD), Err(DecodeError::Unknown));
        }
    }

    #[test]
    fn every_swap_command_is_read_as_alloy_encodes_it(
        parts in parts(), by_sender in any::<bool>(), may_fail in any::<bool>(),
    ) {
        for (has_fees, way) in [
            (true, Way::ExactIn), (true, Way::ExactOut),
            (false, Way::ExactIn), (false, Way::ExactOutForward),
        ] {
            let (byte, data) = parts.command(has_fees, way, by_sender);
            // That it may fail changes nothing: its failure is the whole transaction's.
            let byte = if may_fail { byte | 0x80 } else { byte };
            let input = until::executeCall {
                commands: vec![byte].into(), inputs: vec![data], deadline: parts.end,
            }.abi_encode();
            let found = actions(&input, UNIVERSAL).unwrap();
            let swap = one_swap(&found);
            parts.check(swap, way, parts.path.len(), has_fees);
            prop_assert_eq!(swap.is_paid_by_router, !by_sender);
            prop_assert_eq!(swap.to, Recipient::Other(parts.to));
            prop_assert_eq!(found.deadline, parts.end.saturating_to::<u64>());
            for cut in 0..input.len() {
                let _ignored = actions(&input[..cut], UNIVERSAL);
            }
            prop_assert!(actions(&input[..input.len() - 64], UNIVERSAL).is_err());
        }
    }

    #[test]
    fn a_multicall_is_its_calls_one_after_another(
        first in parts(), second in parts(), end in integers(), parent in any::<[u8; 32]>(),
    ) {
        let data: Vec<Bytes> =
            vec![first.single(NEW, Way::ExactIn).into(), second.along(NEW, Way::ExactOut).into()];
        let inner: Bytes = multicallCall { data: data.clone() }.abi_encode().into();
        let until_end = until::multicallCall { deadline: end, data: data.clone() }.abi_encode();
        let parent = B256::from(parent);
        let behind =
            behind::multicallCall { previousBlockhash: parent, data }.abi_encode();
        let nested = multicallCall { data: vec![inner.clone()] }.abi_encode();
        for (input, end, parent) in [
            (&inner[..], u64::MAX, None),
            (&nested, u64::MAX, None),
            (&until_end, end.saturating_to(), None),
            (&behind, u64::MAX, Some(parent)),
        ] {
            let found = actions(input, NEW).unwrap();
            let [Action::Swap(one), Action::Swap(two)] = found.list() else {
                return Err(TestCaseError::fail("not two swaps"));
            };
            first.check(one, Way::ExactIn, 2, true);
            second.check(two, Way::ExactOut, second.path.len(), true);
            prop_assert_eq!((found.deadline, found.parent), (end, parent));
            for cut in 0..input.len() {
                let _ignored = actions(&input[..cut], NEW);
            }
        }
        // SwapRouter has neither a deadline nor a block for its lists, and the first end counts.
        prop_assert_eq!(actions(&until_end, OLD), Err(DecodeError::Unknown));
        prop_assert_eq!(actions(&behind, OLD), Err(DecodeError::Unknown));
        let data = vec![
            first.single(OLD, Way::ExactOut).into(),
            second.along(OLD, Way::ExactIn).into(),
        ];
        let input = multicallCall { data }.abi_encode();
        let found = actions(&input, OLD).unwrap();
        prop_assert_eq!(found.deadline, first.end.min(second.end).saturating_to::<u64>());
    }

    #[test]
    fn every_payment_is_read_as_alloy_encodes_it(
        (token, to, other) in (addresses(), addresses(), addresses()),
        least in integers(), amount in amounts(), fee in 1_u64..=100,
    ) {
        let (min, bips) = (saturated(least), U256::from(fee));
        let (amountMinimum, recipient) = (least, to);
        let (feeBips, feeRecipient) = (bips, other);
        let sweep = |to| Action::Sweep { token, least: min, to };
        let unwrap = |to| Action::Unwrap { least: min, to };
        let much = amount.saturating_to();
        let wrap = Action::Wrap { amount: Amount::Exactly(much), to: Recipient::Router };
        let pulled = Action::Pull { token, amount: much, to: Recipient::Router };
        let refund = Action::Sweep { token: Address::ZERO, least: 0, to: Recipient::Sender };
        let (theirs, mine) = (Recipient::Other(to), Recipient::Sender);
        for (input, expected, is_old) in [
            (unwrapWETH9Call { amountMinimum, recipient }.abi_encode(), unwrap(theirs), true),
            (unwrapWETH9WithFeeCall { amountMinimum, recipient, feeBips, feeRecipient }
                .abi_encode(), unwrap(theirs), true),
            (sweepTokenCall { token, amountMinimum, recipient }.abi_encode(), sweep(theirs), true),
            (sweepTokenWithFeeCall { token, amountMinimum, recipient, feeBips, feeRecipient }
                .abi_encode(), sweep(theirs), true),
            (refundETHCall {}.abi_encode(), refund, true),
            (sender::unwrapWETH9Call { amountMinimum }.abi_encode(), unwrap(mine), false),
            (sender::unwrapWETH9WithFeeCall { amountMinimum, feeBips, feeRecipient }
                .abi_encode(), unwrap(mine), false),
            (sender::sweepTokenCall { token, amountMinimum }.abi_encode(), sweep(mine), false),
            (sender::sweepTokenWithFeeCall { token, amountMinimum, feeBips, feeRecipient }
                .abi_encode(), sweep(mine), false),
            (wrapETHCall { value: amount }.abi_encode(), wrap, false),
            (pullCall { token, value: amount }.abi_encode(), pulled, false),
        ] {
            let found = actions(&input, NEW).unwrap();
            prop_assert_eq!(found.list(), [expected]);
            cut(&input, NEW, input.len());
            prop_assert_eq!(actions(&input, OLD).is_ok(), is_old);
        }
    }

    #[test]
    fn every_payment_command_is_read_as_alloy_encodes_it(
        (token, to) in (addresses(), addresses()),
        least in integers(), amount in amounts(), bips in 0_u16..=10_000,
    ) {
        let (min, much) = (saturated(least), amount.saturating_to());
        let theirs = Recipient::Other(to);
        let exactly = Amount::Exactly(much);
        let (router, sender) = (Address::with_last_byte(2), Address::with_last_byte(1));
        for (byte, input, expected) in [
            (0x02, (token, to, amount).abi_encode_params(),
                Action::Pull { token, amount: much, to: theirs }),
            (0x04, (token, to, least).abi_encode_params(),
                Action::Sweep { token, least: min, to: theirs }),
            (0x05, (token, router, amount).abi_encode_params(),
                Action::Pay { token, amount: exactly, to: Recipient::Router }),
            (0x05, (token, sender, HELD).abi_encode_params(),
                Action::Pay { token, amount: Amount::Held, to: Recipient::Sender }),
            (0x06, (token, to, U256::from(bips)).abi_encode_params(),
                Action::PayPortion { token, bips, to: theirs }),
            (0x0b, (router, amount).abi_encode_params(),
                Action::Wrap { amount: exactly, to: Recipient::Router }),
            (0x0b, (to, HELD).abi_encode_params(),
                Action::Wrap { amount: Amount::Held, to: theirs }),
            (0x0c, (sender, least).abi_encode_params(),
                Action::Unwrap { least: min, to: Recipient::Sender }),
        ] {
            let whole = commands(&[(byte, input.clone().into())]);
            let found = actions(&whole, UNIVERSAL).unwrap();
            prop_assert_eq!(found.list(), [expected]);
            for cut in 0..input.len() {
                let whole = commands(&[(byte, input[..cut].to_vec().into())]);
                prop_assert_eq!(actions(&whole, UNIVERSAL), Err(DecodeError::OutOfBounds));
            }
        }
    }

    #[test]
    fn hostile_words_never_panic(
        parts in parts(), index in 0_usize..40, hostile in hostile(),
        pick in 0_usize..8,
    ) {
        let plan = commands(&[
            parts.command(true, Way::ExactIn, true),
            parts.command(false, Way::ExactOutForward, false),
            (0x0d, vec![Transfer {
                from: parts.to, to: parts.to, amount: parts.price_limit, token: parts.to,
            }].abi_encode_params().into()),
        ]);
        let calls = vec![parts.single(NEW, Way::ExactIn).into(), parts.pairs(Way::ExactIn).into()];
        let list = until::multicallCall { deadline: parts.end, data: calls }.abi_encode();
        let (kind, mut input) = match pick {
            0 => (OLD, parts.single(OLD, Way::ExactIn)),
            1 => (OLD, parts.along(OLD, Way::ExactOut)),
            2 => (NEW, parts.single(NEW, Way::ExactOut)),
            3 => (NEW, parts.along(NEW, Way::ExactIn)),
            4 => (NEW, parts.pairs(Way::ExactIn)),
            5 => (NEW, list),
            _ => (UNIVERSAL, plan),
        };
        if let Some(word) = input.get_mut(4 + index * 32..4 + index * 32 + 32) {
            word.copy_from_slice(&hostile.to_be_bytes::<32>());
        }
        if let Ok(found) = actions(&input, kind) {
            for action in found.list() {
                if let Action::Swap(swap) = action {
                    prop_assert!((2..=PATH_TOKENS_MAX).contains(&swap.path.len()));
                    prop_assert_eq!(swap.path.iter().count(), swap.path.len());
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(
        input in prop::collection::vec(any::<u8>(), 0..600), pick in 0_usize..40,
    ) {
        let selector = PeripheryFunction::ALL.get(pick).map_or_else(
            || UniversalFunction::ALL[pick % 2].selector(),
            |function| function.selector(),
        );
        let input = [&selector[..], &input].concat();
        for kind in [OLD, NEW, UNIVERSAL] {
            let _ignored = actions(&input, kind);
        }
    }
}

#[test]
fn every_selector_of_a_router_is_the_hash_of_its_signature() {
    for function in PeripheryFunction::ALL {
        let hash = keccak256(function.signature());
        assert_eq!(hash[..4], function.selector(), "{}", function.signature());
        assert_eq!(PeripheryFunction::of(function.selector()), Some(*function));
        assert!(!function.is_of(UNIVERSAL));
        assert!(function.is_of(OLD) || function.is_of(NEW));
    }
    for function in UniversalFunction::ALL {
        assert_eq!(keccak256(function.signature())[..4], function.selector());
        assert_eq!(UniversalFunction::of(function.selector()), Some(*function));
    }
    let count = |kind| PeripheryFunction::ALL.iter().filter(|name| name.is_of(kind)).count();
    assert_eq!((count(OLD), count(NEW)), (14, 24));
    // A pool's own swap is for contracts that it can call back.
    let pool_swap = &keccak256("swap(address,bool,int256,uint160,bytes)")[..4];
    assert_eq!(parse(&[pool_swap, &[0; 160]].concat(), U256::ZERO), Ok(Call::Other));
}

fn some() -> Parts {
    Parts {
        amount: U256::from(5),
        limit: U256::from(4),
        path: vec![Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)],
        fees: vec![500, 3_000],
        to: Address::repeat_byte(9),
        end: U256::from(7),
        price_limit: U160::ZERO,
    }
}

#[test]
fn each_router_has_its_own_numbers_for_itself_and_for_the_sender() {
    let to_of = |kind, number| {
        let parts = Parts { to: Address::with_last_byte(number), ..some() };
        let input = match kind {
            UNIVERSAL => commands(&[parts.command(true, Way::ExactIn, true)]),
            RouterKind::SwapRouter | RouterKind::SwapRouter02 => parts.along(kind, Way::ExactIn),
        };
        one_swap(&actions(&input, kind).unwrap()).to
    };
    let other = |number| Recipient::Other(Address::with_last_byte(number));
    assert_eq!([0, 1, 2].map(|to| to_of(OLD, to)), [Recipient::Router, other(1), other(2)]);
    let named = [other(0), Recipient::Sender, Recipient::Router];
    assert_eq!([0, 1, 2].map(|to| to_of(NEW, to)), named);
    assert_eq!([0, 1, 2].map(|to| to_of(UNIVERSAL, to)), named);
}

#[test]
fn what_stands_for_all_that_the_router_holds_differs() {
    let nothing = Parts { amount: U256::ZERO, ..some() };
    for input in [
        nothing.single(NEW, Way::ExactIn),
        nothing.along(NEW, Way::ExactIn),
        nothing.pairs(Way::ExactIn),
    ] {
        let found = actions(&input, NEW).unwrap();
        let swap = one_swap(&found);
        assert_eq!((swap.amount, swap.is_paid_by_router), (Amount::Held, true));
    }
    let input = nothing.along(OLD, Way::ExactIn);
    assert_eq!(one_swap(&actions(&input, OLD).unwrap()).amount, Amount::Exactly(0));
    let input = nothing.along(NEW, Way::ExactOut);
    assert_eq!(one_swap(&actions(&input, NEW).unwrap()).amount, Amount::Exactly(0));

    let held = Parts { amount: HELD, ..some() };
    for has_fees in [true, false] {
        let input = commands(&[held.command(has_fees, Way::ExactIn, false)]);
        assert_eq!(one_swap(&actions(&input, UNIVERSAL).unwrap()).amount, Amount::Held);
        // A sender cannot pay by that number.
        let input = commands(&[held.command(has_fees, Way::ExactIn, true)]);
        assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Unknown));
    }
    // What was paid to a pair before is not known.
    let input = commands(&[nothing.command(false, Way::ExactIn, false)]);
    assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Unknown));
}

#[test]
fn permits_are_stepped_over_and_transfers_are_not() {
    let token = Address::repeat_byte(5);
    let details =
        PermitDetails { token, amount: U160::MAX, expiration: U48::MAX, nonce: U48::from(3) };
    let (spender, sigDeadline) = (FACTORY, U256::from(9));
    let signature = Bytes::from(vec![7; 65]);
    let single = PermitSingle { details: details.clone(), spender, sigDeadline };
    let batch = PermitBatch { details: vec![details; 2], spender, sigDeadline };
    let transfer = |to| Transfer { from: spender, to, amount: U160::from(8), token };
    let transfers = vec![transfer(FACTORY), transfer(Address::with_last_byte(2))];
    let swap = some().command(true, Way::ExactIn, true);
    let input = commands(&[
        (0x0a, (single, signature.clone()).abi_encode_params().into()),
        (0x83, (batch, signature).abi_encode_params().into()),
        (0x0d, (transfers,).abi_encode_params().into()),
        swap,
    ]);
    let found = actions(&input, UNIVERSAL).unwrap();
    // Permit2's own list knows no numbers that stand for somebody.
    let pull = |to| Action::Pull { token, amount: 8, to: Recipient::Other(to) };
    assert_eq!(found.list()[..2], [pull(FACTORY), pull(Address::with_last_byte(2))]);
    assert!(matches!(found.list()[2..], [Action::Swap(_)]));

    let permit = selfPermitCall {
        token,
        value: U256::MAX,
        deadline: U256::MAX,
        v: 27,
        r: B256::ZERO,
        s: B256::ZERO,
    }
    .abi_encode();
    for (function, kind) in [
        (PeripheryFunction::SelfPermit, OLD),
        (PeripheryFunction::SelfPermitIfNecessary, NEW),
        (PeripheryFunction::SelfPermitAllowed, OLD),
        (PeripheryFunction::SelfPermitAllowedIfNecessary, NEW),
    ] {
        let permit = [&function.selector()[..], &permit[4..]].concat();
        let data = vec![permit.into(), some().along(kind, Way::ExactIn).into()];
        let input = multicallCall { data }.abi_encode();
        one_swap(&actions(&input, kind).unwrap());
    }
}

#[test]
fn a_plan_within_a_plan_may_fail_if_it_says_so() {
    let swap = some().command(true, Way::ExactIn, true);
    let plan = |list: &[(u8, Bytes)]| Bytes::from(commands(list)[4..].to_vec());
    let inner = plan(&[swap.clone(), swap.clone()]);
    let input = commands(&[(0x21, inner.clone()), swap.clone()]);
    assert_eq!(actions(&input, UNIVERSAL).unwrap().list().len(), 3);

    let input = commands(&[swap.clone(), (0xa1, inner.clone()), swap]);
    let found = actions(&input, UNIVERSAL).unwrap();
    assert_eq!(found.list().len(), 5);
    assert_eq!(found.list()[1], Action::Try { count: 2 });

    // A plan of its own within an attempt belongs to it; an attempt within one is refused.
    let input = commands(&[(0xa1, plan(&[(0x21, inner.clone())]))]);
    assert_eq!(actions(&input, UNIVERSAL).unwrap().list()[0], Action::Try { count: 2 });
    let input = commands(&[(0xa1, plan(&[(0xa1, inner)]))]);
    assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::TooMuch));
}

#[test]
fn what_is_not_followed_is_refused_whole() {
    let swap = some().command(true, Way::ExactIn, true);
    // V4, markets, position managers, balance checks, and numbers that nobody has used.
    for byte in [0x07, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x20, 0x22, 0x3f, 0x40, 0x7f] {
        for byte in [byte, byte | 0x80] {
            let input = commands(&[swap.clone(), (byte, vec![0; 320].into())]);
            assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Unknown), "{byte:#x}");
        }
    }
    let strange = Bytes::from(vec![0xab; 100]);
    let data = vec![some().along(NEW, Way::ExactIn).into(), strange];
    assert_eq!(actions(&multicallCall { data }.abi_encode(), NEW), Err(DecodeError::Unknown));
    for kind in [OLD, NEW, UNIVERSAL] {
        for input in [&[][..], &[1, 2, 3], &[0xa9, 0x05, 0x9c, 0xbb], &[0; 100]] {
            assert_eq!(actions(input, kind), Err(DecodeError::Unknown));
        }
    }
    let input = executeCall { commands: vec![0, 0].into(), inputs: vec![swap.1] }.abi_encode();
    assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Contradiction));
}

#[test]
fn two_blocks_to_land_behind_cannot_be() {
    let call = |byte: u8, data: Vec<Bytes>| {
        behind::multicallCall { previousBlockhash: B256::repeat_byte(byte), data }.abi_encode()
    };
    let swap = Bytes::from(some().along(NEW, Way::ExactIn));
    let same = call(1, vec![call(1, vec![swap.clone()]).into()]);
    assert!(actions(&same, NEW).is_ok());
    let other = call(1, vec![call(2, vec![swap]).into()]);
    assert_eq!(actions(&other, NEW), Err(DecodeError::Contradiction));
}

#[test]
fn calls_within_calls_come_to_an_end() {
    let swap = Bytes::from(some().along(NEW, Way::ExactIn));
    let wrap = |data: Vec<Bytes>| Bytes::from(multicallCall { data }.abi_encode());
    let mut deep = swap.clone();
    for depth in 1..6 {
        deep = wrap(vec![deep]);
        assert_eq!(actions(&deep, NEW).is_ok(), depth <= 3, "{depth}");
    }
    let many = |count| wrap(vec![swap.clone(); count]);
    assert!(actions(&many(TARGET_STEPS_MAX), NEW).is_ok());
    assert_eq!(actions(&many(TARGET_STEPS_MAX + 1), NEW), Err(DecodeError::TooMuch));
    // What does nothing is counted too, however often one piece of data is named.
    let empty = wrap(vec![]);
    let mut bomb = wrap(vec![empty; 40]);
    assert_eq!(actions(&bomb, NEW), Err(DecodeError::TooMuch));
    for _ in 0..2 {
        bomb = wrap(vec![bomb; 20]);
        assert_eq!(actions(&bomb, NEW), Err(DecodeError::TooMuch));
    }
    // A list that holds itself: the one element's offset leads back to the list's own call.
    let selector = PeripheryFunction::Multicall.selector();
    let word = |value: u64| U256::from(value).to_be_bytes::<32>();
    let mut input = selector.to_vec();
    for value in [0x20, 1, 0x20, 0xffff] {
        input.extend(word(value));
    }
    input.extend(selector);
    assert!(actions(&input, NEW).is_err());

    let plan = |list: &[(u8, Bytes)]| Bytes::from(commands(list)[4..].to_vec());
    let mut deep = plan(&[some().command(false, Way::ExactIn, true)]);
    for depth in 1..6 {
        let input = commands(&[(0x21, deep.clone())]);
        assert_eq!(actions(&input, UNIVERSAL).is_ok(), depth <= 2, "{depth}");
        deep = plan(&[(0x21, deep)]);
    }
    let permits =
        vec![
            (0x0a, Bytes::from((U256::ZERO, [U256::ZERO; 5], Bytes::new()).abi_encode_params()));
            40
        ];
    assert_eq!(actions(&commands(&permits), UNIVERSAL), Err(DecodeError::TooMuch));
}

#[test]
fn paths_are_whole_and_no_longer_than_is_followed() {
    for (count, is_read) in [(1, false), (2, true), (PATH_TOKENS_MAX, true), (7, false)] {
        let path = vec![Address::repeat_byte(1); count];
        let parts = Parts { path, ..some() };
        for (input, kind) in [
            (parts.along(OLD, Way::ExactIn), OLD),
            (parts.pairs(Way::ExactIn), NEW),
            (commands(&[parts.command(true, Way::ExactOut, true)]), UNIVERSAL),
            (commands(&[parts.command(false, Way::ExactIn, true)]), UNIVERSAL),
        ] {
            let found = actions(&input, kind);
            assert!(if is_read { found.is_ok() } else { found == Err(DecodeError::PathLength) });
        }
    }
    // One byte more or less is no path.
    let whole = some().packed(Way::ExactIn);
    for bytes in [whole[..whole.len() - 1].to_vec(), [&whole[..], &[0]].concat(), vec![0; 19]] {
        let input = (some().to, U256::ONE, U256::ZERO, Bytes::from(bytes), true);
        let input = commands(&[(0, input.abi_encode_params().into())]);
        assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::PathLength));
    }
}

#[test]
fn words_with_more_than_they_may_hold_are_refused() {
    let input = some().single(NEW, Way::ExactIn);
    for (word, error) in [
        (0, DecodeError::DirtyAddress),
        (1, DecodeError::DirtyAddress),
        (2, DecodeError::Unknown),
        (3, DecodeError::DirtyAddress),
        (4, DecodeError::AmountTooLarge),
        (6, DecodeError::Unknown),
    ] {
        let mut dirty = input.clone();
        dirty[4 + word * 32] = 1;
        assert_eq!(actions(&dirty, NEW), Err(error), "{word}");
    }
    let portion = (Address::ZERO, Address::ZERO, U256::from(10_001)).abi_encode_params();
    let input = commands(&[(0x06, portion.into())]);
    assert_eq!(actions(&input, UNIVERSAL), Err(DecodeError::Unknown));
}
