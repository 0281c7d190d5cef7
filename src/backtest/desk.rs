//! The executor on the state of a recorded block, and cycles run through it.
//!
//! Temperature: cold.

use alloy::sol_types::{SolCall as _, SolValue as _};
use alloy_primitives::{Address, U256};
use gannet_engine::ids::TokenId;
use gannet_engine::plan::Leg;
use gannet_engine::sign::calldata::Program;
use gannet_engine::world::World;

use crate::contracts::{Erc20, Executor};
use crate::evm::{Fork, OPERATOR, OWNER};
use crate::venue::Because;

/// What a cycle paid, in the profit token's smallest unit, or the error that it reverted with; and
/// the gas that it used.
#[derive(Clone, Debug)]
pub(super) struct Paid {
    pub(super) profit: Result<u128, String>,
    pub(super) gas_used: u64,
}

/// The executor, and the account that may run it. It has no funds of its own.
pub(super) struct Desk<'r> {
    pub(super) fork: Fork<'r>,
    executor: Address,
}

impl<'r> Desk<'r> {
    pub(super) fn new(mut fork: Fork<'r>, wrapped_native: Address) -> Result<Self, Because> {
        let arguments = (wrapped_native, *OWNER, vec![*OPERATOR]).abi_encode_params();
        let executor = fork.deploy(Executor::BYTECODE.to_vec(), &arguments)?;
        Ok(Self { fork, executor })
    }

    /// Takes a cycle (its profit token, its input and its legs) with a flash loan, for no less than
    /// `least_profit`.
    pub(super) fn execute(
        &mut self,
        world: &World,
        (profit_token, amount_in, legs): (TokenId, u128, &[Leg]),
        least_profit: u128,
    ) -> Result<Paid, Because> {
        let token = world.tokens.get(profit_token).address;
        let program = Program {
            is_flash: true,
            last_block: world.next_block(),
            profit_token: token,
            amount_in,
            least_profit,
            tip: 0,
            legs,
            world,
        };
        let mut input = vec![0; program.packed_bytes()];
        if program.write(&mut input).is_none() {
            return Err(Because("the program is longer than it says".into()));
        }
        let before = balance(&mut self.fork, token, self.executor)?;
        let receipt = self.fork.send(*OPERATOR, self.executor, input)?;
        let after = balance(&mut self.fork, token, self.executor)?;
        let profit = after.saturating_sub(before).try_into().unwrap_or(u128::MAX);
        let (profit, gas_used) = (receipt.answer.map(|_nothing| profit), receipt.gas_used);
        Ok(Paid { profit, gas_used })
    }
}

/// What an account has of a token.
pub(super) fn balance(
    fork: &mut Fork<'_>,
    token: Address,
    account: Address,
) -> Result<U256, Because> {
    let held = fork.read(token, &Erc20::balanceOfCall { owner: account })?;
    held.map_err(|error| Because(format!("balanceOf reverts: {error}")))
}

/// Has `from` send `amount` of a token to `to`; what arrives, and the error if it reverts.
pub(super) fn transfer(
    fork: &mut Fork<'_>,
    token: Address,
    (from, to): (Address, Address),
    amount: u128,
) -> Result<(U256, Option<String>), Because> {
    let before = balance(fork, token, to)?;
    let call = Erc20::transferCall { to, value: U256::from(amount) }.abi_encode();
    let sent = fork.send(from, token, call)?;
    let arrived = balance(fork, token, to)?.saturating_sub(before);
    Ok((arrived, sent.answer.err()))
}
