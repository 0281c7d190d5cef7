//! Many contracts read in one call: the code of `abi/Lens.sol`, run by the node at one block.
//!
//! What a call takes differs from node to node (gas, bytes, time), and so does the price of what is
//! asked. The lens stops by itself where gas or room end; what it did not come to is asked again,
//! and what the node refuses is asked in halves.
//!
//! Temperature: cold.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use alloy::sol_types::SolValue;
use alloy_primitives::{Address, Bytes};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contracts::Lens;
use crate::feed::rpc::Rpc;
use crate::progress::Progress;

/// Room in an answer, as the lens has it.
const ANSWER_BYTES_MAX: usize = 24_400;
/// Questions on their way at once.
const WINDOW: usize = 4;
/// Times that one contract alone is asked for before it is left out, and the pause before each.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);
/// Contracts that may be left out because the node refuses them alone. A node that refuses more is
/// the trouble, and not they: a universe read from it would lack pools without a word.
const LEFT_OUT_MAX: usize = 16;

/// Something that the lens can be asked of one contract.
pub(crate) trait Question: Copy {
    /// Its number.
    const KIND: u8;
    /// Questions of one call, in bytes: creation code may have 49,152 (EIP-3860), of which this is
    /// left beside the code that answers.
    const ASKED_BYTES_MAX: usize = 44_000;
    /// Its length, in bytes.
    const BYTES: usize;
    /// Of the shortest answer.
    const ANSWER_BYTES: usize;
    /// What is answered.
    type Answer;

    /// The creation code that answers it.
    fn code() -> &'static [u8] {
        &Lens::BYTECODE
    }

    /// Appends what goes before the questions of one call.
    fn head(out: &mut Vec<u8>) {
        out.push(Self::KIND);
    }

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes an answer off the front; `None` if it is cut short.
    fn read(bytes: &mut &[u8]) -> Option<Self::Answer>;

    /// What of it the answer leaves open.
    fn rest(&self, answer: &Self::Answer) -> Option<Self>;

    /// Whom it is asked.
    fn contract(&self) -> Address;
}

/// A question with its place among all, and how often it was refused alone.
#[derive(Clone, Copy)]
struct Item<Q> {
    place: usize,
    question: Q,
    refusals: u32,
}

/// How many questions go into one call.
#[derive(Debug)]
struct Batch {
    size: usize,
    most: usize,
}

impl Batch {
    fn of<Q: Question>() -> Self {
        let most = (Q::ASKED_BYTES_MAX / Q::BYTES).min(ANSWER_BYTES_MAX / Q::ANSWER_BYTES).max(1);
        Self { size: most.div_ceil(4), most }
    }

    const fn answered(&mut self, asked: usize, answered: usize) {
        if answered < asked {
            // As many as there was gas and room for.
            self.size = if answered == 0 { 1 } else { answered };
        } else if asked >= self.size {
            let twice = self.size * 2;
            self.size = if twice < self.most { twice } else { self.most };
        }
    }

    const fn refused(&mut self, asked: usize) {
        let half = asked / 2;
        if half < self.size {
            self.size = if half == 0 { 1 } else { half };
        }
    }
}

/// A call of the lens: the data of an `eth_call` without a recipient.
pub(crate) fn call<Q: Question>(questions: impl Iterator<Item = Q>) -> Bytes {
    let mut asked = Vec::new();
    Q::head(&mut asked);
    questions.for_each(|question| question.write(&mut asked));
    let mut data = Q::code().to_vec();
    data.extend_from_slice(&(Bytes::from(asked),).abi_encode_params());
    data.into()
}

/// The answers that a call brought back, in order.
pub(crate) fn answers<Q: Question>(returned: &[u8]) -> Vec<Q::Answer> {
    let mut rest = returned.strip_prefix(&[0]).unwrap_or_default();
    std::iter::from_fn(|| if rest.is_empty() { None } else { Q::read(&mut rest) }).collect()
}

/// Asks `questions` at `block`, and hands over each answer with the place of its question; several
/// where a question needs several calls. Gives the contracts that had to be left out.
pub(super) fn ask<Q: Question>(
    rpc: &mut Rpc,
    block: &Value,
    label: &str,
    questions: impl ExactSizeIterator<Item = Q>,
    mut each: impl FnMut(usize, Q::Answer),
) -> Result<Vec<Address>> {
    let mut progress = Progress::new(Some(label), questions.len());
    let item = |(place, question)| Item { place, question, refusals: 0 };
    let mut queue: VecDeque<Item<Q>> = questions.enumerate().map(item).collect();
    let mut batch = Batch::of::<Q>();
    let mut on_their_way: HashMap<u64, Vec<Item<Q>>> = HashMap::new();
    let mut left_out = Vec::new();
    let mut has_answered = false;
    loop {
        while on_their_way.len() < WINDOW && !queue.is_empty() {
            let items: Vec<_> = queue.drain(..batch.size.min(queue.len())).collect();
            let data = call(items.iter().map(|item| item.question));
            let id = rpc.send("eth_call", &json!([{ "data": data }, block]))?;
            on_their_way.insert(id, items);
        }
        if on_their_way.is_empty() {
            break;
        }
        let (id, reply) = rpc.next_reply::<Bytes>()?;
        let Some(items) = on_their_way.remove(&id) else { continue };
        let (found, refusal) = match reply {
            Ok(returned) => (answers::<Q>(&returned), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        if found.is_empty() {
            batch.refused(items.len());
            let refusal = refusal.map_or_else(
                || anyhow::anyhow!("the node answers with nothing of what was asked"),
                anyhow::Error::new,
            );
            let may_leave_out = has_answered && left_out.len() < LEFT_OUT_MAX;
            again(&mut queue, items, refusal, may_leave_out.then_some(&mut left_out))?;
            continue;
        }
        has_answered = true;
        batch.answered(items.len(), found.len());
        let (done, open) = items.split_at(found.len().min(items.len()));
        open.iter().rev().for_each(|item| queue.push_front(*item));
        for (item, answer) in done.iter().zip(found) {
            match item.question.rest(&answer) {
                Some(question) => queue.push_front(Item { question, ..*item }),
                None => progress.advance(1),
            }
            each(item.place, answer);
        }
    }
    for contract in &left_out {
        tracing::warn!(%contract, "left out: the node refuses to read it, even alone");
    }
    Ok(left_out)
}

/// Puts back what was refused. One contract alone is tried again, and then left out if it may be.
fn again<Q: Question>(
    queue: &mut VecDeque<Item<Q>>,
    items: Vec<Item<Q>>,
    refusal: anyhow::Error,
    left_out: Option<&mut Vec<Address>>,
) -> Result<()> {
    tracing::debug!(count = items.len(), error = %refusal, "the node refuses a call of the lens");
    if let [item] = items[..] {
        let refusals = item.refusals + 1;
        if refusals < ATTEMPTS {
            // It may limit how often it is asked.
            std::thread::sleep(PAUSE * refusals);
            queue.push_back(Item { refusals, ..item });
            return Ok(());
        }
        let contract = item.question.contract();
        let Some(left_out) = left_out else {
            return Err(refusal).with_context(|| {
                format!(
                    "the node reads no pools: it refuses a call with creation code, for {contract}"
                )
            });
        };
        left_out.push(contract);
        return Ok(());
    }
    items.into_iter().rev().for_each(|item| queue.push_front(item));
    Ok(())
}
