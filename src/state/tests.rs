//! What a run leaves behind is what the next one finds, whatever the first died of.
//!
//! Temperature: cold.

use alloy_primitives::keccak256;
use gannet_engine::amm::Pool;
use gannet_engine::flight::{Admitted, Cancels, Fees};
use gannet_engine::gas::{Shape, Work, liquidations};
use gannet_engine::ids::Direction;
use gannet_engine::limits::{HOPS_MAX, OWN_TX_BYTES_MAX};
use gannet_engine::plan::{Bid, Follow, Leg, Plan};
use gannet_engine::units::{BlockNumber, Bps, Gas, Wei};
use proptest::prelude::*;

use super::*;

const POOLS: [Address; 3] =
    [Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)];
const TOKENS: [Address; 2] = [Address::repeat_byte(11), Address::repeat_byte(12)];
const WALLETS: [Address; 2] = [Address::repeat_byte(21), Address::repeat_byte(22)];

fn handles() -> Handles {
    Handles { pools: POOLS.to_vec(), tokens: TOKENS.to_vec(), wallets: WALLETS.to_vec() }
}

fn owner() -> Owner<'static> {
    Owner {
        chain_id: 7,
        genesis: B256::repeat_byte(9),
        executor: Address::repeat_byte(0xee),
        wallet: WALLETS[0],
        strategies: &["arbitrage", "backrun"],
    }
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }

    fn open(&self) -> (State, Legacy) {
        State::open(&self.0, &owner(), handles()).expect("the state opens")
    }

    fn file(&self) -> PathBuf {
        self.0.join(owner().file_name(WALLETS[0]))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const fn swaps() -> Shape {
    Shape {
        legs: [2; Pool::KINDS.len()],
        neighbours: 1,
        crossings: 3,
        transfers: 70_000,
        is_flash: true,
    }
}

fn flight(serial: u64, is_follower: bool) -> Flight {
    let leg = |pool, direction| Leg { pool: PoolId(pool), direction, amount_in: 5, amount_out: 6 };
    let mut legs = [Leg::NONE; HOPS_MAX];
    legs[0] = leg(2, Direction::ZeroForOne);
    legs[1] = leg(0, Direction::OneForZero);
    let follow =
        Follow { hash: B256::repeat_byte(0x55), max_fee: Wei(77), priority_fee: Wei(u128::MAX) };
    let plan = Plan {
        strategy: StrategyId(1),
        legs,
        leg_count: 2,
        profit_token: TokenId(1),
        amount_in: 1_000,
        profit: 50,
        profit_wei: Wei(100),
        bid: if is_follower { Bid::Behind(follow) } else { Bid::Share(Bps(5_000)) },
        last_block: BlockNumber(102),
        order: None,
    };
    let fees = Fees { max_fee: Wei(8), priority_fee: Wei(3), gas_limit: Gas(100_000) };
    let admitted = Admitted {
        plan,
        wallet: WalletId(1),
        nonce: 40 + serial,
        fees,
        least_profit: 1,
        net_wei: Wei(2),
        gas_price: Wei(3),
        stake: Wei(4),
        is_flash: true,
        work: Work::Swaps(swaps()),
    };
    let hash = keccak256(serial.to_be_bytes());
    Flight { serial, ..Flight::new(admitted, hash, BlockNumber(101)) }
}

fn assert_same(left: &Flight, right: &Flight) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

#[test]
fn a_submission_is_found_by_the_next_run() {
    let folder = Folder::new("found");
    let (mut state, legacy) = folder.open();
    assert!(legacy.flights.is_empty());
    state.record(&flight(1, false), &[]).expect("it is written");
    let mut second = flight(2, true);
    state.record(&second, &[]).expect("it is written");
    second.cancels.add(B256::repeat_byte(0xc1), second.admitted.fees);
    state.record(&second, &[]).expect("it is written again");
    drop(state);
    let (_, legacy) = folder.open();
    let [one, two] = &legacy.flights[..] else { panic!("{} were found", legacy.flights.len()) };
    assert_same(one, &flight(1, false));
    assert_same(two, &second);
}

#[test]
fn a_liquidations_gas_is_found_by_the_next_run_and_its_order_is_not() {
    let folder = Folder::new("liquidation");
    let mut flight = flight(1, false);
    let swaps = Shape { is_flash: false, ..swaps() };
    let shape = liquidations::Shape::from_parts([2, 3, 1], swaps).expect("there is such a shape");
    flight.admitted.work = Work::Liquidation(shape);
    folder.open().0.record(&flight, &[]).expect("it is written");
    assert_same(&folder.open().1.flights[0], &flight);
}

#[test]
fn handles_of_another_order_are_translated() {
    let folder = Folder::new("order");
    folder.open().0.record(&flight(1, false), &[]).expect("it is written");
    let reversed = Handles {
        pools: POOLS.iter().rev().copied().collect(),
        tokens: TOKENS.iter().rev().copied().collect(),
        wallets: WALLETS.iter().rev().copied().collect(),
    };
    let (_, legacy) = State::open(&folder.0, &owner(), reversed).expect("it opens");
    let found = legacy.flights[0].admitted;
    assert_eq!((found.wallet, found.plan.profit_token), (WalletId(0), TokenId(0)));
    let pools: Vec<_> = found.plan.legs().iter().map(|leg| leg.pool.0).collect();
    assert_eq!(pools, [0, 2]);
}

#[test]
fn without_its_pools_a_submission_is_followed_and_without_its_wallet_it_is_not() {
    let folder = Folder::new("gone");
    folder.open().0.record(&flight(1, false), &[]).expect("it is written");
    let fewer = Handles { pools: POOLS[..1].to_vec(), ..handles() };
    let (_, legacy) = State::open(&folder.0, &owner(), fewer).expect("it opens");
    assert!(legacy.flights[0].admitted.plan.legs().is_empty());
    let others = Handles { wallets: WALLETS[..1].to_vec(), ..handles() };
    let (_, legacy) = State::open(&folder.0, &owner(), others).expect("it opens");
    assert!(legacy.flights.is_empty());
    assert_eq!(legacy.newest_serial, 1, "its number is not given to another");
}

#[test]
fn a_torn_record_was_never_sent_and_is_not_read() {
    let folder = Folder::new("torn");
    folder.open().0.record(&flight(1, false), &[]).expect("it is written");
    let mut bytes = std::fs::read(folder.file()).expect("it is there");
    bytes[PLACES_AT + 100] ^= 1;
    std::fs::write(folder.file(), bytes).expect("it is written");
    assert!(folder.open().1.flights.is_empty());
}

/// One that is about to leave: it has no hash yet.
fn leaving(serial: u64) -> Flight {
    Flight { hash: B256::ZERO, ..flight(serial, false) }
}

#[test]
fn a_submission_that_left_before_it_was_hashed_is_known_by_its_bytes() {
    let folder = Folder::new("bytes");
    let raw: Vec<u8> = (0..=255).cycle().take(OWN_TX_BYTES_MAX).collect();
    let (mut state, _) = folder.open();
    state.record(&leaving(1), &raw).expect("it is written");
    state.record(&leaving(2), &raw[..300]).expect("it is written");
    let hashes = || folder.open().1.flights.iter().map(|flight| flight.hash).collect::<Vec<_>>();
    assert_eq!(hashes(), [keccak256(&raw), keccak256(&raw[..300])]);
    // What has changed of it later says the hash.
    let mut later = Flight { hash: keccak256(&raw[..300]), ..flight(2, false) };
    later.cancels.add(B256::repeat_byte(0xc1), later.admitted.fees);
    state.record(&later, &[]).expect("it is written again");
    assert_eq!(hashes(), [keccak256(&raw), keccak256(&raw[..300])]);
    assert_same(&folder.open().1.flights[1], &later);
    let longer = vec![1; RECORD_BYTES];
    assert!(state.record(&leaving(3), &longer).is_err(), "it would not fit");
}

#[test]
fn where_the_file_cannot_be_mapped_the_same_is_written_by_the_system() {
    let folder = Folder::new("unmapped");
    let read = |is_mapped: bool| {
        let (mut state, _) = folder.open();
        if !is_mapped {
            state.memory = Arc::default();
        }
        state.record(&leaving(1), &[7; 300]).expect("it is written");
        drop(state);
        let bytes = std::fs::read(folder.file()).expect("it is there");
        std::fs::remove_file(folder.file()).expect("it is there");
        bytes
    };
    assert!(read(true) == read(false));
}

#[test]
fn nothing_is_put_outside_the_file() {
    let folder = Folder::new("outside");
    let memory = folder.open().0.memory;
    assert!(memory.put(FILE_BYTES - 2, &[1, 2]));
    assert!(!memory.put(FILE_BYTES - 1, &[1, 2]));
    assert!(!memory.put(usize::MAX, &[1, 2]));
    assert_eq!(memory.look(FILE_BYTES - 2, 2), 1);
    assert_eq!([memory.look(FILE_BYTES - 1, 2), memory.look(usize::MAX, 2)], [0; 2]);
}

#[test]
fn making_pages_ready_changes_nothing_and_news_are_put_on_the_disk_once() {
    let folder = Folder::new("ready");
    let (mut state, _) = folder.open();
    let (care, memory) = (state.care().expect("a second handle"), Arc::clone(&state.memory));
    state.record(&flight(1, false), &[]).expect("it is written");
    let before = std::fs::read(folder.file()).expect("it is there");
    for next in [0, 1, PLACES - 1, PLACES, usize::MAX / 2] {
        memory.note(PLACES, next);
        care.ready();
    }
    assert!(std::fs::read(folder.file()).expect("it is there") == before);
    let saved = |memory: &Memory| memory.save(&care.file).expect("the disk takes it");
    assert_eq!((saved(&memory), saved(&memory)), (1, 0));
    // Two that stand side by side, one that stands apart, and the books, which stand before all.
    for place in [0, 1, 64] {
        memory.note(place, 65);
    }
    memory.note_books();
    assert_eq!((saved(&memory), saved(&memory)), (3, 0));
    let unmapped = Memory::default();
    unmapped.note(63, 64);
    unmapped.note(64, 65);
    assert_eq!((saved(&unmapped), saved(&unmapped)), (1, 0));
}

#[test]
fn a_disk_that_takes_nothing_keeps_submissions_here_until_it_does() {
    let folder = Folder::new("refusing");
    let (mut state, _) = folder.open();
    state.record(&leaving(1), &[7; 300]).expect("it is written");
    let writer = std::mem::replace(&mut state.file, File::open(folder.file()).expect("it opens"));
    assert!(state.memory.save(&state.file).is_err());
    assert!(state.record(&leaving(2), &[7; 300]).is_err() && state.is_failing);
    // Memory would take it, but it is not known yet that the disk does.
    state.memory.save(&writer).expect("it is written");
    assert!(state.record(&leaving(3), &[7; 300]).is_err());
    state.file = writer;
    state.record(&leaving(4), &[7; 300]).expect("it is written");
    assert!(!state.is_failing);
    let serials: Vec<_> = folder.open().1.flights.iter().map(|flight| flight.serial).collect();
    assert_eq!(serials, [1, 4]);
}

#[test]
fn a_disk_that_fails_is_told_until_it_takes_a_write_again() {
    let folder = Folder::new("told");
    let mut care = folder.open().0.care().expect("a second handle");
    let reader = File::open(folder.file()).expect("it opens");
    let writer = std::mem::replace(&mut care.file, reader);
    care.save();
    assert!(care.is_failing);
    care.file = writer;
    care.save();
    assert!(!care.is_failing, "nothing is left to be saved, and the disk takes writes");
}

#[test]
fn what_changes_of_an_earlier_runs_submission_takes_no_second_place() {
    let folder = Folder::new("legacy");
    folder.open().0.record(&leaving(1), &[7; 300]).expect("it is written");
    let (mut state, legacy) = folder.open();
    let mut flight = legacy.flights[0];
    flight.cancels.add(B256::repeat_byte(0xc1), flight.admitted.fees);
    state.record(&flight, &[]).expect("it is written again");
    state.record(&leaving(2), &[8; 300]).expect("it is written");
    let (_, legacy) = folder.open();
    let [one, two] = &legacy.flights[..] else { panic!("{} were found", legacy.flights.len()) };
    assert_same(one, &flight);
    assert_eq!((one.hash, two.hash), (keccak256([7; 300]), keccak256([8; 300])));
}

#[test]
fn a_record_that_is_cut_short_over_an_older_one_is_neither() {
    let (mut room, mut newer) = ([0; RECORD_BYTES], [0; RECORD_BYTES]);
    let older = Record::of(&flight(1, true), &handles());
    older.write(&[9; 500], &mut room).expect("it fits");
    let length = Record::of(&flight(2, false), &handles()).write(&[7; 300], &mut newer);
    for cut in 0..length.expect("it fits") {
        let mut torn = room;
        torn[..cut].copy_from_slice(&newer[..cut]);
        let read = Record::read(&torn).map(|record| record.serial);
        // Up to where they differ it is still the older one.
        let is_older = torn == room;
        assert_eq!(read, is_older.then_some(1), "{cut}");
    }
}

#[test]
fn a_shorter_checkpoint_over_a_longer_one_is_whole() {
    let folder = Folder::new("shorter");
    drop(folder.open());
    write(&folder, &checkpoint(3, &[1, 2, 5, 6, 7]), 0);
    let mut room = vec![0; CHECKPOINT_BYTES];
    let length = checkpoint(5, &[2]).write(&mut room).expect("it fits");
    let file = OpenOptions::new().write(true).open(folder.file()).expect("it is there");
    file.write_all_at(&room[..length], HEADER_BYTES as u64).expect("it is written");
    assert_eq!(folder.open().0.sequence, 5);
}

#[test]
fn places_are_taken_in_turn_until_none_is_left() {
    let folder = Folder::new("turn");
    let (mut state, _) = folder.open();
    for serial in 1..=3 {
        state.record(&flight(serial, false), &[]).expect("it is written");
    }
    // The first is free again, and waits for its turn.
    state.places[0] = 0;
    let serials = 4..4 + u64::try_from(PLACES).expect("few") - 2;
    for serial in serials.clone() {
        state.record(&flight(serial, false), &[]).expect("it is written");
    }
    assert_eq!((state.places[3], state.places[0]), (4, serials.end - 1));
    let error = state.record(&flight(serials.end, false), &[]).expect_err("all are taken");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    state.record(&flight(2, false), &[]).expect("one that stands is written over");
}

fn checkpoint(sequence: u64, open: &[u64]) -> Checkpoint {
    let mut checkpoint = Checkpoint { sequence, newest_serial: 2, ..Checkpoint::default() };
    checkpoint.open.extend_from_slice(open);
    let line = checkpoint.books.line_mut(StrategyId(1));
    (line.landed, line.gained[3], line.gas_paid) = (sequence, -5, Wei(u128::MAX));
    checkpoint.losses.today = Wei(12);
    checkpoint
}

fn write(folder: &Folder, checkpoint: &Checkpoint, place: usize) {
    let mut bytes = vec![0; CHECKPOINT_BYTES];
    checkpoint.write(&mut bytes).expect("it fits");
    let file = OpenOptions::new().write(true).open(folder.file()).expect("it is there");
    let at = HEADER_BYTES + place * CHECKPOINT_BYTES;
    file.write_all_at(&bytes, at as u64).expect("it is written");
}

#[test]
fn the_newest_whole_checkpoint_counts() {
    let folder = Folder::new("newest");
    let (mut state, _) = folder.open();
    for serial in 1..=3 {
        state.record(&flight(serial, false), &[]).expect("it is written");
    }
    drop(state);
    // Up to serial 2, only 2 was open; 3 came later.
    write(&folder, &checkpoint(5, &[2]), 0);
    write(&folder, &checkpoint(4, &[1, 2]), 1);
    let (state, legacy) = folder.open();
    let serials: Vec<_> = legacy.flights.iter().map(|flight| flight.serial).collect();
    assert_eq!((serials, state.sequence), (vec![2, 3], 5));
    let line = *legacy.books.line(StrategyId(1));
    assert_eq!((line.landed, line.gained[3], line.gas_paid), (5, -5, Wei(u128::MAX)));
    assert_eq!((legacy.losses.today, legacy.booked_serial, legacy.newest_serial), (Wei(12), 2, 3));
    // Torn while it was written: the one before it counts.
    let mut bytes = std::fs::read(folder.file()).expect("it is there");
    bytes[HEADER_BYTES + 9] ^= 1;
    std::fs::write(folder.file(), bytes).expect("it is written");
    let (state, legacy) = folder.open();
    assert_eq!((state.sequence, legacy.flights.len()), (4, 3));
}

#[test]
fn the_state_of_another_chain_is_set_aside_and_kept() {
    let folder = Folder::new("aside");
    folder.open().0.record(&flight(1, false), &[]).expect("it is written");
    let before = std::fs::read(folder.file()).expect("it is there");
    let anew = Owner { genesis: B256::repeat_byte(8), ..owner() };
    let (_, legacy) = State::open(&folder.0, &anew, handles()).expect("it opens");
    assert!(legacy.flights.is_empty());
    let aside = std::fs::read(folder.file().with_extension("state.old")).expect("it is kept");
    assert_eq!(aside, before);
}

#[test]
fn a_new_executor_begins_anew_and_brings_back_nothing_that_was_lost_today() {
    let folder = Folder::new("executor");
    folder.open().0.record(&flight(1, false), &[]).expect("it is written");
    write(&folder, &checkpoint(5, &[]), 0);
    let other = Owner { executor: Address::repeat_byte(0xef), ..owner() };
    let (_, legacy) = State::open(&folder.0, &other, handles()).expect("it opens");
    assert!(legacy.flights.is_empty());
    assert_eq!(legacy.losses.today, Wei(12));
}

#[test]
fn wallets_in_another_order_are_refused_while_there_is_a_state_to_lose() {
    let folder = Folder::new("reordered");
    drop(folder.open());
    let other = Owner { wallet: WALLETS[1], ..owner() };
    let error = State::open(&folder.0, &other, handles()).expect_err("it would be forgotten");
    assert!(error.to_string().contains("put it first"), "{error}");
    let alone = Handles { wallets: WALLETS[1..].to_vec(), ..handles() };
    assert!(State::open(&folder.0, &other, alone).is_ok(), "it is somebody else's");
}

#[test]
fn a_disk_without_room_is_told_at_the_start() {
    let folder = Folder::new("room");
    std::fs::create_dir_all(&folder.0).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", folder.file()).expect("a link");
    let error = State::open(&folder.0, &owner(), handles()).expect_err("it has no room");
    assert!(format!("{error:#}").contains("bytes of disk"), "{error:#}");
}

#[test]
fn what_a_checkpoint_holds_fits_its_place_at_the_most() {
    let all: Vec<u64> = (1..=PLACES as u64).collect();
    let mut bytes = vec![0; CHECKPOINT_BYTES];
    assert!(checkpoint(1, &all).write(&mut bytes).is_some());
    let read = Checkpoint::read(&bytes).expect("it is whole");
    assert_eq!(read.open, all);
}

#[test]
fn attempts_to_take_back_end_at_the_first_empty_place() {
    let made = Cancels::made([B256::repeat_byte(1), B256::ZERO, B256::repeat_byte(3)], None);
    assert_eq!(made.hashes(), [B256::repeat_byte(1)]);
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..3_000), at in 0_usize..RECORD_BYTES,
    ) {
        prop_assert!(Record::read(&bytes).is_none());
        prop_assert!(Checkpoint::read(&bytes).is_none());
        let mut whole = [0; RECORD_BYTES];
        prop_assert!(Record::read(&whole).is_none(), "a free place");
        let record = Record::of(&flight(3, true), &handles());
        let length = record.write(&[7; 300], &mut whole).expect("it fits");
        whole[at % length] ^= 0x10;
        prop_assert!(Record::read(&whole).is_none());
        prop_assert!(Record::read(&whole[..at % length]).is_none());
    }
}
