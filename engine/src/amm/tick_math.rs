//! Prices and ticks of concentrated pools, as the contract's `TickMath` has them.
//!
//! A price is the square root of token 1 per token 0 in Q64.96; tick `t` is where it is 1.0001 to
//! the power `t / 2`. The constants are those of Uniswap V3's `TickMath`: 2¹²⁸ / 1.0001^(2^(i-1)).
//!
//! Temperature: hot.

use alloy_primitives::U256;

use super::math::{Wide, narrow};
use super::ticks::TICK_MAX;

/// The price at the lowest tick; prices of pools are not below it.
pub const SQRT_PRICE_MIN: U256 = U256::from_limbs([4_295_128_739, 0, 0, 0]);
/// The price at the highest tick; prices of pools are below it.
pub const SQRT_PRICE_MAX: U256 =
    U256::from_limbs([0x5d95_1d52_6398_8d26, 0xefd1_fc6a_5064_8849, 0xfffd_8963, 0]);

/// 2 / ln(1.0001): ticks per unit of a price's logarithm.
const PER_LN: f64 = 20_000.999_983_334_167;
/// Its inverse.
const LN_HALF: f64 = 4.999_750_016_665_417e-5;

/// 2¹²⁸ divided by the square root of 1.0001 to the power 2^i.
const FACTORS: [u128; 20] = [
    0xfffc_b933_bd6f_ad37_aa2d_162d_1a59_4001,
    0xfff9_7272_373d_4132_59a4_6990_580e_213a,
    0xfff2_e50f_5f65_6932_ef12_357c_f3c7_fdcc,
    0xffe5_caca_7e10_e4e6_1c36_24ea_a094_1cd0,
    0xffcb_9843_d60f_6159_c9db_5883_5c92_6644,
    0xff97_3b41_fa98_c081_472e_6896_dfb2_54c0,
    0xff2e_a164_66c9_6a38_43ec_78b3_26b5_2861,
    0xfe5d_ee04_6a99_a2a8_11c4_61f1_969c_3053,
    0xfcbe_86c7_900a_88ae_dcff_c83b_479a_a3a4,
    0xf987_a725_3ac4_1317_6f2b_074c_f781_5e54,
    0xf339_2b08_22b7_0005_940c_7a39_8e4b_70f3,
    0xe715_9475_a2c2_9b74_43b2_9c7f_a6e8_89d9,
    0xd097_f3bd_fd20_22b8_845a_d8f7_92aa_5825,
    0xa9f7_4646_2d87_0fdf_8a65_dc1f_90e0_61e5,
    0x70d8_69a1_56d2_a1b8_90bb_3df6_2baf_32f7,
    0x31be_135f_97d0_8fd9_8123_1505_542f_cfa6,
    0x09aa_508b_5b7a_84e1_c677_de54_f3e9_9bc9,
    0x005d_6af8_dedb_8119_6699_c329_225e_e604,
    0x0000_2216_e584_f5fa_1ea9_2604_1bed_fe98,
    0x0000_0000_048a_1703_91f7_dc42_444e_8fa2,
];

/// The price at a tick; `None` past the highest and the lowest.
#[must_use]
#[inline]
pub fn sqrt_price_at(tick: i32) -> Option<U256> {
    let distance = tick.unsigned_abs();
    if distance > TICK_MAX.unsigned_abs() {
        return None;
    }
    // 2¹²⁸ itself needs a bit more than a u128, so the first factor that counts is taken as it is.
    let mut ratio: Option<u128> = None;
    for (bit, factor) in (0_u32..).zip(FACTORS) {
        if distance.wrapping_shr(bit) & 1 == 1 {
            ratio = Some(ratio.map_or(factor, |ratio| Wide::product(ratio, factor).high));
        }
    }
    let Some(ratio) = ratio else { return Some(U256::from_limbs([0, 1 << 32, 0, 0])) };
    let ratio = U256::from(ratio);
    let ratio = if tick > 0 { U256::MAX.checked_div(ratio)? } else { ratio };
    // From Q128.128 to Q64.96, rounded up.
    let up = U256::from(u8::from(ratio.as_limbs()[0] & 0xffff_ffff != 0));
    ratio.wrapping_shr(32).checked_add(up)
}

/// The greatest tick whose price is not above this one; `None` outside of what pools can have.
#[must_use]
#[inline]
#[expect(clippy::float_arithmetic, reason = "only the guess; integers decide")]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "saturates")]
pub fn tick_at(sqrt_price: U256) -> Option<i32> {
    if !(SQRT_PRICE_MIN..SQRT_PRICE_MAX).contains(&sqrt_price) {
        return None;
    }
    let ratio = q96_to_f64(sqrt_price);
    // Right to about 10⁻⁹ of a tick: at most one off.
    let guess = libm::floor(libm::log(ratio) * PER_LN) as i32;
    let mut tick = guess.clamp(TICK_MAX.checked_neg()?, TICK_MAX.checked_sub(1)?);
    while sqrt_price_at(tick)? > sqrt_price {
        tick = tick.checked_sub(1)?;
    }
    while sqrt_price_at(tick.checked_add(1)?)? <= sqrt_price {
        tick = tick.checked_add(1)?;
    }
    Some(tick)
}

/// A Q64.96 number as a float.
#[must_use]
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "chooses candidates only"
)]
pub fn q96_to_f64(value: U256) -> f64 {
    const SCALE: f64 = 1.0 / 79_228_162_514_264_337_593_543_950_336.0;
    match narrow(value) {
        Some(value) => value as f64 * SCALE,
        // At most 160 bits: the lowest 64 are below the precision.
        None => {
            narrow(value.wrapping_shr(64)).map_or(f64::INFINITY, |high| high as f64)
                * (SCALE * 18_446_744_073_709_551_616.0)
        }
    }
}

/// The square root of 1.0001 to the power `tick`, as a float.
#[must_use]
#[inline]
#[expect(clippy::float_arithmetic, reason = "chooses candidates only")]
pub fn sqrt_ratio(tick: i32) -> f64 {
    libm::exp(f64::from(tick) * LN_HALF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_at_known_ticks_are_the_contracts() {
        for (tick, price) in [
            (-TICK_MAX, "4295128739"),
            (-1, "79224201403219477170569942574"),
            (0, "79228162514264337593543950336"),
            (1, "79232123823359799118286999568"),
            (60, "79466191966197645195421774833"),
            (TICK_MAX, "1461446703485210103287273052203988822378723970342"),
        ] {
            assert_eq!(sqrt_price_at(tick), price.parse().ok(), "{tick}");
        }
        assert_eq!(sqrt_price_at(TICK_MAX + 1), None);
        assert_eq!(sqrt_price_at(i32::MIN), None);
        assert_eq!(sqrt_price_at(-TICK_MAX), Some(SQRT_PRICE_MIN));
        assert_eq!(sqrt_price_at(TICK_MAX), Some(SQRT_PRICE_MAX));
    }

    #[test]
    fn the_float_of_a_price_is_the_price_to_the_last_digits() {
        for tick in (-TICK_MAX..=TICK_MAX).step_by(977) {
            let (float, exact) = (sqrt_ratio(tick), q96_to_f64(sqrt_price_at(tick).unwrap()));
            // The exponent has 53 bits, and so 2⁻⁴⁷ of the price at the far ends.
            assert!((float / exact - 1.0).abs() < 3e-14 || exact < 1e-12, "{tick} {float} {exact}");
        }
    }

    #[test]
    fn prices_that_no_pool_can_have_are_at_no_tick() {
        assert_eq!(tick_at(SQRT_PRICE_MIN - U256::from(1)), None);
        assert_eq!(tick_at(SQRT_PRICE_MAX), None);
        assert_eq!(tick_at(U256::MAX), None);
        assert_eq!(tick_at(SQRT_PRICE_MIN), Some(-TICK_MAX));
        assert_eq!(tick_at(SQRT_PRICE_MAX - U256::from(1)), Some(TICK_MAX - 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn a_tick_is_found_from_every_price_within_it(
            tick in -TICK_MAX..TICK_MAX, share in 0_u64..=u64::MAX,
        ) {
            let (low, high) = (sqrt_price_at(tick).unwrap(), sqrt_price_at(tick + 1).unwrap());
            let width = high - low;
            let within = low + ((width * U256::from(share)) >> 64_usize);
            for price in [low, within, high - U256::from(1)] {
                prop_assert_eq!(tick_at(price), Some(tick));
            }
            let float = sqrt_ratio(tick);
            prop_assert!((float / q96_to_f64(low) - 1.0).abs() < 1e-9);
        }
    }
}
