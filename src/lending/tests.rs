//! Protocols read from a node in memory: what no local chain has is played by contracts that give
//! recorded answers.
//!
//! Temperature: cold.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::thread::JoinHandle;

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use gannet_engine::ids::TokenId;
use gannet_engine::lending::aave::topics::BORROW;
use gannet_engine::lending::comet::events::SUPPLY_COLLATERAL;
use gannet_engine::loans::{FlashLender, Followed, Size, Want, Way};
use gannet_engine::sign::liquidation::Funding;
use gannet_engine::units::BlockNumber;
use gannet_engine::world::pools::PoolTable;
use gannet_engine::world::{BlockRef, Tip};
use serde_json::{Value, json};

use super::Roll;
use super::abi::{
    AaveOracle, AavePool, AaveProvider, CometMarket, FeesCollector, MorphoBlue, ScaledToken, Token,
    Vault,
};
use super::calls::Call;
use super::live::{Wanted, Wish, load};
use super::standing::{Holding, Protocol, Standing, Times};
use crate::bootstrap::Reader;
use crate::bootstrap::tests::{Chain, GAS};
use crate::config::{BalancerVault, Deployment, Lending, MorphoDeployment};
use crate::feed::rpc::Rpc;
use crate::feed::transcript::Transcript;
use crate::fixture;

/// Answers each call with the words that its storage has for the hash of the call; reverts if it
/// has none. The slot of the hash has their number, those behind it the words.
const PARROT: &[u8] = &hex!(
    "3660006000373660002080548060155760006000fd5b60005b8181101560325782810160010154\
     8160051b52600101601856" "5b8160051b6000f3"
);
const NOW: u64 = 1_800_000_000;
const USER: Address = Address::repeat_byte(0xaa);
const WETH: Address = Address::repeat_byte(0x11);
const USDC: Address = Address::repeat_byte(0x22);
const POOL: Address = Address::repeat_byte(0x33);
const WAD: u64 = 1_000_000_000_000_000_000;

/// Recorded answers, by contract and call.
#[derive(Clone, Debug, Default)]
struct Answers(HashMap<(Address, Vec<u8>), Vec<U256>>);

impl Answers {
    fn say<C: SolCall>(&mut self, to: Address, call: &C, words: &[U256]) {
        self.0.insert((to, call.abi_encode()), words.to_vec());
    }

    /// A chain of parrots.
    fn chain(&self) -> Chain {
        let mut chain = Chain::new();
        for ((to, call), words) in &self.0 {
            if chain.code(*to).is_empty() {
                chain.place(*to, PARROT);
            }
            let slot = U256::from_be_bytes(keccak256(call).0);
            chain.set(*to, slot, U256::from(words.len()));
            for (place, word) in (1_u64..).zip(words) {
                chain.set(*to, slot.wrapping_add(U256::from(place)), *word);
            }
        }
        chain
    }
}

/// A node with these answers and logs, until the connection ends.
fn node(answers: &Answers, logs: Vec<Value>) -> (Rpc, JoinHandle<()>) {
    let (rpc, stream) = Rpc::paired(1 << 20).unwrap();
    let answers = answers.clone();
    let serve = move || {
        let mut chain = answers.chain();
        let mut out = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines() {
            let line = match line {
                // Whoever asked left with an answer unread.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                line => line.unwrap(),
            };
            let asked: Value = serde_json::from_str(&line).unwrap();
            let result = match asked["method"].as_str().unwrap() {
                "eth_getBalance" => json!("0x0"),
                "eth_getLogs" => json!(logs),
                "eth_getBlockByNumber" => json!({ "hash": B256::ZERO }),
                "eth_call" => {
                    let data: Bytes =
                        serde_json::from_value(asked["params"][0]["data"].clone()).unwrap();
                    json!(chain.run(TxKind::Create, data, GAS).unwrap())
                }
                other => panic!("{other} is asked"),
            };
            let answer = json!({ "id": asked["id"], "result": result });
            if writeln!(out, "{answer}").is_err() {
                // Whoever asked has seen enough.
                break;
            }
        }
    };
    (rpc, std::thread::spawn(serve))
}

/// What is read of these protocols.
fn read(answers: &Answers, logs: Vec<Value>, lending: &Lending) -> anyhow::Result<Vec<Standing>> {
    let (mut rpc, node) = node(answers, logs);
    rpc.keep();
    let standings = read_of(&mut rpc, lending);
    let kept = rpc.kept()?;
    drop(rpc);
    node.join().unwrap();
    let standings = standings?;
    demand_again(kept, lending, &standings);
    Ok(standings)
}

/// Without a node, out of what was kept of one, the same must be read.
fn demand_again(kept: Option<Transcript>, lending: &Lending, standings: &[Standing]) {
    let mut rpc = Rpc::recorded(kept.expect("it was to be kept"));
    assert_eq!(read_of(&mut rpc, lending).unwrap(), standings);
}

fn read_of(rpc: &mut Rpc, lending: &Lending) -> anyhow::Result<Vec<Standing>> {
    let anchor = Tip { number: BlockNumber(10), timestamp: NOW, ..Tip::default() };
    let mut reader = Reader::new(rpc, anchor)?;
    super::read(
        &mut reader,
        &mut Roll::default(),
        lending,
        None,
        Times { block: NOW, next: NOW + 12 },
    )
}

const fn wish<'w>(lending: &'w Lending, base_tokens: &'w [Address]) -> Wish<'w> {
    Wish { lending, base_tokens, is_again: false }
}

fn deployment() -> Deployment {
    Deployment { name: "it".to_owned(), address: POOL, deployed_block: 0 }
}

fn word(number: u64) -> U256 {
    U256::from(number)
}

fn of(address: Address) -> U256 {
    address.into_word().into()
}

fn topic(address: Address) -> B256 {
    address.into_word()
}

fn holding(token: Address, amount: u64) -> Holding {
    Holding { token, amount: word(amount) }
}

#[test]
fn a_call_is_one_items_trouble_and_what_has_no_room_is_asked_again() {
    let mut answers = Answers::default();
    answers.say(POOL, &Token::decimalsCall {}, &[word(6)]);
    answers.say(WETH, &Token::decimalsCall {}, &[word(18); 200]);
    let mut chain = answers.chain();
    let (burns, reverts) = (Address::repeat_byte(0xbb), Address::repeat_byte(0xcc));
    chain.place(burns, &hex!("5b600056"));
    chain.place(reverts, &hex!("60006000fd"));
    let nobody = Address::repeat_byte(0xdd);
    let asked = [POOL, burns, WETH, reverts, nobody, POOL].repeat(60);
    let calls = asked.iter().map(|to| Call::new(*to, &Token::decimalsCall {}, 200).unwrap());
    let calls: Vec<Call> = calls.collect();
    let (found, rounds) = chain.look_until_done(&calls, GAS);
    assert!(rounds > 1, "sixty long answers do not fit");
    assert_eq!(found.len(), asked.len());
    for (to, found) in asked.iter().zip(found) {
        let bytes = found.map(|answer| answer.len());
        let wanted = match *to {
            POOL => Some(32),
            WETH => Some(200 * 32),
            to if to == nobody => Some(0),
            _ => None,
        };
        assert_eq!(bytes, wanted, "{to}");
    }
}

#[test]
fn an_answer_longer_than_what_is_wanted_is_cut() {
    let mut answers = Answers::default();
    answers.say(POOL, &Token::decimalsCall {}, &[word(6), word(7), word(8)]);
    let call = Call::new(POOL, &Token::decimalsCall {}, 2).unwrap();
    let found = answers.chain().look(&[call, call], GAS);
    let two = [word(6).to_be_bytes::<32>(), word(7).to_be_bytes()].concat();
    assert_eq!(found, [Some(Bytes::from(two.clone())), Some(Bytes::from(two))]);
}

/// A market of USDC against ether at 2,000: 1,600 are owed for one ether, which counts 85 %.
fn comet() -> (Answers, Vec<Value>) {
    let mut all = Answers::default();
    let [eth_feed, usd_feed] = [0x44, 0x55].map(Address::repeat_byte);
    all.say(POOL, &CometMarket::baseTokenCall {}, &[of(USDC)]);
    all.say(POOL, &CometMarket::baseTokenPriceFeedCall {}, &[of(usd_feed)]);
    all.say(POOL, &CometMarket::baseScaleCall {}, &[word(1_000_000)]);
    let zero = [word(0)];
    all.say(POOL, &CometMarket::supplyKinkCall {}, &[word(WAD)]);
    all.say(POOL, &CometMarket::supplyPerSecondInterestRateSlopeLowCall {}, &zero);
    all.say(POOL, &CometMarket::supplyPerSecondInterestRateSlopeHighCall {}, &zero);
    all.say(POOL, &CometMarket::supplyPerSecondInterestRateBaseCall {}, &zero);
    all.say(POOL, &CometMarket::borrowPerSecondInterestRateSlopeLowCall {}, &zero);
    all.say(POOL, &CometMarket::borrowPerSecondInterestRateSlopeHighCall {}, &zero);
    all.say(POOL, &CometMarket::borrowPerSecondInterestRateBaseCall {}, &zero);
    all.say(POOL, &CometMarket::borrowKinkCall {}, &[word(WAD)]);
    let factor = word(WAD / 10 * 6);
    all.say(POOL, &CometMarket::storeFrontPriceFactorCall {}, &[factor]);
    all.say(POOL, &CometMarket::targetReservesCall {}, &[word(WAD)]);
    all.say(POOL, &CometMarket::numAssetsCall {}, &[word(1)]);
    let [counts, credited] = [word(WAD / 100 * 85), word(WAD / 100 * 95)];
    let info = [
        word(0),
        of(WETH),
        of(eth_feed),
        word(WAD),
        word(WAD / 10 * 8),
        counts,
        credited,
        word(WAD),
    ];
    all.say(POOL, &CometMarket::getAssetInfoCall { place: 0 }, &info);
    let index = word(1_000_000_000_000_000);
    let owed = word(1_600_000_000);
    let totals = [index, index, word(0), word(0), word(0), owed, word(NOW - 60), word(0)];
    all.say(POOL, &CometMarket::totalsBasicCall {}, &totals);
    let ether = [word(WAD), word(0)];
    all.say(POOL, &CometMarket::totalsCollateralCall { asset: WETH }, &ether);
    all.say(USDC, &Token::balanceOfCall { user: POOL }, &[word(5_000_000)]);
    all.say(WETH, &Token::balanceOfCall { user: POOL }, &[word(WAD)]);
    let basic = [owed.wrapping_neg(), word(0), word(0), word(1), word(0)];
    all.say(POOL, &CometMarket::userBasicCall { user: USER }, &basic);
    all.say(POOL, &CometMarket::userCollateralCall { user: USER, asset: WETH }, &ether);
    let (eth, usd) = (word(200_000_000_000), word(100_000_000));
    all.say(POOL, &CometMarket::getPriceCall { feed: eth_feed }, &[eth]);
    all.say(POOL, &CometMarket::getPriceCall { feed: usd_feed }, &[usd]);
    let topics = [SUPPLY_COLLATERAL, topic(USER), topic(USER), topic(WETH)];
    let log = json!({ "topics": topics, "data": B256::from(word(WAD)) });
    (all, vec![log.clone(), log])
}

#[test]
fn a_comet_account_is_absorbed_and_its_collateral_bought_below_its_price() {
    let (answers, logs) = comet();
    let lending = Lending { comet: vec![deployment()], ..Lending::default() };
    let standings = read(&answers, logs, &lending).unwrap();
    let [one] = &standings[..] else { panic!("one account owes: {standings:?}") };
    assert_eq!((one.protocol, one.user, one.fault), (Protocol::Comet, USER, None));
    assert_eq!(one.debt, [holding(USDC, 1_600_000_000)]);
    assert_eq!(one.collateral, [holding(WETH, WAD)]);
    // 1,700 over 1,600.
    assert_eq!(one.health, Some(word(WAD / 10_000 * 10_625)));
    assert_eq!(one.health_at_block, one.health);
    let moves: Vec<_> = one.moves.iter().map(|one| (one.token, one.ppm)).collect();
    assert_eq!(moves, [(WETH, Some(-58_823)), (USDC, Some(62_500))]);
    let [deal] = &one.deals[..] else { panic!("only a fall of 10 % is enough: {:?}", one.deals) };
    // An ether at 1,800, three per cent below.
    assert_eq!((deal.fall_per_cent, deal.repaid), (10, word(1_746_000_000)));
    assert_eq!(deal.seized, [holding(WETH, WAD)]);
    assert_eq!(deal.profit.to_string(), "54000000");
}

#[test]
fn a_comet_is_followed_and_any_part_of_it_read_again() {
    let (mut answers, logs) = comet();
    let lending = Lending { comet: vec![deployment()], ..Lending::default() };
    let anchor = Tip { number: BlockNumber(10), timestamp: NOW, ..Tip::default() };
    let ids = [(USDC, TokenId(1)), (WETH, TokenId(0))];
    let known = |token: &Address| ids.iter().find(|(of, _)| of == token).map(|(_, id)| *id);
    let (mut rpc, thread) = node(&answers, logs.clone());
    let mut reader = Reader::new(&mut rpc, anchor).unwrap();
    let mut roll = Roll::default();
    let (mut loans, guide) = load(&mut reader, &mut roll, wish(&lending, &[]), known).unwrap();
    drop(reader);
    drop(rpc);
    thread.join().unwrap();
    assert_eq!(loans.followed(), Followed::LoansAndTransfers);
    let loan = loans.loan_of(0, None, &USER).unwrap();
    assert_eq!(loans.is_liquidatable(loan, NOW + 12), Ok(false));
    let mut ways = Vec::new();
    loans.ways(loan, |way, tokens| ways.push((way, tokens)));
    assert_eq!(ways, [(Way::default(), [TokenId(1), TokenId(0)])]);
    let shop = loans.loan_of(0, None, &Address::ZERO).unwrap();
    assert_eq!(loans.is_liquidatable(shop, NOW + 12), Ok(false), "it has nothing");
    assert!(loans.room() > 1_000, "there is room for borrowers to come");

    // He owes more, the market has taken half an ether of somebody's, and ether is worth less.
    let [owed, index] = [1_700_000_000, 1_000_000_000_000_000].map(word);
    let basic = [owed.wrapping_neg(), word(0), word(0), word(1), word(0)];
    answers.say(POOL, &CometMarket::userBasicCall { user: USER }, &basic);
    let totals = [index, index, word(0), word(0), word(0), owed, word(NOW), word(0)];
    answers.say(POOL, &CometMarket::totalsBasicCall {}, &totals);
    answers.say(WETH, &Token::balanceOfCall { user: POOL }, &[word(WAD / 2 * 3)]);
    let feed = Address::repeat_byte(0x44);
    answers.say(POOL, &CometMarket::getPriceCall { feed }, &[word(190_000_000_000)]);
    let (mut rpc, thread) = node(&answers, logs);
    let mut reader = Reader::new(&mut rpc, anchor).unwrap();
    let block = BlockRef { number: anchor.number, hash: anchor.hash };
    let wants = vec![(0, Want::Account(USER)), (0, Want::Totals)];
    let read =
        guide.read(&mut reader, block, &Wanted { wants, is_whole: true, ..Wanted::default() });
    let read = read.unwrap();
    drop(reader);
    drop(rpc);
    thread.join().unwrap();
    assert_eq!((read.comet_accounts.len(), read.comet_totals.len(), read.prices.len()), (1, 1, 2));
    loans.take_reread(&read, NOW, &mut |_| ());
    assert_eq!(loans.is_liquidatable(loan, NOW + 12), Ok(true));
    assert_eq!(loans.is_liquidatable(shop, NOW + 12), Ok(true));
    let most = |of, way| loans.sizes(of, way, NOW + 12).unwrap().most;
    // Three per cent below 1,900: one and a half ethers with what he had, and a half without.
    assert_eq!(most(loan, Way::default()), Size::Debt(2_764_500_000));
    assert_eq!(most(shop, Way::default()), Size::Debt(921_500_000));
}

const VAULT: Address = Address::repeat_byte(0xba);

/// A vault that takes so much, is paused or not, and holds so much ether and USDC.
fn say_vault(all: &mut Answers, (fee, is_paused): (u64, bool), [weth, usdc]: [U256; 2]) {
    let collector = Address::repeat_byte(0xbb);
    all.say(VAULT, &Vault::getProtocolFeesCollectorCall {}, &[of(collector)]);
    let times = [word(is_paused.into()), word(NOW), word(NOW)];
    all.say(VAULT, &Vault::getPausedStateCall {}, &times);
    all.say(collector, &FeesCollector::getFlashLoanFeePercentageCall {}, &[word(fee)]);
    for (token, held) in [(WETH, weth), (USDC, usdc)] {
        all.say(token, &Token::balanceOfCall { user: VAULT }, &[held]);
    }
}

#[test]
fn a_vault_lends_what_it_holds_of_base_tokens_as_long_as_it_is_not_paused() {
    let (mut answers, logs) = comet();
    let balancer = vec![BalancerVault { name: "vault".to_owned(), address: VAULT }];
    let lending = Lending { comet: vec![deployment()], balancer, ..Lending::default() };
    let ids = [(USDC, TokenId(1)), (WETH, TokenId(0))];
    let known = |token: &Address| ids.iter().find(|(of, _)| of == token).map(|(_, id)| *id);
    let mut world = fixture::world(1, PoolTable::new(1, 0), 10);
    let anchor = Tip { timestamp: NOW, ..*world.tip() };
    let block = BlockRef { number: anchor.number, hash: anchor.hash };
    // One that is not in the universe, too.
    let bases = [USDC, Address::repeat_byte(0x66), WETH];
    let load = |answers: &Answers, is_again: bool| {
        let (mut rpc, thread) = node(answers, logs.clone());
        let mut reader = Reader::new(&mut rpc, anchor).unwrap();
        let wish = Wish { is_again, ..wish(&lending, &bases) };
        let loaded = load(&mut reader, &mut Roll::default(), wish, known);
        drop(reader);
        drop(rpc);
        thread.join().unwrap();
        loaded
    };
    let error = format!("{:#}", load(&answers, false).unwrap_err());
    assert!(error.contains("[[lending.balancer]]"), "{error}");
    let (loans, _) = load(&answers, true).unwrap();
    assert!(loans.vaults().is_empty(), "later the borrowers are loaded without it");
    say_vault(&mut answers, (7, false), [U256::MAX, word(5_000)]);
    let (loans, guide) = load(&answers, false).unwrap();
    drop(world.lend(loans));
    let lender = |fee| Some(FlashLender { funding: Funding::Balancer(VAULT), fee });
    let [weth, usdc] = [0, 1].map(TokenId);
    assert_eq!(world.loans.lender(weth, u128::MAX / 2), lender(7), "no more than a number counts");
    assert_eq!(world.loans.lender(usdc, 2_500), lender(7));
    assert_eq!(world.loans.lender(usdc, 2_501), None);

    let read = |answers: &Answers| {
        let (mut rpc, thread) = node(answers, logs.clone());
        let mut reader = Reader::new(&mut rpc, anchor).unwrap();
        let read = guide.read(&mut reader, block, &Wanted::default()).unwrap();
        drop(reader);
        drop(rpc);
        thread.join().unwrap();
        read
    };
    say_vault(&mut answers, (8, false), [word(0), word(9_000)]);
    assert!(world.reread(&read(&answers)));
    assert_eq!((world.loans.lender(usdc, 4_500), world.loans.lender(weth, 1)), (lender(8), None));
    say_vault(&mut answers, (8, true), [word(9), word(9)]);
    assert!(world.reread(&read(&answers)));
    assert_eq!(world.loans.lender(usdc, 1), None, "it is paused");
    // Without what it takes nothing is said of it, and it is not believed for long.
    answers.0.retain(|(to, _), _| *to != Address::repeat_byte(0xbb));
    assert!(read(&answers).vaults.is_empty());
}

/// An Aave pool of the newest revision with ether and USDC, and an account that owes 1,700 USDC for
/// one ether in a category where it counts 90 % at a bonus of 2 %.
fn aave() -> (Answers, Vec<Value>) {
    let mut all = Answers::default();
    let [provider, oracle, a_token, debt_token] =
        [0x41, 0x42, 0x43, 0x44].map(Address::repeat_byte);
    all.say(POOL, &AavePool::POOL_REVISIONCall {}, &[word(11)]);
    all.say(POOL, &AavePool::ADDRESSES_PROVIDERCall {}, &[of(provider)]);
    all.say(POOL, &AavePool::FLASHLOAN_PREMIUM_TOTALCall {}, &[word(5)]);
    all.say(provider, &AaveProvider::getPriceOracleCall {}, &[of(oracle)]);
    all.say(provider, &AaveProvider::getPoolConfiguratorCall {}, &[of(provider)]);
    all.say(provider, &AaveProvider::getPriceOracleSentinelCall {}, &[word(0)]);
    let list = [word(32), word(2), of(WETH), of(USDC)];
    all.say(POOL, &AavePool::getReservesListCall {}, &list);
    let ray = U256::from(10).pow(word(27));
    for (asset, number, decimals) in [(WETH, 0, 18), (USDC, 1, 6)] {
        let [threshold, bonus] = [word(8_000) << 16, word(10_500) << 32];
        let configuration = threshold | bonus | (word(decimals) << 48) | (word(1) << 56);
        let mut words = [word(0); 15];
        words[..5].copy_from_slice(&[configuration, ray, word(0), ray, word(0)]);
        (words[6], words[7]) = (word(NOW - 60), word(number));
        (words[8], words[10]) = if number == 0 {
            (of(a_token), of(Address::repeat_byte(0x51)))
        } else {
            (of(Address::repeat_byte(0x52)), of(debt_token))
        };
        all.say(POOL, &AavePool::getReserveDataCall { asset }, &words);
        all.say(POOL, &AavePool::getVirtualUnderlyingBalanceCall { asset }, &[word(10 * WAD)]);
        all.say(POOL, &AavePool::getLiquidationGracePeriodCall { asset }, &[word(0)]);
    }
    // Debt in the second reserve, collateral in the first.
    let flags = [word(0b110)];
    all.say(POOL, &AavePool::getUserConfigurationCall { user: USER }, &flags);
    all.say(POOL, &AavePool::getUserEModeCall { user: USER }, &[word(2)]);
    let config = [word(8_800), word(9_000), word(10_200)];
    all.say(POOL, &AavePool::getEModeCategoryCollateralConfigCall { id: 2 }, &config);
    all.say(POOL, &AavePool::getEModeCategoryCollateralBitmapCall { id: 2 }, &[word(1)]);
    all.say(a_token, &ScaledToken::scaledBalanceOfCall { user: USER }, &[word(WAD)]);
    let owed = [word(1_700_000_000)];
    all.say(debt_token, &ScaledToken::scaledBalanceOfCall { user: USER }, &owed);
    for (asset, price) in [(WETH, 200_000_000_000), (USDC, 100_000_000)] {
        all.say(oracle, &AaveOracle::getAssetPriceCall { asset }, &[word(price)]);
    }
    let topics = [BORROW, topic(USDC), topic(USER), B256::ZERO];
    let data: Vec<u8> =
        [of(USER), word(5), word(2), word(0)].map(|w| w.to_be_bytes::<32>()).concat();
    (all, vec![json!({ "topics": topics, "data": Bytes::from(data) })])
}

#[test]
fn a_category_of_the_newest_aave_decides_what_counts_and_what_a_liquidation_brings() {
    let (answers, logs) = aave();
    let lending = Lending { aave_v3: vec![deployment()], ..Lending::default() };
    let standings = read(&answers, logs, &lending).unwrap();
    let [one] = &standings[..] else { panic!("one account owes: {standings:?}") };
    assert_eq!((one.protocol, one.user, one.fault), (Protocol::Aave, USER, None));
    assert_eq!(one.debt, [holding(USDC, 1_700_000_000)]);
    // 1,800 over 1,700.
    assert_eq!(one.health, Some(word(1_058_823_529_411_764_705)));
    let moves: Vec<_> = one.moves.iter().map(|one| (one.token, one.ppm)).collect();
    assert_eq!(moves, [(WETH, Some(-55_555)), (USDC, Some(58_823))]);
    let [deal] = &one.deals[..] else { panic!("only a fall of 10 % is enough: {:?}", one.deals) };
    assert_eq!((deal.fall_per_cent, deal.repaid), (10, word(1_700_000_000)));
    // Two per cent of what is repaid, less five hundredths for the loan.
    assert_eq!(deal.flash_premium, word(850_000));
    let profit: i64 = deal.profit.to_string().parse().unwrap();
    assert!((33_149_998..=33_150_000).contains(&profit), "{profit}");
}

#[test]
fn what_is_not_modelled_or_not_there_is_told() {
    let (mut answers, logs) = aave();
    let lending = Lending { aave_v3: vec![deployment()], ..Lending::default() };
    answers.say(POOL, &AavePool::POOL_REVISIONCall {}, &[word(12)]);
    let error = read(&answers, logs, &lending).unwrap_err().to_string();
    assert!(error.contains("revision 12; known are 1 to 11"), "{error}");
    let error = read(&Answers::default(), Vec::new(), &lending).unwrap_err();
    assert!(format!("{error:#}").contains("[[lending.aave_v3]]"), "{error:#}");
    let morpho =
        MorphoDeployment { deployment: deployment(), adaptive_curve: Address::repeat_byte(1) };
    let lending = Lending { morpho: vec![morpho], ..Lending::default() };
    let error = read(&Answers::default(), Vec::new(), &lending).unwrap_err();
    assert!(format!("{error:#}").contains("[[lending.morpho]]"), "{error:#}");
    // One without markets is no mistake.
    let mut answers = Answers::default();
    answers.say(POOL, &MorphoBlue::marketCall { id: B256::ZERO }, &[word(0); 6]);
    assert_eq!(read(&answers, Vec::new(), &lending).unwrap(), []);
}
