//! Which liquidations happened in a recorded block, told from its logs alone.
//!
//! A recording's rows come in, and the report is what they go to. Each protocol has one line in
//! [`DECODERS`]. A contract is not asked who it is: whatever emits a protocol's event in exactly
//! that protocol's shape counts, so that forks are found too, and `contract` says who it was.
//! What an event leaves out, its transaction's other logs may show: a token is named where exactly
//! one has moved that amount between those two accounts, and is unknown otherwise. Nothing rests
//! on the order of the logs within a transaction, for some recordings take it from call traces.
//!
//! Temperature: cold.

use alloy_primitives::{Address, B256, U256, address, b256};
use serde::{Serialize, Serializer};

use crate::recording::rows::LogRow;

/// `LiquidationCall` of Aave V1.
const AAVE_V1: B256 = b256!("56864757fd5b1fc9f38f5f3a981cd8ae512ce41b902cf73fc506ee369c6bc237");
/// `LiquidationCall` of Aave V2, which V3 has kept as it was.
const AAVE_V2_V3: B256 = b256!("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286");
/// `LiquidateBorrow` of Compound V2 and its forks.
const COMPOUND_V2: B256 = b256!("298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52");
/// `RepayBorrow` of Compound V2: the repayment that a liquidation contains.
const REPAY_BORROW: B256 =
    b256!("1a2a22cb034d26d1854bdc6666a5b91fe25efbbb5dcad3b0355478d6f5c362a1");
/// `AbsorbCollateral` of Compound V3: one asset that an absorbed account loses.
const ABSORB_COLLATERAL: B256 =
    b256!("9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e");
/// `AbsorbDebt` of Compound V3: what the protocol pays for an absorbed account.
const ABSORB_DEBT: B256 = b256!("1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f");
/// `BuyCollateral` of Compound V3: what was absorbed goes to a buyer.
const BUY_COLLATERAL: B256 =
    b256!("f891b2a411b0e66a5f0a6ff1368670fefa287a13f541eb633a386a1a9cc7046b");
/// `Liquidate` of Morpho Blue.
const MORPHO_BLUE: B256 = b256!("a4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41");
/// `Transfer` of an ERC-20 token.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `Deposit` of a wrapped native token, which logs no transfer when it comes into being (WETH9).
const DEPOSIT: B256 = b256!("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c");

/// The native token, in the spelling that Aave V1's own events use.
const NATIVE: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

/// Reads one log, beside all logs of its transaction. `None` if another log stands for the same
/// liquidation.
type Decoder = fn(&LogRow, &[LogRow]) -> Result<Option<Liquidation>, Malformed>;

/// The events that tell of a liquidation: a protocol is added here.
const DECODERS: [(B256, Decoder); 6] = [
    (AAVE_V1, aave_v1),
    (AAVE_V2_V3, aave_v2_v3),
    (COMPOUND_V2, compound_v2),
    (ABSORB_COLLATERAL, compound_v3_collateral),
    (ABSORB_DEBT, compound_v3_debt),
    (MORPHO_BLUE, morpho_blue),
];

/// A lending protocol, as far as its events tell it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Protocol {
    /// Aave V1.
    #[serde(rename = "aave_v1")]
    AaveV1,
    /// Aave V2 and V3: the event is the same to the last byte.
    #[serde(rename = "aave_v2_v3")]
    AaveV2V3,
    /// Compound V2 or a fork of it.
    #[serde(rename = "compound_v2_like")]
    CompoundV2,
    /// Compound V3, also called Comet.
    #[serde(rename = "compound_v3")]
    CompoundV3,
    /// Morpho Blue.
    #[serde(rename = "morpho_blue")]
    MorphoBlue,
}

impl Protocol {
    /// The name used in JSON and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AaveV1 => "aave_v1",
            Self::AaveV2V3 => "aave_v2_v3",
            Self::CompoundV2 => "compound_v2_like",
            Self::CompoundV3 => "compound_v3",
            Self::MorphoBlue => "morpho_blue",
        }
    }
}

/// A liquidation that happened. Amounts are in the smallest unit of their asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Liquidation {
    /// The block's number.
    pub(crate) block: u64,
    /// Where its transaction stands in the block.
    pub(crate) tx_index: u32,
    /// Its transaction's hash.
    pub(crate) tx_hash: B256,
    /// Where the event stands in the block.
    pub(crate) log_index: u32,
    /// Whose event it is.
    pub(crate) protocol: Protocol,
    /// Who emitted the event: Aave's pool, Compound V2's market of the debt, Comet, Morpho.
    pub(crate) contract: Address,
    /// What was owed, if that is known.
    pub(crate) debt_asset: Option<Address>,
    /// How much of the debt was repaid; by the protocol itself at Compound V3.
    #[serde(serialize_with = "decimal")]
    pub(crate) debt_amount: U256,
    /// What was seized, if that is known: at Compound V2 the market whose shares they are.
    pub(crate) collateral_asset: Option<Address>,
    /// How much was seized, as the event counts: Compound V2's includes what the protocol keeps.
    #[serde(serialize_with = "decimal")]
    pub(crate) collateral_amount: U256,
    /// Whose position it was.
    pub(crate) user: Address,
    /// Who liquidated it: the account that called the protocol.
    pub(crate) liquidator: Address,
}

/// What the logs of a block told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The liquidations, in the order of their logs.
    pub(crate) liquidations: Vec<Liquidation>,
    /// Logs with the topic of a liquidation whose fields are not those of its event.
    pub(crate) malformed: usize,
}

/// A log that has an event's topic and not its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// One side of a liquidation.
#[derive(Clone, Copy, Debug)]
struct Leg {
    asset: Option<Address>,
    amount: U256,
}

/// Whose position was liquidated, and by whom.
#[derive(Clone, Copy, Debug)]
struct Parties {
    user: Address,
    liquidator: Address,
}

/// The liquidations in one block's logs, which come in the order of the block.
pub(crate) fn liquidations(logs: &[LogRow]) -> Found {
    let mut found = Found::default();
    let place = |log: &LogRow| (log.block_number, log.transaction_index);
    for transaction in logs.chunk_by(|one, next| place(one) == place(next)) {
        for log in transaction {
            let topic = log.topics.first();
            let decoder = DECODERS.iter().find(|(known, _)| topic == Some(known));
            match decoder.map(|(_, decode)| decode(log, transaction)) {
                Some(Ok(liquidation)) => found.liquidations.extend(liquidation),
                Some(Err(Malformed)) => found.malformed = found.malformed.saturating_add(1),
                None => {}
            }
        }
    }
    found
}

/// `LiquidationCall(address indexed collateral, address indexed reserve, address indexed user,
/// uint256 purchaseAmount, uint256 liquidatedCollateralAmount, uint256 accruedBorrowInterest,
/// address liquidator, bool receiveAToken, uint256 timestamp)`
fn aave_v1(log: &LogRow, _: &[LogRow]) -> Result<Option<Liquidation>, Malformed> {
    let ([collateral, debt, user], [repaid, seized, _, liquidator, in_claims, _]) =
        fields::<3, 6>(log)?;
    flag(in_claims)?;
    let debt = Leg { asset: Some(account(debt)?), amount: amount(repaid) };
    let collateral = Leg { asset: Some(account(collateral)?), amount: amount(seized) };
    let parties = Parties { user: account(user)?, liquidator: account(liquidator)? };
    Ok(Some(liquidation(log, Protocol::AaveV1, [debt, collateral], parties)))
}

/// `LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed
/// user, uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool
/// receiveAToken)`
fn aave_v2_v3(log: &LogRow, _: &[LogRow]) -> Result<Option<Liquidation>, Malformed> {
    let ([collateral, debt, user], [repaid, seized, liquidator, in_claims]) = fields::<3, 4>(log)?;
    flag(in_claims)?;
    let debt = Leg { asset: Some(account(debt)?), amount: amount(repaid) };
    let collateral = Leg { asset: Some(account(collateral)?), amount: amount(seized) };
    let parties = Parties { user: account(user)?, liquidator: account(liquidator)? };
    Ok(Some(liquidation(log, Protocol::AaveV2V3, [debt, collateral], parties)))
}

/// `LiquidateBorrow(address liquidator, address borrower, uint256 repayAmount, address
/// cTokenCollateral, uint256 seizeTokens)`
fn compound_v2(log: &LogRow, transaction: &[LogRow]) -> Result<Option<Liquidation>, Malformed> {
    let ([], [liquidator, user, repaid, collateral, seized]) = fields::<0, 5>(log)?;
    let parties = Parties { user: account(user)?, liquidator: account(liquidator)? };
    let repaid = amount(repaid);
    let paid = Payment { from: parties.liquidator, to: log.address, amount: repaid };
    let asset = paid.token(transaction).or_else(|| {
        let is_native = repays_natively(log.address, parties, repaid, transaction);
        is_native.then_some(NATIVE)
    });
    let collateral = Leg { asset: Some(account(collateral)?), amount: amount(seized) };
    let debt = Leg { asset, amount: repaid };
    Ok(Some(liquidation(log, Protocol::CompoundV2, [debt, collateral], parties)))
}

/// Whether a market of Compound V2 was repaid in the native token. No log says so. But a market
/// that lends a token takes it by a transfer, or wraps native tokens into it, and tokens log both:
/// if the repayment is logged and none of these is, then native tokens came with the call.
///
/// `RepayBorrow(address payer, address borrower, uint256 repayAmount, uint256 accountBorrows,
/// uint256 totalBorrows)`
fn repays_natively(
    market: Address,
    parties: Parties,
    repaid: U256,
    transaction: &[LogRow],
) -> bool {
    let is_repayment = |log: &LogRow| {
        let ([], [payer, user, paid, _, _]) = fields::<0, 5>(log)?;
        let is_between = account(payer)? == parties.liquidator && account(user)? == parties.user;
        Ok::<_, Malformed>(is_between && amount(paid) == repaid)
    };
    // The market is itself a token: its shares may well come back to it. A transfer that cannot be
    // read, such as that of an NFT, might be the one that matters.
    let may_pay = |log: &LogRow| {
        log.address != market && transfer(log).is_none_or(|(_, moved)| moved.to == market)
    };
    let wraps = |log: &LogRow| log.topics.get(1) == Some(&market.into_word());
    emitted(transaction, market, REPAY_BORROW).any(|log| is_repayment(log) == Ok(true))
        && !with_topic(transaction, TRANSFER).any(may_pay)
        && !with_topic(transaction, DEPOSIT).any(wraps)
}

/// An account of Compound V3 that someone has absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Absorbed {
    comet: Address,
    parties: [Address; 2],
}

impl Absorbed {
    fn new(log: &LogRow, absorber: B256, user: B256) -> Result<Self, Malformed> {
        Ok(Self { comet: log.address, parties: [account(absorber)?, account(user)?] })
    }

    const fn parties(self) -> Parties {
        let [liquidator, user] = self.parties;
        Parties { user, liquidator }
    }

    /// What Comet paid for it. An account goes once, as a whole; should it go again in the same
    /// transaction, nothing is lost in the sum.
    fn debt(self, transaction: &[LogRow]) -> U256 {
        let debts = emitted(transaction, self.comet, ABSORB_DEBT).filter_map(|log| {
            let (absorbed, paid) = absorbed_debt(log).ok()?;
            (absorbed == self).then_some(paid)
        });
        debts.fold(U256::ZERO, U256::saturating_add)
    }

    /// The first log of a collateral asset that it lost.
    fn first_collateral(self, transaction: &[LogRow]) -> Option<&LogRow> {
        emitted(transaction, self.comet, ABSORB_COLLATERAL)
            .find(|log| absorbed_collateral(log).is_ok_and(|(absorbed, _)| absorbed == self))
    }

    /// The asset that Comet lends. Absorbing moves none of it, but who buys collateral pays in it.
    ///
    /// `BuyCollateral(address indexed buyer, address indexed asset, uint baseAmount, uint
    /// collateralAmount)`
    fn base(self, transaction: &[LogRow]) -> Option<Address> {
        let purchases = emitted(transaction, self.comet, BUY_COLLATERAL);
        the_only(purchases.filter_map(|log| {
            let ([buyer, _], [paid, _]) = fields::<2, 2>(log).ok()?;
            let from = account(buyer).ok()?;
            Payment { from, to: self.comet, amount: amount(paid) }.token(transaction)
        }))
    }
}

/// `AbsorbCollateral(address indexed absorber, address indexed borrower, address indexed asset,
/// uint collateralAbsorbed, uint usdValue)`
fn absorbed_collateral(log: &LogRow) -> Result<(Absorbed, Leg), Malformed> {
    let ([absorber, user, asset], [seized, _]) = fields::<3, 2>(log)?;
    let collateral = Leg { asset: Some(account(asset)?), amount: amount(seized) };
    Ok((Absorbed::new(log, absorber, user)?, collateral))
}

/// `AbsorbDebt(address indexed absorber, address indexed borrower, uint basePaidOut, uint
/// usdValue)`
fn absorbed_debt(log: &LogRow) -> Result<(Absorbed, U256), Malformed> {
    let ([absorber, user], [paid, _]) = fields::<2, 2>(log)?;
    Ok((Absorbed::new(log, absorber, user)?, amount(paid)))
}

/// An item per collateral asset. The account's debt is on the first of them, so that a sum over
/// all items counts it once.
fn compound_v3_collateral(
    log: &LogRow,
    transaction: &[LogRow],
) -> Result<Option<Liquidation>, Malformed> {
    let (absorbed, collateral) = absorbed_collateral(log)?;
    let first = absorbed.first_collateral(transaction);
    let carries_debt = first.is_some_and(|first| first.log_index == log.log_index);
    let amount = if carries_debt { absorbed.debt(transaction) } else { U256::ZERO };
    let debt = Leg { asset: absorbed.base(transaction), amount };
    let legs = [debt, collateral];
    Ok(Some(liquidation(log, Protocol::CompoundV3, legs, absorbed.parties())))
}

/// An item of its own only for an account that had nothing to lose.
fn compound_v3_debt(
    log: &LogRow,
    transaction: &[LogRow],
) -> Result<Option<Liquidation>, Malformed> {
    let (absorbed, amount) = absorbed_debt(log)?;
    if absorbed.first_collateral(transaction).is_some() {
        return Ok(None);
    }
    let debt = Leg { asset: absorbed.base(transaction), amount };
    let collateral = Leg { asset: None, amount: U256::ZERO };
    let legs = [debt, collateral];
    Ok(Some(liquidation(log, Protocol::CompoundV3, legs, absorbed.parties())))
}

/// `Liquidate(bytes32 indexed id, address indexed caller, address indexed borrower, uint256
/// repaidAssets, uint256 repaidShares, uint256 seizedAssets, uint256 badDebtAssets, uint256
/// badDebtShares)`
///
/// The market's id is a hash of its tokens, so they come from the transfers: the collateral goes to
/// the caller, and the caller repays.
fn morpho_blue(log: &LogRow, transaction: &[LogRow]) -> Result<Option<Liquidation>, Malformed> {
    let ([_, caller, user], [repaid, _, seized, _, _]) = fields::<3, 5>(log)?;
    let parties = Parties { user: account(user)?, liquidator: account(caller)? };
    let (morpho, caller) = (log.address, parties.liquidator);
    let repaid = Payment { from: caller, to: morpho, amount: amount(repaid) };
    let seized = Payment { from: morpho, to: caller, amount: amount(seized) };
    let legs =
        [repaid, seized].map(|paid| Leg { asset: paid.token(transaction), amount: paid.amount });
    Ok(Some(liquidation(log, Protocol::MorphoBlue, legs, parties)))
}

const fn liquidation(
    log: &LogRow,
    protocol: Protocol,
    [debt, collateral]: [Leg; 2],
    parties: Parties,
) -> Liquidation {
    Liquidation {
        block: log.block_number,
        tx_index: log.transaction_index,
        tx_hash: log.transaction_hash,
        log_index: log.log_index,
        protocol,
        contract: log.address,
        debt_asset: debt.asset,
        debt_amount: debt.amount,
        collateral_asset: collateral.asset,
        collateral_amount: collateral.amount,
        user: parties.user,
        liquidator: parties.liquidator,
    }
}

/// An amount of some token that went from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Payment {
    from: Address,
    to: Address,
    amount: U256,
}

impl Payment {
    /// The token that was paid in, if exactly one token moved so. Nothing at all moves in any
    /// token, and tells of none; nor is a contract paid in a token that is itself.
    fn token(self, transaction: &[LogRow]) -> Option<Address> {
        let moved = with_topic(transaction, TRANSFER).filter_map(transfer);
        let tokens = moved.filter(|(token, paid)| *paid == self && *token != self.to);
        if self.amount.is_zero() { None } else { the_only(tokens.map(|(token, _)| token)) }
    }
}

/// The token that moved, and how. `Transfer(address indexed from, address indexed to, uint256
/// value)`
fn transfer(log: &LogRow) -> Option<(Address, Payment)> {
    let ([from, to], [moved]) = fields::<2, 1>(log).ok()?;
    let (from, to) = (account(from).ok()?, account(to).ok()?);
    Some((log.address, Payment { from, to, amount: amount(moved) }))
}

/// The address that all of these are; `None` if there are none, or several.
fn the_only(mut addresses: impl Iterator<Item = Address>) -> Option<Address> {
    let first = addresses.next()?;
    addresses.all(|other| other == first).then_some(first)
}

fn with_topic(logs: &[LogRow], topic: B256) -> impl Iterator<Item = &LogRow> {
    logs.iter().filter(move |log| log.topics.first() == Some(&topic))
}

fn emitted(logs: &[LogRow], contract: Address, topic: B256) -> impl Iterator<Item = &LogRow> {
    with_topic(logs, topic).filter(move |log| log.address == contract)
}

/// An event's indexed fields and its other ones, if there are exactly so many of each.
fn fields<const INDEXED: usize, const PLAIN: usize>(
    log: &LogRow,
) -> Result<([B256; INDEXED], [B256; PLAIN]), Malformed> {
    let indexed = log.topics.get(1..).and_then(|indexed| indexed.try_into().ok());
    let (words, rest) = log.data.as_chunks::<32>();
    let plain: Option<[[u8; 32]; PLAIN]> = words.try_into().ok().filter(|_| rest.is_empty());
    Ok((indexed.ok_or(Malformed)?, plain.ok_or(Malformed)?.map(B256::new)))
}

/// An address, which fills the last 20 bytes of its word.
fn account(word: B256) -> Result<Address, Malformed> {
    let address = Address::from_word(word);
    if address.into_word() == word { Ok(address) } else { Err(Malformed) }
}

const fn amount(word: B256) -> U256 {
    U256::from_be_bytes(word.0)
}

/// Checks that a word is a boolean. Whether the liquidator took claims in place of the asset itself
/// is all that these say, and the amounts are the same either way.
fn flag(word: B256) -> Result<(), Malformed> {
    if amount(word) > U256::ONE { Err(Malformed) } else { Ok(()) }
}

/// JSON's numbers are too small for amounts.
fn decimal<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Read as _;
    use std::path::{Path, PathBuf};

    use alloy_primitives::{Bytes, keccak256};
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    const USER: Address = Address::repeat_byte(0x01);
    const LIQUIDATOR: Address = Address::repeat_byte(0x02);
    const LENDER: Address = Address::repeat_byte(0x03);
    const MARKET: Address = Address::repeat_byte(0x04);
    const DEBT: Address = Address::repeat_byte(0x05);
    const COLLATERAL: Address = Address::repeat_byte(0x06);
    const OTHER: Address = Address::repeat_byte(0x07);

    /// The names that the ground truth uses, and those of the protocols that it has none of.
    const PROTOCOLS: [(Protocol, &str); 5] = [
        (Protocol::AaveV1, "aave_v1"),
        (Protocol::AaveV2V3, "aave_v2_v3"),
        (Protocol::CompoundV2, "compound_v2_like"),
        (Protocol::CompoundV3, "compound_v3"),
        (Protocol::MorphoBlue, "morpho_blue"),
    ];

    /// The folder of real blocks; `None` on a machine that lacks it, which CI may not.
    fn folder() -> Option<PathBuf> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let folder = std::env::var_os("GANNET_DATA").map_or_else(beside, PathBuf::from);
        if folder.join("ground_truth.json").is_file() {
            return Some(folder);
        }
        assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
        println!("skipped: {} is not there", folder.display());
        None
    }

    #[derive(Deserialize)]
    struct Block {
        number: u64,
        #[serde(default)]
        logs: Vec<Log>,
        #[serde(default)]
        receipts: Vec<Receipt>,
    }

    #[derive(Deserialize)]
    struct Receipt {
        i: u32,
        hash: B256,
        logs: Vec<Log>,
    }

    #[derive(Deserialize)]
    struct Log {
        li: u32,
        ti: Option<u32>,
        tx: Option<B256>,
        a: Address,
        t: Vec<B256>,
        d: Bytes,
    }

    impl Block {
        fn read(path: &Path) -> Self {
            let file = std::fs::File::open(path).unwrap();
            let mut text = vec![];
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
            serde_json::from_slice(&text).unwrap()
        }

        /// The logs stand in the receipts, or beside the transactions and name theirs.
        fn rows(self) -> Vec<LogRow> {
            let number = self.number;
            let row = |log: Log, receipt: Option<(u32, B256)>| LogRow {
                block_number: number,
                transaction_index: log.ti.or(receipt.map(|(place, _)| place)).unwrap(),
                log_index: log.li,
                transaction_hash: log.tx.or(receipt.map(|(_, hash)| hash)).unwrap(),
                address: log.a,
                topics: log.t,
                data: log.d,
            };
            let mut rows: Vec<_> = self.logs.into_iter().map(|log| row(log, None)).collect();
            for Receipt { i, hash, logs } in self.receipts {
                rows.extend(logs.into_iter().map(|log| row(log, Some((i, hash)))));
            }
            rows
        }
    }

    /// Every block of the folder.
    fn blocks(folder: &Path) -> BTreeMap<u64, Vec<LogRow>> {
        let mut blocks = BTreeMap::new();
        for kind in ["witness", "mevinspect", "logs_only"] {
            for entry in folder.join(kind).read_dir().unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if name.starts_with(|first: char| first.is_ascii_digit()) {
                    let block = Block::read(&path);
                    blocks.insert(block.number, block.rows());
                }
            }
        }
        blocks
    }

    #[derive(Deserialize)]
    struct Truth {
        liquidations: Vec<Happened>,
        asserted: BTreeMap<String, Vec<Value>>,
        rerun: BTreeMap<u64, Rerun>,
    }

    /// A liquidation as the ground truth has it. The fields are named as in each protocol's event.
    #[derive(Deserialize)]
    struct Happened {
        block_number: u64,
        tx_index: u32,
        transaction_hash: B256,
        log_index: u32,
        protocol: String,
        contract: Address,
        #[serde(alias = "ctoken_collateral")]
        collateral_asset: Address,
        debt_asset: Option<Address>,
        #[serde(alias = "borrower")]
        user: Address,
        liquidator: Address,
        #[serde(alias = "purchase_amount", alias = "repay_amount")]
        debt_to_cover: u128,
        #[serde(alias = "seize_tokens")]
        liquidated_collateral: u128,
    }

    impl Happened {
        /// What has to be found. The logs' own truth names no debt asset for Compound V2, whose
        /// event has none: there, what was found stands, and the traces' truth judges it.
        fn expected(&self, found: &Liquidation) -> Liquidation {
            assert_eq!(self.debt_asset.is_none(), self.protocol == "compound_v2_like");
            let protocol = PROTOCOLS.into_iter().find(|(_, name)| *name == self.protocol);
            Liquidation {
                block: self.block_number,
                tx_index: self.tx_index,
                tx_hash: self.transaction_hash,
                log_index: self.log_index,
                protocol: protocol.unwrap().0,
                contract: self.contract,
                debt_asset: self.debt_asset.or(found.debt_asset),
                debt_amount: U256::from(self.debt_to_cover),
                collateral_asset: Some(self.collateral_asset),
                collateral_amount: U256::from(self.liquidated_collateral),
                user: self.user,
                liquidator: self.liquidator,
            }
        }
    }

    /// What mev-inspect-py saw in a block, from its traces.
    #[derive(Deserialize)]
    struct Rerun {
        liquidations: Vec<Inspected>,
    }

    #[derive(Deserialize)]
    struct Inspected {
        liquidated_user: Address,
        liquidator_user: Address,
        debt_token_address: Address,
        debt_purchase_amount: u128,
        received_amount: u128,
        received_token_address: Address,
        protocol: String,
        transaction_hash: B256,
    }

    fn truth(folder: &Path) -> Truth {
        let text = std::fs::read(folder.join("ground_truth.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn name(protocol: Protocol) -> String {
        let name = serde_json::to_value(protocol).unwrap();
        name.as_str().unwrap().to_owned()
    }

    #[test]
    fn every_recorded_liquidation_is_decoded_exactly_and_nothing_else_is_found() {
        let Some(folder) = folder() else { return };
        let mut truth = truth(&folder);
        let mut found = Found::default();
        let blocks = blocks(&folder);
        for logs in blocks.values() {
            let Found { liquidations, malformed } = liquidations(logs);
            found.liquidations.extend(liquidations);
            found.malformed += malformed;
        }
        let logs: usize = blocks.values().map(Vec::len).sum();
        let count = found.liquidations.len();
        println!("{} blocks, {logs} logs, {count} liquidations", blocks.len());
        assert_eq!(found.malformed, 0);
        truth.liquidations.sort_by_key(|happened| (happened.block_number, happened.log_index));
        assert_eq!(found.liquidations.len(), truth.liquidations.len());
        for (found, happened) in found.liquidations.iter().zip(&truth.liquidations) {
            assert_eq!(*found, happened.expected(found));
        }
        let hash = |found: &Liquidation| serde_json::to_value(found.tx_hash).unwrap();
        let hashes: Vec<_> = found.liquidations.iter().map(hash).collect();
        for denied in &truth.asserted["not_a_liquidation"] {
            assert!(!hashes.contains(&denied["transaction_hash"]), "{denied}");
        }
    }

    #[test]
    fn what_an_inspector_of_traces_saw_is_what_the_logs_tell() {
        let Some(folder) = folder() else { return };
        let blocks = blocks(&folder);
        for (block, rerun) in truth(&folder).rerun {
            let found = liquidations(&blocks[&block]).liquidations;
            assert_eq!(found.len(), rerun.liquidations.len(), "{block}");
            for (found, seen) in found.iter().zip(&rerun.liquidations) {
                assert_eq!(found.tx_hash, seen.transaction_hash);
                assert_eq!(found.user, seen.liquidated_user);
                assert_eq!(found.liquidator, seen.liquidator_user);
                assert_eq!(found.debt_asset, Some(seen.debt_token_address));
                assert_eq!(found.debt_amount, U256::from(seen.debt_purchase_amount));
                assert_eq!(found.collateral_asset, Some(seen.received_token_address));
                assert_eq!(found.collateral_amount, U256::from(seen.received_amount));
                assert!(name(found.protocol).starts_with(&seen.protocol));
            }
        }
    }

    fn word(address: Address) -> B256 {
        address.into_word()
    }

    fn number(number: u64) -> B256 {
        U256::from(number).into()
    }

    fn log(emitter: Address, topics: &[B256], data: &[B256]) -> LogRow {
        LogRow {
            block_number: 17,
            transaction_index: 3,
            log_index: 0,
            transaction_hash: B256::repeat_byte(0xaa),
            address: emitter,
            topics: topics.to_vec(),
            data: data.concat().into(),
        }
    }

    fn moved(token: Address, [from, to]: [Address; 2], amount: u64) -> LogRow {
        log(token, &[TRANSFER, word(from), word(to)], &[number(amount)])
    }

    fn aave_v1_log() -> LogRow {
        let topics = [AAVE_V1, word(COLLATERAL), word(DEBT), word(USER)];
        let [repaid, seized, interest, time] = [70, 90, 5, 1_600_000_000].map(number);
        log(LENDER, &topics, &[repaid, seized, interest, word(LIQUIDATOR), number(1), time])
    }

    fn aave_v2_v3_log() -> LogRow {
        let topics = [AAVE_V2_V3, word(COLLATERAL), word(DEBT), word(USER)];
        log(LENDER, &topics, &[number(70), number(90), word(LIQUIDATOR), number(0)])
    }

    fn compound_v2_log() -> LogRow {
        let data = [word(LIQUIDATOR), word(USER), number(70), word(COLLATERAL), number(90)];
        log(MARKET, &[COMPOUND_V2], &data)
    }

    fn repayment(amount: u64) -> LogRow {
        let [amount, owed, total] = [amount, 30, 1_000].map(number);
        log(MARKET, &[REPAY_BORROW], &[word(LIQUIDATOR), word(USER), amount, owed, total])
    }

    fn absorb_collateral(user: Address, asset: Address, amount: u64) -> LogRow {
        let topics = [ABSORB_COLLATERAL, word(LIQUIDATOR), word(user), word(asset)];
        log(LENDER, &topics, &[number(amount), number(1)])
    }

    fn absorb_debt(user: Address, amount: u64) -> LogRow {
        log(LENDER, &[ABSORB_DEBT, word(LIQUIDATOR), word(user)], &[number(amount), number(1)])
    }

    fn buy_collateral(paid: u64) -> LogRow {
        let topics = [BUY_COLLATERAL, word(LIQUIDATOR), word(COLLATERAL)];
        log(LENDER, &topics, &[number(paid), number(90)])
    }

    fn morpho_log() -> LogRow {
        let topics = [MORPHO_BLUE, B256::repeat_byte(0xbb), word(LIQUIDATOR), word(USER)];
        log(LENDER, &topics, &[70, 69, 90, 8, 7].map(number))
    }

    /// One of each event that tells of a liquidation.
    fn samples() -> Vec<LogRow> {
        let absorbed = [absorb_collateral(USER, COLLATERAL, 90), absorb_debt(USER, 70)];
        let [collateral, debt] = absorbed;
        vec![aave_v1_log(), aave_v2_v3_log(), compound_v2_log(), collateral, debt, morpho_log()]
    }

    /// Numbers the logs, and reads them.
    fn found<const COUNT: usize>(mut logs: [LogRow; COUNT]) -> Vec<Liquidation> {
        for (place, log) in (0..).zip(&mut logs) {
            log.log_index = place;
        }
        let found = liquidations(&logs);
        assert_eq!(found.malformed, 0);
        found.liquidations
    }

    /// Reads logs that hold one liquidation.
    fn only<const COUNT: usize>(logs: [LogRow; COUNT]) -> Liquidation {
        let found: [Liquidation; 1] = found(logs).try_into().unwrap();
        let [liquidation] = found;
        assert_eq!((liquidation.user, liquidation.liquidator), (USER, LIQUIDATOR));
        let amounts = (liquidation.debt_amount, liquidation.collateral_amount);
        assert_eq!(amounts, (U256::from(70), U256::from(90)));
        liquidation
    }

    #[test]
    fn every_topic_is_the_hash_of_its_event() {
        let events = [
            (
                "LiquidationCall(address,address,address,uint256,uint256,uint256,address,bool,\
                 uint256)",
                AAVE_V1,
            ),
            ("LiquidationCall(address,address,address,uint256,uint256,address,bool)", AAVE_V2_V3),
            ("LiquidateBorrow(address,address,uint256,address,uint256)", COMPOUND_V2),
            ("RepayBorrow(address,address,uint256,uint256,uint256)", REPAY_BORROW),
            ("AbsorbCollateral(address,address,address,uint256,uint256)", ABSORB_COLLATERAL),
            ("AbsorbDebt(address,address,uint256,uint256)", ABSORB_DEBT),
            ("BuyCollateral(address,address,uint256,uint256)", BUY_COLLATERAL),
            (
                "Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)",
                MORPHO_BLUE,
            ),
            ("Transfer(address,address,uint256)", TRANSFER),
            ("Deposit(address,uint256)", DEPOSIT),
        ];
        for (signature, topic) in events {
            assert_eq!(keccak256(signature), topic, "{signature}");
        }
    }

    #[test]
    fn aave_names_both_assets_itself() {
        for (log, protocol) in
            [(aave_v1_log(), Protocol::AaveV1), (aave_v2_v3_log(), Protocol::AaveV2V3)]
        {
            let liquidation = only([log]);
            assert_eq!(liquidation.protocol, protocol);
            assert_eq!(liquidation.contract, LENDER);
            assert_eq!(liquidation.debt_asset, Some(DEBT));
            assert_eq!(liquidation.collateral_asset, Some(COLLATERAL));
        }
    }

    #[test]
    fn a_liquidation_is_written_with_these_keys_and_no_others() {
        let liquidation = only([aave_v2_v3_log()]);
        let mut expected = json!({
            "block": 17,
            "tx_index": 3,
            "tx_hash": format!("0x{}", "aa".repeat(32)),
            "log_index": 0,
            "protocol": "aave_v2_v3",
            "contract": format!("0x{}", "03".repeat(20)),
            "debt_asset": format!("0x{}", "05".repeat(20)),
            "debt_amount": "70",
            "collateral_asset": format!("0x{}", "06".repeat(20)),
            "collateral_amount": "90",
            "user": format!("0x{}", "01".repeat(20)),
            "liquidator": format!("0x{}", "02".repeat(20)),
        });
        assert_eq!(serde_json::to_value(&liquidation).unwrap(), expected);
        let extreme = Liquidation {
            debt_asset: None,
            debt_amount: U256::MAX,
            collateral_asset: Some(NATIVE),
            ..liquidation
        };
        expected["debt_asset"] = Value::Null;
        expected["debt_amount"] =
            json!("115792089237316195423570985008687907853269984665640564039457584007913129639935");
        expected["collateral_asset"] = json!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
        assert_eq!(serde_json::to_value(&extreme).unwrap(), expected);
    }

    #[test]
    fn an_address_with_capitals_in_its_checksum_is_written_in_small_letters() {
        let contract = address!("7d2768de32b0b80b7a3454c06bdac94a69ddc7a9");
        let written = serde_json::to_value(Liquidation { contract, ..only([aave_v1_log()]) });
        let expected = "0x7d2768de32b0b80b7a3454c06bdac94a69ddc7a9";
        assert_eq!(written.unwrap()["contract"], expected);
    }

    #[test]
    fn every_protocol_has_the_name_that_reports_use() {
        for (protocol, expected) in PROTOCOLS {
            assert_eq!(name(protocol), expected);
        }
        let told: BTreeSet<_> = samples()
            .iter()
            .flat_map(|log| liquidations(std::slice::from_ref(log)).liquidations)
            .map(|liquidation| name(liquidation.protocol))
            .collect();
        assert_eq!(told, PROTOCOLS.map(|(_, name)| name.to_owned()).into());
    }

    #[test]
    fn a_compound_v2_debt_is_in_the_token_that_the_market_was_paid_in() {
        let paid = moved(DEBT, [LIQUIDATOR, MARKET], 70);
        let unrelated = moved(OTHER, [LIQUIDATOR, MARKET], 71);
        let shares = moved(COLLATERAL, [USER, LIQUIDATOR], 90);
        let liquidation = only([unrelated, paid, repayment(70), shares, compound_v2_log()]);
        assert_eq!(liquidation.protocol, Protocol::CompoundV2);
        assert_eq!(liquidation.contract, MARKET);
        assert_eq!(liquidation.debt_asset, Some(DEBT));
        assert_eq!(liquidation.collateral_asset, Some(COLLATERAL));
    }

    #[test]
    fn a_compound_v2_debt_is_unknown_where_two_tokens_could_be_it() {
        let [one, other] = [DEBT, OTHER].map(|token| moved(token, [LIQUIDATOR, MARKET], 70));
        let again = one.clone();
        let liquidation = only([one.clone(), repayment(70), again, compound_v2_log()]);
        assert_eq!(liquidation.debt_asset, Some(DEBT));
        let liquidation = only([one, other, repayment(70), compound_v2_log()]);
        assert_eq!(liquidation.debt_asset, None);
    }

    #[test]
    fn a_compound_v2_market_that_no_token_came_to_was_repaid_natively() {
        let shares = moved(MARKET, [USER, MARKET], 2);
        let unrelated = moved(OTHER, [LIQUIDATOR, USER], 70);
        let liquidation = only([repayment(70), shares, unrelated, compound_v2_log()]);
        assert_eq!(liquidation.debt_asset, Some(NATIVE));
    }

    #[test]
    fn a_compound_v2_debt_is_not_taken_for_native_on_less_than_all_logs() {
        assert_eq!(only([compound_v2_log()]).debt_asset, None);
        assert_eq!(only([repayment(69), compound_v2_log()]).debt_asset, None);
        let less = moved(DEBT, [LIQUIDATOR, MARKET], 69);
        assert_eq!(only([less, repayment(70), compound_v2_log()]).debt_asset, None);
        let nft = [TRANSFER, word(LIQUIDATOR), word(USER), number(1)];
        let nft = log(OTHER, &nft, &[]);
        assert_eq!(only([nft, repayment(70), compound_v2_log()]).debt_asset, None);
        let wrapped = log(DEBT, &[DEPOSIT, word(MARKET)], &[number(70)]);
        assert_eq!(only([wrapped, repayment(70), compound_v2_log()]).debt_asset, None);
    }

    #[test]
    fn a_market_is_not_paid_in_its_own_shares() {
        let redeemed = moved(MARKET, [LIQUIDATOR, MARKET], 70);
        let paid = moved(DEBT, [LIQUIDATOR, MARKET], 70);
        let logs = [paid, repayment(70), compound_v2_log(), redeemed.clone()];
        assert_eq!(only(logs).debt_asset, Some(DEBT));
        let liquidation = only([repayment(70), compound_v2_log(), redeemed]);
        assert_eq!(liquidation.debt_asset, Some(NATIVE));
    }

    #[test]
    fn logs_of_another_transaction_say_nothing_about_this_one() {
        let mut before = moved(DEBT, [LIQUIDATOR, MARKET], 70);
        before.transaction_index = 2;
        assert_eq!(only([before, compound_v2_log()]).debt_asset, None);
        let mut previous = moved(DEBT, [LIQUIDATOR, MARKET], 70);
        previous.block_number = 16;
        assert_eq!(only([previous, compound_v2_log()]).debt_asset, None);
    }

    #[test]
    fn an_absorbed_account_with_one_collateral_is_one_liquidation() {
        let liquidation = only([absorb_collateral(USER, COLLATERAL, 90), absorb_debt(USER, 70)]);
        assert_eq!(liquidation.protocol, Protocol::CompoundV3);
        assert_eq!(liquidation.contract, LENDER);
        assert_eq!(liquidation.collateral_asset, Some(COLLATERAL));
        assert_eq!(liquidation.debt_asset, None);
    }

    #[test]
    fn accounts_absorbed_together_have_an_item_per_collateral_and_their_debt_once() {
        let liquidations = found([
            absorb_collateral(USER, COLLATERAL, 90),
            absorb_collateral(USER, DEBT, 91),
            absorb_debt(USER, 70),
            absorb_collateral(OTHER, COLLATERAL, 92),
            absorb_debt(OTHER, 71),
            absorb_debt(MARKET, 72),
        ]);
        let items = liquidations.iter().map(|item| {
            let amounts = [item.debt_amount, item.collateral_amount].map(|amount| amount.to());
            (item.log_index, item.user, amounts, item.collateral_asset)
        });
        let expected: [(u32, Address, [u64; 2], Option<Address>); 4] = [
            (0, USER, [70, 90], Some(COLLATERAL)),
            (1, USER, [0, 91], Some(DEBT)),
            (3, OTHER, [71, 92], Some(COLLATERAL)),
            (5, MARKET, [72, 0], None),
        ];
        assert!(items.eq(expected), "{liquidations:?}");
    }

    #[test]
    fn who_buys_what_was_absorbed_shows_what_compound_v3_lends() {
        let absorbed = [absorb_collateral(USER, COLLATERAL, 90), absorb_debt(USER, 70)];
        let paid = moved(DEBT, [LIQUIDATOR, LENDER], 80);
        let [collateral, debt] = absorbed;
        let liquidation = only([collateral.clone(), debt.clone(), paid, buy_collateral(80)]);
        assert_eq!(liquidation.debt_asset, Some(DEBT));
        let other = moved(OTHER, [LIQUIDATOR, LENDER], 79);
        let liquidation = only([collateral, debt, other, buy_collateral(80)]);
        assert_eq!(liquidation.debt_asset, None);
    }

    #[test]
    fn buying_collateral_is_not_a_liquidation() {
        let paid = moved(DEBT, [LIQUIDATOR, LENDER], 80);
        assert_eq!(found([paid, buy_collateral(80)]), []);
    }

    #[test]
    fn morpho_markets_are_told_by_what_moved() {
        let seized = moved(COLLATERAL, [LENDER, LIQUIDATOR], 90);
        let sold = moved(COLLATERAL, [LIQUIDATOR, OTHER], 90);
        let repaid = moved(DEBT, [LIQUIDATOR, LENDER], 70);
        let liquidation = only([seized, morpho_log(), sold, repaid]);
        assert_eq!(liquidation.protocol, Protocol::MorphoBlue);
        assert_eq!(liquidation.contract, LENDER);
        assert_eq!(liquidation.debt_asset, Some(DEBT));
        assert_eq!(liquidation.collateral_asset, Some(COLLATERAL));
    }

    #[test]
    fn morpho_tokens_are_unknown_where_none_or_two_could_be_it() {
        let [seized, loan] =
            [COLLATERAL, OTHER].map(|token| moved(token, [LENDER, LIQUIDATOR], 90));
        let taxed = moved(DEBT, [LIQUIDATOR, LENDER], 69);
        let liquidation = only([loan, seized, morpho_log(), taxed]);
        assert_eq!((liquidation.debt_asset, liquidation.collateral_asset), (None, None));
    }

    #[test]
    fn an_amount_of_zero_names_no_token() {
        let mut nothing = compound_v2_log();
        let data = [word(LIQUIDATOR), word(USER), number(0), word(COLLATERAL), number(0)];
        nothing.data = data.concat().into();
        let [liquidation] = found([moved(DEBT, [LIQUIDATOR, MARKET], 0), nothing])
            .try_into()
            .unwrap_or_else(|found| panic!("{found:?}"));
        assert_eq!(liquidation.debt_asset, None);
    }

    #[test]
    fn a_log_of_the_wrong_shape_is_counted_and_ignored() {
        for sample in samples() {
            let mut wrong = vec![];
            let mut with = |change: &dyn Fn(&mut LogRow)| {
                let mut log = sample.clone();
                change(&mut log);
                wrong.push(log);
            };
            let data = &sample.data;
            with(&|log| log.data = Bytes::new());
            with(&|log| log.data = data.slice(..data.len() - 1));
            with(&|log| log.data = data.slice(..data.len() - 32));
            with(&|log| log.data = [data, &[0][..]].concat().into());
            with(&|log| log.data = [data, &[0; 32][..]].concat().into());
            with(&|log| log.data = vec![0; 1 << 20].into());
            with(&|log| log.topics.push(B256::ZERO));
            with(&|log| log.topics.resize(1_000, B256::ZERO));
            with(&|log| log.topics.truncate(log.topics.len() - 1));
            // The same fields in the same order, with one more or one less of them indexed.
            with(&|log| {
                let first = B256::from_slice(&log.data[..32]);
                log.topics.push(first);
                log.data = log.data.slice(32..);
            });
            with(&|log| {
                let last = log.topics.pop().unwrap();
                log.data = [last.as_slice(), &log.data].concat().into();
            });
            // Without its topic, it is not malformed but nothing at all.
            wrong.retain(|log| !log.topics.is_empty());
            let expected = Found { liquidations: vec![], malformed: wrong.len() };
            assert_eq!(liquidations(&wrong), expected, "{sample:?}");
        }
    }

    #[test]
    fn a_word_that_is_no_address_or_flag_is_malformed() {
        let high = B256::from(U256::ONE << 160);
        let no_flag = number(2);
        let in_data = |sample: LogRow, place: usize, word: B256| {
            let mut data = sample.data.to_vec();
            data[place * 32..][..32].copy_from_slice(word.as_slice());
            LogRow { data: data.into(), ..sample }
        };
        let in_topics = |mut sample: LogRow, place: usize| {
            sample.topics[place] = high;
            sample
        };
        let mut wrong = vec![
            in_data(aave_v1_log(), 3, high),
            in_data(aave_v1_log(), 4, no_flag),
            in_data(aave_v2_v3_log(), 2, high),
            in_data(aave_v2_v3_log(), 3, no_flag),
        ];
        wrong.extend([0, 1, 3].map(|place| in_data(compound_v2_log(), place, high)));
        for sample in samples().iter().filter(|sample| sample.topics.len() > 1) {
            // The first indexed field of Morpho's event is a hash, which may be anything.
            let addresses = if sample.topics[0] == MORPHO_BLUE { 2 } else { 1 };
            let places = addresses..sample.topics.len();
            wrong.extend(places.map(|place| in_topics(sample.clone(), place)));
        }
        let expected = Found { liquidations: vec![], malformed: wrong.len() };
        assert_eq!(liquidations(&wrong), expected);
    }

    #[test]
    fn logs_that_tell_of_nothing_are_not_counted() {
        let anonymous = log(LENDER, &[], &[]);
        let unreadable = log(DEBT, &[TRANSFER], &[]);
        let buys = log(LENDER, &[BUY_COLLATERAL], &[]);
        assert_eq!(liquidations(&[anonymous, unreadable, buys]), Found::default());
        assert_eq!(liquidations(&[]), Found::default());
    }

    #[test]
    fn random_bytes_never_panic_and_every_telling_log_is_accounted_for() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state = u64::from_be_bytes(keccak256(state.to_be_bytes())[..8].try_into().unwrap());
            usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
        };
        let helpers = [repayment(70), buy_collateral(80), moved(DEBT, [LIQUIDATOR, MARKET], 70)];
        let pool: Vec<_> = samples().into_iter().chain(helpers).collect();
        let (mut read, mut refused) = (0, 0);
        for _ in 0..2_000 {
            let logs: Vec<_> = (0..next(12))
                .map(|_| {
                    let mut log = pool[next(pool.len())].clone();
                    log.transaction_index = u32::try_from(next(2)).unwrap();
                    let mut data = log.data.to_vec();
                    for _ in 0..next(3) {
                        match next(4) {
                            0 => data.resize(next(400), 0xff),
                            1 if !data.is_empty() => {
                                let place = next(data.len());
                                data[place] = u8::try_from(next(256)).unwrap();
                            }
                            2 => log.topics.resize(next(6), B256::repeat_byte(1)),
                            _ => {
                                let byte = u8::try_from(next(256)).unwrap();
                                if let Some(last) = log.topics.last_mut() {
                                    last.0[next(32)] = byte;
                                }
                            }
                        }
                    }
                    log.data = data.into();
                    log
                })
                .collect();
            let tells =
                |log: &&LogRow| DECODERS.iter().any(|(topic, _)| log.topics.first() == Some(topic));
            let telling = logs.iter().filter(tells).count();
            let debts = with_topic(&logs, ABSORB_DEBT).count();
            let found = liquidations(&logs);
            let accounted = found.liquidations.len() + found.malformed;
            assert!((telling - debts..=telling).contains(&accounted), "{logs:?}");
            read += found.liquidations.len();
            refused += found.malformed;
        }
        assert!(read > 1_000 && refused > 1_000, "{read} read, {refused} refused");
    }
}
