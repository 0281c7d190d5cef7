//! Submissions on their way: what each one is, what it blocks, how it is taken back, and how it
//! ended.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::gas::Work;
use crate::ids::WalletId;
use crate::limits::{CANCELS_MAX, FLIGHTS_MAX};
use crate::plan::{Leg, Plan};
use crate::units::{BlockNumber, Gas, Wei};
use crate::world::BlockRef;
use crate::world::nodes::NodeSet;

/// What a submission offers for its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// `maxFeePerGas`.
    pub max_fee: Wei,
    /// `maxPriorityFeePerGas`.
    pub priority_fee: Wei,
    /// `gasLimit`.
    pub gas_limit: Gas,
}

/// A plan that passed risk: what is signed.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// The plan.
    pub plan: Plan,
    /// Who signs.
    pub wallet: WalletId,
    /// With which nonce.
    pub nonce: u64,
    /// At what price.
    pub fees: Fees,
    /// The least profit, in the profit token, below which the executor reverts: what the gas costs.
    pub least_profit: u128,
    /// Profit that is expected after gas and tip.
    pub net_wei: Wei,
    /// What a unit of gas costs if it lands in the next block.
    pub gas_price: Wei,
    /// What it can lose: what a revert costs in the dearest block in which it may land.
    pub stake: Wei,
    /// Whether a pool lends the input (a flash swap) or the executor's own funds pay it.
    pub is_flash: bool,
    /// What its gas depends on.
    pub work: Work,
}

/// How a submission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Mined, and paid.
    Landed,
    /// Mined, and reverted.
    Reverted,
    /// Taken back: a transfer of nothing took its nonce.
    Cancelled,
    /// Another transaction, which was not ours, took its nonce.
    Replaced,
    /// The node forgot it.
    Dropped,
    /// The node refused it.
    Refused,
    /// It never left this process.
    Unsent,
    /// Dry-run: it pays in the block where it would have landed.
    Won,
    /// Dry-run: somebody else traded the same pools in that block, and it no longer pays at its
    /// end.
    Contested,
    /// Dry-run: it does not pay where it would have landed.
    Vanished,
    /// Dry-run: the transaction that it follows did not come.
    TargetMissing,
}

impl Outcome {
    /// Whether it was never mined: its opportunity was not taken.
    #[must_use]
    pub const fn is_lost(self) -> bool {
        match self {
            Self::Cancelled | Self::Replaced | Self::Dropped | Self::Refused | Self::Unsent => true,
            Self::Landed
            | Self::Reverted
            | Self::Won
            | Self::Contested
            | Self::Vanished
            | Self::TargetMissing => false,
        }
    }

    /// The name used in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::Reverted => "reverted",
            Self::Cancelled => "cancelled",
            Self::Replaced => "replaced",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Unsent => "unsent",
            Self::Won => "won",
            Self::Contested => "contested",
            Self::Vanished => "vanished",
            Self::TargetMissing => "target-missing",
        }
    }
}

/// How a submission ended, with figures.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    /// Its end.
    pub outcome: Outcome,
    /// What the executor gained of the profit token, net of the input, in its smallest unit.
    pub gained: i128,
    /// Gas that it used.
    pub gas_used: Gas,
    /// What a unit of gas cost it.
    pub gas_price: Wei,
    /// Whether it stands right behind the transaction that it followed, in the same block.
    pub is_behind_target: bool,
}

impl Settlement {
    /// An end that cost and brought nothing.
    #[must_use]
    pub const fn empty(outcome: Outcome) -> Self {
        Self { outcome, gained: 0, gas_used: Gas(0), gas_price: Wei(0), is_behind_target: false }
    }

    /// What the gas cost.
    #[must_use]
    pub const fn gas_paid(&self) -> Wei {
        self.gas_price.times_gas(self.gas_used)
    }
}

/// One transaction of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The submission.
    pub ticket: u32,
    /// 0 for its own transaction; the ones after it take it back.
    pub number: u8,
}

/// Attempts to take a submission back: transfers of nothing to oneself with its nonce, each dearer
/// than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancels {
    hashes: [B256; CANCELS_MAX],
    count: u8,
    /// What the last one offered, also where the node refused it.
    offered: Option<Fees>,
}

impl Cancels {
    /// None yet.
    #[must_use]
    pub const fn none() -> Self {
        Self { hashes: [B256::ZERO; CANCELS_MAX], count: 0, offered: None }
    }

    /// Attempts that were made earlier: the first hashes that are not zero.
    #[must_use]
    pub fn made(hashes: [B256; CANCELS_MAX], offered: Option<Fees>) -> Self {
        let count = hashes.iter().take_while(|hash| !hash.is_zero()).count();
        Self { hashes, count: u8::try_from(count).unwrap_or(0), offered }
    }

    /// Adds an attempt, if there is room for one more.
    pub fn add(&mut self, hash: B256, fees: Fees) {
        if let Some(place) = self.hashes.get_mut(usize::from(self.count)) {
            *place = hash;
            self.count += 1;
            self.offered = Some(fees);
        }
    }

    /// Their hashes.
    #[must_use]
    pub fn hashes(&self) -> &[B256] {
        &self.hashes[..usize::from(self.count).min(CANCELS_MAX)]
    }

    /// What the last one offered.
    #[must_use]
    pub const fn offered(&self) -> Option<Fees> {
        self.offered
    }

    /// Whether one more can be made.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        (self.count as usize) < CANCELS_MAX
    }
}

/// A submission on its way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Its number among those on their way.
    pub ticket: u32,
    /// Its number among all that were ever made, also by earlier runs with the same state.
    pub serial: u64,
    /// What was signed.
    pub admitted: Admitted,
    /// The transaction's hash; zero until it has left.
    pub hash: B256,
    /// The first block in which it could land.
    pub first_block: BlockNumber,
    /// Where the followed transaction landed, once it has: block and place in it.
    pub target_place: Option<(B256, u32)>,
    /// Whether there is more to learn of that.
    pub place: Place,
    /// Dry-run: the profit that the replay found where it would have landed.
    pub replayed: Option<u128>,
    /// What raised doubt that it will be mined.
    pub doubt: Doubt,
    /// Whether a sealed block has logs of it: it blocks nothing any more, and its receipt will say
    /// what it brought.
    pub is_mined: bool,
    /// Whether it should be taken back: it can no longer do what it was made for.
    pub is_unwanted: bool,
    /// Whether an attempt to take it back is due.
    pub is_due: bool,
    /// Whether it was told that no attempt to take it back is left.
    pub is_stuck: bool,
    /// The attempts to take it back.
    pub cancels: Cancels,
    /// Which of its transactions had no receipt since the last seal, by number.
    pub missing: u8,
    /// The number of the transaction of it that the nodes were asked about last, and those that do
    /// not hold it.
    pub unknown: (u8, NodeSet),
    /// The nodes that do not know the transaction that it follows, since the last seal.
    pub gone_by: NodeSet,
}

impl Flight {
    /// A submission that is about to leave.
    #[must_use]
    pub const fn new(admitted: Admitted, hash: B256, first_block: BlockNumber) -> Self {
        Self {
            ticket: 0,
            serial: 0,
            admitted,
            hash,
            first_block,
            target_place: None,
            place: Place::Unknown,
            replayed: None,
            doubt: Doubt::None,
            is_mined: false,
            is_unwanted: false,
            is_due: false,
            is_stuck: false,
            cancels: Cancels::none(),
            missing: 0,
            unknown: (0, NodeSet::NONE),
            gone_by: NodeSet::NONE,
        }
    }

    /// Its transactions: its own, then those that take it back.
    pub fn attempts(&self) -> impl Iterator<Item = (Attempt, B256)> + '_ {
        let ticket = self.ticket;
        let hashes = core::iter::once(&self.hash).chain(self.cancels.hashes());
        hashes.zip(0..).map(move |(hash, number)| (Attempt { ticket, number }, *hash))
    }

    /// The transaction that the node should hold: the last one.
    #[must_use]
    pub fn last_attempt(&self) -> (Attempt, B256) {
        let number = self.cancels.count;
        let hash = self.cancels.hashes().last().copied().unwrap_or(self.hash);
        (Attempt { ticket: self.ticket, number }, hash)
    }

    /// Notes that one of its transactions has no receipt; true once none of them has.
    pub fn misses(&mut self, number: u8) -> bool {
        self.missing |= 1_u8.checked_shl(u32::from(number)).unwrap_or(0);
        let all = (1_u8 << (self.cancels.count + 1)).wrapping_sub(1);
        self.missing & all == all
    }

    /// As it was when it left, to be followed anew.
    #[must_use]
    pub const fn anew(&self) -> Self {
        let fresh = Self::new(self.admitted, self.hash, self.first_block);
        Self { serial: self.serial, cancels: self.cancels, ..fresh }
    }
}

/// A submission that ended in a block which may still be left by a reorg.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// The submission.
    pub flight: Flight,
    /// How it ended.
    pub end: Settlement,
    /// Where.
    pub block: BlockRef,
    /// The day, since 1970, whose losses it was counted among.
    pub day: u64,
}

/// What raised doubt that a submission will be mined. Each is checked before it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing.
    #[default]
    None,
    /// The node answered it with an error; it may still hold it ("already known").
    Refused,
    /// The node has not known it since it was asked at this height.
    Unknown(BlockNumber),
    /// A transaction with its nonce was mined in this block or earlier; a receipt that is still
    /// missing one block later means that it was another one.
    Overtaken(BlockNumber),
}

/// What is known of the place of the transaction that a submission follows, once that one landed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nothing: its block was sealed when nobody looked.
    #[default]
    Unknown,
    /// The node was asked, first and last while these blocks were the newest.
    Asked {
        /// So many blocks later it is not waited for.
        first: BlockNumber,
        /// One block later it is asked again.
        last: BlockNumber,
    },
    /// All that there is.
    Told,
}

/// All submissions on their way.
#[derive(Debug)]
pub struct Flights {
    slots: [Option<Flight>; FLIGHTS_MAX],
    /// Which slots are full, the first one lowest: a flight is large, and most slots are empty.
    full: u64,
    generation: u32,
    serial: u64,
}

impl Default for Flights {
    fn default() -> Self {
        Self { slots: [None; FLIGHTS_MAX], full: 0, generation: 0, serial: 0 }
    }
}

/// A ticket's low bits are its place in the table.
const SLOT_BITS: u32 = FLIGHTS_MAX.trailing_zeros();
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const _: () = assert!(CANCELS_MAX < 8, "a submission's transactions are told apart by a byte");
const _: () = assert!(FLIGHTS_MAX.is_power_of_two(), "a ticket's low bits are its slot");
const _: () = assert!(FLIGHTS_MAX == u64::BITS as usize, "a bit for every slot");

impl Flights {
    /// A ticket for the next submission, if there is room.
    #[must_use]
    pub fn next_ticket(&self) -> Option<u32> {
        let slot = Some(self.full.trailing_ones()).filter(|slot| *slot < u64::BITS)?;
        // The shift drops the generation's highest bits; it only tells a late reply from a new one.
        Some((self.generation.wrapping_add(1) << SLOT_BITS) | slot)
    }

    /// The highest serial number that was given.
    #[must_use]
    pub const fn newest_serial(&self) -> u64 {
        self.serial
    }

    /// Serial numbers go on after `newest`.
    pub fn number_from(&mut self, newest: u64) {
        self.serial = self.serial.max(newest);
    }

    /// Takes off.
    pub fn launch(&mut self, flight: Flight) {
        self.generation = self.generation.wrapping_add(1);
        self.serial = self.serial.max(flight.serial);
        let slot = flight.ticket & SLOT_MASK;
        self.full |= 1 << slot;
        self.slots[slot as usize] = Some(flight);
    }

    /// The submission with this ticket, if it is still on its way.
    pub fn get_mut(&mut self, ticket: u32) -> Option<&mut Flight> {
        let slot = self.slots[(ticket & SLOT_MASK) as usize].as_mut()?;
        (slot.ticket == ticket).then_some(slot)
    }

    /// Lands: takes the submission out of the table.
    pub fn land(&mut self, ticket: u32) -> Option<Flight> {
        let slot = ticket & SLOT_MASK;
        let landed = self.slots[slot as usize].take_if(|flight| flight.ticket == ticket)?;
        self.full &= !(1 << slot);
        Some(landed)
    }

    /// All that are on their way.
    pub fn iter(&self) -> impl Iterator<Item = &Flight> {
        let mut full = self.full;
        let slots = core::iter::from_fn(move || {
            let slot = Some(full.trailing_zeros()).filter(|slot| *slot < u64::BITS)?;
            full &= full - 1;
            Some(slot as usize)
        });
        slots.filter_map(|slot| self.slots[slot].as_ref())
    }

    /// All that are on their way, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.slots.iter_mut().flatten()
    }

    /// How many are on their way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Those that are not mined yet.
    fn unmined(&self) -> impl Iterator<Item = &Flight> {
        self.iter().filter(|flight| !flight.is_mined)
    }

    /// What those that have not ended can lose together.
    #[must_use]
    pub fn at_risk(&self) -> Wei {
        self.iter().fold(Wei(0), |sum, flight| sum.plus(flight.admitted.stake))
    }

    /// Whether this wallet has one on its way with a later nonce.
    #[must_use]
    pub fn has_later(&self, wallet: WalletId, nonce: u64) -> bool {
        let later =
            |flight: &Flight| flight.admitted.wallet == wallet && flight.admitted.nonce > nonce;
        self.unmined().any(later)
    }

    /// Whether this wallet's nonce is taken by one that is on its way.
    #[must_use]
    pub fn uses_wallet(&self, wallet: WalletId) -> bool {
        self.unmined().any(|flight| flight.admitted.wallet == wallet)
    }

    /// Whether a pool of this plan, or its loan, is used by one that is on its way.
    #[must_use]
    pub fn overlaps(&self, plan: &Plan) -> bool {
        let loan = plan.order.map(|order| order.loan);
        self.unmined().any(|flight| {
            let busy = &flight.admitted.plan;
            let has_loan = loan.is_some() && busy.order.map(|order| order.loan) == loan;
            let is_busy = |leg: &Leg| busy.legs().iter().any(|held| held.pool == leg.pool);
            has_loan || plan.legs().iter().any(is_busy)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::gas::Shape;
    use crate::ids::{LoanId, PoolId, StrategyId, TokenId};
    use crate::limits::HOPS_MAX;
    use crate::loans::{Order, Size, Way};
    use crate::plan::Bid;
    use crate::sign::liquidation::Funding;
    use crate::units::Bps;

    /// A submission of two swaps through nothing.
    pub(crate) fn flight() -> Flight {
        let plan = Plan {
            strategy: StrategyId(0),
            legs: [Leg::NONE; HOPS_MAX],
            leg_count: 2,
            profit_token: TokenId(0),
            amount_in: 1,
            profit: 50,
            profit_wei: Wei(100),
            bid: Bid::Share(Bps(0)),
            last_block: BlockNumber(1),
            order: None,
        };
        let fees = Fees { max_fee: Wei(8), priority_fee: Wei(8), gas_limit: Gas(100_000) };
        let admitted = Admitted {
            plan,
            wallet: WalletId(0),
            nonce: 3,
            fees,
            least_profit: 1,
            net_wei: Wei(1),
            gas_price: Wei(1),
            stake: Wei(1),
            is_flash: true,
            work: Work::Swaps(Shape::default()),
        };
        Flight::new(admitted, B256::repeat_byte(1), BlockNumber(1))
    }

    #[test]
    fn every_slot_is_given_once_and_again_when_its_flight_has_landed() {
        let mut flights = Flights::default();
        let mut tickets = Vec::new();
        while let Some(ticket) = flights.next_ticket() {
            flights.launch(Flight { ticket, ..flight() });
            tickets.push(ticket);
        }
        assert_eq!((tickets.len(), flights.count()), (FLIGHTS_MAX, FLIGHTS_MAX));
        assert!(flights.iter().map(|flight| &flight.ticket).eq(&tickets));
        let stale = tickets[40] ^ (1 << SLOT_BITS);
        assert!(flights.land(stale).is_none() && flights.next_ticket().is_none());
        assert!(flights.land(tickets[40]).is_some() && flights.land(tickets[40]).is_none());
        assert_eq!(flights.count(), FLIGHTS_MAX - 1);
        let again = flights.next_ticket().unwrap();
        assert_eq!((again & SLOT_MASK, again == tickets[40]), (tickets[40] & SLOT_MASK, false));
    }

    #[test]
    fn a_submission_is_missing_when_none_of_its_transactions_has_a_receipt() {
        let mut flight = flight();
        assert!(flight.misses(0));
        flight.cancels.add(B256::repeat_byte(2), flight.admitted.fees);
        flight.missing = 0;
        assert!(!flight.misses(1));
        assert!(flight.misses(0));
    }

    /// A liquidation of this loan, with one swap through this pool.
    pub(crate) fn liquidation(loan: u32, pool: u32) -> Plan {
        let order = Order {
            loan: LoanId(loan),
            way: Way::default(),
            size: Size::Debt(1),
            debt: TokenId(0),
            collateral: TokenId(1),
            funding: Funding::Own,
            paid_most: 1,
            premium: 0,
            exit_count: 1,
        };
        let mut plan = Plan { leg_count: 1, order: Some(order), ..flight().admitted.plan };
        plan.legs[0].pool = PoolId(pool);
        plan
    }

    #[test]
    fn a_loan_or_a_pool_that_is_on_its_way_keeps_others_off_until_it_is_mined() {
        let plan = liquidation(3, 5);
        let admitted = Admitted { plan, ..flight().admitted };
        let mut flights = Flights::default();
        assert!(!flights.overlaps(&plan));
        let ticket = flights.next_ticket().unwrap();
        let launched = Flight::new(admitted, B256::repeat_byte(1), BlockNumber(1));
        flights.launch(Flight { ticket, ..launched });
        assert!(flights.overlaps(&liquidation(3, 6)), "the same loan through another pool");
        assert!(flights.overlaps(&liquidation(4, 5)), "another loan through the same pool");
        assert!(!flights.overlaps(&liquidation(4, 6)));
        let cycle = |pool| Plan { order: None, ..liquidation(0, pool) };
        assert!(flights.overlaps(&cycle(5)) && !flights.overlaps(&cycle(6)));
        flights.get_mut(ticket).unwrap().is_mined = true;
        assert!(!flights.overlaps(&plan));
    }

    #[test]
    fn plans_without_a_loan_share_none() {
        let admitted =
            Admitted { plan: Plan { order: None, ..liquidation(0, 5) }, ..flight().admitted };
        let mut flights = Flights::default();
        flights.launch(Flight::new(admitted, B256::repeat_byte(1), BlockNumber(1)));
        assert!(!flights.overlaps(&Plan { order: None, ..liquidation(0, 6) }));
        assert!(!flights.overlaps(&liquidation(0, 6)));
    }

    #[test]
    fn attempts_to_take_back_are_bounded_and_keep_their_order() {
        let mut flight = flight();
        for byte in 2..5 {
            assert!(flight.cancels.has_room());
            flight.cancels.add(B256::repeat_byte(byte), flight.admitted.fees);
        }
        assert!(!flight.cancels.has_room());
        flight.cancels.add(B256::repeat_byte(9), flight.admitted.fees);
        assert_eq!(flight.last_attempt(), (Attempt { ticket: 0, number: 3 }, B256::repeat_byte(4)));
        assert_eq!(flight.attempts().count(), 4);
        let again = flight.anew();
        assert_eq!((again.cancels, again.hash), (flight.cancels, flight.hash));
    }
}
