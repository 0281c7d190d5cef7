//! Blocks out of columns and the same blocks in frames, as a node sends them: the engine may not
//! tell them apart.
//!
//! Temperature: cold.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use gannet_engine::chain::ChainSpec;
use gannet_engine::decode::head::Head;
use gannet_engine::decode::list::Rows;
use gannet_engine::decode::log::{Data, Log};
use gannet_engine::decode::topics::{MOVES, is_ranged};
use gannet_engine::ids::TokenId;
use gannet_engine::input::Command;
use gannet_engine::note::Note;
use gannet_engine::pipeline::Engine;
use gannet_engine::units::{BlockNumber, Wei};
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::{Standing, Tip, World};
use gannet_strategies::Standard;
use rayon::ThreadPoolBuilder;
use serde_json::{Value, json};

use super::blocks::{folder, target};
use super::mainnet::{Chain, Sink, Size, token_at};
use super::mirror::{WETH, setting};
use crate::backtest::cockpit::{Cockpit, head_of, log_of};
use crate::backtest::fly::{self, Flown, universe};
use crate::backtest::{Backtest, Delay, Job, MAINNET_BASES, run};
use crate::config::Config;
use crate::import::witness::{codes, files_in, read};
use crate::recorder::Start;
use crate::recording::rows::LogRow;
use crate::recording::{Lane, Maker, Recording};
use crate::venue::{Setting, Venue, world};

/// A log as a node sends it.
pub(super) fn log_json(log: &LogRow, block_hash: B256) -> Value {
    json!({
        "address": log.address,
        "topics": log.topics,
        "data": log.data,
        "blockNumber": format!("{:#x}", log.block_number),
        "blockHash": block_hash,
        "transactionHash": log.transaction_hash,
        "transactionIndex": format!("{:#x}", log.transaction_index),
        "logIndex": format!("{:#x}", log.log_index),
        "removed": false,
    })
}

/// A block as both doors take it.
struct Told {
    head: Head,
    logs: Vec<LogRow>,
}

/// What an engine has told and holds after some blocks.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    notes: Vec<String>,
    pools: Vec<String>,
    tip: Tip,
    sealed: usize,
    planned: usize,
}

fn configuration() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    fs::read_to_string(path).expect("the configuration is there")
}

fn engine(config: Config<Standard>, world: World) -> Option<Box<Engine<Standard>>> {
    fly::engine(config, world).expect("keys can be made").ok()
}

/// Tells an engine of blocks, in frames or in columns.
fn tell(engine: Box<Engine<Standard>>, blocks: &[Told], in_frames: bool) -> Seen {
    let mut cockpit = Cockpit::new(engine);
    cockpit.connect();
    // What is asked when the feed comes up is answered before the first block, as in a flight.
    cockpit.command(Command::Halt(false));
    for Told { head, logs } in blocks {
        let rows: Vec<Log<'_>> = logs.iter().filter_map(|log| log_of(log, head.hash)).collect();
        if in_frames {
            let with_topics = logs.iter().filter(|log| !log.topics.is_empty());
            let list = with_topics.map(|log| log_json(log, head.hash)).collect();
            cockpit.block_in_frames(head, list);
        } else {
            cockpit.block(head, Rows { logs: &rows, is_empty: rows.is_empty() });
        }
    }
    let world = &cockpit.engine.world;
    let pool = |id| format!("{:?} {:?}", world.pools.get(id), world.pools.ticks(id));
    let mut flown = Flown::default();
    for note in &cockpit.told {
        flown.note(note, world, &["arbitrage", "backrun"]);
    }
    Seen {
        notes: cockpit.told.iter().map(|note| format!("{note:?}")).collect(),
        pools: world.pools.ids().iter().map(|id| pool(*id)).collect(),
        tip: *world.tip(),
        sealed: cockpit.told.iter().filter(|note| matches!(note, Note::Sealed { .. })).count(),
        planned: flown.plans.len(),
    }
}

/// Tells two engines of the same blocks, one by each door; how many blocks both sealed, and how
/// many plans they made.
fn both_doors(make: impl Fn() -> Option<Box<Engine<Standard>>>, blocks: &[Told]) -> [usize; 2] {
    let (Some(one), Some(other)) = (make(), make()) else { return [0; 2] };
    let [frames, columns] = [tell(one, blocks, true), tell(other, blocks, false)];
    assert_eq!(frames.notes, columns.notes, "what was told");
    assert_eq!(frames, columns);
    [columns.sealed, columns.planned]
}

#[test]
fn the_sample_is_the_same_by_both_doors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/sample");
    let recording = Recording::open(&folder).expect("the sample is there");
    let start = Start::read(&folder).expect("its start is whole");
    let mut blocks = Vec::new();
    let mut parent = None;
    recording
        .each((0, u64::MAX), |block| {
            let known = block.header.parent_hash.or(parent).unwrap_or_default();
            let head = head_of(&block.header, known);
            parent = Some(head.hash);
            blocks.push(Told { head, logs: block.logs });
            Ok(())
        })
        .expect("its blocks can be read");
    let make = || {
        let mut config = Config::parse(&configuration(), &[]).expect("the configuration is right");
        let mut world = start.world(&mut config).expect("the universe fits");
        // The run tried them while it flew.
        for id in world.pools.ids().to_vec() {
            world.pools.entry_mut(id).standing = Standing::Admitted;
        }
        engine(config, world)
    };
    let anchor = make().map_or(0, |engine| engine.world.tip().number.0);
    blocks.retain(|block| block.head.number > anchor);
    let [sealed, planned] = both_doors(make, &blocks);
    println!("{sealed} of {} blocks are sealed, {planned} plans made", blocks.len());
    assert!(sealed > 0, "blocks of the sample are followed");
}

#[test]
fn real_blocks_are_the_same_by_both_doors() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("witness");
    let codes = codes(&folder, |_all| true).expect("contracts' code");
    let mut planned = 0;
    for file in files_in(&folder).expect("the folder of blocks is readable").values() {
        let block = [read(file).expect("a block")];
        let [only] = &block;
        let venues = universe(&block, &codes, &mut Flown::default());
        let parent = only.header.parent_hash.unwrap_or_default();
        let head = head_of(&only.header, parent);
        let blocks = [Told { head, logs: only.logs.clone() }];
        let make = || {
            let config = Config::parse(&configuration(), &[]).expect("it is right");
            engine(config, world(&venues, &setting(only, &[WETH])).ok()?)
        };
        planned += both_doors(make, &blocks)[1];
    }
    assert!(planned > 0, "something is planned on real blocks");
}

/// What a made-up chain tells, in memory.
#[derive(Default)]
struct Heard {
    venues: Vec<Venue>,
    blocks: Vec<Told>,
}

impl Sink for Heard {
    fn begin(&mut self, _number: u64, pools: &PoolTable) {
        let venue = |id: &gannet_engine::ids::PoolId| {
            let entry = pools.get(*id);
            let ticks = pools.tick_list(*id).collect();
            let known = pools.ticks(*id).known();
            let tokens = entry.tokens.map(token_at);
            Venue { address: entry.address, tokens, state: entry.chain, ticks, known }
        };
        self.venues = pools.ids().iter().map(venue).collect();
    }

    fn block(&mut self, head: &Head, logs: &[Log<'_>]) {
        let row = |log: &Log<'_>| LogRow {
            block_number: log.block_number,
            transaction_index: log.tx_index,
            log_index: log.log_index,
            transaction_hash: log.tx_hash,
            address: log.address,
            topics: log.topics().to_vec(),
            data: bytes_of(log).to_vec().into(),
        };
        self.blocks.push(Told { head: *head, logs: logs.iter().map(row).collect() });
    }
}

const fn bytes_of<'a>(log: &Log<'a>) -> &'a [u8] {
    match log.data {
        Data::Hex(bytes) | Data::Binary(bytes) => bytes,
    }
}

#[test]
fn made_up_blocks_are_the_same_by_both_doors() {
    let mut plans = 0;
    for seed in 1..4 {
        let mut heard = Heard::default();
        let mut chain = Chain::new(seed, 400);
        chain.run(Size { seed, pools: 400, blocks: 80, segment: 80 }, &mut heard);
        let first = heard.blocks[0].head;
        let anchor = Tip {
            number: BlockNumber(first.number - 1),
            hash: first.parent_hash,
            timestamp: first.timestamp - 12,
            next_base_fee: Wei(first.base_fee.unwrap_or_default()),
        };
        let chain = ChainSpec::ethereum(1, WETH);
        let make = || {
            let config = Config::parse(&configuration(), &[]).expect("it is right");
            let setting = Setting { chain, anchor, bases: &MAINNET_BASES };
            engine(config, world(&heard.venues, &setting).ok()?)
        };
        let [sealed, planned] = both_doors(make, &heard.blocks);
        assert_eq!(sealed, heard.blocks.len());
        plans += planned;
    }
    assert!(plans > 0, "gaps are seen");
}

/// A made-up recording that is gone with it, and the pools at its end.
struct MadeUp(PathBuf, PoolTable);

impl MadeUp {
    fn new(name: &str, size: Size) -> Self {
        let out = target().join(format!("made-up-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&out));
        fs::create_dir_all(target()).expect("there is a place for it");
        let mut tape = Tape(Maker::create(&out, 1, "made up").expect("a place for it"));
        let mut chain = Chain::new(size.seed, size.pools);
        chain.run(size, &mut tape);
        tape.0.finish().expect("it can be written");
        Self(out, chain.into_pools())
    }

    fn backtest(&self, (from, to): (u64, u64), is_bare: bool) -> Backtest {
        let (recording, config, set) = (&*self.0, &*configuration(), vec![]);
        let job = Job { recording, from, to, config, set, delay: Delay::default(), is_bare };
        run::<Standard>(&job).expect("the backtest runs")
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

struct Tape(Maker);

impl Sink for Tape {
    fn begin(&mut self, number: u64, pools: &PoolTable) {
        self.0.begin(number, pools, |token: TokenId| token_at(token)).expect("it can be written");
    }

    fn block(&mut self, head: &Head, logs: &[Log<'_>]) {
        self.0.add(head, logs).expect("it can be written");
    }
}

const SMALL: Size = Size { seed: 5, pools: 600, blocks: 90, segment: 30 };

#[test]
fn segments_fly_beside_each_other_and_it_makes_no_difference() {
    let made = MadeUp::new("beside", SMALL);
    let threads = |count| ThreadPoolBuilder::new().num_threads(count).build().expect("threads");
    let all = (0, u64::MAX);
    let [alone, beside] = [1, 3].map(|count| threads(count).install(|| made.backtest(all, false)));
    assert_eq!(alone.digest, beside.digest, "the same of the same");
    assert_eq!(alone.planned, beside.planned);
    assert!(!alone.planned.is_empty(), "gaps are seen");
    assert_eq!((alone.blocks, alone.blocks_flown, alone.contradicted), (90, 90, 0));
    let (first, last) = (alone.first_block, alone.last_block);
    let unsettled = |plan: &&crate::backtest::Planned| {
        plan.end == crate::backtest::End::Unknown && plan.block <= last
    };
    assert_eq!(alone.planned.iter().filter(unsettled).count(), 0, "the next segment settles");

    let part = made.backtest((first + 10, last - 10), false);
    assert_eq!(part.blocks, 70);
    let within = (first + 10)..=(last - 10);
    let whole: Vec<_> = alone.planned.iter().filter(|plan| within.contains(&plan.block)).collect();
    assert_eq!(part.planned.iter().collect::<Vec<_>>(), whole, "a part is what the whole says");

    let bare = made.backtest(all, true);
    assert_eq!((bare.planned.len(), bare.blocks, bare.contradicted), (0, 90, 0));
}

/// Half of what a thread has if nothing is said.
const STACK: usize = 1 << 20;

#[test]
fn many_segments_fly_beside_each_other_on_a_thread_s_own_stack() {
    let made = MadeUp::new("many", Size { blocks: 64, segment: 1, ..SMALL });
    let two = ThreadPoolBuilder::new().num_threads(2).stack_size(STACK).build();
    let two = two.expect("threads");
    let flown = two.install(|| made.backtest((0, u64::MAX), false));
    assert_eq!((flown.blocks, flown.blocks_flown, flown.contradicted), (64, 64, 0));
}

#[test]
fn columns_bring_what_moves_those_that_are_followed_and_nothing_else() {
    let size = Size { blocks: 40, segment: 40, ..SMALL };
    let made = MadeUp::new("columns", size);
    let mut heard = Heard::default();
    Chain::new(size.seed, size.pools).run(size, &mut heard);
    let recording = Recording::open(&made.0).expect("it is a recording");
    // Every other pool, so that the columns are filtered by more than their kind.
    let followed: Vec<Address> = heard.venues.iter().step_by(2).map(|pool| pool.address).collect();
    let mut blocks = heard.blocks.iter();
    let mut lane = Lane::new(&recording);
    let follows = |address: &Address| followed.contains(address);
    lane.each((0, u64::MAX), follows, |(header, _), logs| {
        let told = blocks.next().expect("no more blocks than were written");
        assert_eq!(header.block_hash, Some(told.head.hash));
        let wanted = told.logs.iter().filter(|log| followed.contains(&log.address));
        let wanted = wanted.filter_map(|log| log_of(log, told.head.hash));
        let mut wanted: Vec<_> = wanted.filter(|log| MOVES.contains(&log.topics[0])).collect();
        // What the others say in theirs is left where it is.
        for log in wanted.iter_mut().filter(|log| !is_ranged(&log.topics[0])) {
            log.topics[1..].fill(B256::ZERO);
        }
        let came = logs.iter().collect::<Vec<&Log<'_>>>();
        assert_eq!(came, wanted.iter().collect::<Vec<_>>(), "block {}", told.head.number);
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .expect("it can be read");
    assert_eq!(blocks.next().map(|told| told.head.number), None, "every block came");

    let held = recording.pools_before(heard.blocks[0].head.number).expect("the pools are there");
    let by_address: BTreeMap<Address, &Venue> =
        heard.venues.iter().map(|venue| (venue.address, venue)).collect();
    assert_eq!(held.len(), by_address.len());
    for venue in held {
        let told = by_address[&venue.address];
        assert_eq!((venue.state, &venue.ticks), (told.state, &told.ticks));
        assert_eq!((venue.tokens, venue.known), (told.tokens, told.known));
    }
}

#[test]
fn the_pools_at_the_end_are_those_of_the_chain() {
    let size = Size { blocks: 60, segment: 60, ..SMALL };
    let made = MadeUp::new("end", size);
    let mut heard = Heard::default();
    let mut chain = Chain::new(size.seed, size.pools);
    chain.run(size, &mut heard);
    let first = heard.blocks[0].head;
    let anchor =
        Tip { number: BlockNumber(first.number - 1), hash: first.parent_hash, ..Tip::default() };
    let config = Config::parse(&configuration(), &[]).expect("it is right");
    let spec = ChainSpec::ethereum(1, WETH);
    let setting = Setting { chain: spec, anchor, bases: &MAINNET_BASES };
    let world = world(&heard.venues, &setting).expect("they fit");
    let engine = engine(config, world).expect("there are cycles");
    let mut cockpit = Cockpit::new(engine);
    cockpit.connect();
    for Told { head, logs } in &heard.blocks {
        let rows: Vec<Log<'_>> = logs.iter().filter_map(|log| log_of(log, head.hash)).collect();
        cockpit.block(head, Rows { logs: &rows, is_empty: false });
    }
    let held = &cockpit.engine.world.pools;
    for id in made.1.ids() {
        let (end, ours) = (made.1.get(*id), held.get(*id));
        assert_eq!((ours.chain, ours.is_quarantined), (end.chain, false), "{}", end.address);
        assert!(held.tick_list(*id).eq(made.1.tick_list(*id)), "{}", end.address);
    }
}
