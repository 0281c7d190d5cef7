//! Plays a scenario: one step after the other, each done before the next begins.
//!
//! Temperature: cold.

use std::fmt;
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use serde_json::{Value, json};

use crate::faults::Style;
use crate::model::chain::Trade;
use crate::model::{Market, Tx};
use crate::node::{Node, Setup};
use crate::script::{Deed, Expected, Line, Script, Setting, Step, Upset};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// While something is expected of the state, a block comes after this long: chains go on.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// A bot that is not up to date by then has failed to start.
const START: Duration = Duration::from_secs(60);
/// What a bot has to say stands in its journal by then: it is written now and then, in one go.
const WRITTEN: Duration = Duration::from_millis(500);
/// How long a node that is restarted lets nobody in.
const RESTART: Duration = Duration::from_millis(200);

/// What the player knows of the bot, besides what the node sees.
pub trait Bot {
    /// Starts it on `node`, and on `second` if there is one; nothing if somebody else does.
    fn start(&mut self, node: &Node, second: Option<&Node>);

    /// Its journal's lines so far; `None` if there is none to be read.
    fn journal(&mut self) -> Option<Vec<Value>>;

    /// What it has logged so far.
    fn log(&mut self) -> String;
}

/// An expectation that was not met, or a step that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// Plays one scenario.
#[derive(Debug)]
pub struct Player<'a, B> {
    bot: &'a mut B,
    setup: Setup,
    node: Option<Arc<Node>>,
    second: Option<Node>,
    pace: Duration,
    /// Transactions that had been received when the last opportunity was opened.
    sent_before: usize,
    /// Journal lines that were there when the last expectation was met.
    lines_before: usize,
    /// The newest block that was announced, or whose announcement was lost on purpose.
    announced: u64,
    swap: Option<Tx>,
    flood: Option<JoinHandle<Duration>>,
}

impl<'a, B: Bot> Player<'a, B> {
    /// A player for this bot.
    pub const fn new(bot: &'a mut B, setup: Setup) -> Self {
        Self {
            bot,
            setup,
            node: None,
            second: None,
            pace: Duration::from_millis(60),
            sent_before: 0,
            lines_before: 0,
            announced: 0,
            swap: None,
            flood: None,
        }
    }

    /// Plays all lines; `tell` hears each before it is played.
    ///
    /// # Errors
    /// With file and line of the expectation that was not met.
    pub fn play(&mut self, script: &Script, mut tell: impl FnMut(&Line)) -> Result<(), Failed> {
        for line in &script.lines {
            tell(line);
            self.play_step(line).map_err(|why| {
                Failed(format!("{}:{}: {}: {why}", script.path.display(), line.number, line.text))
            })?;
        }
        self.end_flood();
        Ok(())
    }

    /// The node, once there is a market.
    #[must_use]
    pub fn node(&self) -> Option<Arc<Node>> {
        self.node.clone()
    }

    /// The bot.
    pub const fn bot(&mut self) -> &mut B {
        self.bot
    }

    /// Mines on until the bot has followed all that it sent to its end and stands at the tip, at
    /// most for `limit`; whether it did.
    pub fn settle(&mut self, limit: Duration) -> bool {
        self.until(limit, true, |player| player.in_flight() == 0 && player.is_equal())
    }

    fn here(&self) -> Result<Arc<Node>, String> {
        self.node.clone().ok_or_else(|| "there is no market yet: begin with one".to_owned())
    }

    fn play_step(&mut self, Line { step, is_on_second, .. }: &Line) -> Result<(), String> {
        match step {
            Step::SecondNode => {
                let second = self.here()?.second();
                self.second = Some(second.map_err(|error| error.to_string())?);
            }
            Step::Market { pools, tokens } => {
                let node = Node::start(Market::new(*pools, tokens)?, &self.setup);
                self.node = Some(Arc::new(node.map_err(|error| error.to_string())?));
            }
            Step::Seed(seed) if self.node.is_none() => self.setup.seed = *seed,
            Step::Seed(_) => return Err("the market is there already: say it before".to_owned()),
            Step::StartBot => return self.start(),
            Step::Pace(pace) => self.pace = *pace,
            Step::Wait(time) => sleep(*time),
            Step::Flood { per_second, time } => {
                self.end_flood();
                let (node, per_second, time) = (self.here()?, *per_second, *time);
                let count = u128::from(per_second) * time.as_millis() / 1_000;
                let flood = node.prepare_flood(usize::try_from(count).unwrap_or_default());
                let announce = move || node.announce_flood(flood, per_second);
                self.flood = Some(std::thread::spawn(announce));
            }
            Step::EndFlood => self.end_flood(),
            Step::Do(deed) => return self.act(deed),
            Step::Upset(upset) if *is_on_second => play_upset(self.second()?, upset),
            Step::Upset(upset) => play_upset(&*self.here()?, upset),
            Step::Set(setting) if *is_on_second => set(self.second()?, setting),
            Step::Set(setting) => set(&*self.here()?, setting),
            Step::Expect(what, within) => return self.expect(what, *within),
        }
        Ok(())
    }

    /// Does something on the chain.
    fn act(&mut self, deed: &Deed) -> Result<(), String> {
        let node = self.here()?;
        match deed {
            Deed::Mine { blocks, pools } => {
                self.mine(&node, *blocks, |node| node.small_trades(*pools));
            }
            Deed::MineIn { blocks, pool } => {
                let pair = pair_of(&node, *pool)?;
                let trade = Trade { pair, is_forth: true, share_bps: 5 };
                self.mine(&node, *blocks, |_| vec![trade]);
            }
            Deed::MineUnannounced { blocks } => {
                self.announced = node.chain().tip().header.number;
                for _ in 0..*blocks {
                    node.mine_unannounced(&node.small_trades(1));
                }
            }
            Deed::AnnounceMissed => node.announce_since(self.announced),
            Deed::OpenGap(pool) => {
                let pair = pair_of(&node, *pool)?;
                self.sent_before = node.record().sent.len();
                node.mine(&[Node::gap(pair)]);
            }
            Deed::Reorganise { depth, by_heads_alone } => {
                node.reorganise(*depth, *by_heads_alone);
            }
            Deed::Swap { pool, flaw } => {
                let pair = pair_of(&node, *pool)?;
                self.sent_before = node.record().sent.len();
                self.swap = Some(node.announce_swap(&Node::gap(pair), *flaw));
            }
            Deed::ReplaceByTransfer => node.replace_by_transfer(&self.last_swap()?),
            Deed::ReplaceByBetter => self.swap = Some(node.replace_by_better(&self.last_swap()?)),
            Deed::LandPredecessor => node.land_predecessor(&self.last_swap()?),
            Deed::UseWallet { wallet, takes_all } => {
                node.use_wallet(wallet.saturating_sub(1), *takes_all)?;
            }
        }
        Ok(())
    }

    fn second(&self) -> Result<&Node, String> {
        self.second.as_ref().ok_or_else(|| "there is no second node yet".to_owned())
    }

    fn last_swap(&self) -> Result<Tx, String> {
        self.swap.clone().ok_or_else(|| "no trader has announced a swap".to_owned())
    }

    fn end_flood(&mut self) {
        if let Some(flood) = self.flood.take() {
            // One that panicked has said so on stderr.
            flood.join().unwrap_or_default();
        }
    }

    fn start(&mut self) -> Result<(), String> {
        let node = self.here()?;
        self.bot.start(&node, self.second.as_ref());
        let is_up = self.until(START, false, |player| node.is_subscribed() && player.is_fresh());
        self.lines_before = self.journal().len();
        is_up.then_some(()).ok_or_else(|| format!("it did not:\n{}", self.bot.log()))
    }

    fn mine(&self, node: &Node, blocks: usize, trades: impl Fn(&Node) -> Vec<Trade>) {
        for _ in 0..blocks {
            node.mine(&trades(node));
            sleep(self.pace);
        }
    }

    /// Waits until an expectation is met.
    fn expect(&mut self, what: &Expected, within: Duration) -> Result<(), String> {
        let node = self.here()?;
        let has_traded = |player: &mut Self| !player.programs(&node).is_empty();
        let (is_met, found) = match what {
            Expected::Equal => (self.until(within, true, Self::is_equal), "it stands elsewhere"),
            Expected::Fresh => (self.until(within, true, Self::is_fresh), "it is stale"),
            Expected::Stale => (self.until(within, false, Self::was_stale), "it was fresh"),
            Expected::StaysFresh => {
                sleep(WRITTEN);
                (!self.was_astray(), "it was stale")
            }
            Expected::Trade => (self.until(within, false, has_traded), "nothing was sent"),
            Expected::NoTrade => (!self.until(within, false, has_traded), "something was sent"),
            Expected::Landed => {
                let has_landed = |player: &mut Self| has_landed(&node, &player.programs(&node));
                (self.until(within, true, has_landed), "it is in no block, or reverted")
            }
            Expected::Cancellation => {
                let before = self.sent_before;
                let is_cancelled = |_: &mut Self| {
                    let sent = node.record().sent;
                    let mut new = sent.iter().skip(before).filter_map(|sent| sent.tx.as_ref());
                    new.any(Tx::is_cancellation)
                };
                (self.until(within, false, is_cancelled), "nothing was cancelled")
            }
            Expected::Words(words) => {
                let has_said = |player: &mut Self| player.bot.log().contains(words);
                (self.until(within, false, has_said), "it did not say so")
            }
        };
        self.lines_before = self.journal().len();
        is_met.then_some(()).ok_or_else(|| found.to_owned())
    }

    /// Looks until it is so, at most for `limit`; whether it was. Blocks come meanwhile, if
    /// `the_chain_goes_on`.
    fn until(
        &mut self,
        limit: Duration,
        the_chain_goes_on: bool,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let start = Instant::now();
        let mut mined = start;
        loop {
            if is_so(self) {
                return true;
            }
            if start.elapsed() >= limit {
                return false;
            }
            sleep(LOOK);
            if the_chain_goes_on
                && mined.elapsed() >= HEARTBEAT
                && let Some(node) = self.node()
            {
                mined = Instant::now();
                node.mine(&node.small_trades(1));
            }
        }
    }

    fn journal(&mut self) -> Vec<Value> {
        self.bot.journal().unwrap_or_default()
    }

    /// Whether the last word on it was that the world is up to date; unknown counts as so.
    fn is_fresh(&mut self) -> bool {
        let Some(journal) = self.bot.journal() else { return true };
        let last = journal.iter().rev().find(|line| line["kind"] == "freshness");
        last.is_some_and(|line| line["stale"] == json!([]))
    }

    fn was_stale(&mut self) -> bool {
        let journal = self.journal();
        let new = journal.iter().skip(self.lines_before);
        let mut words = new.filter(|line| line["kind"] == "freshness");
        words.any(|line| line["stale"] != json!([])) || !self.is_fresh()
    }

    /// Whether it has lost its way since the last expectation. That something took long is no such
    /// reason: on a slow machine it may.
    fn was_astray(&mut self) -> bool {
        let journal = self.journal();
        let new = journal.iter().skip(self.lines_before);
        let reasons = new.filter_map(|line| line["stale"].as_array()).flatten();
        let mut reasons = reasons.filter_map(Value::as_str);
        reasons.any(|reason| !["silent", "seal-late"].contains(&reason))
    }

    /// Whether the bot stands at the tip of the chain, by its journal, or by the logs that it asked
    /// for if there is none.
    fn is_equal(&mut self) -> bool {
        let Some(node) = self.node() else { return false };
        let tip = node.chain().tip().hash;
        match self.bot.journal() {
            None => node.record().asked_last == Some(tip),
            Some(journal) => {
                let last = journal.iter().rev().find(|line| line["kind"] == "sealed");
                last.is_some_and(|line| line["hash"] == json!(tip)) && self.is_fresh()
            }
        }
    }

    /// What the journal says was submitted and has no outcome.
    fn in_flight(&mut self) -> usize {
        let journal = self.journal();
        let count = |kind: &str| journal.iter().filter(|line| line["kind"] == kind).count();
        count("submitted").saturating_sub(count("outcome"))
    }

    /// Programs that were received since the last opportunity was opened.
    fn programs(&self, node: &Node) -> Vec<B256> {
        let sent = node.record().sent;
        let new = sent.iter().skip(self.sent_before).filter(|sent| sent.is_program);
        new.map(crate::record::Sent::hash).collect()
    }
}

/// The place of a pool that a scenario counts from 1.
fn pair_of(node: &Node, pool: usize) -> Result<usize, String> {
    let count = node.chain().market.pairs.len();
    let place = pool.checked_sub(1).filter(|place| *place < count);
    place.ok_or_else(|| format!("there is no pool {pool}; wanted 1 to {count}"))
}

/// Whether one of these transactions is in a block, and succeeded.
fn has_landed(node: &Node, sent: &[B256]) -> bool {
    let chain = node.chain();
    let mut places = sent.iter().filter_map(|hash| chain.place_of(hash));
    places.any(|(block, place)| block.mined[place].effect.is_success)
}

/// Makes something go wrong, once.
fn play_upset(node: &Node, upset: &Upset) {
    match upset {
        Upset::SendHead(which) => node.send_false_head(*which),
        Upset::Drop { link, in_a_frame } => node.drop_links(*link, *in_a_frame),
        // Every bit of the first byte is set: reserved ones too.
        Upset::Garbage(kind) => node.send_bytes(*kind, &[0xff; 64]),
        Upset::NotUtf8(kind) => node.send_frame(*kind, b"{\"method\":\"\xc3\x28\xff\"}"),
        Upset::BrokenJson(kind) => node.send_frame(*kind, b"{\"method\":[{\"params\""),
        Upset::Huge { megabytes, link } => {
            let padding = "x".repeat(megabytes << 20);
            node.send_frame(*link, format!("{{\"padding\":\"{padding}\"}}").as_bytes());
        }
        Upset::Fragment(bytes) => {
            node.set_style(Style { fragment: Some(*bytes), ..Style::default() });
        }
        Upset::Trickle(bytes) => {
            node.set_style(Style { trickle: Some(*bytes), ..Style::default() });
        }
        Upset::WholeAgain => node.set_style(Style::default()),
        Upset::Ping { count, link } => node.ping(*link, *count),
        Upset::ReadNothing(time) => node.faults().reads_from = Some(Instant::now() + *time),
        Upset::Hang(time) => {
            node.faults().reads_from = Some(Instant::now() + *time);
            sleep(*time);
        }
        Upset::Restart { chain, is_fresh } => {
            node.restart(RESTART);
            let mut held = node.chain();
            held.id = chain.unwrap_or(held.id);
            if *is_fresh {
                held.start_over(1);
            }
        }
        Upset::Behind(blocks) => {
            let before = std::mem::replace(&mut node.faults().behind, *blocks);
            let tip = node.chain().tip().header.number;
            // What it did not see, it sees now.
            node.announce_since(tip.saturating_sub(before.saturating_sub(*blocks)));
        }
        Upset::Answers { count, method, shape } => node.shape_answers(method, *count, *shape),
    }
}

/// Makes something go wrong from now on.
fn set(node: &Node, setting: &Setting) {
    let mut faults = node.faults();
    match setting {
        Setting::RefuseBodies => faults.refuses_bodies = true,
        Setting::AnnounceReceipts => faults.has_receipts = true,
        Setting::LoseReceipts(blocks) => faults.lose_receipts = *blocks,
        Setting::LimitBatches(most) => faults.batch_max = Some(*most),
        Setting::LeaveOut(blocks) => faults.leave_out = *blocks,
        Setting::LoseHeads(count) => faults.lose_heads = *count,
        Setting::LoseLogs(count) => faults.lose_logs = *count,
        Setting::DoubleHeads(count) => faults.double_heads = *count,
        Setting::DoubleLogs(count) => faults.double_logs = *count,
        Setting::CallLogsRemoved(count) => faults.removed_logs = *count,
        Setting::LogsFirst(blocks) => faults.logs_first = *blocks,
        Setting::LogsBackwards(blocks) => faults.logs_backwards = *blocks,
        Setting::LogsLate(blocks, late) => faults.logs_late = (*blocks, *late),
        Setting::FlipBehind(blocks) => faults.flips_behind = *blocks,
        Setting::LateAnswers { method, late } => faults.late.push((method.clone(), *late)),
        Setting::AnswersInTime => faults.late.clear(),
        Setting::AnswersInOrder => faults.answers.clear(),
        Setting::LetNobodyIn(is_closed) => faults.is_closed = *is_closed,
        Setting::KeepFee(keeps) => node.chain().market.keeps_fee = *keeps,
    }
}
