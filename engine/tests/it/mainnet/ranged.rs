//! Pools of Uniswap V3's shape in real blocks: what they are, whether the world that follows their
//! logs holds what the EVM holds, and whether each of their swaps is quoted to the wei.
//!
//! Nothing is taken for granted because of an address. A layout is Uniswap's, or Pancake's, if the
//! slots say what the contract's own views say. A witness knows the ticks that its block touched,
//! so a swap may leave what is known; then nothing is said of it.
//!
//! Temperature: cold.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use gannet_engine::amm::{
    Concentrated, ConcentratedState, Exact, Pool, PoolView, Swapped, Tick, Ticks,
};
use gannet_engine::decode::log::Log;
use gannet_engine::decode::topics::{PANCAKE_V3_SWAP, V3_BURN, V3_MINT, V3_SWAP};
use gannet_engine::ids::Direction;

use super::calls::{known_ticks, tick_key};
use super::chain::{Fork, Replay};
use super::mirror::{Mirror, Seeded, WETH};
use super::pair::Because;
use super::witness::Witness;

alloy::sol! {
    interface Ranged {
        function token0() external view returns (address);
        function token1() external view returns (address);
        function fee() external view returns (uint24);
        function tickSpacing() external view returns (int24);
        function liquidity() external view returns (uint128);
        function tickBitmap(int16 word) external view returns (uint256);
    }
    // What stands behind these two words differs from fork to fork.
    interface Price {
        function slot0() external view returns (uint160 sqrtPrice, int24 tick);
    }
}

/// Fees above are not looked for, in pips.
const FEE_PIPS_MAX: u32 = 10_000;

/// A pool of V3's shape, as it is at some point of a block.
#[derive(Clone, Debug)]
pub(crate) struct RangedPool {
    pub(crate) address: Address,
    pub(crate) tokens: [Address; 2],
    pub(crate) state: ConcentratedState,
    ticks: Vec<Tick>,
    known: [i32; 2],
    /// By how many slots its layout is shifted: 0 is Uniswap's, 1 Pancake's.
    shift: u64,
}

impl RangedPool {
    /// Looks at a contract.
    pub(crate) fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        if fork.code(address)?.is_empty() {
            return Err(Because("there is no contract before the block".into()));
        }
        let no = |_reverts| Because("it lacks a view of V3's pools".into());
        let token0 = fork.read(address, &Ranged::token0Call {})?.map_err(no)?;
        let token1 = fork.read(address, &Ranged::token1Call {})?.map_err(no)?;
        let fee = fork.read(address, &Ranged::feeCall {})?.map_err(no)?;
        let spacing = fork.read(address, &Ranged::tickSpacingCall {})?.map_err(no)?;
        let price = fork.read(address, &Price::slot0Call {})?.map_err(no)?;
        let liquidity = fork.read(address, &Ranged::liquidityCall {})?.map_err(no)?;
        let state = ConcentratedState {
            sqrt_price: price.sqrtPrice.to(),
            tick: price.tick.try_into().expect("24 bits"),
            liquidity,
            fee_pips: fee.to(),
            tick_spacing: spacing.try_into().expect("24 bits"),
        };
        let pool = Concentrated::new(&state).filter(|pool| !pool.sqrt_price().is_zero());
        let pool = pool.ok_or_else(|| Because("it has no price".into()))?;
        let word = state.tick.div_euclid(state.tick_spacing) >> 8;
        let asked = Ranged::tickBitmapCall { word: i16::try_from(word).expect("16 bits") };
        let bitmap = fork.read(address, &asked)?.map_err(no)?;
        let is_so = |fork: &mut Fork<'_>, shift: u64| {
            let slots = [U256::ZERO, U256::from(4 + shift), tick_key(word, 6 + shift)];
            let [slot0, held, bits] = slots.map(|slot| fork.slot_at(address, slot).ok());
            let low = (U256::ONE << 160) - U256::ONE;
            slot0.map(|word| word & low) == Some(state.sqrt_price)
                && held == Some(U256::from(liquidity))
                && bits == Some(bitmap)
        };
        let shift = [0, 1].into_iter().find(|shift| is_so(fork, *shift));
        let shift = shift.ok_or_else(|| Because("it is of another layout".into()))?;
        let (ticks, known) = known_ticks(fork, address, &pool, shift)?;
        Ok(Self { address, tokens: [token0, token1], state, ticks, known, shift })
    }

    /// It as it is now.
    pub(crate) fn again(&self, fork: &mut Fork<'_>) -> Result<Self, Because> {
        Self::look(fork, self.address)
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        let layout = if self.shift == 0 { "V3" } else { "V3 (Pancake)" };
        format!("{:.2} % {layout}", f64::from(self.state.fee_pips) / 10_000.0)
    }

    /// As a world takes it.
    pub(crate) fn seeded(&self) -> Seeded {
        let state = Concentrated::new(&self.state).expect("it was looked at");
        Seeded {
            address: self.address,
            tokens: self.tokens,
            state: state.into(),
            ticks: self.ticks.clone(),
            known: self.known,
        }
    }

    /// Its price and liquidity as the EVM has them.
    fn read(&self, replay: &mut Replay<'_>) -> (U256, i32, u128) {
        let slot0 = replay.slot(self.address, 0);
        let tick = ((slot0 >> 160_usize).wrapping_to::<u32>() << 8).cast_signed() >> 8;
        let liquidity = replay.slot(self.address, 4 + self.shift);
        (slot0 & ((U256::ONE << 160) - U256::ONE), tick, liquidity.to())
    }
}

/// What a `Swap` log says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) direction: Direction,
    pub(crate) amount_in: u128,
    pub(crate) amount_out: u128,
    pub(crate) sqrt_price: U256,
    pub(crate) liquidity: u128,
    pub(crate) tick: i32,
}

impl Said {
    /// Reads a swap of V3's shape; `None` if nothing moved.
    pub(crate) fn of(data: &[u8]) -> Option<Self> {
        let word = |place: usize| {
            let bytes = data.get(place * 32..place * 32 + 32)?;
            Some(U256::from_be_slice(bytes))
        };
        let signed = |place: usize| -> Option<i128> {
            let word = word(place)?;
            let low = word.wrapping_to::<u128>().cast_signed();
            // What has more than 128 bits is no amount of any token.
            let is_whole = if low < 0 {
                word == U256::MAX - U256::from((-(low + 1)).cast_unsigned())
            } else {
                word == U256::from(low.cast_unsigned())
            };
            is_whole.then_some(low)
        };
        let (first, second) = (signed(0)?, signed(1)?);
        let (direction, paid, taken) = if first > 0 || second < 0 {
            (Direction::ZeroForOne, first, second)
        } else {
            (Direction::OneForZero, second, first)
        };
        if paid < 0 || taken > 0 || (paid, taken) == (0, 0) {
            return None;
        }
        let tick = word(4)?.wrapping_to::<u32>().cast_signed();
        Some(Self {
            direction,
            amount_in: paid.unsigned_abs(),
            amount_out: taken.unsigned_abs(),
            sqrt_price: word(2)?,
            liquidity: word(3)?.try_into().ok()?,
            tick,
        })
    }

    /// What the engine makes of it on this state: an exact input, an exact output, or a swap that
    /// stopped at its price; `None` where what is known ends.
    pub(crate) fn judge(
        &self,
        pool: &Concentrated,
        ticks: Ticks<'_>,
    ) -> Option<Result<(), String>> {
        let Self { direction, amount_in, amount_out, .. } = *self;
        let view = PoolView { pool: &Pool::from(*pool), ticks };
        let stopped = pool.is_ahead(self.sqrt_price, direction).then(|| {
            let exact = Exact::In(u128::MAX >> 1);
            pool.swap_to(ticks, exact, direction, self.sqrt_price)
        });
        let found = [
            view.swap_in(amount_in, direction),
            view.swap_out(amount_out, direction),
            stopped.flatten().map(|stopped| Swapped {
                amount_in: stopped.amount_in,
                amount_out: stopped.amount_out,
                after: stopped.after.into(),
            }),
        ];
        let is_so = |swapped: &Swapped<Pool>| {
            let Pool::Concentrated(after) = swapped.after else { return false };
            let amounts = (swapped.amount_in, swapped.amount_out);
            let state = (after.sqrt_price(), after.liquidity(), after.tick());
            amounts == (amount_in, amount_out)
                && state == (self.sqrt_price, self.liquidity, self.tick)
        };
        if found.iter().flatten().any(is_so) {
            return Some(Ok(()));
        }
        // One of them may lead further than the swap did.
        let all = found.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Err(format!("{self:?}: engine {all:?}")))
    }
}

impl Said {
    /// Whether some other fee explains it: there are forks whose fee is not what they say.
    fn has_other_fee(&self, pool: &Concentrated, ticks: Ticks<'_>) -> bool {
        let mut fees = (0..=FEE_PIPS_MAX).filter(|fee| *fee != pool.fee_pips());
        fees.any(|fee_pips| {
            let other = Concentrated::new(&ConcentratedState { fee_pips, ..pool.state() });
            other.is_some_and(|other| self.judge(&other, ticks) == Some(Ok(())))
        })
    }
}

/// Whether a topic is that of a swap of V3's shape.
pub(crate) fn is_swap(topic: Option<&B256>) -> bool {
    topic.is_some_and(|topic| [V3_SWAP, PANCAKE_V3_SWAP].contains(topic))
}

/// A block's pools of V3's shape, followed to its end.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// Pools that were followed, and comparisons with the EVM.
    pub(crate) pools: usize,
    pub(crate) compared: usize,
    /// Swaps that were quoted to the wei, with the state after them.
    pub(crate) exact: usize,
    /// Swaps of which nothing can be said, and why.
    pub(crate) unknown: BTreeMap<String, usize>,
    pub(crate) wrong: Vec<String>,
}

impl Ranges {
    /// Follows a block. It must have been run: what it reads is known then.
    pub(crate) fn new(witness: &Witness) -> Self {
        let mut ranges = Self::default();
        let (pools, unknown) = pools_of(witness);
        ranges.pools = pools.len();
        let seeded: Vec<Seeded> = pools.iter().map(RangedPool::seeded).collect();
        let mut mirror = Mirror::of(witness, &seeded, WETH);
        let mut lost: BTreeMap<Address, String> = unknown;
        mirror.head();
        let mut replay = Replay::new(witness);
        for tx in 0..witness.txs.len() {
            let touched = replay.step().touched;
            for log in witness.node_logs(tx) {
                let text = log.to_string();
                let parsed = Log::parse(text.as_bytes()).expect("a log as nodes send it");
                if is_swap(parsed.topics().first()) {
                    ranges.judge(&mirror, &parsed, &mut lost);
                }
                let before = mirror.world.contradicted();
                if mirror.try_log(&log).is_none() {
                    lost.insert(parsed.address, "a log is not what its topic says".into());
                }
                if mirror.world.contradicted() > before {
                    ranges.contradict(&parsed, &seeded, &mut lost);
                }
            }
            for pool in pools.iter().filter(|pool| touched.contains(&pool.address)) {
                if !lost.contains_key(&pool.address) {
                    ranges.compare(tx, pool, &mut replay, &mirror);
                }
            }
        }
        ranges
    }

    fn judge(&mut self, mirror: &Mirror<'_>, log: &Log<'_>, lost: &mut BTreeMap<Address, String>) {
        let mut leave = |reason: &str| *self.unknown.entry(reason.to_owned()).or_default() += 1;
        if let Some(reason) = lost.get(&log.address) {
            return leave(reason);
        }
        let Some(id) = mirror.pool(&log.address) else {
            return leave("it was no pool before the block");
        };
        let Pool::Concentrated(pool) = *mirror.world.state(id) else { return };
        let mut data = vec![0; 7 * 32];
        let words = (0..5).map(|place| log.word(place).ok());
        for (place, word) in words.enumerate() {
            let Some(word) = word else { return leave("its log is shorter than a swap's") };
            data[place * 32..place * 32 + 32].copy_from_slice(&word.to_be_bytes::<32>());
        }
        let Some(said) = Said::of(&data) else { return leave("it moved nothing") };
        match said.judge(&pool, mirror.world.pools.ticks(id)) {
            Some(Ok(())) => self.exact += 1,
            Some(Err(_)) if said.has_other_fee(&pool, mirror.world.pools.ticks(id)) => {
                leave("it is charged another fee than its pool says");
            }
            Some(Err(why)) => {
                self.wrong.push(format!("{} in transaction {}: {why}", log.address, log.tx_index));
            }
            None => {
                // Where it went beyond them, the ticks there are not known either.
                leave("it leaves the ticks that the witness knows");
            }
        }
    }

    /// A `Mint` or `Burn` cannot be applied: an error, unless its ends are not known.
    fn contradict(
        &mut self,
        log: &Log<'_>,
        seeded: &[Seeded],
        lost: &mut BTreeMap<Address, String>,
    ) {
        let is_liquidity = [V3_MINT, V3_BURN].contains(&log.topics[0]);
        let pool = seeded.iter().find(|pool| pool.address == log.address);
        let known = pool.map_or([0; 2], |pool| pool.known);
        let ends = [2, 3].map(|place: usize| {
            let topic = log.topics().get(place).copied().unwrap_or_default();
            U256::from_be_bytes(topic.0).wrapping_to::<u32>().cast_signed()
        });
        let is_inside = ends.iter().all(|end| *end > known[0] && *end < known[1]);
        if is_liquidity && is_inside {
            self.wrong.push(format!("{}: liquidity between {ends:?} is contradicted", log.address));
        }
        lost.insert(log.address, "liquidity beyond the ticks that the witness knows".into());
    }

    fn compare(
        &mut self,
        tx: usize,
        pool: &RangedPool,
        replay: &mut Replay<'_>,
        mirror: &Mirror<'_>,
    ) {
        let Some(id) = mirror.pool(&pool.address) else { return };
        let Pool::Concentrated(ours) = *mirror.world.state(id) else { return };
        let held = (ours.sqrt_price(), ours.tick(), ours.liquidity());
        let evm = pool.read(replay);
        self.compared += 1;
        if held != evm {
            let address = pool.address;
            self.wrong.push(format!("{address} after transaction {tx}: {held:?}, the EVM {evm:?}"));
        }
    }
}

/// The contracts of a block that write swaps of V3's shape, as they are before it; and those that
/// are not followed, with the reason.
fn pools_of(witness: &Witness) -> (Vec<RangedPool>, BTreeMap<Address, String>) {
    let mut addresses = std::collections::BTreeSet::new();
    for log in witness.receipts.iter().flat_map(|receipt| &receipt.logs) {
        if is_swap(log.topics.first()) {
            addresses.insert(log.address);
        }
    }
    let mut fork = Replay::new(witness).fork();
    let (mut pools, mut unknown) = (vec![], BTreeMap::new());
    for address in addresses {
        match RangedPool::look(&mut fork, address) {
            Ok(pool) => pools.push(pool),
            Err(Because(reason)) => {
                unknown.insert(address, reason);
            }
        }
    }
    (pools, unknown)
}
