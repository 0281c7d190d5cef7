//! The hot thread's connections: three to each node, read one at a time, written wherever an answer
//! goes.
//!
//! What is read and what is written are kept apart, so that a message lent out of one connection's
//! buffer can be answered on any other.
//!
//! Temperature: hot.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;

use gannet_engine::ids::NodeId;
use gannet_engine::input::Source;
use gannet_engine::query::{QUERY_BYTES_MAX, Queries};
use gannet_engine::units::Nanos;
use gannet_engine::wire::WireError;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::feed::wire::{self, Framing, Sender, Wire};

/// Time between two pings.
const PING_EVERY_NS: u64 = 10_000_000_000;
/// A connection that brought nothing for this long, pongs included, is dead.
const DEAD_AFTER_NS: u64 = 25_000_000_000;

/// The reading half of a connection, and the reactor's own handle of its descriptor.
#[derive(Debug)]
pub(crate) struct Ear {
    watch: AsyncFd<OwnedFd>,
    pub(crate) framing: Framing,
    pub(crate) heard_at: Nanos,
    pinged_at: Nanos,
    /// Its last turn was over before it had nothing left.
    pub(crate) is_behind: bool,
}

/// One connection of one node.
pub(crate) type Line = (NodeId, Source);

/// All connections, by node and source.
#[derive(Debug)]
pub(crate) struct Links {
    ears: Vec<[Option<Ear>; 3]>,
    mouths: Vec<[Option<Sender>; 3]>,
}

impl Links {
    /// None of these nodes' connections is up yet.
    pub(crate) fn new(nodes: usize) -> Self {
        let (mut ears, mut mouths) = (Vec::new(), Vec::new());
        ears.resize_with(nodes, || [None, None, None]);
        mouths.resize_with(nodes, || [None, None, None]);
        Self { ears, mouths }
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0_u8..).map(NodeId).take(self.ears.len())
    }

    /// The reading half of a connection, if it is up.
    pub(crate) fn ear(&mut self, (node, source): Line) -> Option<&mut Ear> {
        self.ears.get_mut(node.index())?[source as usize].as_mut()
    }

    /// The writing half of a connection, if it is up.
    pub(crate) fn mouth(&mut self, (node, source): Line) -> Option<&mut Sender> {
        self.mouths.get_mut(node.index())?[source as usize].as_mut()
    }

    /// The reading half of a connection, and where transactions leave by.
    pub(crate) fn halves(&mut self, (node, source): Line) -> (Option<&mut Framing>, Exits<'_>) {
        let ear = self.ears.get_mut(node.index()).and_then(|ears| ears[source as usize].as_mut());
        (ear.map(|ear| &mut ear.framing), Exits(&mut self.mouths))
    }

    /// Where transactions leave by.
    pub(crate) fn exits(&mut self) -> Exits<'_> {
        Exits(&mut self.mouths)
    }

    /// Sends each node what it is asked, at one go, by way of `text`; how many questions could not
    /// be sent.
    pub(crate) fn ask(&mut self, queries: &Queries, text: &mut [u8; QUERY_BYTES_MAX]) -> u64 {
        let mut dropped = 0;
        if queries.as_slice().is_empty() {
            return dropped;
        }
        for (node, mouths) in (0_u8..).map(NodeId).zip(&mut self.mouths) {
            let Some(sender) = mouths[Source::Rpc as usize].as_mut() else { continue };
            let mut waiting = 0;
            for (_, query) in queries.iter().filter(|(asked, _)| *asked == node) {
                let length = query.write(text);
                if sender.put(&text[..length]).is_ok() {
                    waiting += 1;
                } else {
                    dropped += 1;
                }
            }
            if waiting > 0 && sender.flush().is_err() {
                dropped += waiting;
            }
        }
        dropped
    }

    /// Whether some connection has work left that no descriptor announces.
    pub(crate) fn is_behind(&self) -> bool {
        self.ears.iter().flatten().flatten().any(|ear| ear.is_behind)
    }

    /// Takes over a connection that is ready.
    #[cold]
    pub(crate) fn install(
        &mut self,
        (node, source): Line,
        wire: Wire,
        now: Nanos,
    ) -> io::Result<()> {
        let Wire { framing, sender } = wire;
        let watch = sender.socket().watch()?;
        let ear = Ear { watch, framing, heard_at: now, pinged_at: now, is_behind: true };
        self.ears[node.index()][source as usize] = Some(ear);
        self.mouths[node.index()][source as usize] = Some(sender);
        Ok(())
    }

    /// Lets go of a connection.
    #[cold]
    pub(crate) fn drop(&mut self, (node, source): Line) {
        self.ears[node.index()][source as usize] = None;
        self.mouths[node.index()][source as usize] = None;
    }

    /// Reads a connection once; with `by_readiness` only if the reactor says that there may be
    /// something. `Ok(0)` is the end of the stream.
    pub(crate) fn read(&mut self, (node, source): Line, by_readiness: bool) -> io::Result<usize> {
        let ear = self.ears[node.index()][source as usize].as_mut();
        let mouth = self.mouths[node.index()][source as usize].as_mut();
        let (Some(Ear { watch, framing, .. }), Some(sender)) = (ear, mouth) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if by_readiness {
            watch.try_io(Interest::READABLE, |_| wire::read(framing, sender))
        } else {
            wire::read(framing, sender)
        }
    }

    /// Pings when it is time, and sends what the socket did not take before.
    pub(crate) fn keep_alive(&mut self, line: Line, now: Nanos) -> Result<(), Lost> {
        let Some(ear) = self.ear(line) else { return Ok(()) };
        if now.since(ear.heard_at) > DEAD_AFTER_NS {
            return Err(Lost::Silent);
        }
        let is_due = now.since(ear.pinged_at) > PING_EVERY_NS;
        if is_due {
            ear.pinged_at = now;
        }
        let Some(sender) = self.mouth(line) else { return Ok(()) };
        if is_due {
            sender.ping().map_err(Lost::Broken)?;
        }
        sender.flush().map_err(Lost::Broken)
    }

    /// Waits until some connection has something to read; for ever if none is up.
    pub(crate) async fn readable(&self) {
        std::future::poll_fn(|context| {
            // All of them are polled, so that each can wake the thread.
            let ears = self.ears.iter().flatten().flatten();
            let ready = ears.filter(|ear| ear.watch.poll_read_ready(context).is_ready()).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The connections that transactions leave by: each node's own.
#[derive(Debug)]
pub(crate) struct Exits<'a>(&'a mut [[Option<Sender>; 3]]);

impl Exits<'_> {
    /// Those that are up.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Sender> {
        self.0.iter_mut().filter_map(|mouths| mouths[Source::Rpc as usize].as_mut())
    }
}

/// Why a connection was lost.
#[derive(Debug)]
pub(crate) enum Lost {
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

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use gannet_engine::query::Query;
    use gannet_engine::wire::newline;
    use socket2::{Domain, Type};

    use super::*;
    use crate::feed::socket::Socket;

    /// So many nodes' links, and where what is asked of each comes out: each write alone.
    fn links(nodes: usize) -> (Links, Vec<UnixStream>) {
        let mut links = Links::new(nodes);
        let far = links.mouths.iter_mut().map(|mouths| {
            let pair = socket2::Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
            let [near, far] = <[_; 2]>::from(pair).map(|one| UnixStream::from(OwnedFd::from(one)));
            near.set_nonblocking(true).unwrap();
            far.set_nonblocking(true).unwrap();
            let framing = Framing::Newline(newline::Reader::new(64));
            mouths[Source::Rpc as usize] = Some(Wire::new(Socket::Unix(near), framing, 1).sender);
            far
        });
        let far = far.collect();
        (links, far)
    }

    /// The questions in the next write that comes out.
    fn heard(far: &mut UnixStream) -> usize {
        let mut bytes = vec![0; 1 << 20];
        let count = far.read(&mut bytes).unwrap_or_default();
        bytes[..count].iter().filter(|byte| **byte == b'\n').count()
    }

    fn questions(of: &[u8]) -> Queries {
        let mut queries = Queries::default();
        of.iter().for_each(|node| queries.ask_of(NodeId(*node), Query::LatestHead));
        queries
    }

    #[test]
    fn each_node_is_asked_what_is_meant_for_it_at_one_go() {
        let (mut links, mut far) = links(3);
        let mut text = [0; QUERY_BYTES_MAX];
        assert_eq!(links.ask(&questions(&[0, 2, 0, 0]), &mut text), 0);
        assert_eq!(far.iter_mut().map(heard).collect::<Vec<_>>(), [3, 0, 1]);
        assert_eq!(far.iter_mut().map(heard).collect::<Vec<_>>(), [0, 0, 0]);
    }

    #[test]
    fn what_a_node_does_not_take_at_once_it_is_asked_later_and_each_question_once() {
        let (mut links, mut far) = links(1);
        let mut text = [0; QUERY_BYTES_MAX];
        let mut asked = 0;
        while links.mouths[0][Source::Rpc as usize].as_ref().is_some_and(|one| !one.is_waiting()) {
            assert_eq!(links.ask(&questions(&[0; 3]), &mut text), 0);
            asked += 3;
        }
        assert_eq!(links.ask(&questions(&[0; 2]), &mut text), 0, "it waits");
        asked += 2;
        let mut taken = 0;
        for _ in 0..asked {
            taken += heard(&mut far[0]);
            links.mouth((NodeId(0), Source::Rpc)).unwrap().flush().unwrap();
        }
        assert_eq!(taken, asked);
    }

    #[test]
    fn questions_that_a_broken_connection_did_not_take_are_counted() {
        let (mut links, far) = links(2);
        drop(far);
        let mut text = [0; QUERY_BYTES_MAX];
        assert_eq!(links.ask(&questions(&[0, 0, 1]), &mut text), 3);
        assert_eq!(links.ask(&questions(&[1]), &mut text), 1, "it stays broken");
        assert_eq!(links.ask(&questions(&[]), &mut text), 0);
    }
}
