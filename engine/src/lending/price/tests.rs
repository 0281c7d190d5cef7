//! Prices against numbers worked out by hand from the contracts' formulas, and changes taken back.
//!
//! Temperature: cold.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use alloy_primitives::{B256, hex};
use proptest::prelude::*;

use super::*;
use crate::decode::log::{Data, Log};
use crate::lending::transmission::Transmission;

const AT: u64 = 1_800_000_000;
const AGGREGATOR: Address = Address::repeat_byte(0xa9);

fn number(value: u128) -> U256 {
    U256::from(value)
}

fn int(value: i128) -> I256 {
    I256::try_from(value).unwrap()
}

fn ten(exponent: u64) -> U256 {
    U256::from(10).pow(U256::from(exponent))
}

/// Feeds with these answers, in order, and a leaf for each.
fn with(answers: &[i128]) -> (Prices, Vec<NodeId>) {
    let limits = PriceLimits { feeds: 32, nodes: 64, prices: 16, leaves: 64 };
    let mut prices = Prices::new(limits);
    let mut leaves = vec![];
    for (place, answer) in answers.iter().enumerate() {
        let spec = FeedSpec {
            proxy: Address::with_last_byte(1),
            aggregator: if place == 0 { AGGREGATOR } else { Address::ZERO },
            route: Route::Primary,
            weight: 1,
            answer: int(*answer),
        };
        let feed = prices.add_feed(&spec).unwrap();
        leaves.push(prices.add_node(Node::Feed(feed)).unwrap());
    }
    (prices, leaves)
}

/// The value of one node over feeds with these answers.
fn value_of(answers: &[i128], node: impl FnOnce(&[NodeId]) -> Node) -> Result<U256, Fault> {
    let (mut prices, leaves) = with(answers);
    let root = prices.add_node(node(&leaves)).unwrap();
    let price = prices.add_price(Some(root), 1).unwrap();
    prices.value(price, AT)
}

#[test]
fn comet_scales_and_multiplies_as_its_feeds_do() {
    let down = |of: &[NodeId]| Node::Scale { of: of[0], multiplier: ten(0), divisor: ten(10) };
    assert_eq!(value_of(&[1_234_567_899_999_999_999], down), Ok(number(123_456_789)));
    assert_eq!(value_of(&[9_999_999_999], down), Err(Fault::NoPrice), "rounded to nothing");
    assert_eq!(value_of(&[-5], down), Err(Fault::NoPrice));
    let product =
        |of: &[NodeId]| Node::Product { of: [of[0], of[1]], multiplier: ten(8), divisor: ten(26) };
    // 1.156 stETH a wstETH, 1 899.12345678 dollars an ether.
    let both = [1_156_000_000_000_000_001, 189_912_345_678];
    assert_eq!(value_of(&both, product), Ok(number(219_538_671_603)));
    assert_eq!(value_of(&[1, 0], product), Err(Fault::NoPrice));
    assert_eq!(value_of(&[-1, -1], product), Err(Fault::NoPrice), "not their product");
    // A price of A in B from those of both in dollars.
    let reverse =
        |of: &[NodeId]| Node::Quotient { of: [of[0], of[1]], multiplier: ten(16), divisor: ten(8) };
    assert_eq!(value_of(&[9_900_000_001, 189_912_345_678], reverse), Ok(number(5_212_931)));
    assert_eq!(value_of(&[1, 0], reverse), Err(Fault::NoPrice));
}

#[test]
fn a_product_past_255_bits_reverts() {
    let product = |of: &[NodeId]| Node::Product {
        of: [of[0], of[1]],
        multiplier: number(1),
        divisor: number(1),
    };
    let half = 1 << 126;
    assert!(value_of(&[half, half], product).is_ok());
    let wide = |of: &[NodeId]| Node::Product {
        of: [of[0], of[1]],
        multiplier: number(8),
        divisor: number(8),
    };
    assert_eq!(value_of(&[half, half], wide), Err(Fault::Overflow));
}

#[test]
fn aave_caps_ratios_by_time_and_stables_by_a_number() {
    let snapshot = 1_100_000_000_000_000_000_u128;
    let capped = |prices: &mut Prices, of: &[NodeId]| {
        let ratio = prices.add_node(Node::GrowthCapped {
            ratio: of[1],
            snapshot: number(snapshot),
            growth: number(3_000_000_000),
            since: AT - 1_000,
        });
        let of = [of[0], ratio.unwrap()];
        let product = Node::Product { of, multiplier: number(1), divisor: ten(18) };
        let root = prices.add_node(product).unwrap();
        prices.add_price(Some(root), 1).unwrap()
    };
    let (mut prices, of) = with(&[200_000_000_000, 1_100_000_000_000_000_000 + 5_000_000_000_000]);
    let price = capped(&mut prices, &of);
    // 1.1 + 3e9 · 1000 / 1e18, of 2 000 dollars.
    assert_eq!(prices.value(price, AT), Ok(number(220_000_600_000)));
    assert_eq!(prices.value(price, AT + 1_000), Ok(number(220_001_000_000)), "no longer capped");
    assert_eq!(prices.value(price, AT - 1_001), Err(Fault::Underflow), "before its snapshot");
    let mut changes = vec![];
    let other = Node::GrowthCapped {
        ratio: of[1],
        snapshot: number(snapshot / 2),
        growth: number(0),
        since: AT - 1_000,
    };
    let cap = NodeId(2);
    prices.replace(cap, other, &mut |change| changes.push(change)).unwrap();
    assert_eq!(prices.value(price, AT), Ok(number(110_000_000_000)));
    prices.undo(changes[0]);
    assert_eq!(prices.value(price, AT), Ok(number(220_000_600_000)));
    let foreign = Node::Capped { of: of[0], cap: number(1) };
    assert_eq!(prices.replace(cap, foreign, &mut |_| ()), Err(PriceError::OtherParts));

    let stable = |of: &[NodeId]| Node::Capped { of: of[0], cap: number(104_000_000) };
    assert_eq!(value_of(&[103_999_999], stable), Ok(number(103_999_999)));
    assert_eq!(value_of(&[105_000_000], stable), Ok(number(104_000_000)));
    assert_eq!(value_of(&[-1], stable), Err(Fault::NoPrice));
}

#[test]
fn a_principal_token_is_discounted_until_it_matures() {
    let discounted = |left: u64| {
        let maturity = AT + left;
        move |of: &[NodeId]| Node::Discounted { of: of[0], maturity, per_year: 1_000 }
    };
    // Half a year of a tenth: 500 ten-thousandths.
    assert_eq!(value_of(&[100_000_001], discounted(15_768_000)), Ok(number(95_000_001)));
    assert_eq!(value_of(&[100_000_001], discounted(31_535)), Ok(number(100_000_001)), "rounded");
    assert_eq!(value_of(&[100_000_001], discounted(0)), Ok(number(100_000_001)));
    let gone = |of: &[NodeId]| Node::Discounted { of: of[0], maturity: u64::MAX, per_year: 9 };
    assert_eq!(value_of(&[100_000_001], gone), Err(Fault::NoPrice));
}

#[test]
fn morpho_multiplies_in_512_bits_and_takes_zero() {
    let market = |of: &[NodeId]| Node::Market {
        // 36 + 6 + 8 − 18 − 8: WETH at a dollar feed, in USDC at another.
        scale: ten(24),
        base: [None, Some(of[0]), None],
        quote: [None, Some(of[1]), None],
    };
    let both = [189_912_345_678, 99_990_000];
    let expected = number(189_912_345_678) * ten(24) / number(99_990_000);
    assert_eq!(value_of(&both, market), Ok(expected));
    assert_eq!(value_of(&[0, 99_990_000], market), Ok(U256::ZERO), "everything is for the taking");
    assert_eq!(value_of(&[1, 0], market), Err(Fault::Overflow), "a division by zero");
    assert_eq!(value_of(&[-1, 1], market), Err(Fault::NoPrice), "NEGATIVE_ANSWER");
    let wide = |of: &[NodeId]| Node::Market {
        scale: ten(60),
        base: [Some(of[0]), None, None],
        quote: [Some(of[0]), None, None],
    };
    assert_eq!(value_of(&[i128::MAX], wide), Ok(ten(60)), "the product has 327 bits");
}

#[test]
fn a_fallback_is_asked_where_the_first_has_no_price() {
    let either = |of: &[NodeId]| Node::Fallback([of[0], of[1]]);
    assert_eq!(value_of(&[7, 9], either), Ok(number(7)));
    assert_eq!(value_of(&[0, 9], either), Ok(number(9)));
    assert_eq!(value_of(&[-7, 9], either), Ok(number(9)));
    assert_eq!(value_of(&[0, 0], either), Err(Fault::NoPrice));
}

#[test]
fn leaves_say_how_often_a_feed_multiplies_and_divides() {
    let (mut prices, of) = with(&[5, 6, 7]);
    let (multiplier, divisor) = (number(100), number(1));
    let square = prices.add_node(Node::Product { of: [of[0], of[0]], multiplier, divisor });
    let square = square.unwrap();
    let ratio = prices.add_node(Node::Quotient { of: [of[1], square], multiplier, divisor });
    let market = Node::Market {
        scale: ten(36),
        base: [Some(of[2]), None, None],
        quote: [None, Some(ratio.unwrap()), Some(of[2])],
    };
    let root = prices.add_node(market).unwrap();
    let price = prices.add_price(Some(root), 1).unwrap();
    let leaf = |feed, up, down| Leaf { feed: FeedId(feed), up, down };
    let expected = [leaf(2, 1, 1), leaf(1, 0, 1), leaf(0, 2, 0)];
    assert_eq!(prices.leaves(price), expected);
    let timed = Node::Discounted { of: of[0], maturity: AT, per_year: 1 };
    let of = [of[1], prices.add_node(timed).unwrap()];
    let root = prices.add_node(Node::Quotient { of, multiplier, divisor }).unwrap();
    assert_eq!(prices.add_price(Some(root), 1), Err(PriceError::TimedDivisor));
}

/// A log as a node tells it.
fn log<'a>(address: Address, topics: &[B256], data: &'a str) -> Log<'a> {
    let mut all = [B256::ZERO; 4];
    all[..topics.len()].copy_from_slice(topics);
    Log {
        address,
        topics: all,
        topic_count: u8::try_from(topics.len()).unwrap(),
        data: Data::Hex(data.as_bytes()),
        block_number: 1,
        block_hash: B256::ZERO,
        tx_hash: B256::ZERO,
        tx_index: 0,
        log_index: 0,
        removed: false,
    }
}

fn word(value: i128) -> B256 {
    int(value).into_raw().into()
}

fn data(words: &[i128]) -> String {
    let words: Vec<_> = words.iter().map(|value| hex::encode(word(*value))).collect();
    format!("0x{}", words.concat())
}

#[test]
fn every_event_of_an_aggregator_moves_its_feed_and_can_be_taken_back() {
    let (mut prices, of) = with(&[100, 100]);
    let price = prices.add_price(Some(of[0]), 1).unwrap();
    let round = word(9);
    let [second, first] = [data(&[102, 0, 0]), data(&[103, 0])];
    let time = data(&[1_800_000_000]);
    let logs = [
        (log(AGGREGATOR, &[ANSWER_UPDATED, word(101), round], &time), 101),
        (log(AGGREGATOR, &[NEW_TRANSMISSION_OCR2, round], &second), 102),
        (log(AGGREGATOR, &[NEW_TRANSMISSION_OCR1, round], &first), 103),
    ];
    let mut changes = vec![];
    for (log, answer) in logs {
        prices.apply(&log, &mut |change| changes.push(change)).unwrap();
        assert_eq!(prices.value(price, AT), Ok(number(answer)));
        prices.apply(&log, &mut |_| panic!("it says nothing new")).unwrap();
    }
    let stranger = log(Address::repeat_byte(1), &[ANSWER_UPDATED, word(1), round], &time);
    prices.apply(&stranger, &mut |_| panic!("it is nobody's")).unwrap();
    let negative = log(AGGREGATOR, &[ANSWER_UPDATED, word(-1), round], &time);
    prices.apply(&negative, &mut |change| changes.push(change)).unwrap();
    assert_eq!(prices.value(price, AT), Err(Fault::NoPrice));
    assert_eq!(prices.counts(), PriceCounts { moved: 4, not_positive: 1, ..Default::default() });
    for (change, answer) in changes.into_iter().rev().zip([103, 102, 101, 100]) {
        prices.undo(change);
        assert_eq!(prices.value(price, AT), Ok(number(answer)));
    }
}

#[test]
fn an_event_that_no_aggregator_writes_changes_nothing() {
    let (mut prices, _) = with(&[100]);
    let cut = log(AGGREGATOR, &[NEW_TRANSMISSION_OCR2, word(9)], "0x12");
    assert!(prices.apply(&cut, &mut |_| panic!("nothing")).is_err());
    let wide = B256::repeat_byte(0x7f);
    let wide = log(AGGREGATOR, &[ANSWER_UPDATED, wide, word(9)], "0x");
    assert!(prices.apply(&wide, &mut |_| panic!("nothing")).is_err());
    let round = log(AGGREGATOR, &[ANSWER_UPDATED, word(1), B256::repeat_byte(1)], "0x");
    assert!(prices.apply(&round, &mut |_| panic!("nothing")).is_err());
    let topics = log(AGGREGATOR, &[ANSWER_UPDATED], "0x");
    prices.apply(&topics, &mut |_| panic!("nothing")).unwrap();
}

#[test]
fn a_rotated_feed_hears_its_new_aggregator_only() {
    let (mut prices, of) = with(&[100]);
    let price = prices.add_price(Some(of[0]), 1).unwrap();
    let next = Address::repeat_byte(0xbb);
    let mut changes = vec![];
    prices.rotate(FeedId(0), next, int(110), &mut |change| changes.push(change));
    assert_eq!((prices.value(price, AT), prices.counts().rotated), (Ok(number(110)), 1));
    let by = |address| log(address, &[ANSWER_UPDATED, word(120), word(1)], "0x");
    prices.apply(&by(AGGREGATOR), &mut |_| panic!("it is out of office")).unwrap();
    prices.apply(&by(next), &mut |change| changes.push(change)).unwrap();
    assert_eq!(prices.value(price, AT), Ok(number(120)));
    changes.into_iter().rev().for_each(|change| prices.undo(change));
    prices.apply(&by(next), &mut |_| panic!("not any more")).unwrap();
    let mut heard = 0;
    prices.apply(&by(AGGREGATOR), &mut |_| heard += 1).unwrap();
    assert_eq!((heard, prices.value(price, AT)), (1, Ok(number(120))));
}

#[test]
fn a_pending_transmission_moves_the_proxies_of_its_own_route() {
    let (mut prices, of) = with(&[100]);
    let secondary = FeedSpec {
        proxy: Address::with_last_byte(2),
        aggregator: AGGREGATOR,
        route: Route::Secondary,
        weight: 1,
        answer: int(100),
    };
    let secondary = prices.add_feed(&secondary).unwrap();
    let leaf = prices.add_node(Node::Feed(secondary)).unwrap();
    let [public, private] = [of[0], leaf].map(|root| prices.add_price(Some(root), 1).unwrap());
    for (route, expected) in [(Route::Primary, [105, 100]), (Route::Secondary, [100, 105])] {
        let pending = Transmission {
            aggregator: AGGREGATOR,
            route,
            forwarder: None,
            answer: int(105),
            observations: 1,
            signatures: 1,
            observed_at: None,
            epoch: 1,
            round: 1,
            config: B256::ZERO,
        };
        let mut changes = vec![];
        prices.suppose(&pending, &mut |change| changes.push(change));
        let values = [public, private].map(|price| prices.value(price, AT));
        assert_eq!(values, expected.map(|value| Ok(number(value))), "{route:?}");
        changes.into_iter().rev().for_each(|change| prices.undo(change));
        let values = [public, private].map(|price| prices.value(price, AT));
        assert_eq!(values, [Ok(number(100)); 2]);
    }
}

#[test]
fn a_price_that_is_not_what_the_chain_says_is_read_each_block() {
    let (mut prices, of) = with(&[100]);
    let price = prices.add_price(Some(of[0]), 1).unwrap();
    let mut changes = vec![];
    let mut keep = |change| changes.push(change);
    assert!(prices.verify(price, Some(number(100)), AT, &mut keep));
    assert!(!prices.verify(price, Some(number(90)), AT, &mut keep));
    assert_eq!(
        (prices.mark(price), prices.value(price, AT)),
        (Mark::ReadEachBlock, Ok(number(90)))
    );
    assert_eq!(prices.counts().mismatched, 1);
    let own = prices.own_feed(price).unwrap();
    assert_eq!(prices.feed(own).price(), Ok(number(90)), "it is a feed of its own");
    prices.read(price, Some(number(91)), &mut keep);
    assert_eq!(prices.value(price, AT), Ok(number(91)));
    prices.read(price, None, &mut keep);
    assert_eq!(prices.value(price, AT), Err(Fault::NoPrice));
    assert!(prices.verify(price, Some(number(100)), AT, &mut keep), "as modelled again");
    assert_eq!(prices.mark(price), Mark::Modelled);
    changes.into_iter().rev().for_each(|change| prices.undo(change));
    assert_eq!((prices.mark(price), prices.value(price, AT)), (Mark::Modelled, Ok(number(100))));

    let unknown = prices.add_price(None, 1).unwrap();
    assert_eq!(prices.value(unknown, AT), Err(Fault::NoPrice));
    assert!(prices.verify(unknown, Some(number(5)), AT, &mut |_| ()));
    assert_eq!(
        (prices.mark(unknown), prices.value(unknown, AT)),
        (Mark::ReadEachBlock, Ok(number(5)))
    );
}

#[test]
fn what_there_is_no_room_for_is_refused() {
    let limits = PriceLimits { feeds: 2, nodes: 14, prices: 1, leaves: 1 };
    let mut prices = Prices::new(limits);
    let spec = FeedSpec {
        proxy: Address::ZERO,
        aggregator: Address::ZERO,
        route: Route::Primary,
        weight: 1,
        answer: int(1),
    };
    assert_eq!(prices.add_node(Node::Feed(FeedId(0))), Err(PriceError::Unknown));
    let feed = prices.add_feed(&spec).unwrap();
    let mut node = prices.add_node(Node::Feed(feed)).unwrap();
    assert_eq!(prices.add_price(Some(NodeId(9)), 1), Err(PriceError::Unknown));
    prices.add_price(Some(node), 1).unwrap();
    assert_eq!(prices.add_feed(&spec), Err(PriceError::Full));
    assert_eq!(prices.add_price(None, 1), Err(PriceError::Full));
    for _ in 0..DEPTH_MAX {
        node = prices.add_node(Node::Capped { of: node, cap: number(1) }).unwrap();
    }
    let deeper = prices.add_node(Node::Capped { of: node, cap: number(1) });
    assert_eq!(deeper, Err(PriceError::TooDeep));
    prices.add_node(Node::Constant(number(1))).unwrap();
    assert_eq!(prices.add_node(Node::Constant(number(1))), Err(PriceError::Full));
}

proptest! {
    /// What the trigger index rests on: moves of leaves bound the move of the price.
    #[test]
    fn a_price_moves_no_more_than_its_leaves_and_its_rounding(
        answers in proptest::array::uniform3(1_000_i128..1_000_000_000_000),
        moves in proptest::array::uniform3(-100_000_i128..100_000),
        scales in (0..6_u64, 0..6_u64),
    ) {
        let (mut prices, of) = with(&answers);
        let scaled = Node::Scale { of: of[0], multiplier: number(1), divisor: number(7) };
        let scaled = prices.add_node(scaled).unwrap();
        let (multiplier, divisor) = (ten(scales.0), ten(3));
        let product = prices.add_node(Node::Product { of: [scaled, of[1]], multiplier, divisor });
        let of = [product.unwrap(), of[2]];
        let quotient = Node::Quotient { of, multiplier: ten(12), divisor: ten(scales.1) };
        let root = prices.add_node(quotient).unwrap();
        let price = prices.add_price(Some(root), 1).unwrap();
        let Ok(before) = prices.value(price, AT) else { return Ok(()) };
        let rounding = prices.rounding(price, AT).unwrap();
        let mut lost = U256::from(rounding);
        for (feed, moved) in (0..).zip(moves) {
            let answer = answers[usize::from(feed)];
            let after = answer + answer * moved / 1_000_000;
            prices.set_answer(FeedId(feed), int(after), &mut |_| ());
            // The first two hurt when they fall, the third when it rises.
            let harm = if feed < 2 { answer - after } else { after - answer }.max(0);
            lost += U256::from(harm.unsigned_abs()) * U256::from(ONE)
                / U256::from(answer.unsigned_abs()) + U256::from(1);
        }
        let after = prices.value(price, AT).unwrap_or_default();
        let one = U256::from(ONE);
        let least = before * one.saturating_sub(lost) / one;
        prop_assert!(after >= least, "{before} fell to {after}, bound {least}");
    }
}
