//! Tests of reading logs.
//!
//! Temperature: cold.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails its test")]

use alloc::vec::Vec;

use alloy_primitives::keccak256;

use super::topics as t;
use super::*;

fn word(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

fn log(topic: B256, indexed: &[B256], words: &[[u8; 32]]) -> Result<Event, Malformed> {
    let topics: Vec<_> = core::iter::once(topic).chain(indexed.iter().copied()).collect();
    decode(&topics, words.as_flattened())
}

#[test]
fn every_topic_is_the_hash_of_its_signature() {
    for (signature, topic) in topics::ALL {
        assert_eq!(keccak256(signature), *topic, "{signature}");
        assert!(classify(topic).is_some(), "{signature} is read by nobody");
    }
}

/// A topic, indexed words, data, and what they say.
type Case<'a> = (B256, &'a [B256], &'a [[u8; 32]], Event);

const USERS: [Address; 3] =
    [Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)];

fn of(address: Address) -> [u8; 32] {
    address.into_word().0
}

fn number(value: u64) -> B256 {
    B256::from(word(value))
}

/// Each case is read as it says, and refused with one indexed word more or less.
fn are_read(cases: &[Case<'_>]) {
    for (topic, indexed, words, event) in cases {
        assert_eq!(log(*topic, indexed, words), Ok(*event));
        let fewer = indexed.split_last().map_or(&[][..], |(_, rest)| rest);
        assert_eq!(log(*topic, fewer, words), Err(Malformed::Topics));
        let more = [*indexed, &[B256::ZERO]].concat();
        assert_eq!(log(*topic, &more, words), Err(Malformed::Topics));
    }
}

#[test]
fn a_pools_events_are_read_field_by_field() {
    let [a, b, c] = USERS;
    let [ta, tb, tc] = USERS.map(|who| who.into_word());
    are_read(&[
        (
            t::RESERVE_DATA,
            &[ta],
            &[1, 2, 3, 4, 5].map(word),
            Event::Reserve {
                asset: a,
                change: ReserveChange::Data { liquidity: (1, 4), borrow: (3, 5) },
            },
        ),
        (
            t::COLLATERAL_ENABLED,
            &[ta, tb],
            &[],
            Event::CollateralUse { asset: a, user: b, is_used: true },
        ),
        (
            t::COLLATERAL_DISABLED,
            &[ta, tb],
            &[],
            Event::CollateralUse { asset: a, user: b, is_used: false },
        ),
        (t::USER_EMODE_SET, &[ta], &[word(7)], Event::UserCategory { user: a, category: 7 }),
        (t::SUPPLY, &[ta, tb, number(0)], &[of(c), word(1)], Event::Moved { user: b }),
        (t::WITHDRAW, &[ta, tb, tc], &[word(1)], Event::Moved { user: b }),
        (t::BORROW, &[ta, tb, number(0)], &[1, 2, 3, 4].map(word), Event::Borrowed { user: b }),
        (t::REPAY, &[ta, tb, tc], &[word(1), word(0)], Event::Moved { user: b }),
        (
            t::LIQUIDATION_CALL,
            &[ta, tb, tc],
            &[word(5), word(6), of(a), word(0)],
            Event::Liquidated {
                collateral: a,
                debt: b,
                user: c,
                repaid: U256::from(5),
                seized: U256::from(6),
                liquidator: a,
            },
        ),
        (t::MINTED_TO_TREASURY, &[ta], &[word(1)], Event::Treasury { asset: a }),
        (t::DEFICIT_CREATED, &[tb, ta], &[word(1)], Event::Moved { user: b }),
        (t::DEFICIT_COVERED, &[ta], &[of(b), word(1)], Event::Treasury { asset: a }),
    ]);
}

#[test]
fn events_of_tokens_and_prices_are_read_field_by_field() {
    let [a, b, _] = USERS;
    let [ta, tb, _] = USERS.map(|who| who.into_word());
    are_read(&[
        (t::MINT, &[ta, tb], &[1, 2, 3].map(word), Event::Minted { user: b }),
        (t::BURN, &[ta, tb], &[1, 2, 3].map(word), Event::Burnt { user: a }),
        (t::BALANCE_TRANSFER, &[ta, tb], &[1, 2].map(word), Event::Transferred { from: a, to: b }),
        (t::ASSET_SOURCE, &[ta, tb], &[], Event::PriceSource { asset: a }),
        (t::FALLBACK_ORACLE, &[ta], &[], Event::Oracle),
        (t::PRICE_ORACLE, &[ta, tb], &[], Event::Oracle),
        (t::POOL_UPDATED, &[ta, tb], &[], Event::Upgraded),
        (t::UPGRADED, &[ta], &[], Event::Upgraded),
    ]);
}

#[test]
fn a_configurators_events_are_read_field_by_field() {
    let [a, b, c] = USERS;
    let [ta, tb, _] = USERS.map(|who| who.into_word());
    let reserve = |change| Event::Reserve { asset: a, change };
    let category = |change| Event::Category { category: 3, change };
    are_read(&[
        (
            t::RESERVE_INITIALIZED,
            &[ta, tb],
            &[word(0), of(c), word(0)],
            Event::Listed { asset: a, a_token: b, debt_token: c },
        ),
        (
            t::COLLATERAL_CONFIGURATION,
            &[ta],
            &[word(8_000), word(8_250), word(10_500)],
            reserve(ReserveChange::Collateral { threshold_bps: 8_250, bonus_bps: 10_500 }),
        ),
        (t::RESERVE_ACTIVE, &[ta], &[word(1)], reserve(ReserveChange::Active(true))),
        (t::RESERVE_FROZEN, &[ta], &[word(1)], Event::Frozen { asset: a }),
        (t::RESERVE_PAUSED, &[ta], &[word(0)], reserve(ReserveChange::Paused(false))),
        (t::PROTOCOL_FEE, &[ta], &[word(1), word(1_000)], reserve(ReserveChange::Fee(1_000))),
        (t::GRACE_CHANGED, &[ta], &[word(9)], reserve(ReserveChange::Grace(9))),
        (t::GRACE_DISABLED, &[ta], &[], reserve(ReserveChange::Grace(0))),
        (
            t::CATEGORY_ADDED,
            &[number(3)],
            &[word(1), word(9_500), word(10_100), of(a), word(160), word(0)],
            category(CategoryChange::Numbers {
                threshold_bps: 9_500,
                bonus_bps: 10_100,
                has_price_source: true,
            }),
        ),
        (
            t::CATEGORY_COLLATERAL,
            &[ta],
            &[word(3), word(1)],
            category(CategoryChange::Collateral { asset: a, is_collateral: true }),
        ),
        (t::ASSET_CATEGORY, &[ta], &[word(0), word(4)], reserve(ReserveChange::Category(4))),
        (t::CATEGORY_ISOLATION, &[number(3)], &[word(1)], Event::Isolation { category: 3 }),
    ]);
}

#[test]
fn what_is_not_shaped_like_its_signature_is_refused() {
    let asset = USERS[0].into_word();
    assert_eq!(decode(&[], &[]), Err(Malformed::Unknown));
    assert_eq!(decode(&[B256::ZERO], &[]), Err(Malformed::Unknown));
    assert_eq!(decode(&[t::RESERVE_PAUSED, asset], &[0; 31]), Err(Malformed::Data));
    assert_eq!(decode(&[t::RESERVE_PAUSED, asset], &[0; 33]), Err(Malformed::Data));
    assert_eq!(log(t::RESERVE_PAUSED, &[asset], &[word(2)]), Err(Malformed::Range));
    assert_eq!(log(t::USER_EMODE_SET, &[asset], &[word(256)]), Err(Malformed::Range));
    let wide = B256::repeat_byte(1);
    assert_eq!(log(t::RESERVE_PAUSED, &[wide], &[word(1)]), Err(Malformed::Range));
    let huge = [[0xff; 32]; 5];
    assert_eq!(log(t::RESERVE_DATA, &[asset], &huge), Err(Malformed::Range));
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_stranger_writes_panics(
        kind in 0..topics::ALL.len() + 1,
        indexed in proptest::collection::vec(proptest::prelude::any::<[u8; 32]>(), 0..5),
        small in proptest::prelude::any::<bool>(),
        data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..260),
    ) {
        let topic = topics::ALL.get(kind).map_or(B256::ZERO, |(_, topic)| *topic);
        let mut data = data;
        if small {
            for word in data.chunks_mut(32) {
                let most = word.len().saturating_sub(2);
                word[..most].fill(0);
            }
        }
        let topics: Vec<_> = core::iter::once(topic)
            .chain(indexed.into_iter().map(|mut word| {
                if small {
                    word[..12].fill(0);
                }
                B256::from(word)
            }))
            .collect();
        // Whatever it is: an event or an error.
        assert!(decode(&topics, &data).is_ok() || decode(&topics, &data).is_err());
    }
}
