//! Scenario files: one sentence a line, `#` begins a comment.
//!
//! Each of the `SENTENCES` is a row of words and slots: `<n>` a number, `<time>` such as `300 ms`
//! or `2 s`, `<link>`, `<flaw>`, `<method>`, `<shape>`, `<tokens>`, `<text>` in quotes. A word of
//! two forms is written `block/blocks`. A fault of the second node alone begins with `on the second
//! node, `.
//!
//! Temperature: cold.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faults::Shape;
use crate::node::{FalseHead, Flaw};
use crate::wire::Kind;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Step {
    Market { pools: usize, tokens: Vec<String> },
    Seed(u64),
    SecondNode,
    StartBot,
    Pace(Duration),
    Wait(Duration),
    Flood { per_second: u64, time: Duration },
    EndFlood,
    Do(Deed),
    Upset(Upset),
    Set(Setting),
    Expect(Expected, Duration),
}

/// What is done on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Deed {
    Mine { blocks: usize, pools: usize },
    MineIn { blocks: usize, pool: usize },
    MineUnannounced { blocks: usize },
    AnnounceMissed,
    OpenGap(usize),
    Reorganise { depth: usize, by_heads_alone: bool },
    Swap { pool: usize, flaw: Option<Flaw> },
    ReplaceByTransfer,
    ReplaceByBetter,
    LandPredecessor,
    UseWallet { wallet: usize, takes_all: bool },
}

/// What goes wrong once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Upset {
    SendHead(FalseHead),
    Drop { link: Option<Kind>, in_a_frame: bool },
    Garbage(Kind),
    NotUtf8(Kind),
    BrokenJson(Kind),
    Huge { megabytes: usize, link: Kind },
    Fragment(usize),
    Trickle(usize),
    WholeAgain,
    Ping { count: usize, link: Kind },
    ReadNothing(Duration),
    Hang(Duration),
    Restart { chain: Option<u64>, is_fresh: bool },
    Behind(u64),
    Answers { count: usize, method: String, shape: Shape },
}

/// What goes wrong from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Setting {
    RefuseBodies,
    AnnounceReceipts,
    LoseReceipts(usize),
    LimitBatches(usize),
    LeaveOut(usize),
    LoseHeads(usize),
    LoseLogs(usize),
    DoubleHeads(usize),
    DoubleLogs(usize),
    CallLogsRemoved(usize),
    LogsFirst(usize),
    LogsBackwards(usize),
    LogsLate(usize, Duration),
    FlipBehind(u64),
    LateAnswers { method: Option<String>, late: Duration },
    AnswersInTime,
    AnswersInOrder,
    LetNobodyIn(bool),
    KeepFee(bool),
}

/// What is expected of the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences say what each is")]
pub enum Expected {
    Equal,
    Stale,
    Fresh,
    StaysFresh,
    Trade,
    NoTrade,
    Landed,
    Cancellation,
    Words(String),
}

/// A step and where it stands.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// As it is written.
    pub text: String,
    /// What it says.
    pub step: Step,
    /// Whether it is about the second node.
    pub is_on_second: bool,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file.
    pub path: PathBuf,
    /// What is played, from its first line of comment.
    pub title: String,
    /// Its lines, without comments.
    pub lines: Vec<Line>,
}

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub(crate) String);

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// What a line has in the slots of its sentence, by kind, in order.
#[derive(Clone, Debug, Default)]
struct Slots {
    numbers: Vec<usize>,
    times: Vec<Duration>,
    words: Vec<String>,
    links: Vec<Kind>,
    flaws: Vec<Flaw>,
    shapes: Vec<Shape>,
}

type Make = fn(&Slots) -> Step;

/// What a line begins with that is about the second node: faults can be its own.
const ON_SECOND: &str = "on the second node, ";

/// Every sentence there is, and what it means.
const SENTENCES: &[(&str, Make)] = &[
    ("a market of <n> pool/pools over <tokens>", |s| Step::Market {
        pools: s.numbers[0],
        tokens: s.words.clone(),
    }),
    ("the seed is <n>", |s| Step::Seed(s.numbers[0] as u64)),
    ("full bodies of pending transactions are refused", |_| Step::Set(Setting::RefuseBodies)),
    ("receipts are announced", |_| Step::Set(Setting::AnnounceReceipts)),
    ("lose the receipts of the next <n> block/blocks", |s| {
        Step::Set(Setting::LoseReceipts(s.numbers[0]))
    }),
    ("batches are limited to <n> question/questions", |s| {
        Step::Set(Setting::LimitBatches(s.numbers[0]))
    }),
    ("there is a second node", |_| Step::SecondNode),
    ("the bot starts", |_| Step::StartBot),
    ("blocks come every <time>", |s| Step::Pace(s.times[0])),
    ("mine <n> block/blocks", |s| Step::Do(Deed::Mine { blocks: s.numbers[0], pools: 0 })),
    ("mine <n> block/blocks trading in <n> pools", |s| {
        Step::Do(Deed::Mine { blocks: s.numbers[0], pools: s.numbers[1] })
    }),
    ("mine <n> block/blocks trading in pool <n>", |s| {
        Step::Do(Deed::MineIn { blocks: s.numbers[0], pool: s.numbers[1] })
    }),
    ("mine <n> block/blocks unannounced", |s| {
        Step::Do(Deed::MineUnannounced { blocks: s.numbers[0] })
    }),
    ("announce what was mined unannounced", |_| Step::Do(Deed::AnnounceMissed)),
    ("leave pending transactions out of the next <n> block/blocks", |s| {
        Step::Set(Setting::LeaveOut(s.numbers[0]))
    }),
    ("open a gap in pool <n>", |s| Step::Do(Deed::OpenGap(s.numbers[0]))),
    ("reorganise <n> block/blocks", |s| {
        Step::Do(Deed::Reorganise { depth: s.numbers[0], by_heads_alone: false })
    }),
    ("reorganise <n> block/blocks by heads alone", |s| {
        Step::Do(Deed::Reorganise { depth: s.numbers[0], by_heads_alone: true })
    }),
    ("a trader announces a swap in pool <n>", |s| {
        Step::Do(Deed::Swap { pool: s.numbers[0], flaw: None })
    }),
    ("a trader announces a/an <flaw> swap in pool <n>", |s| {
        Step::Do(Deed::Swap { pool: s.numbers[0], flaw: s.flaws.first().copied() })
    }),
    ("the trader replaces it by a transfer", |_| Step::Do(Deed::ReplaceByTransfer)),
    ("the trader replaces it by a better paid swap", |_| Step::Do(Deed::ReplaceByBetter)),
    ("the trader lands what comes before it", |_| Step::Do(Deed::LandPredecessor)),
    ("flood <n> swaps a second for <time>", |s| Step::Flood {
        per_second: s.numbers[0] as u64,
        time: s.times[0],
    }),
    ("wait for the flood to end", |_| Step::EndFlood),
    ("somebody uses wallet <n>", |s| {
        Step::Do(Deed::UseWallet { wallet: s.numbers[0], takes_all: false })
    }),
    ("somebody empties wallet <n>", |s| {
        Step::Do(Deed::UseWallet { wallet: s.numbers[0], takes_all: true })
    }),
    ("lose the next <n> head/heads", |s| Step::Set(Setting::LoseHeads(s.numbers[0]))),
    ("lose the next <n> log/logs", |s| Step::Set(Setting::LoseLogs(s.numbers[0]))),
    ("send the next <n> head/heads twice", |s| Step::Set(Setting::DoubleHeads(s.numbers[0]))),
    ("send the next <n> log/logs twice", |s| Step::Set(Setting::DoubleLogs(s.numbers[0]))),
    ("call the next <n> log/logs removed", |s| Step::Set(Setting::CallLogsRemoved(s.numbers[0]))),
    ("send the logs of the next <n> block/blocks before the head", |s| {
        Step::Set(Setting::LogsFirst(s.numbers[0]))
    }),
    ("send the logs of the next <n> block/blocks backwards", |s| {
        Step::Set(Setting::LogsBackwards(s.numbers[0]))
    }),
    ("send the logs of the next <n> block/blocks <time> late", |s| {
        Step::Set(Setting::LogsLate(s.numbers[0], s.times[0]))
    }),
    ("send a head with a false number", |_| Step::Upset(Upset::SendHead(FalseHead::Number))),
    ("send a head with a false parent", |_| Step::Upset(Upset::SendHead(FalseHead::Parent))),
    ("send a rival of the newest head", |_| Step::Upset(Upset::SendHead(FalseHead::Rival))),
    ("send the head of <n> block/blocks ago again", |s| {
        Step::Upset(Upset::SendHead(FalseHead::Old(s.numbers[0] as u64)))
    }),
    ("stay <n> block/blocks behind", |s| Step::Upset(Upset::Behind(s.numbers[0] as u64))),
    ("answer every other question <n> block/blocks behind", |s| {
        Step::Set(Setting::FlipBehind(s.numbers[0] as u64))
    }),
    ("drop the <link> connection", |s| {
        Step::Upset(Upset::Drop { link: s.links.first().copied(), in_a_frame: false })
    }),
    ("drop the <link> connection in the middle of a frame", |s| {
        Step::Upset(Upset::Drop { link: s.links.first().copied(), in_a_frame: true })
    }),
    ("drop all connections", |_| Step::Upset(Upset::Drop { link: None, in_a_frame: false })),
    ("drop all connections in the middle of a frame", |_| {
        Step::Upset(Upset::Drop { link: None, in_a_frame: true })
    }),
    ("send garbage on the <link> connection", |s| Step::Upset(Upset::Garbage(s.links[0]))),
    ("send a frame that is not UTF-8 on the <link> connection", |s| {
        Step::Upset(Upset::NotUtf8(s.links[0]))
    }),
    ("send a frame of broken JSON on the <link> connection", |s| {
        Step::Upset(Upset::BrokenJson(s.links[0]))
    }),
    ("send a frame of <n> MB on the <link> connection", |s| {
        Step::Upset(Upset::Huge { megabytes: s.numbers[0], link: s.links[0] })
    }),
    ("send messages in fragments of <n> byte/bytes", |s| {
        Step::Upset(Upset::Fragment(s.numbers[0]))
    }),
    ("write <n> byte/bytes at a time", |s| Step::Upset(Upset::Trickle(s.numbers[0]))),
    ("write whole messages again", |_| Step::Upset(Upset::WholeAgain)),
    ("ping <n> times on the <link> connection", |s| {
        Step::Upset(Upset::Ping { count: s.numbers[0], link: s.links[0] })
    }),
    ("read nothing for <time>", |s| Step::Upset(Upset::ReadNothing(s.times[0]))),
    ("tokens keep a fee", |_| Step::Set(Setting::KeepFee(true))),
    ("tokens keep nothing", |_| Step::Set(Setting::KeepFee(false))),
    ("let nobody in", |_| Step::Set(Setting::LetNobodyIn(true))),
    ("let everybody in again", |_| Step::Set(Setting::LetNobodyIn(false))),
    ("hang for <time>", |s| Step::Upset(Upset::Hang(s.times[0]))),
    ("restart the node", |_| Step::Upset(Upset::Restart { chain: None, is_fresh: false })),
    ("restart the node on chain <n>", |s| {
        Step::Upset(Upset::Restart { chain: Some(s.numbers[0] as u64), is_fresh: false })
    }),
    ("restart the node with an empty chain", |_| {
        Step::Upset(Upset::Restart { chain: None, is_fresh: true })
    }),
    ("answer the next <n> <method> with <shape>", |s| {
        Step::Upset(Upset::Answers {
            count: s.numbers[0],
            method: s.words[0].clone(),
            shape: s.shapes[0],
        })
    }),
    ("answer <method> <time> late", |s| {
        Step::Set(Setting::LateAnswers { method: s.words.first().cloned(), late: s.times[0] })
    }),
    ("answer everything <time> late", |s| {
        Step::Set(Setting::LateAnswers { method: None, late: s.times[0] })
    }),
    ("answer in time again", |_| Step::Set(Setting::AnswersInTime)),
    ("answer in order again", |_| Step::Set(Setting::AnswersInOrder)),
    ("wait <time>", |s| Step::Wait(s.times[0])),
    ("expect the state to equal the chain within <time>", |s| {
        Step::Expect(Expected::Equal, s.times[0])
    }),
    ("expect the bot to be stale within <time>", |s| Step::Expect(Expected::Stale, s.times[0])),
    ("expect the bot to be fresh within <time>", |s| Step::Expect(Expected::Fresh, s.times[0])),
    ("expect the bot to have stayed fresh", |_| Step::Expect(Expected::StaysFresh, Duration::ZERO)),
    ("expect a trade within <time>", |s| Step::Expect(Expected::Trade, s.times[0])),
    ("expect no trade for <time>", |s| Step::Expect(Expected::NoTrade, s.times[0])),
    ("expect the trade to land within <time>", |s| Step::Expect(Expected::Landed, s.times[0])),
    ("expect a cancellation within <time>", |s| Step::Expect(Expected::Cancellation, s.times[0])),
    ("expect the bot to say <text> within <time>", |s| {
        Step::Expect(Expected::Words(s.words[0].clone()), s.times[0])
    }),
];

impl Script {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// With file and line, what was found there, and what sentences there are.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Unreadable(format!("{}: {error}", path.display())))?;
        Self::parse(path, &text)
    }

    /// Reads a scenario; `path` is what errors call it.
    ///
    /// # Errors
    /// With file and line, what was found there, and what sentences there are.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Unreadable> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let text = line.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let (about, is_on_second) = match text.strip_prefix(ON_SECOND) {
                Some(rest) => (rest, true),
                None => (text, false),
            };
            let step = step_of(about)
                .filter(|step| !is_on_second || matches!(step, Step::Upset(_) | Step::Set(_)));
            let step = step.ok_or_else(|| {
                let place = format!("{}:{number}", path.display());
                Unreadable(format!("{place}: found \"{text}\"; {}", wanted(about)))
            })?;
            lines.push(Line { number, text: text.to_owned(), step, is_on_second });
        }
        let title = text.lines().next().and_then(|line| line.strip_prefix('#'));
        let title = title.unwrap_or_default().trim().to_owned();
        Ok(Self { path: path.to_owned(), title, lines })
    }

    /// The file's name without its ending.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether it demands that a trade is made after all that went wrong.
    #[must_use]
    pub fn expects_trade(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.step, Step::Expect(Expected::Trade, _)))
    }
}

/// The sentences that begin like this line; all if none does.
fn wanted(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    let all = SENTENCES.iter().map(|(sentence, _)| *sentence);
    let alike: Vec<_> = all.clone().filter(|held| held.split(' ').next() == Some(first)).collect();
    let list = if alike.is_empty() { all.collect() } else { alike };
    format!("wanted one of:\n  {}", list.join("\n  "))
}

fn step_of(text: &str) -> Option<Step> {
    let words = words(text);
    SENTENCES.iter().find_map(|(sentence, make)| {
        let slots = fit(sentence, &words)?;
        Some(make(&slots))
    })
}

/// The words of a line; what stands in quotes is one.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in text.split('"').enumerate() {
        if place % 2 == 1 {
            words.push(format!("\"{part}"));
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// What a line has in the slots of a sentence, if it is one.
fn fit(sentence: &str, words: &[String]) -> Option<Slots> {
    let mut slots = Slots::default();
    let mut rest = words;
    for wanted in sentence.split(' ') {
        let (word, after) = rest.split_first()?;
        rest = after;
        match wanted {
            "<n>" => slots.numbers.push(word.parse().ok()?),
            "<time>" => {
                let (unit, after) = rest.split_first()?;
                rest = after;
                slots.times.push(time(word, unit)?);
            }
            "<link>" => slots.links.push(named(&Kind::ALL, word)?),
            "<flaw>" => slots.flaws.push(named(&Flaw::ALL, word)?),
            "<method>" => slots.words.push(word.strip_prefix("eth_").map(|_| word.clone())?),
            "<text>" => slots.words.push(word.strip_prefix('"')?.to_owned()),
            "<shape>" => {
                let shape = [std::slice::from_ref(word), rest].concat().join(" ");
                slots.shapes.push(named(&Shape::ALL, &shape)?);
                rest = &[];
            }
            "<tokens>" => {
                let list = [std::slice::from_ref(word), rest].concat();
                slots.words = tokens(&list);
                rest = &[];
            }
            literal => {
                literal.split('/').find(|form| form == word)?;
            }
        }
    }
    rest.is_empty().then_some(slots)
}

fn named<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(held, _)| *held == name).map(|(_, value)| *value)
}

fn time(count: &str, unit: &str) -> Option<Duration> {
    let count = count.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        _ => None,
    }
}

/// `WETH, USDC and DAI`, or `60 tokens`.
fn tokens(words: &[String]) -> Vec<String> {
    if let [count, unit] = words
        && unit == "tokens"
        && let Ok(count) = count.parse::<usize>()
    {
        let named = ["WETH", "USDC"].map(str::to_owned);
        return named.into_iter().chain((2..count).map(|place| format!("T{place}"))).collect();
    }
    let names = words.iter().filter(|word| *word != "and");
    names.map(|word| word.trim_end_matches(',').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that fits a sentence.
    fn example(sentence: &str) -> String {
        let fill = |word: &str| match word {
            "<n>" => "3".to_owned(),
            "<time>" => "300 ms".to_owned(),
            "<link>" => "chain".to_owned(),
            "<flaw>" => "expired".to_owned(),
            "<method>" => "eth_getLogs".to_owned(),
            "<shape>" => "the header not found of geth".to_owned(),
            "<tokens>" => "WETH, USDC and DAI".to_owned(),
            "<text>" => "\"on chain 5\"".to_owned(),
            literal => literal.split('/').next_back().unwrap().to_owned(),
        };
        sentence.split(' ').map(fill).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_sentence_can_be_said_and_means_one_thing() {
        let mut seen: Vec<Step> = Vec::new();
        for (sentence, make) in SENTENCES {
            let line = example(sentence);
            let step = step_of(&line).unwrap_or_else(|| unreachable!("{line}"));
            assert_eq!(step, make(&fit(sentence, &words(&line)).unwrap()), "{line}");
            assert!(!seen.contains(&step), "{line} means what another sentence means");
            seen.push(step);
        }
    }

    #[test]
    fn a_line_that_is_no_sentence_is_named_with_what_there_is() {
        let text = "# Title.\n\nthe bot starts  # here\nmine three blocks\n";
        let error = Script::parse(Path::new("a.scenario"), text).unwrap_err().to_string();
        let first = error.lines().next().unwrap();
        assert_eq!(first, "a.scenario:4: found \"mine three blocks\"; wanted one of:");
        assert!(error.contains("\n  mine <n> block/blocks unannounced"), "{error}");
        assert!(!error.contains("the bot starts"), "only what begins alike: {error}");
        let unknown = Script::parse(Path::new("a"), "dance").unwrap_err().to_string();
        assert!(unknown.contains("the bot starts"), "{unknown}");
    }

    #[test]
    fn a_scenario_is_its_title_and_its_lines() {
        let text = "# A log is lost.\na market of 4 pools over WETH and USDC\nwait 2 s\n";
        let script = Script::parse(Path::new("x/lost.scenario"), text).unwrap();
        assert_eq!((script.name(), &*script.title), ("lost", "A log is lost."));
        let tokens = vec!["WETH".to_owned(), "USDC".to_owned()];
        assert_eq!(script.lines[0].step, Step::Market { pools: 4, tokens });
        assert_eq!(script.lines[1].number, 3);
        assert_eq!(script.lines[1].step, Step::Wait(Duration::from_secs(2)));
    }
}
