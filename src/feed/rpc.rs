//! Questions to the node at leisure: blocking, one connection, for start-up, reports and set-up.
//!
//! It shares the hot path's sockets and framing, so that whatever the feed can reach, the cold
//! start can reach too. What it asks and is told can be kept, and answers the same questions again.
//!
//! Temperature: cold.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context, Result, bail, ensure};
use gannet_engine::wire::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::connect;
use super::transcript::{Prompter, Stenographer, Transcript};
use super::wire::Wire;
use crate::config::Node;

/// Frame buffer, in bytes: a batch of view calls answers with far less.
const BUFFER_BYTES: usize = 32 << 20;
/// One exchange that takes longer has been lost.
const EXCHANGE: Duration = Duration::from_secs(60);
/// One of several nodes that cannot be reached for this long is left for the next one.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Pause between two attempts to connect at the start.
const PAUSE: Duration = Duration::from_millis(200);

/// What the node answers instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeError {
    /// The JSON-RPC error as the node wrote it.
    text: String,
    /// Its code; 0 if there is none.
    code: i64,
}

impl NodeError {
    fn new(error: &Value) -> Self {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        Self { text: error.to_string(), code }
    }

    /// Whether a contract refused the call, and not the node. geth and anvil have a code for it;
    /// the others say so in words only.
    pub(crate) fn is_revert(&self) -> bool {
        const REVERTED: i64 = 3;
        let text = self.text.to_ascii_lowercase();
        let says_so = ["revert", "invalid opcode", "out of gas"];
        self.code == REVERTED || says_so.iter().any(|words| text.contains(words))
    }
}

impl std::fmt::Display for NodeError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the node answers {}", self.text)
    }
}

impl std::error::Error for NodeError {}

/// A connection that waits for its answers.
#[derive(Debug)]
pub(crate) struct Rpc {
    line: Line,
    next_id: u64,
    /// Takes down what is asked and told, if that is wanted.
    keeps: Option<Stenographer>,
}

/// Who answers.
#[derive(Debug)]
enum Line {
    Node(Box<Wire>),
    Recorded(Box<Prompter>),
}

impl Rpc {
    /// Connects to the first of these nodes that can be reached, trying again until the longest
    /// `connect_timeout_s` among them is over.
    pub(crate) fn connect(nodes: &[Node]) -> Result<Self> {
        let limit_s = nodes.iter().map(|node| node.connect_timeout_s).max().unwrap_or_default();
        let limit = Duration::from_secs(limit_s);
        let start = Instant::now();
        // One that swallows packets must not use up the others' time.
        let most = if nodes.len() > 1 { ATTEMPT } else { limit };
        loop {
            let mut last = None;
            for node in nodes {
                let left = limit.saturating_sub(start.elapsed()).min(most);
                match connect::connect(&node.endpoint, left.max(PAUSE), BUFFER_BYTES, 1) {
                    Ok(wire) => {
                        // However late it was reached, each answer may take as long.
                        wire.socket().set_timeout(Some(limit.clamp(PAUSE, EXCHANGE)))?;
                        return Ok(Self::over(wire));
                    }
                    Err(error) => last = Some(error.context(node.name.clone())),
                }
            }
            if start.elapsed() >= limit {
                let error = last.unwrap_or_else(|| anyhow::anyhow!("no node is configured"));
                let whom = if nodes.len() == 1 { "the node" } else { "any node" };
                return Err(error.context(format!(
                    "cannot reach {whom} within {limit_s} s: is it running, and is node.url right?",
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn over(wire: Wire) -> Self {
        Self { line: Line::Node(Box::new(wire)), next_id: 1, keeps: None }
    }

    /// Answers as a node did. What it was not asked then is an error now.
    pub(crate) fn recorded(Transcript { first_id, packed }: Transcript) -> Self {
        let line = Line::Recorded(Box::new(Prompter::new(packed, BUFFER_BYTES)));
        Self { line, next_id: first_id, keeps: None }
    }

    /// From now on, what is asked and told is kept.
    pub(crate) fn keep(&mut self) {
        self.keeps = Some(Stenographer::new(self.next_id));
    }

    /// What was kept, if anything was to be; no more is.
    pub(crate) fn kept(&mut self) -> Result<Option<Transcript>> {
        self.keeps.take().map(Stenographer::finish).transpose()
    }

    /// A connection to a node that has sent its answers, one a line, before it was asked: its end
    /// of the socket must be kept, and reads nothing.
    pub(crate) fn answered(answers: &[u8]) -> Result<(Self, std::os::unix::net::UnixStream)> {
        use std::io::Write as _;

        let (rpc, mut node) = Self::paired(answers.len())?;
        node.write_all(answers)?;
        node.shutdown(std::net::Shutdown::Write)?;
        // What the socket does not take of the questions waits in the wire.
        if let Line::Node(wire) = &rpc.line {
            wire.socket().set_nonblocking(true)?;
        }
        Ok((rpc, node))
    }

    /// A connection with room for so many bytes, and its other end: messages are lines.
    pub(crate) fn paired(buffer: usize) -> Result<(Self, std::os::unix::net::UnixStream)> {
        use gannet_engine::wire::newline::Reader;

        use super::socket::Socket;
        use super::wire::Framing;

        let (ours, node) = std::os::unix::net::UnixStream::pair()?;
        let framing = Framing::Newline(Reader::new(buffer));
        Ok((Self::over(Wire::new(Socket::Unix(ours), framing, 1)), node))
    }

    pub(crate) fn into_wire(self) -> Result<Wire> {
        match self.line {
            Line::Node(wire) => Ok(*wire),
            Line::Recorded(_) => bail!("what is recorded has no connection"),
        }
    }

    /// Asks one question.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, method: &str, params: &Value) -> Result<T> {
        let id = self.send(method, params)?;
        let mut others = Vec::new();
        let answer = self.answer_to(id, &mut others)?;
        let value = answer.with_context(|| format!("asking {method}"))?;
        serde_json::from_value(value).with_context(|| format!("reading the answer to {method}"))
    }

    /// Sends a question and returns its id.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> Result<u64> {
        let id = self.take_id();
        if let Some(keeps) = &mut self.keeps {
            keeps.asked(method, params)?;
        }
        match &mut self.line {
            Line::Node(wire) => {
                let request =
                    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
                wire.sender.send(request.to_string().as_bytes()).context("sending a question")?;
            }
            Line::Recorded(prompter) => prompter.asked(method, params)?,
        }
        Ok(id)
    }

    /// Waits for the answer to a question; other messages are put aside.
    pub(crate) fn answer_to(
        &mut self,
        id: u64,
        others: &mut Vec<Vec<u8>>,
    ) -> Result<Result<Value, NodeError>> {
        let deadline = Instant::now() + EXCHANGE;
        loop {
            let message = self.next_text(deadline)?;
            let reply: Value = serde_json::from_slice(&message).unwrap_or_default();
            if reply.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(outcome(reply));
            }
            others.push(message);
        }
    }

    /// Waits for the answer to any of the questions that are on their way, and says to which. It is
    /// read straight from the message: a long list of logs never becomes a tree of values.
    pub(crate) fn next_reply<T: DeserializeOwned>(
        &mut self,
    ) -> Result<(u64, Result<T, NodeError>)> {
        let deadline = Instant::now() + EXCHANGE;
        loop {
            let read = self.with_next_text(deadline, |text| {
                serde_json::from_slice::<Reply<T>>(text).or_else(|error| {
                    // It may be an answer of another shape: then somebody waits for it.
                    let other: Reply<serde::de::IgnoredAny> =
                        serde_json::from_slice(text).unwrap_or_default();
                    let told = json!(format!("something else: {error}"));
                    other
                        .id
                        .map(|id| Reply { id: Some(id), result: None, error: Some(told) })
                        .ok_or(error)
                })
            })?;
            match read.unwrap_or_default() {
                Reply { id: Some(id), error: Some(error), .. } => {
                    return Ok((id, Err(NodeError::new(&error))));
                }
                Reply { id: Some(id), result: Some(result), .. } => return Ok((id, Ok(result))),
                Reply { id: Some(id), .. } => return Ok((id, Err(NodeError::new(&Value::Null)))),
                // Not to be told which question it was, so none of them will be answered.
                Reply { id: None, error: Some(error), .. } => bail!(NodeError::new(&error)),
                Reply { id: None, .. } => {}
            }
        }
    }

    const fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The next text message; control frames are answered on the way.
    fn next_text(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        self.with_next_text(deadline, <[u8]>::to_vec)
    }

    /// Looks at the next text message where it lies; control frames are answered on the way.
    fn with_next_text<R>(&mut self, deadline: Instant, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let wire = match &mut self.line {
            Line::Node(wire) => &mut **wire,
            Line::Recorded(prompter) => return Ok(look(prompter.told()?)),
        };
        loop {
            ensure!(Instant::now() < deadline, "the node does not answer");
            let Wire { framing, sender } = &mut *wire;
            match framing.next() {
                Some(Ok(Message::Text(text) | Message::Binary(text))) => {
                    if let Some(keeps) = &mut self.keeps {
                        keeps.told(text)?;
                    }
                    return Ok(look(text));
                }
                Some(Ok(Message::Ping(payload))) => sender.pong(payload)?,
                Some(Ok(Message::Close { code })) => bail!("the node closes (code {code:?})"),
                Some(Ok(Message::Pong(_))) => {}
                Some(Ok(Message::Skipped { bytes })) => {
                    bail!("the node answers with {bytes} bytes, more than are read at once")
                }
                Some(Err(error)) => bail!("the node breaks the framing: {error:?}"),
                None => match wire.read() {
                    Ok(0) => bail!("the node closed the connection"),
                    Ok(_) => {}
                    Err(error) if is_late(&error) => {
                        bail!("the node does not answer: allow it more time by `connect_timeout_s`")
                    }
                    Err(error) => return Err(error).context("waiting for the node"),
                },
            }
        }
    }
}

/// Whether a read ended because nothing came in time.
fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// An answer whose result is read as what it is.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
struct Reply<T> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default = "Option::default")]
    result: Option<T>,
    #[serde(default)]
    error: Option<Value>,
}

impl<T> Default for Reply<T> {
    fn default() -> Self {
        Self { id: None, result: None, error: None }
    }
}

fn outcome(mut reply: Value) -> Result<Value, NodeError> {
    match reply.get_mut("error").map(Value::take) {
        Some(error) if !error.is_null() => Err(NodeError::new(&error)),
        Some(_) | None => Ok(reply["result"].take()),
    }
}

/// Questions that several commands ask.
impl Rpc {
    /// The chain's id.
    pub(crate) fn chain_id(&mut self) -> Result<u64> {
        Ok(self.call::<U256>("eth_chainId", &json!([]))?.saturating_to())
    }

    /// The hash of the chain's first block.
    pub(crate) fn genesis(&mut self) -> Result<B256> {
        let block: Value = self.call("eth_getBlockByNumber", &json!(["0x0", false]))?;
        serde_json::from_value(block["hash"].clone()).context("the first block has no hash")
    }

    /// Makes sure that the node is on the chain of the configuration.
    pub(crate) fn ensure_chain(&mut self, chain_id: u64) -> Result<()> {
        let found = self.chain_id()?;
        ensure!(
            found == chain_id,
            "the node is on chain {found}, the configuration on chain {chain_id}: change chain.id \
             or node.url"
        );
        Ok(())
    }

    /// The next nonce of an account, counting mined transactions.
    pub(crate) fn nonce(&mut self, account: Address) -> Result<u64> {
        self.nonce_at(account, "latest")
    }

    /// The next nonce of an account, counting what waits in the node's pool.
    pub(crate) fn pending_nonce(&mut self, account: Address) -> Result<u64> {
        self.nonce_at(account, "pending")
    }

    fn nonce_at(&mut self, account: Address, block: &str) -> Result<u64> {
        let nonce: U256 = self.call("eth_getTransactionCount", &json!([account, block]))?;
        Ok(nonce.saturating_to())
    }

    /// The balance of an account, in wei.
    pub(crate) fn balance(&mut self, account: Address) -> Result<u128> {
        let balance: U256 = self.call("eth_getBalance", &json!([account, "latest"]))?;
        Ok(balance.saturating_to())
    }

    /// The code of an account.
    pub(crate) fn code(&mut self, account: Address) -> Result<Bytes> {
        self.call("eth_getCode", &json!([account, "latest"]))
    }

    /// The answer of a view call at the newest block.
    pub(crate) fn view<C: alloy::sol_types::SolCall>(
        &mut self,
        to: Address,
        call: &C,
    ) -> Result<C::Return> {
        let data = Bytes::from(call.abi_encode());
        let answer: Bytes =
            self.call("eth_call", &json!([{ "to": to, "data": data }, "latest"]))?;
        C::abi_decode_returns(&answer).with_context(|| format!("{to} answers something else"))
    }

    /// A transaction's receipt, once it is mined.
    pub(crate) fn receipt(&mut self, hash: B256) -> Result<Option<Value>> {
        self.call("eth_getTransactionReceipt", &json!([hash]))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::config::Endpoint;

    /// What was kept of these questions, and the node's answers to them.
    fn transcript(asked: &[&str], answers: &str) -> Transcript {
        let (mut rpc, _node) = Rpc::answered(answers.as_bytes()).unwrap();
        rpc.keep();
        let answered = asked.iter().map(|method| rpc.call::<Value>(method, &json!([])).is_ok());
        assert_eq!(answered.filter(|is_answered| !is_answered).count(), 1, "one is refused");
        rpc.kept().unwrap().unwrap()
    }

    const ANSWERS: &str = concat!(
        r#"{"id":1,"result":"0x1"}"#,
        "\n",
        r#"{"id":2,"error":{"code":3,"message":"reverted"}}"#,
        "\n",
        r#"{"id":3,"result":{"three":[3]}}"#,
        "\n",
    );

    #[test]
    fn what_was_kept_answers_the_same_questions_again_and_no_others() {
        let kept = transcript(&["one", "two", "three"], ANSWERS);
        let mut again = Rpc::recorded(kept.clone());
        assert_eq!(again.call::<Value>("one", &json!([])).unwrap(), json!("0x1"));
        let refused = again.call::<Value>("two", &json!([])).unwrap_err();
        assert!(refused.downcast_ref::<NodeError>().is_some_and(NodeError::is_revert));
        assert_eq!(again.call::<Value>("three", &json!([])).unwrap(), json!({ "three": [3] }));
        let ended = again.call::<Value>("four", &json!([])).unwrap_err();
        assert!(format!("{ended:#}").contains("ends where four is wanted"), "{ended:#}");

        for (method, params) in [("two", json!([])), ("one", json!([7]))] {
            let unknown = Rpc::recorded(kept.clone()).call::<Value>(method, &params).unwrap_err();
            let words = format!("no answer to this {method} is recorded");
            assert!(format!("{unknown:#}").contains(&words), "{unknown:#}");
            assert!(!unknown.is::<NodeError>(), "nobody takes it for a node's word");
        }
        let mut mute = Rpc::recorded(kept);
        assert!(mute.next_reply::<Value>().is_err(), "nothing was asked yet");
        assert!(mute.into_wire().is_err());
    }

    #[test]
    fn a_node_that_says_nothing_is_an_error_that_says_what_to_do() {
        let (mut rpc, _node) = Rpc::paired(1_024).unwrap();
        let Line::Node(wire) = &rpc.line else { panic!("it has a connection") };
        wire.socket().set_timeout(Some(Duration::from_millis(20))).unwrap();
        let error = format!("{:#}", rpc.call::<Value>("eth_chainId", &json!([])).unwrap_err());
        assert!(
            error.contains("does not answer") && error.contains("connect_timeout_s"),
            "{error}"
        );
    }

    #[test]
    fn one_of_several_nodes_has_as_long_to_answer_as_it_may_take() {
        let path = std::env::temp_dir().join(format!("gannet-rpc-{}.ipc", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let node = std::thread::spawn(move || {
            let (mut line, _) = listener.accept().unwrap();
            std::thread::sleep(ATTEMPT + PAUSE);
            line.write_all(b"{\"id\":1,\"result\":\"0x1\"}\n").unwrap();
            line
        });
        let node_at = |path: &Path| Node {
            name: String::new(),
            endpoint: Endpoint::Ipc(path.to_owned()),
            connect_timeout_s: 10 * ATTEMPT.as_secs(),
            silent_after_ms: 0,
            receipts: false,
        };
        let nodes = [node_at(Path::new("/dev/null")), node_at(&path)];
        let chain_id = Rpc::connect(&nodes).unwrap().call::<String>("eth_chainId", &json!([]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(chain_id.unwrap(), "0x1");
        node.join().unwrap();
    }

    #[test]
    fn answers_come_in_the_order_in_which_they_came_then() {
        let answers = "{\"id\":2,\"result\":\"late\"}\n{\"id\":1,\"result\":\"early\"}\n";
        let (mut rpc, _node) = Rpc::answered(answers.as_bytes()).unwrap();
        let both = |rpc: &mut Rpc| {
            rpc.send("early", &json!([])).unwrap();
            rpc.send("late", &json!([])).unwrap();
            [(); 2].map(|()| rpc.next_reply::<String>().unwrap())
        };
        rpc.keep();
        let [first, second] = both(&mut rpc);
        assert_eq!((first.0, second.0), (2, 1));
        let mut again = Rpc::recorded(rpc.kept().unwrap().unwrap());
        assert_eq!(both(&mut again), [first, second]);
        assert_eq!(rpc.kept().unwrap(), None, "no more is kept");
    }

    #[test]
    fn a_transcript_that_is_cut_short_or_hostile_is_an_error() {
        let kept = transcript(&["one", "two", "three"], ANSWERS);
        for length in 0..kept.packed.len() {
            let packed = kept.packed[..length].to_vec();
            let mut again = Rpc::recorded(Transcript { packed, ..kept });
            let asked = ["one", "two", "three", "four"].map(|method| {
                let answer = again.call::<Value>(method, &json!([]));
                answer.is_err_and(|error| !error.is::<NodeError>())
            });
            assert!(asked[3], "{length} bytes");
        }
        let mut hostile = Stenographer::new(1);
        hostile.told(&[b' '; 64]).unwrap();
        let Transcript { packed, .. } = hostile.finish().unwrap();
        assert!(Prompter::new(packed, 63).told().is_err(), "no buffer takes it");
    }
}
