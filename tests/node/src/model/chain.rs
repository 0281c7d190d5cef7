//! Blocks: mined, forked off, found again by hash or number.
//!
//! Temperature: cold.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use alloy::consensus::{Header, TxEip1559};
use alloy::eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, Bloom, Bytes, TxKind, U256, keccak256};

use super::Chance;
use super::execution::{Effect, Event, Place, State, swapExactTokensForTokensCall};
use super::market::{Market, address_of};
use super::pool::Pool;
use super::transaction::Tx;

/// Gas limit of every block.
const GAS_LIMIT: u64 = 30_000_000;
/// Base fee of the first block, in wei.
const BASE_FEE: u64 = 1_000_000_000;
/// Timestamp of the first block.
const FIRST_SECOND: u64 = 1_750_000_000;
/// What a trader pays at most for a unit of gas, and tips, in wei.
const TRADER_FEES: (u128, u128) = (100_000_000_000, 2_000_000_000);

/// A log in its place.
#[derive(Clone, Debug)]
pub struct Log {
    /// What was written.
    pub event: Event,
    /// By which transaction.
    pub tx_hash: B256,
    /// That transaction's place in the block.
    pub tx_index: u64,
    /// Its own place in the block.
    pub index: u64,
}

/// A transaction in its place.
#[derive(Clone, Debug)]
pub struct Mined {
    /// The transaction.
    pub tx: Tx,
    /// What became of it.
    pub effect: Effect,
    /// Gas used up to its end.
    pub gas_so_far: u64,
}

/// A block and the state after it.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Its transactions.
    pub mined: Vec<Mined>,
    /// Its logs.
    pub logs: Vec<Log>,
    /// What the chain holds after it.
    pub state: State,
}

/// A trade that a made-up trader makes.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    /// Place of the pair.
    pub pair: usize,
    /// Whether the pair's first token goes in.
    pub is_forth: bool,
    /// Share of what the pair holds of it, in hundredths of a per cent.
    pub share_bps: u128,
}

/// Every block that ever was, those that count, and what waits for the next.
#[derive(Debug)]
pub struct Chain {
    /// What is deployed.
    pub market: Market,
    /// EIP-155 chain id.
    pub id: u64,
    /// What waits.
    pub pool: Pool,
    /// Draws.
    pub chance: Chance,
    blocks: HashMap<B256, Arc<Block>>,
    canonical: Vec<Arc<Block>>,
    /// Distinguishes blocks that are otherwise the same, and senders.
    salt: u64,
}

impl Chain {
    /// A chain whose first block has the height `first`.
    #[must_use]
    pub fn new(market: Market, id: u64, seed: u64, first: u64) -> Self {
        let state = State::genesis(&market);
        let mut chain = Self {
            market,
            id,
            pool: Pool::default(),
            chance: Chance::new(seed),
            blocks: HashMap::new(),
            canonical: Vec::new(),
            salt: seed,
        };
        chain.begin(state, first);
        chain
    }

    fn begin(&mut self, state: State, first: u64) {
        self.salt += 1;
        let header = Header {
            number: first,
            timestamp: FIRST_SECOND,
            gas_limit: GAS_LIMIT,
            // At its target, so that the base fee stays.
            gas_used: GAS_LIMIT / 2,
            base_fee_per_gas: Some(BASE_FEE),
            extra_data: Bytes::copy_from_slice(&self.salt.to_be_bytes()),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let block = Block { header, hash, mined: Vec::new(), logs: Vec::new(), state };
        self.append(block);
    }

    /// Begins anew, as a test chain that was restarted does.
    pub fn start_over(&mut self, first: u64) {
        self.blocks.clear();
        self.canonical.clear();
        self.pool.clear();
        self.begin(State::genesis(&self.market), first);
    }

    fn append(&mut self, block: Block) -> Arc<Block> {
        let block = Arc::new(block);
        self.blocks.insert(block.hash, Arc::clone(&block));
        self.canonical.push(Arc::clone(&block));
        block
    }

    /// The newest block.
    #[must_use]
    pub fn tip(&self) -> Arc<Block> {
        self.behind(0)
    }

    /// The block so many below the newest, or the first.
    #[must_use]
    pub fn behind(&self, count: u64) -> Arc<Block> {
        let most = self.canonical.len() - 1;
        let count = usize::try_from(count).unwrap_or(most).min(most);
        Arc::clone(&self.canonical[most - count])
    }

    /// A block by its hash, on whatever branch.
    #[must_use]
    pub fn by_hash(&self, hash: &B256) -> Option<Arc<Block>> {
        self.blocks.get(hash).cloned()
    }

    /// A block of the chain by its height.
    #[must_use]
    pub fn by_number(&self, number: u64) -> Option<Arc<Block>> {
        let place = number.checked_sub(self.canonical[0].header.number)?;
        self.canonical.get(usize::try_from(place).ok()?).cloned()
    }

    /// Blocks of the chain, the first one first.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &Arc<Block>> {
        self.canonical.iter()
    }

    /// Where a transaction is mined.
    #[must_use]
    pub fn place_of(&self, hash: &B256) -> Option<(Arc<Block>, usize)> {
        self.canonical.iter().rev().find_map(|block| {
            let place = block.mined.iter().position(|mined| mined.tx.hash == *hash)?;
            Some((Arc::clone(block), place))
        })
    }

    /// The base fee of the block after `block`.
    #[must_use]
    pub fn next_base_fee(block: &Block) -> u64 {
        let header = &block.header;
        let base = header.base_fee_per_gas.unwrap_or_default();
        let rule = BaseFeeParams::ethereum();
        calc_next_block_base_fee(header.gas_used, header.gas_limit, base, rule)
    }

    /// Mines a block: what waits in the pool unless `leave_out`, then these trades.
    pub fn mine(&mut self, trades: &[Trade], leave_out: bool) -> Arc<Block> {
        let block = self.build(&self.tip(), trades, leave_out);
        let block = self.append(block);
        self.pool.forget_used(&block.state);
        block
    }

    /// Mines a block of this transaction alone.
    pub fn mine_alone(&mut self, tx: Tx) -> Arc<Block> {
        let parent = self.tip();
        let mut draft = Draft::on(&parent, Self::place_after(&parent));
        draft.include(tx, &self.market);
        self.salt += 1;
        let block = self.append(draft.finish(parent.hash, self.salt));
        self.pool.forget_used(&block.state);
        block
    }

    fn place_after(parent: &Block) -> Place {
        Place {
            number: parent.header.number + 1,
            timestamp: parent.header.timestamp + 1,
            base_fee: u128::from(Self::next_base_fee(parent)),
        }
    }

    fn build(&mut self, parent: &Block, trades: &[Trade], leave_out: bool) -> Block {
        let place = Self::place_after(parent);
        let mut draft = Draft::on(parent, place);
        let mut has_room = !leave_out;
        while has_room && let Some(tx) = self.pool.best(&draft.state, place.base_fee) {
            has_room = draft.gas_used + tx.body.gas_limit <= GAS_LIMIT;
            if has_room {
                let tx = tx.clone();
                draft.include(tx, &self.market);
            }
        }
        for trade in trades {
            let sender = self.stranger();
            let tx = self.swap(trade, &draft.state, sender, Terms::default());
            draft.include(tx, &self.market);
        }
        self.salt += 1;
        draft.finish(parent.hash, self.salt)
    }

    /// A rival of the newest block: its sibling, which is not of the chain.
    pub fn rival(&mut self) -> Arc<Block> {
        let block = Arc::new(self.build(&self.behind(1), &[], true));
        self.blocks.insert(block.hash, Arc::clone(&block));
        block
    }

    /// Takes the newest `depth` blocks back; the bot's own transactions in them are pending again.
    /// Returns them, the newest first.
    pub fn take_back(&mut self, depth: usize) -> Vec<Arc<Block>> {
        let keep = self.canonical.len().saturating_sub(depth).max(1);
        let gone: Vec<_> = self.canonical.drain(keep..).rev().collect();
        let state = &self.canonical[keep - 1].state;
        let wallets: HashSet<Address> =
            self.market.wallets.iter().map(super::Wallet::address).collect();
        for mined in gone.iter().rev().flat_map(|block| &block.mined) {
            if wallets.contains(&mined.tx.from) {
                // Refused only if something else took its place meanwhile.
                self.pool.add(mined.tx.clone(), state, self.id).unwrap_or_default();
            }
        }
        gone
    }

    /// Who sent the newest transaction that is not of the bot.
    #[must_use]
    pub fn last_sender(&self) -> Option<Address> {
        let wallets = &self.market.wallets;
        let mined = self.canonical.iter().rev().flat_map(|block| &block.mined);
        let mut senders = mined.map(|mined| mined.tx.from);
        senders.find(|sender| wallets.iter().all(|wallet| wallet.address() != *sender))
    }

    /// Somebody who never sent anything.
    pub fn stranger(&mut self) -> Address {
        self.salt += 1;
        address_of(&format!("stranger {}", self.salt))
    }

    /// A random small trade.
    pub fn small_trade(&mut self) -> Trade {
        let pair = self.chance.below(self.market.pairs.len());
        let is_forth = self.chance.draw().is_multiple_of(2);
        Trade { pair, is_forth, share_bps: 1 + u128::from(self.chance.draw() % 5) }
    }

    /// A swap through the router of the pair's factory.
    #[must_use]
    pub fn swap(&self, trade: &Trade, state: &State, sender: Address, terms: Terms) -> Tx {
        let pair = &self.market.pairs[trade.pair];
        let mut path = pair.tokens.map(|token| self.market.tokens[token].address);
        let mut held = state.reserves[trade.pair];
        if !trade.is_forth {
            path.reverse();
            held.reverse();
        }
        let call = swapExactTokensForTokensCall {
            amountIn: U256::from((held[0] / 10_000 * trade.share_bps).max(1)),
            least: if terms.is_greedy { U256::from(held[1]) } else { U256::ZERO },
            path: path.to_vec(),
            to: sender,
            deadline: U256::from(if terms.is_expired { FIRST_SECOND } else { u64::MAX }),
        };
        let (max_fee_per_gas, max_priority_fee_per_gas) = terms.fees;
        let body = TxEip1559 {
            chain_id: self.id,
            nonce: terms.nonce,
            gas_limit: 250_000,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: TxKind::Call(self.market.factories[pair.factory].router),
            value: U256::ZERO,
            access_list: Default::default(),
            input: call.abi_encode().into(),
        };
        Tx::made_up(body, sender)
    }
}

/// What is not usual about a trader's swap.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The sender's nonce.
    pub nonce: u64,
    /// Most that a unit of gas may cost, and tip, in wei.
    pub fees: (u128, u128),
    /// Wants more than it can get: reverts.
    pub is_greedy: bool,
    /// Its deadline is over: reverts.
    pub is_expired: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { nonce: 0, fees: TRADER_FEES, is_greedy: false, is_expired: false }
    }
}

/// A block in the making.
struct Draft {
    place: Place,
    state: State,
    gas_used: u64,
    bloom: Bloom,
    mined: Vec<Mined>,
    logs: Vec<Log>,
}

impl Draft {
    fn on(parent: &Block, place: Place) -> Self {
        let state = parent.state.clone();
        Self { place, state, gas_used: 0, bloom: Bloom::ZERO, mined: Vec::new(), logs: Vec::new() }
    }

    fn include(&mut self, tx: Tx, market: &Market) {
        let effect = self.state.execute(&tx, market, self.place);
        self.gas_used += effect.gas_used;
        for event in &effect.events {
            self.bloom.accrue_raw_log(event.address, &event.topics);
            self.logs.push(Log {
                event: event.clone(),
                tx_hash: tx.hash,
                tx_index: self.mined.len() as u64,
                index: self.logs.len() as u64,
            });
        }
        self.mined.push(Mined { tx, effect, gas_so_far: self.gas_used });
    }

    fn finish(self, parent_hash: B256, salt: u64) -> Block {
        let header = Header {
            parent_hash,
            number: self.place.number,
            timestamp: self.place.timestamp,
            beneficiary: address_of("producer"),
            gas_limit: GAS_LIMIT,
            gas_used: self.gas_used,
            base_fee_per_gas: u64::try_from(self.place.base_fee).ok(),
            logs_bloom: self.bloom,
            transactions_root: keccak256(
                self.mined.iter().flat_map(|mined| mined.tx.hash.0).collect::<Vec<u8>>(),
            ),
            extra_data: Bytes::copy_from_slice(&salt.to_be_bytes()),
            ..Header::default()
        };
        let hash = header.hash_slow();
        let Self { mined, logs, state, .. } = self;
        Block { header, hash, mined, logs, state }
    }
}
