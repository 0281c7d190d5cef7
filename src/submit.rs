//! Outboxes: where signed transactions go, as types. [`Live`] sends them to the node; [`Ledger`]
//! holds no socket at all.
//!
//! Temperature: hot.

use std::hint::black_box;
use std::io;

use gannet_engine::flight::{Attempt, Flight};
use gannet_engine::growth::Growth;
use gannet_engine::limits::OWN_TX_BYTES_MAX;
use gannet_engine::outbox::{Clock, Outbox, Settles, SignedTx, Stamps, Unsent};
use gannet_engine::pipeline::Engine;
use gannet_engine::query::sent_id;
use gannet_engine::sign::presign::Presignature;
use gannet_engine::units::Nanos;
use gannet_engine::wire::hex;

use crate::allocation::aside;
use crate::clock::Monotonic;
use crate::feed::loopback::Loopback;
use crate::latency::Latency;
use crate::links::Exits;
use crate::presigner::Presigner;
use crate::state::State;

/// Longest request: the raw bytes in hex, and the JSON around them.
const REQUEST_BYTES_MAX: usize = 2 * OWN_TX_BYTES_MAX + 128;

/// Time without anything sent after which something is. It takes about as long as the rest of a
/// rehearsal, so it comes less often.
const SEND_EVERY_NS: u64 = 1_000_000;

/// Makes the outbox of a run for one input.
pub(crate) trait Port {
    /// The outbox.
    type Outbox<'a>: Outbox
    where
        Self: 'a;

    /// The outbox; `exits` are the connections that transactions leave by.
    fn outbox<'a>(&'a mut self, exits: Exits<'a>) -> Self::Outbox<'a>;

    /// Times of what was submitted.
    fn latency(&self) -> &Latency;

    /// Writes down what became final.
    fn keep<S>(&mut self, engine: &mut Engine<S>);

    /// The world has taken new pools in.
    fn grow(&mut self, growth: &Growth);

    /// Keeps what sending takes in the caches; nothing is sent.
    fn rehearse(&mut self);

    /// Keeps the kernel's part of it there, too, if that was not gone for a while: something is
    /// sent to the bot itself.
    fn send_nowhere(&mut self, _now: Nanos) {}

    /// What signatures are made of.
    fn presigner(&mut self) -> &mut Presigner;
}

/// Sends to every node.
#[derive(Debug)]
pub(crate) struct LivePort {
    clock: Monotonic,
    latency: Latency,
    request: Vec<u8>,
    state: State,
    presigner: Presigner,
    /// Where rehearsals are sent, if they are.
    loopback: Option<Loopback>,
    /// When something was sent.
    sent_at: Nanos,
}

impl LivePort {
    pub(crate) fn new(
        clock: Monotonic,
        state: State,
        presigner: Presigner,
        loopback: Option<Loopback>,
    ) -> Self {
        let request = Vec::with_capacity(REQUEST_BYTES_MAX);
        let (latency, sent_at) = (Latency::new(), Nanos(0));
        Self { clock, latency, request, state, presigner, loopback, sent_at }
    }

    /// A connection to itself that breaks is not made again.
    #[cold]
    fn give_up(&mut self, error: &io::Error) {
        self.loopback = None;
        aside(|| tracing::warn!(%error, "the kernel's way is not kept warm any more"));
    }
}

impl Port for LivePort {
    type Outbox<'a> = Live<'a>;

    fn outbox<'a>(&'a mut self, exits: Exits<'a>) -> Live<'a> {
        Live { port: self, exits }
    }

    fn latency(&self) -> &Latency {
        &self.latency
    }

    fn keep<S>(&mut self, engine: &mut Engine<S>) {
        self.state.checkpoint(engine);
    }

    fn grow(&mut self, growth: &Growth) {
        self.state.grow(growth);
    }

    fn rehearse(&mut self) {
        let raw = [0x5a; 300];
        let attempt = Attempt { ticket: 0, number: 0 };
        let tx = SignedTx { raw: &raw, attempt };
        black_box(write_request(&tx, &mut self.request));
        self.state.rehearse(&raw);
        self.presigner.rehearse();
    }

    fn send_nowhere(&mut self, now: Nanos) {
        if now.since(self.sent_at) > SEND_EVERY_NS
            && let Some(loopback) = &mut self.loopback
        {
            self.sent_at = now;
            if let Err(error) = loopback.rehearse(&self.request) {
                self.give_up(&error);
            }
        }
    }

    fn presigner(&mut self) -> &mut Presigner {
        &mut self.presigner
    }
}

/// The live outbox of one input.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    port: &'a mut LivePort,
    exits: Exits<'a>,
}

impl Outbox for Live<'_> {
    const SETTLES: Settles = Settles::ByReceipt;

    fn presignature(&mut self) -> Option<Presignature> {
        self.port.presigner.take()
    }

    fn submit(
        &mut self,
        tx: &SignedTx<'_>,
        flight: &Flight,
        stamps: &Stamps,
    ) -> Result<(), Unsent> {
        if self.exits.each().next().is_none() {
            return Err(Unsent::LinkDown);
        }
        write_request(tx, &mut self.port.request).ok_or(Unsent::LinkDown)?;
        // Before it leaves: whatever happens next, its nonce is known to have been used.
        let raw = if is_trade(tx) { tx.raw } else { &[] };
        self.port.state.record(flight, raw).map_err(|_told| Unsent::NotRecorded)?;
        self.port.sent_at = stamps.signed;
        let mut has_left = false;
        for sender in self.exits.each() {
            // A broken connection is noticed by the read that follows; nothing was sent by it.
            let is_sent = sender.send(&self.port.request).is_ok();
            if is_sent && !has_left && is_trade(tx) {
                self.port.latency.record(stamps, self.port.clock.now());
            }
            has_left |= is_sent;
        }
        has_left.then_some(()).ok_or(Unsent::LinkDown)
    }
}

/// Whether it is a submission's own transaction: what takes one back was not decided on the path
/// whose times are kept.
const fn is_trade(tx: &SignedTx<'_>) -> bool {
    tx.attempt.number == 0
}

/// Writes the request into `out`, which never grows past its capacity.
fn write_request(tx: &SignedTx<'_>, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    let mut digits = [0; 20];
    out.extend_from_slice(decimal(sent_id(tx.attempt), &mut digits));
    out.extend_from_slice(br#","method":"eth_sendRawTransaction","params":[""#);
    let start = out.len();
    out.resize(start + 2 + 2 * tx.raw.len(), 0);
    hex::encode_into(tx.raw, &mut out[start..]).ok()?;
    out.extend_from_slice(br#""]}"#);
    debug_assert!(out.len() <= REQUEST_BYTES_MAX, "a request fits its buffer");
    Some(())
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        // The remainder of a division by ten is one digit.
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// Dry-run: keeps times, sends nothing, holds no socket and no real key.
#[derive(Debug)]
pub(crate) struct Ledger {
    clock: Monotonic,
    latency: Latency,
    presigner: Presigner,
}

impl Ledger {
    pub(crate) fn new(clock: Monotonic, presigner: Presigner) -> Self {
        Self { clock, latency: Latency::new(), presigner }
    }
}

impl Port for Ledger {
    type Outbox<'a> = &'a mut Self;

    fn outbox<'a>(&'a mut self, _exits: Exits<'a>) -> &'a mut Self {
        self
    }

    fn latency(&self) -> &Latency {
        &self.latency
    }

    fn keep<S>(&mut self, engine: &mut Engine<S>) {
        engine.finality.closed.clear();
    }

    /// It keeps no record by which pools would have to be found again.
    fn grow(&mut self, _growth: &Growth) {}

    fn rehearse(&mut self) {
        self.presigner.rehearse();
    }

    fn presigner(&mut self) -> &mut Presigner {
        &mut self.presigner
    }
}

impl Outbox for &mut Ledger {
    const SETTLES: Settles = Settles::ByReplay;

    fn presignature(&mut self) -> Option<Presignature> {
        self.presigner.take()
    }

    fn submit(
        &mut self,
        tx: &SignedTx<'_>,
        _flight: &Flight,
        stamps: &Stamps,
    ) -> Result<(), Unsent> {
        if is_trade(tx) {
            self.latency.record(stamps, self.clock.now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_back_is_not_timed_as_a_trade() {
        let tx = SignedTx { raw: &[], attempt: Attempt { ticket: 1, number: 0 } };
        assert!(is_trade(&tx));
        assert!(!is_trade(&SignedTx { attempt: Attempt { ticket: 1, number: 1 }, ..tx }));
    }

    #[test]
    fn a_request_is_json_with_the_raw_bytes_in_hex() {
        let raw: Vec<u8> = (0..=255).collect();
        let attempt = Attempt { ticket: 77, number: 0 };
        let tx = SignedTx { raw: &raw, attempt };
        let mut out = Vec::with_capacity(REQUEST_BYTES_MAX);
        write_request(&tx, &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["id"].as_u64(), Some(sent_id(attempt)));
        assert_eq!(json["method"], "eth_sendRawTransaction");
        assert_eq!(json["params"][0], alloy_primitives::hex::encode_prefixed(&raw));
    }
}
