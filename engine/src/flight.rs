//! Submissions on their way: what each one is, what it blocks, and how it ended.
//!
//! Temperature: hot.

use alloy_primitives::B256;

use crate::ids::WalletId;
use crate::limits::FLIGHTS_MAX;
use crate::plan::Plan;
use crate::units::{BlockNumber, Gas, Wei};

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
    /// Whether the last pool lends the input (a flash swap) or the executor's own funds pay it.
    pub is_flash: bool,
}

/// How a submission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Mined, and paid.
    Landed,
    /// Mined, and reverted.
    Reverted,
    /// Another transaction took its nonce.
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
    /// Whether it was never mined, and nothing was paid for it.
    #[must_use]
    pub const fn is_lost(self) -> bool {
        match self {
            Self::Replaced | Self::Dropped | Self::Refused | Self::Unsent => true,
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

/// A submission on its way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Its number.
    pub ticket: u32,
    /// What was signed.
    pub admitted: Admitted,
    /// The transaction's hash.
    pub hash: B256,
    /// The first block in which it could land.
    pub first_block: BlockNumber,
    /// Where the followed transaction landed, once it has: block and place in it.
    pub target_place: Option<(B256, u32)>,
    /// Dry-run: the profit that the replay found where it would have landed.
    pub replayed: Option<u128>,
    /// What raised doubt that it will be mined.
    pub doubt: Doubt,
    /// Whether a sealed block has logs of it: it blocks nothing any more, and its receipt will say
    /// what it brought.
    pub is_mined: bool,
}

/// What raised doubt that a submission will be mined. Each is checked before it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing.
    #[default]
    None,
    /// The node answered it with an error; it may still hold it ("already known").
    Refused,
    /// The node did not know it when it was asked last.
    Unknown,
    /// A transaction with its nonce was mined in this block or earlier; a receipt that is still
    /// missing one block later means that it was another one.
    Overtaken(BlockNumber),
}

/// All submissions on their way.
#[derive(Debug)]
pub struct Flights {
    slots: [Option<Flight>; FLIGHTS_MAX],
    generation: u32,
}

impl Default for Flights {
    fn default() -> Self {
        Self { slots: [None; FLIGHTS_MAX], generation: 0 }
    }
}

/// A ticket's low bits are its place in the table.
const SLOT_BITS: u32 = FLIGHTS_MAX.trailing_zeros();
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const _: () = assert!(FLIGHTS_MAX.is_power_of_two(), "a ticket's low bits are its slot");

impl Flights {
    /// A ticket for the next submission, if there is room.
    #[must_use]
    pub fn next_ticket(&self) -> Option<u32> {
        let slot = u32::try_from(self.slots.iter().position(Option::is_none)?).ok()?;
        // The shift drops the generation's highest bits; it only tells a late reply from a new one.
        Some((self.generation.wrapping_add(1) << SLOT_BITS) | slot)
    }

    /// Takes off.
    pub const fn launch(&mut self, flight: Flight) {
        self.generation = self.generation.wrapping_add(1);
        self.slots[(flight.ticket & SLOT_MASK) as usize] = Some(flight);
    }

    /// The submission with this ticket, if it is still on its way.
    pub fn get_mut(&mut self, ticket: u32) -> Option<&mut Flight> {
        let slot = self.slots[(ticket & SLOT_MASK) as usize].as_mut()?;
        (slot.ticket == ticket).then_some(slot)
    }

    /// Lands: takes the submission out of the table.
    pub fn land(&mut self, ticket: u32) -> Option<Flight> {
        let slot = &mut self.slots[(ticket & SLOT_MASK) as usize];
        if slot.as_ref()?.ticket == ticket { slot.take() } else { None }
    }

    /// All that are on their way.
    pub fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.slots.iter().flatten()
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

    /// Whether this wallet's nonce is taken by one that is on its way.
    #[must_use]
    pub fn uses_wallet(&self, wallet: WalletId) -> bool {
        self.unmined().any(|flight| flight.admitted.wallet == wallet)
    }

    /// Whether a pool of this plan is used by one that is on its way.
    #[must_use]
    pub fn overlaps(&self, plan: &Plan) -> bool {
        self.unmined().any(|flight| {
            let busy = flight.admitted.plan.legs();
            plan.legs().iter().any(|leg| busy.iter().any(|held| held.pool == leg.pool))
        })
    }
}
