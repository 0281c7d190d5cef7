//! What `abi/Lens.sol` answers, from the pools of a run: its calls are known by their code.
//!
//! Temperature: cold.

use alloy::sol_types::SolValue as _;
use alloy_primitives::{Address, Bytes};
use gannet_engine::amm::Tick;

use super::ledger::Missing;
use super::pools::{Pools, State};
use crate::bootstrap::Reading;
use crate::contracts::{Lens, Probe};

/// Room in an answer, as the lens has it.
const ROOM: usize = 24_400;
/// Length of each kind of question.
const QUESTION_BYTES: [usize; 6] = [20, 20, 24, 60, 27, 41];

/// The lens's answer at the end of a block; none if the call is not its.
///
/// # Errors
/// When it is asked for what the run has not seen.
pub(super) fn answer(pools: &Pools, number: u64, data: &[u8]) -> Result<Option<Bytes>, Missing> {
    if data.starts_with(&Probe::BYTECODE) {
        return Err(Missing(
            "what trial swaps come to takes the contracts' code and state: they are".into(),
        ));
    }
    let Some(asked) = data.strip_prefix(&Lens::BYTECODE[..]) else { return Ok(None) };
    let Ok((asked,)) = <(Bytes,)>::abi_decode_params(asked) else { return Ok(None) };
    let Some((kind, items)) = asked.split_first() else { return Ok(None) };
    let Some(size) = QUESTION_BYTES.get(usize::from(*kind)) else { return Ok(None) };
    let mut answer = Answer { pools, number, bytes: vec![0] };
    for item in items.chunks_exact(*size) {
        if !answer.one(*kind, item)? {
            break;
        }
    }
    Ok(Some(answer.bytes.into()))
}

struct Answer<'p> {
    pools: &'p Pools,
    number: u64,
    bytes: Vec<u8>,
}

impl<'p> Answer<'p> {
    /// Answers one question; false if there is no room for it.
    fn one(&mut self, kind: u8, item: &[u8]) -> Result<bool, Missing> {
        let contract = Address::from_slice(&item[..20]);
        match kind {
            1 => {
                let decimals = self.pools.decimals(&contract)?;
                Ok(self.put(&[decimals.unwrap_or(u8::MAX)]))
            }
            2 => Err(Missing(format!("the list of factory {contract} is"))),
            4 => self.slice(contract, item),
            _ => {
                let state = self.state(contract)?;
                let mut bytes = vec![1];
                match (kind, state.reading) {
                    (0, Reading::Pair { reserves }) => numbers(&mut bytes, reserves),
                    (5, Reading::Solidly { reserves, fee_pips }) => {
                        numbers(&mut bytes, reserves);
                        let fee = u16::try_from(fee_pips / 100).unwrap_or(u16::MAX);
                        bytes.extend(fee.to_be_bytes());
                    }
                    (3, reading @ Reading::Concentrated { .. }) => {
                        self.concentrated(contract, &reading, &mut bytes)?;
                    }
                    _ => return Err(Missing(format!("what {contract} answers to another's is"))),
                }
                Ok(self.put(&bytes))
            }
        }
    }

    fn state(&self, pool: Address) -> Result<&'p State, Missing> {
        let state = self.pools.get(&pool)?.at(self.number);
        state.ok_or_else(|| Missing(format!("pool {pool} at block {} is", self.number)))
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        let has_room = self.bytes.len() + bytes.len() <= ROOM;
        if has_room {
            self.bytes.extend_from_slice(bytes);
        }
        has_room
    }

    fn concentrated(
        &self,
        pool: Address,
        reading: &Reading,
        out: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        let Reading::Concentrated { sqrt_price, tick, liquidity, fee_pips, tick_spacing } = reading
        else {
            return Ok(());
        };
        let track = self.pools.get(&pool)?;
        if track.has_moved(self.number) {
            let number = self.number;
            return Err(Missing(format!("what pool {pool} holds at block {number} is")));
        }
        out.extend(&sqrt_price.to_be_bytes::<32>()[12..]);
        small(out, *tick);
        out.extend(liquidity.to_be_bytes());
        small(out, fee_pips.cast_signed());
        small(out, *tick_spacing);
        numbers(out, track.held);
        Ok(())
    }

    /// Bitmap words and their ticks, as far as there is room; true if to their end.
    fn slice(&mut self, pool: Address, item: &[u8]) -> Result<bool, Missing> {
        let state = self.state(pool)?;
        let Reading::Concentrated { tick_spacing, .. } = state.reading else {
            return Ok(self.put(&[0; 5]));
        };
        let word_at = |place: usize| i16::from_be_bytes([item[place], item[place + 1]]);
        let words = i32::from(word_at(23))..=i32::from(word_at(25));
        let word_of = |tick: &Tick| tick.index.div_euclid(tick_spacing.max(1)) >> 8;
        let asked: Vec<&Tick> =
            state.ticks.iter().filter(|tick| words.contains(&word_of(tick))).collect();
        let room = ROOM.saturating_sub(self.bytes.len() + 5) / 35;
        // Words are given whole.
        let mut count = asked.len().min(room);
        while count < asked.len() && count > 0 && word_of(asked[count]) == word_of(asked[count - 1])
        {
            count -= 1;
        }
        let next = asked.get(count).map(|tick| word_of(tick));
        if self.bytes.len() + 5 > ROOM || (count == 0 && next.is_some()) {
            return Ok(false);
        }
        let after = next.unwrap_or(words.end() + 1);
        self.bytes.push(if next.is_some() { 2 } else { 1 });
        self.bytes.extend(&after.to_be_bytes()[2..]);
        self.bytes.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        for tick in &asked[..count] {
            small(&mut self.bytes, tick.index);
            self.bytes.extend(tick.gross.to_be_bytes());
            self.bytes.extend(tick.net.to_be_bytes());
        }
        Ok(next.is_none())
    }
}

fn numbers(out: &mut Vec<u8>, values: [u128; 2]) {
    values.iter().for_each(|value| out.extend(value.to_be_bytes()));
}

/// 24 bits.
fn small(out: &mut Vec<u8>, value: i32) {
    out.extend(&value.to_be_bytes()[1..]);
}
