//! What a transaction does to the state: V2 swaps through a router, programs of the executor, plain
//! transfers. Written from the contracts and not from the engine, so that the two can disagree.
//!
//! Temperature: cold.

use std::collections::HashMap;

use alloy::sol;
use alloy::sol_types::{SolCall, SolEvent};
use alloy_primitives::{Address, B256, Bytes, U256};

use super::market::{FEE_PIPS, Market};
use super::transaction::Tx;

sol! {
    event Sync(uint112 reserve0, uint112 reserve1);
    event Swap(address indexed sender, uint256 in0, uint256 in1, uint256 out0, uint256 out1,
        address indexed to);
    event Transfer(address indexed from, address indexed to, uint256 value);

    function swapExactTokensForTokens(uint256 amountIn, uint256 least, address[] path, address to,
        uint256 deadline);
    function execute();
}

/// What everybody has who is not known to have anything else, in wei.
const FUNDS: u128 = 1_000_000_000_000_000_000_000;
/// The whole of an amount, in pips.
const PIPS: u32 = 1_000_000;
/// Gas of a transaction that does nothing.
pub const TRANSFER_GAS: u64 = 21_000;

/// What the chain holds after a block.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Reserves by pair.
    pub reserves: Vec<[u128; 2]>,
    nonces: HashMap<Address, u64>,
    balances: HashMap<Address, U256>,
    /// What the executor holds, by token.
    held: HashMap<Address, U256>,
}

/// A log before it is in a block.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who wrote it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
}

impl Event {
    fn of(address: Address, event: &impl SolEvent) -> Self {
        let data = event.encode_log_data();
        Self { address, topics: data.topics().to_vec(), data: data.data }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Whether it succeeded.
    pub is_success: bool,
    /// Gas that it used.
    pub gas_used: u64,
    /// What it wrote.
    pub events: Vec<Event>,
}

/// Height and time of the block that something is executed in.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Height.
    pub number: u64,
    /// Timestamp, in seconds.
    pub timestamp: u64,
    /// Base fee, in wei.
    pub base_fee: u128,
}

/// Output of a pair, as its contract allows it at most.
#[must_use]
pub fn quote(amount: u128, reserves: [u128; 2], fee_pips: u32) -> Option<u128> {
    let [held_in, held_out] = reserves.map(U256::from);
    let net = U256::from(amount).checked_mul(U256::from(PIPS.checked_sub(fee_pips)?))?;
    let scaled = held_in.checked_mul(U256::from(PIPS))?.checked_add(net)?;
    let out = net.checked_mul(held_out)?.checked_div(scaled)?;
    u128::try_from(out).ok().filter(|out| *out > 0)
}

impl State {
    /// The state before the first block.
    #[must_use]
    pub fn genesis(market: &Market) -> Self {
        let reserves = market.pairs.iter().map(|pair| pair.start).collect();
        Self { reserves, ..Self::default() }
    }

    /// How many transactions of an account were mined.
    #[must_use]
    pub fn nonce(&self, account: &Address) -> u64 {
        self.nonces.get(account).copied().unwrap_or_default()
    }

    /// What an account has, in wei.
    #[must_use]
    pub fn balance(&self, account: &Address) -> U256 {
        self.balances.get(account).copied().unwrap_or(U256::from(FUNDS))
    }

    /// What the executor holds of a token.
    #[must_use]
    pub fn held(&self, token: &Address) -> U256 {
        self.held.get(token).copied().unwrap_or_default()
    }

    /// Whether a transaction can be in a block on this state.
    #[must_use]
    pub fn can_take(&self, tx: &Tx, base_fee: u128) -> bool {
        let most = U256::from(tx.body.max_fee_per_gas) * U256::from(tx.body.gas_limit);
        tx.body.nonce == self.nonce(&tx.from)
            && tx.tip(base_fee).is_some()
            && self.balance(&tx.from) >= most.saturating_add(tx.body.value)
    }

    /// Executes a transaction that [`State::can_take`].
    pub fn execute(&mut self, tx: &Tx, market: &Market, place: Place) -> Effect {
        let before = self.reserves.clone();
        let (mut effect, is_done) = match self.run(tx, market, place) {
            Ok((gas_used, events)) => (Effect { is_success: true, gas_used, events }, true),
            Err(gas_used) => (Effect { is_success: false, gas_used, events: Vec::new() }, false),
        };
        if !is_done {
            self.reserves = before;
        }
        effect.gas_used = effect.gas_used.min(tx.body.gas_limit);
        let price = place.base_fee + tx.tip(place.base_fee).unwrap_or_default();
        let value = if is_done && tx.to() != tx.from { tx.body.value } else { U256::ZERO };
        let paid = U256::from(price) * U256::from(effect.gas_used) + value;
        self.balances.insert(tx.from, self.balance(&tx.from).saturating_sub(paid));
        self.nonces.insert(tx.from, tx.body.nonce + 1);
        effect
    }

    /// The gas and the events of what succeeds, the gas of what reverts.
    fn run(&mut self, tx: &Tx, market: &Market, place: Place) -> Result<(u64, Vec<Event>), u64> {
        let to = tx.to();
        if to == market.executor && tx.body.input.starts_with(&executeCall::SELECTOR) {
            return self.run_program(tx, market, place.number);
        }
        match market.factories.iter().position(|factory| factory.router == to) {
            Some(factory) => self.swap_through(tx, market, factory, place.timestamp),
            None => Ok((TRANSFER_GAS, Vec::new())),
        }
    }

    fn swap_through(
        &mut self,
        tx: &Tx,
        market: &Market,
        factory: usize,
        now: u64,
    ) -> Result<(u64, Vec<Event>), u64> {
        const REVERTED: u64 = 35_000;
        let call = swapExactTokensForTokensCall::abi_decode(&tx.body.input)
            .map_err(|_other| TRANSFER_GAS + 500)?;
        let first = u128::try_from(call.amountIn).map_err(|_beyond| REVERTED)?;
        if U256::from(now) > call.deadline {
            return Err(REVERTED);
        }
        let (mut amount, mut events) = (first, Vec::new());
        for way in call.path.windows(2) {
            let (pair, is_forth) = market.pair_of(factory, &way[0], &way[1]).ok_or(REVERTED)?;
            let out = self.quote(pair, is_forth, amount, FEE_PIPS).ok_or(REVERTED)?;
            let hop = Hop { pair, is_forth, paid: amount, taken: out };
            events.extend(self.swap(market, &hop, tx.from));
            amount = out;
        }
        if U256::from(amount) < call.least {
            return Err(REVERTED);
        }
        Ok((60_000 + 50_000 * call.path.len().saturating_sub(1) as u64, events))
    }

    /// Runs a packed program; `abi/Executor.sol` has the layout.
    fn run_program(
        &mut self,
        tx: &Tx,
        market: &Market,
        number: u64,
    ) -> Result<(u64, Vec<Event>), u64> {
        const EARLY: u64 = 24_000;
        let program = Program::read(&tx.body.input).ok_or(EARLY)?;
        let is_operator = market.wallets.iter().any(|wallet| wallet.address() == tx.from);
        if number > program.last_block || !is_operator {
            return Err(EARLY);
        }
        let looked = EARLY + 5_000 * program.legs.len() as u64;
        let mut amount = program.amount_in;
        let mut outs = Vec::new();
        for leg in &program.legs {
            let pair = market.pair_at(&leg.pool).ok_or(looked)?;
            amount = self.quote(pair, leg.is_forth, amount, leg.fee_pips).ok_or(looked)?;
            outs.push((pair, leg, amount));
        }
        let wanted = program.amount_in.checked_add(program.least).ok_or(looked)?;
        let held = self.held(&program.token);
        let is_fed = program.is_flash || held >= U256::from(program.amount_in);
        if program.tip > 0 || amount < wanted || !is_fed {
            return Err(looked);
        }
        let mut events = Vec::new();
        let mut paid = program.amount_in;
        for (pair, leg, out) in outs {
            // The pair's own fee is what its contract demands, whatever the program says.
            if self.quote(pair, leg.is_forth, paid, FEE_PIPS).is_none_or(|most| out > most) {
                return Err(looked);
            }
            let hop = Hop { pair, is_forth: leg.is_forth, paid, taken: out };
            events.extend(self.swap(market, &hop, market.executor));
            paid = out;
        }
        let gained = U256::from(amount - program.amount_in);
        self.held.insert(program.token, held + gained);
        let flash = if program.is_flash { 3_000 } else { 0 };
        Ok((38_000 + 52_200 * program.legs.len() as u64 + flash, events))
    }

    fn quote(&self, pair: usize, is_forth: bool, amount: u128, fee: u32) -> Option<u128> {
        let [first, second] = self.reserves[pair];
        quote(amount, if is_forth { [first, second] } else { [second, first] }, fee)
    }

    fn swap(&mut self, market: &Market, hop: &Hop, who: Address) -> [Event; 4] {
        let Hop { pair: place, is_forth, paid, taken } = *hop;
        let pair = &market.pairs[place];
        let [first, second] = pair.tokens.map(|token| market.tokens[token].address);
        let held = &mut self.reserves[place];
        let ([from, to], [in0, in1], [out0, out1]) = if is_forth {
            *held = [held[0] + paid, held[1] - taken];
            ([first, second], [paid, 0], [0, taken])
        } else {
            *held = [held[0] - taken, held[1] + paid];
            ([second, first], [0, paid], [taken, 0])
        };
        let address = pair.address;
        let paid_in = Transfer { from: who, to: address, value: U256::from(paid) };
        let paid_out = Transfer { from: address, to: who, value: U256::from(taken) };
        let [reserve0, reserve1] = held.map(|held| U256::from(held).to());
        let [in0, in1, out0, out1] = [in0, in1, out0, out1].map(U256::from);
        [
            Event::of(from, &paid_in),
            Event::of(to, &paid_out),
            Event::of(address, &Sync { reserve0, reserve1 }),
            Event::of(address, &Swap { sender: who, in0, in1, out0, out1, to: who }),
        ]
    }
}

/// A swap through one pair.
struct Hop {
    pair: usize,
    is_forth: bool,
    paid: u128,
    taken: u128,
}

struct Leg {
    pool: Address,
    fee_pips: u32,
    is_forth: bool,
}

struct Program {
    is_flash: bool,
    last_block: u64,
    token: Address,
    amount_in: u128,
    least: u128,
    tip: u128,
    legs: Vec<Leg>,
}

impl Program {
    fn read(input: &[u8]) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<u128> {
            let bytes = input.get(from..to)?;
            Some(bytes.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte)))
        };
        let legs = input.get(81..).filter(|legs| !legs.is_empty() && legs.len() % 45 == 0)?;
        let legs = legs
            .chunks(45)
            .map(|leg| {
                (leg[0] == 0 && leg[24] < 2).then(|| Leg {
                    pool: Address::from_slice(&leg[1..21]),
                    fee_pips: u32::from_be_bytes([0, leg[21], leg[22], leg[23]]),
                    is_forth: leg[24] == 1,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            is_flash: *input.get(4)? == 1,
            last_block: u64::try_from(number(5, 13)?).ok()?,
            token: Address::from_slice(input.get(13..33)?),
            amount_in: number(33, 49)?,
            least: number(49, 65)?,
            tip: number(65, 81)?,
            legs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_the_one_of_the_contract() {
        // From Uniswap's own table: 1 into 5 / 10 gives 1.662497915624478906.
        let ether = 1_000_000_000_000_000_000;
        let out = quote(ether, [5 * ether, 10 * ether], FEE_PIPS);
        assert_eq!(out, Some(1_662_497_915_624_478_906));
        assert_eq!(quote(0, [5, 10], FEE_PIPS), None);
    }
}
