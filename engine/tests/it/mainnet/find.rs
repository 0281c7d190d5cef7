//! Whether the finder sees the arbitrages that traders made, and what they pay when the executor
//! runs them on the very state that the trader met.
//!
//! ```text
//! block up to the trader ─► its pools, probed ─► tokens, probed ─► Searcher ─► executor in the EVM
//!                                                                     ▲              │
//!                                                                     └── again, if it was not all
//! ```
//!
//! The finder has the trader's pools and no others. A trader who took several cycles at once is
//! matched by several plans, one after another.
//!
//! Temperature: cold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall as _, SolValue as _};
use gannet_engine::limits::HOPS_MAX;
use gannet_engine::search::{Found, SearchLimits, Searcher, native_value};
use gannet_engine::sign::calldata::Program;
use gannet_engine::world::World;
use serde::Deserialize;

use super::chain::{Fork, OPERATOR, OWNER, Replay};
use super::mirror::{Mirror, Seeded, WETH, reserves_of};
use super::pair::{Because, Pair};
use super::ranged::RangedPool;
use super::witness::Witness;
use crate::evm::bytecode;

/// A trader's cycles are taken one after another, but not for ever.
const ROUNDS_MAX: usize = 8;

alloy::sol! {
    interface Token {
        function balanceOf(address account) external view returns (uint256);
        function transfer(address to, uint256 amount) external;
    }
}

/// An arbitrage that a trader made, by the ground truth.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Arbitrage {
    block_number: u64,
    pub(crate) tx_index: usize,
    /// By token, before gas and what the block's producer was paid.
    gross_profit: BTreeMap<Address, u128>,
    pub(crate) swaps: Vec<Swap>,
    /// Whether its block can be run.
    pub(crate) has_full_prestate: bool,
}

/// A trader's swap.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Swap {
    dex: String,
    pub(crate) pool: Address,
    token_in: Address,
    pub(crate) token_out: Address,
    amount_out: u128,
}

#[derive(Deserialize)]
struct GroundTruth {
    cyclic_arbitrage: Arbitrages,
}

#[derive(Deserialize)]
struct Arbitrages {
    items: Vec<Arbitrage>,
}

/// The arbitrages, by block.
pub(crate) fn arbitrages(folder: &Path) -> BTreeMap<u64, Vec<Arbitrage>> {
    let text = fs::read(folder.join("ground_truth.json")).expect("the ground truth");
    let truth: GroundTruth = serde_json::from_slice(&text).expect("the ground truth's layout");
    let mut by_block = BTreeMap::<_, Vec<_>>::new();
    for item in truth.cyclic_arbitrage.items {
        by_block.entry(item.block_number).or_default().push(item);
    }
    by_block
}

impl Arbitrage {
    /// Whether every leg goes through a pair.
    pub(crate) fn is_constant_product(&self) -> bool {
        self.swaps.iter().all(|swap| swap.dex == "v2")
    }

    /// The token that profit is compared in: the wrapped native one if the trader took some, or
    /// else what went in first.
    fn base(&self) -> Address {
        let first = self.swaps.first().map(|swap| swap.token_in);
        let mut choices = [Some(WETH), first].into_iter().flatten();
        let chosen = choices.find(|token| self.gross_profit.contains_key(token));
        chosen.or(self.gross_profit.keys().next().copied()).unwrap_or(WETH)
    }

    /// The recorded profit in `base`, with what else was left over at the pairs' own prices.
    fn recorded(&self, world: &World, base: Address) -> Result<u128, Because> {
        let worth = |(token, amount): (&Address, &u128)| {
            let [base, token] = [&base, token].map(|token| world.tokens.id_of(token));
            // What is too little for any pair to give something is worth nothing.
            Some(native_value(&world.pools, base?, token?, *amount).unwrap_or(0))
        };
        let worths = self.gross_profit.iter().map(worth);
        worths.sum::<Option<u128>>().ok_or_else(|| Because("profit in a token of no leg".into()))
    }
}

/// What became of an arbitrage.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The finder's cycles, executed, pay at least what the trader's did.
    Matched,
    /// They pay less, and why.
    Short(String),
    /// They pay less, and the trader's have more swaps than the finder's may have.
    TooLong,
    /// A token arrives in part, so it must not be traded, and is not.
    Refused(Because),
    /// The witness does not tell enough.
    Unknown(Because),
}

/// A pool of a trader's.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A pair, and its fee in pips.
    Pair(Pair, u32),
    Ranged(RangedPool),
}

impl Seen {
    fn look(fork: &mut Fork<'_>, address: Address) -> Result<Self, Because> {
        match Pair::look(fork, address) {
            Ok(pair) => {
                let fee = pair.fee(fork)?;
                Ok(Self::Pair(pair, fee))
            }
            Err(no_pair) => match RangedPool::look(fork, address) {
                Ok(pool) => Ok(Self::Ranged(pool)),
                Err(Because(no_range)) => Err(Because(format!("{no_pair}; {no_range}"))),
            },
        }
    }

    /// It as it is now.
    fn again(&self, fork: &mut Fork<'_>) -> Result<Self, Because> {
        match self {
            Self::Pair(pair, fee) => Ok(Self::Pair(Pair::look(fork, pair.address)?, *fee)),
            Self::Ranged(pool) => pool.again(fork).map(Self::Ranged),
        }
    }

    const fn address(&self) -> Address {
        match self {
            Self::Pair(pair, _) => pair.address,
            Self::Ranged(pool) => pool.address,
        }
    }

    const fn tokens(&self) -> [Address; 2] {
        match self {
            Self::Pair(pair, _) => pair.tokens,
            Self::Ranged(pool) => pool.tokens,
        }
    }

    fn seeded(&self) -> Seeded {
        match self {
            Self::Pair(pair, fee) => Seeded::pair(pair, *fee),
            Self::Ranged(pool) => pool.seeded(),
        }
    }
}

/// What was seen of an arbitrage.
pub(crate) struct Hunt {
    /// The trader's pools.
    pub(crate) pools: Vec<Seen>,
    /// The profit in the base token: the trader's, and ours by the executor's balance.
    pub(crate) recorded: u128,
    pub(crate) executed: u128,
    /// The legs of each cycle that was executed.
    pub(crate) cycles: Vec<usize>,
    pub(crate) verdict: Verdict,
}

impl Hunt {
    /// Looks for an arbitrage on the state right before it.
    pub(crate) fn new(witness: &Witness, item: &Arbitrage) -> Self {
        let fork = Replay::new(witness).run_to(item.tx_index).fork();
        Self::on(witness, fork, item)
    }

    /// Looks for an arbitrage on this state.
    pub(crate) fn on(witness: &Witness, fork: Fork<'_>, item: &Arbitrage) -> Self {
        let (pools, cycles, verdict) = (vec![], vec![], Verdict::TooLong);
        let mut hunt = Self { pools, recorded: 0, executed: 0, cycles, verdict };
        hunt.verdict = match hunt.run(witness, fork, item) {
            Ok(Verdict::Short(_)) if item.swaps.len() > HOPS_MAX => Verdict::TooLong,
            Ok(verdict) => verdict,
            Err(reason) => Verdict::Unknown(reason),
        };
        hunt
    }

    fn run(
        &mut self,
        witness: &Witness,
        mut fork: Fork<'_>,
        item: &Arbitrage,
    ) -> Result<Verdict, Because> {
        let pools: BTreeSet<_> = item.swaps.iter().map(|swap| swap.pool).collect();
        for address in pools {
            self.pools.push(Seen::look(&mut fork, address)?);
        }
        let base = item.base();
        let mut world = self.world(witness, base);
        self.recorded = item.recorded(&world, base)?;
        if let Some((token, reason)) = lossy(&mut fork, &self.transfers(item))? {
            return refuse(world, Desk::new(fork, base), (token, reason));
        }
        let mut desk = Desk::new(fork, base);
        while self.cycles.len() < ROUNDS_MAX {
            let Some(best) = cycles(&world).into_iter().max_by_key(|found| found.profit) else {
                return Ok(Verdict::Short("no other cycle is seen".into()));
            };
            let profit = match desk.execute(&world, &best)? {
                Ok(profit) => profit,
                Err(error) => return Ok(Verdict::Short(format!("reverts: {error}"))),
            };
            self.executed += profit;
            self.cycles.push(best.legs().len());
            if self.executed >= self.recorded {
                return Ok(Verdict::Matched);
            }
            for pool in &mut self.pools {
                *pool = pool.again(&mut desk.fork)?;
            }
            world = self.world(witness, base);
        }
        Ok(Verdict::Short("too many cycles".into()))
    }

    fn world(&self, witness: &Witness, base: Address) -> World {
        let seeded: Vec<Seeded> = self.pools.iter().map(Seen::seeded).collect();
        Mirror::of(witness, &seeded, base).world
    }

    /// What the trader's swaps paid out, to each of the pools that could have been next.
    fn transfers(&self, item: &Arbitrage) -> Vec<Transfer> {
        let mut transfers = vec![];
        for &Swap { pool: from, token_out: token, amount_out: amount, .. } in &item.swaps {
            let pools = self.pools.iter();
            let takers = pools.filter(|to| to.address() != from && to.tokens().contains(&token));
            transfers.extend(takers.map(|to| Transfer { token, from, to: to.address(), amount }));
        }
        transfers
    }
}

/// Refuses a lossy token, for a reason: with its pairs in quarantine nothing must be found. Says
/// how its cycles end if they are executed all the same.
fn refuse(
    mut world: World,
    mut desk: Desk<'_>,
    (token, Because(reason)): (Address, Because),
) -> Result<Verdict, Because> {
    let mut ends = vec![reason];
    for found in cycles(&world) {
        ends.push(match desk.execute(&world, &found)? {
            Ok(profit) => format!("traded all the same, it pays {profit}"),
            Err(error) => format!("traded all the same, it reverts ({error})"),
        });
    }
    for pool in world.pools.ids().to_vec() {
        let tokens = world.pools.get(pool).tokens.map(|token| world.tokens.get(token).address);
        world.pools.entry_mut(pool).is_quarantined = tokens.contains(&token);
    }
    Ok(match cycles(&world).first() {
        None => Verdict::Refused(Because(ends.join("; "))),
        Some(found) => Verdict::Short(format!("trades a lossy token: {found:?}")),
    })
}

/// Every cycle that the finder sees in a world.
fn cycles(world: &World) -> Vec<Found> {
    let mut searcher = Searcher::new(&world.pools, &world.bases, world.native, HOPS_MAX);
    let mut cycles = vec![];
    let pools = world.pools.ids();
    searcher.search(&world.pools, pools, &SearchLimits::NONE, &mut |found| cycles.push(*found));
    cycles
}

/// Tokens on their way from one pair to another.
struct Transfer {
    token: Address,
    from: Address,
    to: Address,
    amount: u128,
}

/// A token of these transfers that does not arrive in full, and the proof.
fn lossy(
    fork: &mut Fork<'_>,
    transfers: &[Transfer],
) -> Result<Option<(Address, Because)>, Because> {
    for Transfer { token, from, to, amount } in transfers {
        let mut fork = fork.clone();
        let before = balance(&mut fork, *token, *to)?;
        let transfer = Token::transferCall { to: *to, amount: U256::from(*amount) }.abi_encode();
        let sent = fork.send(*from, *token, transfer)?;
        let arrived = balance(&mut fork, *token, *to)?.saturating_sub(before);
        if arrived < U256::from(*amount) {
            let error = sent.answer.err().map(|error| format!(" ({error})")).unwrap_or_default();
            let reason = format!("of {amount} {token} arrive {arrived}{error}");
            return Ok(Some((*token, Because(reason))));
        }
    }
    Ok(None)
}

fn balance(fork: &mut Fork<'_>, token: Address, account: Address) -> Result<U256, Because> {
    let held = fork.read(token, &Token::balanceOfCall { account })?;
    held.map_err(|error| Because(format!("balanceOf reverts: {error}")))
}

/// The executor on a fork, and the account that may run it. It has no funds of its own.
struct Desk<'w> {
    fork: Fork<'w>,
    executor: Address,
    base: Address,
}

impl<'w> Desk<'w> {
    fn new(mut fork: Fork<'w>, base: Address) -> Self {
        let arguments = (WETH, *OWNER, vec![*OPERATOR]).abi_encode_params();
        let executor = fork.deploy(bytecode("abi/Executor.json", None), &arguments);
        Self { fork, executor, base }
    }

    /// Takes a cycle with a flash loan, for no less than what the finder said; what it paid, or the
    /// error that it reverted with.
    fn execute(&mut self, world: &World, found: &Found) -> Result<Result<u128, String>, Because> {
        let program = Program {
            is_flash: true,
            last_block: world.next_block(),
            profit_token: world.tokens.get(found.profit_token).address,
            amount_in: found.amount_in,
            least_profit: found.profit,
            tip: 0,
            legs: found.legs(),
            world,
        };
        let mut input = vec![0; program.packed_bytes()];
        program.write(&mut input).expect("it is as long as it says");
        let before = balance(&mut self.fork, self.base, self.executor)?;
        let receipt = self.fork.send(*OPERATOR, self.executor, input)?;
        let after = balance(&mut self.fork, self.base, self.executor)?;
        Ok(receipt.answer.map(|_| (after - before).to()))
    }
}

/// What became of the cycles that the finder saw in a block, after any of its transactions.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Paid what was promised, to the wei.
    pub(crate) exact: usize,
    /// Reverted, because a token arrives in part, or a pair has less than it says.
    pub(crate) lossy: BTreeMap<Because, usize>,
    pub(crate) unknown: BTreeMap<Because, usize>,
    /// Paid something else, or reverted for no reason that shows.
    pub(crate) wrong: Vec<String>,
}

impl Survey {
    /// Runs a block, and takes every cycle through its pairs that the finder sees after each
    /// transaction that touched one of them, each on a fork of its own.
    pub(crate) fn new(witness: &Witness, mut pairs: Vec<(Pair, u32)>) -> Self {
        let mut survey = Self::default();
        let mut replay = Replay::new(witness);
        while replay.done < witness.txs.len() {
            let touched = replay.step().touched;
            let touched = pairs.iter_mut().filter(|(pair, _)| touched.contains(&pair.address));
            let mut fork = replay.fork();
            let mut has_moved = false;
            for (pair, _) in touched {
                if let Ok(seen) = Pair::look(&mut fork, pair.address) {
                    *pair = seen;
                    has_moved = true;
                }
            }
            if !has_moved {
                continue;
            }
            let world = Mirror::new(witness, &pairs, WETH).world;
            for found in cycles(&world) {
                if let Err(reason) = survey.take(&world, &fork, &found) {
                    *survey.unknown.entry(reason).or_default() += 1;
                }
            }
        }
        survey
    }

    fn take(&mut self, world: &World, fork: &Fork<'_>, found: &Found) -> Result<(), Because> {
        let error = match Desk::new(fork.clone(), WETH).execute(world, found)? {
            Ok(profit) if profit == found.profit => {
                self.exact += 1;
                return Ok(());
            }
            Ok(profit) => format!("paid {profit}"),
            Err(error) => error,
        };
        let hops = found.legs().windows(2).map(|hop| {
            let [from, to] = [0, 1].map(|leg| world.pools.get(hop[leg].pool));
            let token = from.tokens[hop[0].direction.index_out()];
            let token = world.tokens.get(token).address;
            Transfer { token, from: from.address, to: to.address, amount: hop[0].amount_out }
        });
        let mut fork = fork.clone();
        let reason = match lossy(&mut fork, &hops.collect::<Vec<_>>())? {
            Some((_, reason)) => Some(reason),
            None => deficit(&mut fork, world, found)?,
        };
        match reason {
            Some(reason) => *self.lossy.entry(reason).or_default() += 1,
            None => self.wrong.push(format!("{error}: {found:?}")),
        }
        Ok(())
    }
}

/// A pair of a cycle that has less of a token than its reserves say, as where a token shrinks.
fn deficit(fork: &mut Fork<'_>, world: &World, found: &Found) -> Result<Option<Because>, Because> {
    for pool in found.legs().iter().map(|leg| world.pools.get(leg.pool)) {
        for (token, reserve) in pool.tokens.into_iter().zip(reserves_of(&pool.state)) {
            let token = world.tokens.get(token).address;
            let held = balance(fork, token, pool.address)?;
            if held < U256::from(reserve) {
                let pair = pool.address;
                return Ok(Some(Because(format!("{pair} has {held} of {reserve} {token}"))));
            }
        }
    }
    Ok(None)
}
