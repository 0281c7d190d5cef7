//! The hot thread: one loop over three connections to each node, biased and bounded.
//!
//! Order of work, and why: replies before heads and logs (a block is sealed by a reply, and a stale
//! nonce costs more than a tick), heads and logs before pending transactions (a pending swap is
//! judged on the state that they make). A tick that is due comes before them all: it is short, and
//! under a flood nothing else would keep connections alive and ask again. Each connection has a
//! millisecond before the others get their turn; what it leaves is taken in the next. While pending
//! swaps wait that could be looked at, each turn ends with a tick, for every input looks at a few.
//! A loop that spins and has nothing to do goes through the motions, so that the path stays in its
//! caches, the kernel's part now and then; it rests ten times as long as that took.
//!
//! Temperature: hot.

use std::io;
use std::time::Duration;

use anyhow::Result;
use gannet_engine::ids::NodeId;
use gannet_engine::input::{Command, Happening, Input, Source};
use gannet_engine::limits::TOUCHED_MAX;
use gannet_engine::outbox::Clock;
use gannet_engine::pipeline::Engine;
use gannet_engine::query::QUERY_BYTES_MAX;
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Nanos;
use gannet_engine::wire::Message;
use gannet_engine::wire::websocket::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX};
use gannet_engine::world::Stale;

use crate::admission::Admission;
use crate::allocation::Watch;
use crate::audit::Auditor;
use crate::bootstrap::Grower;
use crate::bootstrap::growth::Returned;
use crate::clock::Monotonic;
use crate::feed::connect::Opened;
use crate::feed::keeper::{Delivery, Keeper, Request};
use crate::lending::LoanKeeper;
use crate::links::{Line, Links, Lost};
use crate::recorder::Tape;
use crate::scribe::Scribe;
use crate::signals::Signals;
use crate::snapshot::series::Series;
use crate::submit::Port;
use crate::switch::Switch;

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(10);
/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 64;
/// Time that one connection may take before the others get their turn. Many pending transactions
/// fit into it, and a head that waits for three of them is not late.
const TURN_NS: u64 = 1_000_000;
/// Time without work after which a spinning loop goes through the motions: caches still hold most.
const REHEARSE_EVERY_NS: u64 = 100_000;
/// It rests for so many times as long as that took, so that what comes rarely meets it.
const REHEARSE_REST: u64 = 10;
/// Turns of the spinning loop between two looks at timers and signals.
const SPINS_PER_LOOK: u32 = 256;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything in flight was followed to its end, or the time for that was over.
    Drained,
    /// A second signal cut it short.
    Cut,
}

/// Everything that the hot thread owns.
#[derive(Debug)]
pub(crate) struct Hot<S, P> {
    pub(crate) engine: Engine<S>,
    pub(crate) port: P,
    pub(crate) scribe: Scribe,
    pub(crate) series: Option<Series>,
    keepers: Vec<Keeper>,
    switch: Switch,
    admission: Admission,
    pub(crate) auditor: Auditor,
    pub(crate) grower: Grower,
    loans: Option<LoanKeeper>,
    /// Keeps every input, if there is a recorder.
    pub(crate) tape: Option<Tape>,
    clock: Monotonic,
    links: Links,
    seq: u64,
    /// When the spinning loop next goes through the motions, if nothing comes until then.
    rehearse_at: Nanos,
    is_reloading: bool,
    /// The world was up to date once: from then on messages are to allocate nothing.
    is_warm: bool,
    query: [u8; QUERY_BYTES_MAX],
}

/// The cold threads, as the hot one knows them.
#[derive(Debug)]
pub(crate) struct Crew {
    /// One for each node.
    pub(crate) keepers: Vec<Keeper>,
    pub(crate) scribe: Scribe,
    /// If snapshots are to be taken.
    pub(crate) series: Option<Series>,
    pub(crate) switch: Switch,
    pub(crate) admission: Admission,
    pub(crate) auditor: Auditor,
    pub(crate) grower: Grower,
    /// If loans are followed.
    pub(crate) loans: Option<LoanKeeper>,
    /// If there is a recorder.
    pub(crate) tape: Option<Tape>,
}

impl<S: StrategySet, P: Port> Hot<S, P> {
    pub(crate) fn new(engine: Engine<S>, port: P, crew: Crew, clock: Monotonic) -> Self {
        let Crew { keepers, scribe, series, switch, admission, auditor, grower, loans, tape } =
            crew;
        Self {
            engine,
            port,
            scribe,
            series,
            links: Links::new(keepers.len()),
            keepers,
            switch,
            admission,
            auditor,
            grower,
            loans,
            tape,
            clock,
            seq: 0,
            rehearse_at: Nanos(0),
            is_reloading: false,
            is_warm: false,
            query: [0; QUERY_BYTES_MAX],
        }
    }

    /// Runs until a signal, then drains for `drain`.
    pub(crate) async fn fly(
        &mut self,
        signals: &mut Signals,
        spin: bool,
        drain: Duration,
    ) -> Result<Ending> {
        for keeper in &mut self.keepers {
            for source in Source::ALL {
                keeper.ask(Request::Connect(source));
            }
        }
        self.until(spin, signals, |_| false).await?;
        self.start_draining();
        let limit = u64::try_from(drain.as_nanos()).unwrap_or(u64::MAX);
        let start = self.clock.now();
        let is_cut = self
            .until(spin, signals, move |hot| {
                // Inside an open block the pools are at no block's state.
                let is_settled =
                    hot.engine.flights.count() == 0 && hot.engine.world.open_block().is_none();
                is_settled || hot.clock.now().since(start) > limit
            })
            .await?;
        Ok(if is_cut { Ending::Cut } else { Ending::Drained })
    }

    #[cold]
    fn start_draining(&mut self) {
        tracing::info!(in_flight = self.engine.flights.count(), "draining: nothing new is sent");
        self.feed(None, |_| Happening::Command(Command::Drain));
    }

    /// Works until `is_done` or a signal; true if it was the signal.
    async fn until(
        &mut self,
        spin: bool,
        signals: &mut Signals,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<bool> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !is_done(self) {
            if spin {
                self.spin();
            }
            let is_busy = spin || self.is_behind();
            if is_busy {
                // Without it the reactor would not hear of timers, signals and other connections.
                tokio::task::yield_now().await;
            }
            tokio::select! { biased;
                () = signals.next() => return Ok(true),
                _ = ticks.tick() => self.tick(),
                () = self.links.readable(), if !is_busy => {}
                () = std::future::ready(()), if is_busy => {}
            }
            if !spin {
                self.turn(true);
            }
        }
        Ok(false)
    }

    /// Polls the descriptors without sleeping, until timers and signals are to have a look.
    fn spin(&mut self) {
        let start = self.clock.now();
        for _ in 0..SPINS_PER_LOOK {
            self.turn(false);
            let now = self.clock.now();
            if now > self.rehearse_at {
                self.rehearse(now);
            }
            if now.since(start) > TURN_NS {
                break;
            }
        }
    }

    /// Nothing comes: keeps the path in the caches.
    fn rehearse(&mut self, start: Nanos) {
        let watch = Watch::begin(self.is_warm);
        if self.engine.rehearse() {
            self.port.rehearse();
        }
        self.port.send_nowhere(start);
        drop(watch);
        let now = self.clock.now();
        let rest = now.since(start).saturating_mul(REHEARSE_REST).max(REHEARSE_EVERY_NS);
        self.rehearse_at = Nanos(now.0.saturating_add(rest));
    }

    /// Whether there is work left that no descriptor announces.
    fn is_behind(&self) -> bool {
        self.engine.has_backlog() || self.links.is_behind()
    }

    /// One turn over all connections, in order of urgency.
    fn turn(&mut self, by_readiness: bool) {
        for source in [Source::Rpc, Source::Chain, Source::Pending] {
            for node in self.links.nodes() {
                let line = (node, source);
                match self.drain(line, by_readiness) {
                    Err(why) => self.lose(line, &why),
                    Ok(has_left) => {
                        if let Some(ear) = self.links.ear(line) {
                            ear.is_behind = has_left;
                        }
                    }
                }
            }
        }
        if self.engine.has_backlog() {
            self.feed_tick();
        }
    }

    /// Reads one connection until it has nothing left, or its turn is over; true if there may be
    /// more.
    fn drain(&mut self, line: Line, by_readiness: bool) -> Result<bool, Lost> {
        let start = self.clock.now();
        for _ in 0..READS_PER_TURN {
            // What is buffered comes first, for the next read needs the room.
            if self.take_messages(line, start)? {
                return Ok(true);
            }
            let watch = Watch::begin(self.is_warm);
            let read = self.links.read(line, by_readiness);
            drop(watch);
            match read {
                Ok(0) => return Err(Lost::Closed),
                Ok(_) => {
                    let now = self.clock.now();
                    if let Some(ear) = self.links.ear(line) {
                        ear.heard_at = now;
                    }
                    self.rehearse_at = self.rehearse_at.max(now.plus(REHEARSE_EVERY_NS));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Lost::Broken(error)),
            }
        }
        self.take_messages(line, start)?;
        Ok(true)
    }

    /// Hands the whole messages in the buffer to the engine, until the turn that began at `start`
    /// is over; true if there may be more.
    fn take_messages(&mut self, line: Line, start: Nanos) -> Result<bool, Lost> {
        let ear = self.links.ear(line).filter(|ear| ear.framing.unread_bytes() > 0);
        let Some(at) = ear.map(|ear| ear.heard_at) else { return Ok(false) };
        let (node, source) = line;
        loop {
            if self.clock.now().since(start) > TURN_NS {
                return Ok(true);
            }
            let (framing, exits) = self.links.halves(line);
            let Some(framing) = framing else { return Ok(false) };
            let unread = framing.unread_bytes();
            let what = match framing.next() {
                None => return Ok(false),
                Some(Err(error)) => return Err(Lost::Framing(error)),
                Some(Ok(Message::Text(bytes) | Message::Binary(bytes))) => {
                    let has_more = unread > bytes.len() + HEADER_BYTES_MAX;
                    Happening::Frame { node, source, bytes, has_more }
                }
                Some(Ok(Message::Skipped { .. })) => Happening::Truncated { node, source },
                Some(Ok(Message::Pong(_))) => continue,
                Some(Ok(Message::Close { code })) => return Err(Lost::Said(code)),
                Some(Ok(Message::Ping(payload))) => {
                    let mut copy = [0; CONTROL_BYTES_MAX];
                    let len = payload.len().min(CONTROL_BYTES_MAX);
                    copy[..len].copy_from_slice(&payload[..len]);
                    self.pong(line, &copy[..len])?;
                    continue;
                }
            };
            self.seq += 1;
            let copy = what.message();
            let input = Input { at, seq: self.seq, what };
            let watch = Watch::begin(self.is_warm);
            let mut outbox = self.port.outbox(exits);
            self.engine.on_input(input, &self.clock, &mut outbox);
            drop(outbox);
            // Behind the answer, which does not wait for it.
            if let (Some(tape), Some(what)) = (&mut self.tape, copy) {
                tape.take(&Input { at, seq: self.seq, what });
            }
            self.after_input();
            drop(watch);
        }
    }

    /// Feeds something that is not a frame.
    fn feed(&mut self, at: Option<Nanos>, what: impl FnOnce(&Self) -> Happening<'static>) {
        let what = what(self);
        self.seq += 1;
        let input = Input { at: at.unwrap_or_else(|| self.clock.now()), seq: self.seq, what };
        if let Some(tape) = &mut self.tape {
            tape.take(&input);
        }
        let mut outbox = self.port.outbox(self.links.exits());
        self.engine.on_input(input, &self.clock, &mut outbox);
        drop(outbox);
        self.after_input();
    }

    /// Time passed: pending swaps that wait are looked at.
    fn feed_tick(&mut self) {
        let watch = Watch::begin(self.is_warm);
        self.feed(None, |_| Happening::Tick);
        drop(watch);
    }

    /// Sends what the engine asks, and passes on its notes.
    fn after_input(&mut self) {
        // A broken connection is noticed by the next read; ticks ask again.
        let dropped = self.links.ask(&self.engine.queries, &mut self.query);
        self.engine.queries.dropped += dropped;
        self.engine.queries.clear();
        for note in self.engine.notes.iter() {
            self.scribe.take(note);
            self.auditor.note(note);
        }
        self.engine.notes.clear();
        self.auditor.work(&self.engine.world);
        if let Some(loans) = &mut self.loans {
            loans.work(&self.engine.world);
        }
        if let Some(series) = &mut self.series {
            series.look(&self.engine.world);
        }
    }

    fn tick(&mut self) {
        for node in self.links.nodes() {
            while let Some(delivery) = self.keepers[node.index()].delivery() {
                match delivery {
                    Delivery::Connection(source, opened) => self.install((node, source), *opened),
                    Delivery::Reloaded(reloaded) => {
                        self.is_reloading = false;
                        self.feed(None, |_| Happening::Command(Command::Reload(reloaded)));
                    }
                    // Another node may lead by now.
                    Delivery::NotReloaded => self.is_reloading = false,
                }
            }
        }
        self.is_warm |= self.engine.world.freshness().is_fresh();
        self.take_tried();
        self.take_growth();
        self.port.presigner().renew();
        while let Some(drift) = self.auditor.drift() {
            self.feed(None, |_| Happening::Command(Command::Drift(drift)));
        }
        while let Some(loans) = &mut self.loans
            && let Some(read) = loans.next(&self.engine.world.loans)
        {
            self.feed(None, |_| Happening::Command(Command::Lend(read)));
        }
        let is_halted = self.switch.is_on();
        if is_halted != self.engine.risk.is_halted {
            self.feed(None, |_| Happening::Command(Command::Halt(is_halted)));
        }
        if self.engine.world.freshness().has(Stale::Lost) && !self.is_reloading {
            let lead = self.engine.queries.lead();
            self.is_reloading = self.keepers[lead.index()].ask(Request::Reload);
        }
        let now = self.clock.now();
        for line in self.links.nodes().flat_map(|node| Source::ALL.map(|source| (node, source))) {
            if let Err(why) = self.links.keep_alive(line, now) {
                self.lose(line, &why);
            }
        }
        self.feed_tick();
        // Not after each input: it is a long write, and a disk that fails is tried again.
        if !self.engine.finality.closed.is_empty() {
            self.port.keep(&mut self.engine);
        }
    }

    /// Hands on what came of trying pools, as far as one block's list of moved pools has room.
    fn take_tried(&mut self) {
        let room = TOUCHED_MAX.saturating_sub(self.engine.world.touched().len());
        if self.admission.waiting().is_some_and(|count| count <= room)
            && let Some(tried) = self.admission.next()
        {
            self.feed(None, |_| Happening::Command(Command::Admit(tried)));
        }
    }

    /// Has the world take in new pools, between two blocks, and gives back what is to be freed.
    fn take_growth(&mut self) {
        if self.engine.world.open_block().is_none()
            && let Some(growth) = self.grower.next()
        {
            self.feed(None, |_| Happening::Command(Command::Grow(growth)));
            if let Some(growth) = self.engine.grown() {
                if growth.outcome == Some(Ok(())) {
                    self.port.grow(&growth);
                }
                self.grower.give_back(Returned::Growth(growth));
            }
        }
        let Self { engine, grower, .. } = self;
        engine.spent(|tables| grower.give_back(Returned::Spent(tables)));
    }

    fn pong(&mut self, line: Line, payload: &[u8]) -> Result<(), Lost> {
        match self.links.mouth(line) {
            Some(sender) => sender.pong(payload).map_err(Lost::Broken),
            None => Ok(()),
        }
    }

    /// Takes over a connection that is ready.
    #[cold]
    fn install(&mut self, line: Line, opened: Opened) {
        let Opened { wire, early } = opened;
        let (node, source) = line;
        let now = self.clock.now();
        if let Err(error) = self.links.install(line, wire, now) {
            // Out of descriptors, say: no reason to end, it is tried again.
            return self.lose(line, &Lost::Broken(error));
        }
        tracing::info!(node = self.name(node), connection = source.name(), "connected");
        self.feed(None, |_| Happening::Link { node, source, is_up: true });
        for bytes in early {
            self.seq += 1;
            let what = Happening::Frame { node, source, bytes: &bytes, has_more: false };
            let input = Input { at: now, seq: self.seq, what };
            if let Some(tape) = &mut self.tape {
                tape.take(&input);
            }
            let mut outbox = self.port.outbox(self.links.exits());
            self.engine.on_input(input, &self.clock, &mut outbox);
            drop(outbox);
            self.after_input();
        }
    }

    /// Drops a connection and asks for a new one.
    #[cold]
    fn lose(&mut self, line: Line, why: &Lost) {
        let (node, source) = line;
        let connection = source.name();
        tracing::warn!(node = self.name(node), connection, why = %why, "connection lost");
        self.links.drop(line);
        self.feed(None, |_| Happening::Link { node, source, is_up: false });
        self.keepers[node.index()].ask(Request::Connect(source));
    }

    fn name(&self, node: NodeId) -> &str {
        self.keepers[node.index()].name()
    }
}
