//! How records and checkpoints are written: fields of fixed width, big-endian, before a checksum.
//!
//! Temperature: warm.

use alloy_primitives::{Address, B256, keccak256};
use gannet_engine::books::{Books, Line};
use gannet_engine::flight::{Admitted, Cancels, Fees, Flight};
use gannet_engine::gas::{Shape, Work, liquidations};
use gannet_engine::guard::Losses;
use gannet_engine::ids::{Direction, StrategyId, TokenId, WalletId};
use gannet_engine::limits::{BASE_TOKENS_MAX, CANCELS_MAX, HOPS_MAX};
use gannet_engine::plan::{Bid, Follow, Leg, Plan};
use gannet_engine::units::{BlockNumber, Bps, Gas, Wei};

use super::Handles;

/// Writes fields one after the other; `None` once the room is used up.
struct Pen<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.room.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.bytes(&[byte])
    }

    fn u64(&mut self, number: u64) -> Option<()> {
        self.bytes(&number.to_be_bytes())
    }

    fn u128(&mut self, number: u128) -> Option<()> {
        self.bytes(&number.to_be_bytes())
    }
}

/// Reads them back.
struct Eye<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Eye<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let slice = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(slice)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    fn address(&mut self) -> Option<Address> {
        self.array::<20>().map(Address::from)
    }

    fn hash(&mut self) -> Option<B256> {
        self.array().map(B256::new)
    }
}

/// A torn write does not have the checksum of what it holds.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_be_bytes()
}

impl Pen<'_> {
    /// Puts the checksum behind what was written; how many bytes that are together.
    fn close(mut self) -> Option<usize> {
        let sum = checksum(self.room.get(..self.at)?);
        self.bytes(&sum)?;
        Some(self.at)
    }
}

impl Eye<'_> {
    /// Whether the checksum of what was read stands behind it.
    fn ends(mut self) -> bool {
        let sum = checksum(&self.bytes[..self.at]);
        self.array() == Some(sum)
    }
}

/// A submission, by addresses.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) serial: u64,
    pub(super) hash: B256,
    pub(super) wallet: Address,
    token: Address,
    pools: [Address; HOPS_MAX],
    /// The submission as its run had it; handles mean nothing any more.
    flight: Flight,
}

impl Record {
    pub(super) fn of(flight: &Flight, handles: &Handles) -> Self {
        let plan = &flight.admitted.plan;
        let mut pools = [Address::ZERO; HOPS_MAX];
        for (pool, leg) in pools.iter_mut().zip(plan.legs()) {
            *pool = handles.pools.get(leg.pool.index()).copied().unwrap_or_default();
        }
        let wallet = handles.wallets.get(flight.admitted.wallet.index());
        let token = handles.tokens.get(plan.profit_token.index());
        Self {
            serial: flight.serial,
            hash: flight.hash,
            wallet: wallet.copied().unwrap_or_default(),
            token: token.copied().unwrap_or_default(),
            pools,
            flight: *flight,
        }
    }

    /// The submission with the handles of this run; without its pools if one of them is not
    /// followed any more. Without its wallet or its token it cannot be followed itself.
    pub(super) fn resolve(&self, handles: &Handles) -> Option<Flight> {
        let mut flight = self.flight;
        let plan = &mut flight.admitted.plan;
        plan.profit_token = handles.token(self.token)?;
        flight.admitted.wallet = handles.wallet(self.wallet)?;
        let count = plan.legs().len();
        let is_known = plan.legs.iter_mut().zip(&self.pools).take(count).all(|(leg, pool)| {
            handles.pool(*pool).is_some_and(|pool| {
                leg.pool = pool;
                true
            })
        });
        if !is_known {
            plan.leg_count = 0;
        }
        Some(flight)
    }

    /// Writes it, and says how long it is; `raw` are the transaction's bytes, if they stand for its
    /// hash.
    pub(super) fn write(&self, raw: &[u8], room: &mut [u8]) -> Option<usize> {
        let Self { serial, hash, wallet, token, pools, flight } = self;
        let Admitted {
            plan,
            nonce,
            fees,
            least_profit,
            net_wei,
            gas_price,
            stake,
            is_flash,
            work,
            ..
        } = &flight.admitted;
        let mut pen = Pen { room, at: 0 };
        pen.u64(*serial)?;
        pen.bytes(hash.as_slice())?;
        pen.bytes(wallet.as_slice())?;
        pen.bytes(token.as_slice())?;
        write_plan(&mut pen, plan, pools)?;
        pen.u64(*nonce)?;
        write_fees(&mut pen, *fees)?;
        for amount in [*least_profit, net_wei.0, gas_price.0, stake.0] {
            pen.u128(amount)?;
        }
        pen.byte(u8::from(*is_flash))?;
        pen.u64(flight.first_block.0)?;
        let mut cancels = flight.cancels.hashes().iter();
        for _ in 0..CANCELS_MAX {
            pen.bytes(cancels.next().copied().unwrap_or_default().as_slice())?;
        }
        let offered = flight.cancels.offered();
        pen.byte(u8::from(offered.is_some()))?;
        write_fees(&mut pen, offered.unwrap_or(*fees))?;
        write_work(&mut pen, work)?;
        pen.bytes(&u16::try_from(raw.len()).ok()?.to_be_bytes())?;
        pen.bytes(raw)?;
        pen.close()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut eye = Eye::new(bytes);
        let (serial, hash) = (eye.u64()?, eye.hash()?);
        let (wallet, token) = (eye.address()?, eye.address()?);
        let (plan, pools) = read_plan(&mut eye)?;
        let nonce = eye.u64()?;
        let fees = read_fees(&mut eye)?;
        let (least_profit, net_wei) = (eye.u128()?, Wei(eye.u128()?));
        let (gas_price, stake) = (Wei(eye.u128()?), Wei(eye.u128()?));
        let (is_flash, first_block) = (eye.bool()?, BlockNumber(eye.u64()?));
        let mut hashes = [B256::ZERO; CANCELS_MAX];
        for place in &mut hashes {
            *place = eye.hash()?;
        }
        let has_offered = eye.bool()?;
        let offered = read_fees(&mut eye)?;
        let work = read_work(&mut eye, is_flash)?;
        let length = u16::from_be_bytes(eye.array()?);
        let raw = eye.slice(length.into())?;
        if !eye.ends() {
            return None;
        }
        let hash = if raw.is_empty() { hash } else { keccak256(raw) };
        let admitted = Admitted {
            plan,
            wallet: WalletId(u8::MAX),
            nonce,
            fees,
            least_profit,
            net_wei,
            gas_price,
            stake,
            is_flash,
            work,
        };
        let mut flight = Flight::new(admitted, hash, first_block);
        flight.serial = serial;
        flight.cancels = Cancels::made(hashes, has_offered.then_some(offered));
        Some(Self { serial, hash, wallet, token, pools, flight })
    }
}

/// Everything but the handles, which are written as addresses, and the order: of a liquidation that
/// is on its way when a run ends, only its swaps' pools, its token and its gas matter to the next.
fn write_plan(pen: &mut Pen<'_>, plan: &Plan, pools: &[Address; HOPS_MAX]) -> Option<()> {
    pen.byte(plan.strategy.0)?;
    pen.byte(plan.leg_count)?;
    for (pool, leg) in pools.iter().zip(&plan.legs) {
        pen.bytes(pool.as_slice())?;
        pen.byte(leg.direction as u8)?;
        pen.u128(leg.amount_in)?;
        pen.u128(leg.amount_out)?;
    }
    for amount in [plan.amount_in, plan.profit, plan.profit_wei.0] {
        pen.u128(amount)?;
    }
    pen.u64(plan.last_block.0)?;
    let (share, follow) = match plan.bid {
        Bid::Share(share) => (share, None),
        Bid::Behind(follow) => (Bps(0), Some(follow)),
    };
    pen.byte(u8::from(follow.is_some()))?;
    pen.bytes(&share.0.to_be_bytes())?;
    pen.bytes(follow.map_or(B256::ZERO, |follow| follow.hash).as_slice())?;
    pen.u128(follow.map_or(0, |follow| follow.max_fee.0))?;
    pen.u128(follow.map_or(0, |follow| follow.priority_fee.0))?;
    Some(())
}

/// The plan, with handles that mean nothing until they are filled in, and its pools.
fn read_plan(eye: &mut Eye<'_>) -> Option<(Plan, [Address; HOPS_MAX])> {
    let (strategy, leg_count) = (StrategyId(eye.byte()?), eye.byte()?);
    let mut pools = [Address::ZERO; HOPS_MAX];
    let mut legs = [Leg::NONE; HOPS_MAX];
    for (pool, leg) in pools.iter_mut().zip(&mut legs) {
        *pool = eye.address()?;
        leg.direction = match eye.byte()? {
            byte if byte == Direction::ZeroForOne as u8 => Direction::ZeroForOne,
            byte if byte == Direction::OneForZero as u8 => Direction::OneForZero,
            _ => return None,
        };
        (leg.amount_in, leg.amount_out) = (eye.u128()?, eye.u128()?);
    }
    let (amount_in, profit, profit_wei) = (eye.u128()?, eye.u128()?, Wei(eye.u128()?));
    let last_block = BlockNumber(eye.u64()?);
    let is_follower = eye.bool()?;
    let share = Bps(u16::from_be_bytes(eye.array()?));
    let follow =
        Follow { hash: eye.hash()?, max_fee: Wei(eye.u128()?), priority_fee: Wei(eye.u128()?) };
    let bid = if is_follower { Bid::Behind(follow) } else { Bid::Share(share) };
    let plan = Plan {
        strategy,
        legs,
        leg_count,
        profit_token: TokenId(u32::MAX),
        amount_in,
        profit,
        profit_wei,
        bid,
        last_block,
        order: None,
    };
    Some((plan, pools))
}

fn write_work(pen: &mut Pen<'_>, work: &Work) -> Option<()> {
    let (liquidation, swaps) = match work {
        Work::Swaps(swaps) => (None, swaps),
        Work::Liquidation(shape) => {
            let (numbers, swaps) = shape.parts();
            (Some(numbers), swaps)
        }
    };
    pen.bytes(&swaps.legs)?;
    pen.bytes(&[swaps.neighbours, swaps.crossings])?;
    pen.bytes(&swaps.transfers.to_be_bytes())?;
    pen.byte(u8::from(liquidation.is_some()))?;
    pen.byte(u8::from(liquidation.is_some() && swaps.is_flash))?;
    pen.bytes(&liquidation.unwrap_or_default())
}

fn read_work(eye: &mut Eye<'_>, is_flash: bool) -> Option<Work> {
    let swaps = Shape {
        legs: eye.array()?,
        neighbours: eye.byte()?,
        crossings: eye.byte()?,
        transfers: u32::from_be_bytes(eye.array()?),
        is_flash,
    };
    let (is_liquidation, is_flash) = (eye.bool()?, eye.bool()?);
    let numbers = eye.array()?;
    if !is_liquidation {
        return Some(Work::Swaps(swaps));
    }
    let swaps = Shape { is_flash, ..swaps };
    liquidations::Shape::from_parts(numbers, swaps).map(Work::Liquidation)
}

fn write_fees(pen: &mut Pen<'_>, fees: Fees) -> Option<()> {
    pen.u128(fees.max_fee.0)?;
    pen.u128(fees.priority_fee.0)?;
    pen.u64(fees.gas_limit.0)
}

fn read_fees(eye: &mut Eye<'_>) -> Option<Fees> {
    let (max_fee, priority_fee) = (Wei(eye.u128()?), Wei(eye.u128()?));
    Some(Fees { max_fee, priority_fee, gas_limit: Gas(eye.u64()?) })
}

/// The books of what is final, and which records still count.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoint {
    pub(super) sequence: u64,
    /// The highest serial number that was given when this was written.
    pub(super) newest_serial: u64,
    pub(super) losses: Losses,
    pub(super) books: Books,
    /// Serial numbers of the submissions that were not final.
    pub(super) open: Vec<u64>,
}

impl Checkpoint {
    /// Whether this submission had ended for good.
    pub(super) fn is_closed(&self, serial: u64) -> bool {
        serial <= self.newest_serial && !self.open.contains(&serial)
    }

    /// Writes it, and says how long it is.
    pub(super) fn write(&self, room: &mut [u8]) -> Option<usize> {
        let mut pen = Pen { room, at: 0 };
        pen.u64(self.sequence)?;
        pen.u64(self.newest_serial)?;
        pen.u64(self.losses.day)?;
        pen.u128(self.losses.today.0)?;
        pen.u64(u64::from(self.losses.reverts_in_a_row))?;
        for line in self.books.lines() {
            for count in counts(&mut { *line }) {
                pen.u64(*count)?;
            }
            for gained in line.gained {
                pen.bytes(&gained.to_be_bytes())?;
            }
            pen.u128(line.gas_paid.0)?;
            pen.u128(line.expected_wei)?;
        }
        pen.u64(self.open.len() as u64)?;
        for serial in &self.open {
            pen.u64(*serial)?;
        }
        pen.close()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut eye = Eye::new(bytes);
        let (sequence, newest_serial) = (eye.u64()?, eye.u64()?);
        let losses = Losses {
            day: eye.u64()?,
            today: Wei(eye.u128()?),
            reverts_in_a_row: u32::try_from(eye.u64()?).ok()?,
        };
        let mut books = Books::default();
        for index in 0..books.lines().len() {
            let line = books.line_mut(StrategyId(u8::try_from(index).ok()?));
            for count in counts(line) {
                *count = eye.u64()?;
            }
            for place in 0..BASE_TOKENS_MAX {
                line.gained[place] = eye.array().map(i128::from_be_bytes)?;
            }
            (line.gas_paid, line.expected_wei) = (Wei(eye.u128()?), eye.u128()?);
        }
        let count = usize::try_from(eye.u64()?).ok()?;
        let open: Vec<u64> = (0..count).map_while(|_| eye.u64()).collect();
        let is_whole = open.len() == count && eye.ends();
        is_whole.then_some(Self { sequence, newest_serial, losses, books, open })
    }
}

/// A line's counts, in the order in which they are written. Taken apart field by field, so that a
/// new one cannot be left out of the file unnoticed.
const fn counts(line: &mut Line) -> [&mut u64; 10] {
    let Line {
        opportunities,
        sent,
        landed,
        reverted,
        lost,
        cancelled,
        behind_target,
        won,
        contested,
        vanished,
        gained: _,
        gas_paid: _,
        expected_wei: _,
    } = line;
    [
        opportunities,
        sent,
        landed,
        reverted,
        lost,
        cancelled,
        behind_target,
        won,
        contested,
        vanished,
    ]
}
