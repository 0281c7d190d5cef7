//! The hot thread: one loop over three connections, biased and bounded.
//!
//! Order of work, and why: replies before heads and logs (a block is sealed by a reply, and a stale
//! nonce costs more than a tick), heads and logs before pending transactions (a pending swap is
//! judged on the state that they make). A tick that is due comes before them all: it is short, and
//! under a flood nothing else would keep connections alive and ask again. Each connection has a
//! millisecond before the others get their turn; what it leaves is taken in the next. While pending
//! swaps wait that could be looked at, each turn ends with a tick, for every input looks at a few.
//!
//! Temperature: hot.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use gannet_engine::input::{Command, Happening, Input, Source};
use gannet_engine::outbox::Clock;
use gannet_engine::pipeline::Engine;
use gannet_engine::query::QUERY_BYTES_MAX;
use gannet_engine::strategy::StrategySet;
use gannet_engine::units::Nanos;
use gannet_engine::wire::websocket::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX};
use gannet_engine::wire::{Message, WireError};
use gannet_engine::world::Stale;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Monotonic;
use crate::feed::connect::Opened;
use crate::feed::keeper::{Delivery, Keeper, Request};
use crate::feed::wire::{Framing, Sender, Wire};
use crate::scribe::Scribe;
use crate::submit::Port;
use crate::switch::Switch;

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(10);
/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 64;
/// Time that one connection may take before the others get their turn. Many pending transactions
/// fit into it, and a head that waits for three of them is not late.
const TURN_NS: u64 = 1_000_000;
/// Time between two pings.
const PING_EVERY_NS: u64 = 10_000_000_000;
/// A connection that brought nothing for this long, pongs included, is dead.
const DEAD_AFTER_NS: u64 = 25_000_000_000;
/// Turns of the spinning loop between two looks at timers and signals.
const SPINS_PER_LOOK: u32 = 256;

/// A connection on the hot thread, and the reactor's own handle of its descriptor.
#[derive(Debug)]
struct Link {
    watch: AsyncFd<OwnedFd>,
    wire: Wire,
    heard_at: Nanos,
    pinged_at: Nanos,
    /// Its last turn was over before it had nothing left.
    is_behind: bool,
}

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
    keeper: Keeper,
    switch: Switch,
    clock: Monotonic,
    links: [Option<Link>; 3],
    seq: u64,
    is_reloading: bool,
    query: [u8; QUERY_BYTES_MAX],
}

/// The cold threads, as the hot one knows them.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) keeper: Keeper,
    pub(crate) scribe: Scribe,
    pub(crate) switch: Switch,
}

/// SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they no longer end the process, and neither does a write past the limit of a
    /// file's size, which fails instead; called within the reactor.
    pub(crate) fn listen() -> Result<Self> {
        let too_long = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // The handler stays when nobody listens any more.
        drop(signal(too_long).context("listening to SIGXFSZ")?);
        let interrupt = signal(SignalKind::interrupt()).context("listening to SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
        let hangup = signal(SignalKind::hangup()).context("listening to SIGHUP")?;
        Ok(Self { interrupt, terminate, hangup })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            // The terminal was closed.
            _ = self.hangup.recv() => {}
        }
    }
}

impl<S: StrategySet, P: Port> Hot<S, P> {
    pub(crate) fn new(engine: Engine<S>, port: P, crew: Crew, clock: Monotonic) -> Self {
        let Crew { keeper, scribe, switch } = crew;
        Self {
            engine,
            port,
            scribe,
            keeper,
            switch,
            clock,
            links: [None, None, None],
            seq: 0,
            is_reloading: false,
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
        for source in Source::ALL {
            self.keeper.ask(Request::Connect(source));
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
            let [chain, pending, rpc] = &self.links;
            tokio::select! { biased;
                () = signals.next() => return Ok(true),
                _ = ticks.tick() => self.tick(),
                () = readable(rpc.as_ref()), if !is_busy => {}
                () = readable(chain.as_ref()), if !is_busy => {}
                () = readable(pending.as_ref()), if !is_busy => {}
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
            if self.clock.now().since(start) > TURN_NS {
                break;
            }
        }
    }

    /// Whether there is work left that no descriptor announces.
    fn is_behind(&self) -> bool {
        self.engine.has_backlog() || self.links.iter().flatten().any(|link| link.is_behind)
    }

    /// One turn over all connections, in order of urgency.
    fn turn(&mut self, by_readiness: bool) {
        for source in [Source::Rpc, Source::Chain, Source::Pending] {
            match self.drain(source, by_readiness) {
                Err(why) => self.lose(source, &why),
                Ok(has_left) => {
                    if let Some(link) = &mut self.links[source as usize] {
                        link.is_behind = has_left;
                    }
                }
            }
        }
        if self.engine.has_backlog() {
            self.feed(None, |_| Happening::Tick);
        }
    }

    /// Reads one connection until it has nothing left, or its turn is over; true if there may be
    /// more.
    fn drain(&mut self, source: Source, by_readiness: bool) -> Result<bool, Lost> {
        let start = self.clock.now();
        for _ in 0..READS_PER_TURN {
            // What is buffered comes first, for the next read needs the room.
            if self.take_messages(source, start)? {
                return Ok(true);
            }
            let Some(link) = &mut self.links[source as usize] else { return Ok(false) };
            let read = if by_readiness { link.read_if_ready() } else { link.wire.read() };
            match read {
                Ok(0) => return Err(Lost::Closed),
                Ok(_) => link.heard_at = self.clock.now(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Lost::Broken(error)),
            }
        }
        self.take_messages(source, start)?;
        Ok(true)
    }

    /// Hands the whole messages in the buffer to the engine, until the turn that began at `start`
    /// is over; true if there may be more.
    fn take_messages(&mut self, source: Source, start: Nanos) -> Result<bool, Lost> {
        let Some(Link { heard_at: at, .. }) = self.links[source as usize] else { return Ok(false) };
        loop {
            if self.clock.now().since(start) > TURN_NS {
                return Ok(true);
            }
            let (framing, sender) = halves(&mut self.links, source);
            let Some(framing) = framing else { return Ok(false) };
            let unread = framing.unread_bytes();
            let what = match framing.next() {
                None => return Ok(false),
                Some(Err(error)) => return Err(Lost::Framing(error)),
                Some(Ok(Message::Text(bytes) | Message::Binary(bytes))) => {
                    let has_more = unread > bytes.len() + HEADER_BYTES_MAX;
                    Happening::Frame { source, bytes, has_more }
                }
                Some(Ok(Message::Skipped { .. })) => Happening::Truncated { source },
                Some(Ok(Message::Pong(_))) => continue,
                Some(Ok(Message::Close { code })) => return Err(Lost::Said(code)),
                Some(Ok(Message::Ping(payload))) => {
                    let mut copy = [0; CONTROL_BYTES_MAX];
                    let len = payload.len().min(CONTROL_BYTES_MAX);
                    copy[..len].copy_from_slice(&payload[..len]);
                    self.pong(source, &copy[..len])?;
                    continue;
                }
            };
            self.seq += 1;
            let input = Input { at, seq: self.seq, what };
            let mut outbox = self.port.outbox(sender);
            self.engine.on_input(input, &self.clock, &mut outbox);
            drop(outbox);
            self.after_input();
        }
    }

    /// Feeds something that is not a frame.
    fn feed(&mut self, at: Option<Nanos>, what: impl FnOnce(&Self) -> Happening<'static>) {
        let what = what(self);
        self.seq += 1;
        let input = Input { at: at.unwrap_or_else(|| self.clock.now()), seq: self.seq, what };
        let [_, _, rpc] = &mut self.links;
        let sender = rpc.as_mut().map(|link| &mut link.wire.sender);
        let mut outbox = self.port.outbox(sender);
        self.engine.on_input(input, &self.clock, &mut outbox);
        drop(outbox);
        self.after_input();
    }

    /// Sends what the engine asks, and passes on its notes.
    fn after_input(&mut self) {
        if let Some(rpc) = &mut self.links[Source::Rpc as usize] {
            for query in self.engine.queries.as_slice() {
                let length = query.write(&mut self.query);
                // A broken connection is noticed by the next read; ticks ask again.
                if rpc.wire.sender.send(&self.query[..length]).is_err() {
                    self.engine.queries.dropped += 1;
                    break;
                }
            }
        }
        self.engine.queries.clear();
        for note in self.engine.notes.iter() {
            self.scribe.take(note);
        }
        self.engine.notes.clear();
    }

    fn tick(&mut self) {
        while let Some(delivery) = self.keeper.delivery() {
            match delivery {
                Delivery::Connection(source, opened) => self.install(source, *opened),
                Delivery::Reloaded(reloaded) => {
                    self.is_reloading = false;
                    self.feed(None, |_| Happening::Command(Command::Reload(reloaded)));
                }
            }
        }
        let is_halted = self.switch.is_on();
        if is_halted != self.engine.risk.is_halted {
            self.feed(None, |_| Happening::Command(Command::Halt(is_halted)));
        }
        if self.engine.world.freshness().has(Stale::Lost) && !self.is_reloading {
            self.is_reloading = self.keeper.ask(Request::Reload);
        }
        for source in Source::ALL {
            if let Err(why) = self.keep_alive(source) {
                self.lose(source, &why);
            }
        }
        self.feed(None, |_| Happening::Tick);
        // Not after each input: it is a long write, and a disk that fails is tried again.
        if !self.engine.finality.closed.is_empty() {
            self.port.keep(&mut self.engine);
        }
    }

    fn keep_alive(&mut self, source: Source) -> Result<(), Lost> {
        let now = self.clock.now();
        let Some(link) = &mut self.links[source as usize] else { return Ok(()) };
        if now.since(link.heard_at) > DEAD_AFTER_NS {
            return Err(Lost::Silent);
        }
        if now.since(link.pinged_at) > PING_EVERY_NS {
            link.pinged_at = now;
            link.wire.sender.ping().map_err(Lost::Broken)?;
        }
        link.wire.sender.flush().map_err(Lost::Broken)
    }

    fn pong(&mut self, source: Source, payload: &[u8]) -> Result<(), Lost> {
        match &mut self.links[source as usize] {
            Some(link) => link.wire.sender.pong(payload).map_err(Lost::Broken),
            None => Ok(()),
        }
    }

    /// Takes over a connection that is ready.
    #[cold]
    fn install(&mut self, source: Source, opened: Opened) {
        let Opened { wire, early } = opened;
        let watch = match wire.socket().watch() {
            Ok(watch) => watch,
            // Out of descriptors, say: no reason to end, it is tried again.
            Err(error) => return self.lose(source, &Lost::Broken(error)),
        };
        let now = self.clock.now();
        let link = Link { watch, wire, heard_at: now, pinged_at: now, is_behind: true };
        self.links[source as usize] = Some(link);
        tracing::info!(connection = source.name(), "connected");
        self.feed(None, |_| Happening::Link { source, is_up: true });
        for bytes in early {
            self.seq += 1;
            let what = Happening::Frame { source, bytes: &bytes, has_more: false };
            let input = Input { at: now, seq: self.seq, what };
            let [_, _, rpc] = &mut self.links;
            let sender = rpc.as_mut().map(|link| &mut link.wire.sender);
            self.engine.on_input(input, &self.clock, &mut self.port.outbox(sender));
            self.after_input();
        }
    }

    /// Drops a connection and asks for a new one.
    #[cold]
    fn lose(&mut self, source: Source, why: &Lost) {
        tracing::warn!(connection = source.name(), why = %why, "connection lost");
        self.links[source as usize] = None;
        self.feed(None, |_| Happening::Link { source, is_up: false });
        self.keeper.ask(Request::Connect(source));
    }
}

/// The reader of one connection and the sender of the one that questions and transactions leave by.
fn halves(
    links: &mut [Option<Link>; 3],
    source: Source,
) -> (Option<&mut Framing>, Option<&mut Sender>) {
    let [chain, pending, rpc] = links;
    let reader = match source {
        Source::Rpc => {
            return match rpc {
                Some(Link { wire: Wire { framing, sender }, .. }) => (Some(framing), Some(sender)),
                None => (None, None),
            };
        }
        Source::Chain => chain,
        Source::Pending => pending,
    };
    let framing = reader.as_mut().map(|link| &mut link.wire.framing);
    (framing, rpc.as_mut().map(|link| &mut link.wire.sender))
}

/// Waits until a connection has something to read; for ever if it is down.
async fn readable(link: Option<&Link>) {
    let Some(link) = link else { return std::future::pending().await };
    match link.watch.readable().await {
        Ok(mut guard) => guard.retain_ready(),
        // The reactor is gone with the runtime; the read will say so.
        Err(_shutting_down) => {}
    }
}

impl Link {
    /// Reads once, if the reactor says that there may be something.
    fn read_if_ready(&mut self) -> io::Result<usize> {
        let Self { watch, wire, .. } = self;
        watch.try_io(Interest::READABLE, |_| wire.read())
    }
}

/// Why a connection was lost.
#[derive(Debug)]
enum Lost {
    /// The node ended the stream.
    Closed,
    /// The node said goodbye.
    Said(Option<u16>),
    /// The socket failed.
    Broken(io::Error),
    /// The node broke the framing.
    Framing(WireError),
    /// Nothing came for too long, not even a pong.
    Silent,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => out.write_str("the node closed it"),
            Self::Said(code) => {
                write!(out, "the node closed it with code {}", code.unwrap_or(1005))
            }
            Self::Broken(error) => write!(out, "{error}"),
            Self::Framing(error) => write!(out, "the node broke the framing: {error:?}"),
            Self::Silent => out.write_str("nothing came, not even a pong"),
        }
    }
}
