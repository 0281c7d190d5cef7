//! Lending protocols on the chain in memory, with one borrower in each whose debt is not covered
//! any more: Aave V3 (npm's artifacts, revision 1), Morpho Blue, a Comet and Balancer's vault
//! (their code on mainnet).
//!
//! Tokens and price feeds stand where the Comet's code says that they are, and serve all three.
//!
//! Temperature: cold.

use std::fs;

use alloy::primitives::{Address, Bytes, U256, address, hex};
use alloy::sol_types::{SolCall, SolValue};
use gannet_engine::ids::TokenId;
use serde_json::Value;

use self::abi::{Aave, AaveSetup, MarketParams, Morpho};
use crate::codes::code_with;
use crate::comet::abi::Comet;
use crate::comet::read_market;
use crate::evm::abi::Erc20;
use crate::evm::{Market, OWNER};

pub(crate) mod abi {
    alloy::sol! {
        struct MarketParams {
            address loanToken;
            address collateralToken;
            address oracle;
            address irm;
            uint256 lltv;
        }
        interface Morpho {
            function enableIrm(address irm) external;
            function enableLltv(uint256 lltv) external;
            function createMarket(MarketParams market) external;
            function supply(
                MarketParams market, uint256 assets, uint256 shares, address onBehalf, bytes data
            ) external returns (uint256, uint256);
            function supplyCollateral(
                MarketParams market, uint256 assets, address onBehalf, bytes data
            ) external;
            function borrow(
                MarketParams market, uint256 assets, uint256 shares, address onBehalf,
                address receiver
            ) external returns (uint256, uint256);
            function liquidate(
                MarketParams market, address borrower, uint256 seized, uint256 shares, bytes data
            ) external returns (uint256, uint256);
            function position(bytes32 id, address user)
                external view returns (uint256 supplied, uint128 borrowed, uint128 collateral);
        }
        interface Aave {
            function supply(address asset, uint256 amount, address onBehalf, uint16 code) external;
            function borrow(
                address asset, uint256 amount, uint256 mode, uint16 code, address onBehalf
            ) external;
            function liquidationCall(
                address collateral, address debt, address user, uint256 amount, bool takesShares
            ) external;
        }
        struct Reserve {
            address aToken;
            address stableDebtToken;
            address variableDebtToken;
            uint8 decimals;
            address rateStrategy;
            address underlying;
            address treasury;
            address incentives;
            string aTokenName;
            string aTokenSymbol;
            string variableName;
            string variableSymbol;
            string stableName;
            string stableSymbol;
            bytes parameters;
        }
        interface AaveSetup {
            function initialize(address provider) external;
            function setACLAdmin(address admin) external;
            function setACLManager(address manager) external;
            function addPoolAdmin(address admin) external;
            function addAssetListingAdmin(address admin) external;
            function setPoolImpl(address pool) external;
            function setPoolConfiguratorImpl(address configurator) external;
            function setPriceOracle(address oracle) external;
            function getPool() external view returns (address);
            function getPoolConfigurator() external view returns (address);
            function initReserves(Reserve[] reserves) external;
            function configureReserveAsCollateral(
                address asset, uint256 ltv, uint256 threshold, uint256 bonus
            ) external;
            function setReserveBorrowing(address asset, bool isOn) external;
            function setReserveFlashLoaning(address asset, bool isOn) external;
            function setLiquidationProtocolFee(address asset, uint256 fee) external;
            function updateFlashloanPremiumTotal(uint128 premium) external;
        }
    }
}

/// Who owes.
pub(crate) const BORROWER: Address = Address::repeat_byte(0xb0);
/// Who lends to the protocols.
const SUPPLIER: Address = Address::repeat_byte(0xb1);
/// The debt of a position, in units of the debt token.
pub(crate) const DEBT: u128 = 15_000_000_000;
/// The collateral of a position.
pub(crate) const COLLATERAL: u128 = 10_000_000_000_000_000_000;
/// Morpho's LLTV, in 1e-18.
pub(crate) const LLTV: u64 = 860_000_000_000_000_000;
/// Aave's flash premium, in 1e-4.
pub(crate) const PREMIUM: u128 = 5;
/// What a unit of the collateral is worth while it is borrowed against, in whole debt tokens.
const PRICE: u64 = 2_000;
/// The same when it does not cover the debt any more.
pub(crate) const LOW_PRICE: u64 = 1_600;

const MORPHO: Address = address!("bbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb");
const VAULT: Address = address!("ba12222222228d8ba445958a75a0704d566bf2c8");
/// Where the vault's code looks for its fee.
const COLLECTOR: Address = address!("ce88686553686da562ce7cea497ce749da109f9f");
const COMET: Address = address!("c3d688b66703497daa19211eedff47f25384cdc3");
/// The collateral that is used of the Comet's.
const WETH: Address = address!("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2");

/// The protocols, and what they share.
pub(crate) struct Lenders {
    pub(crate) debt: TokenId,
    pub(crate) collateral: TokenId,
    pub(crate) morpho: Address,
    pub(crate) vault: Address,
    pub(crate) aave: Address,
    pub(crate) comet: Address,
    /// Morpho's oracle.
    pub(crate) oracle: Address,
    /// Feeds of the debt token and of the collateral.
    feeds: [Address; 2],
}

impl Lenders {
    /// All of them, with liquidity, and a position in each that can be liquidated; `None` where the
    /// real code is missing.
    pub(crate) fn new(market: &mut Market) -> Option<Self> {
        let [morpho, vault, comet] =
            [("63d8eabcb8", MORPHO), ("63f84d066e", VAULT), ("63c3cecfd2", COMET)]
                .map(|(digits, at)| code_with(digits).map(|code| market.chain.set_code(at, code)));
        [morpho, vault, comet].into_iter().collect::<Option<Vec<_>>>()?;
        market.place("FeeCollector", &[], COLLECTOR);

        let debt = of_comet(market, &Comet::baseTokenCall {});
        let feeds = [of_comet(market, &Comet::baseTokenPriceFeedCall {}), collateral_feed(market)];
        let debt = market.token_at(debt, 6);
        let collateral = market.token_at(WETH, 18);
        for feed in feeds {
            market.place("Feed", &[], feed);
        }
        let oracle = market.contract("Feed", &[]);
        let (morpho, vault, comet) = (MORPHO, VAULT, COMET);
        let aave = Address::ZERO;
        let mut lenders = Self { debt, collateral, morpho, vault, aave, comet, oracle, feeds };
        lenders.set_price(market, PRICE);
        lenders.aave = lenders.deploy_aave(market);
        for token in [debt, collateral] {
            let token = market.address(token);
            for who in [SUPPLIER, BORROWER] {
                market.fund(token, who, 1 << 100);
                for spender in [morpho, lenders.aave, comet] {
                    let call = Erc20::approveCall { spender, amount: U256::MAX };
                    market.chain.send(who, token, call.abi_encode()).lands();
                }
            }
        }
        lenders.borrow_of_morpho(market);
        lenders.borrow_of_comet(market);
        lenders.borrow_of_aave(market);
        for token in [debt, collateral] {
            lenders.endow(market, token);
        }
        lenders.set_price(market, LOW_PRICE);
        Some(lenders)
    }

    /// Sets what the collateral is worth, in whole debt tokens.
    pub(crate) fn set_price(&self, market: &mut Market, price: u64) {
        let answers = [U256::from(100_000_000), U256::from(price) * U256::from(100_000_000)];
        for (feed, answer) in self.feeds.into_iter().zip(answers) {
            market.chain.set_slot(feed, U256::ZERO, answer);
        }
        let quote = U256::from(price) * U256::from(10).pow(U256::from(36 + 6 - 18));
        market.chain.set_slot(self.oracle, U256::ZERO, quote);
    }

    /// Sets the vault's fee, in 1e-18 of what is lent.
    pub(crate) fn set_vault_fee(market: &mut Market, fee: u64) {
        market.chain.set_slot(COLLECTOR, U256::ZERO, U256::from(fee));
    }

    /// Morpho's market.
    pub(crate) fn params(&self, market: &Market) -> MarketParams {
        MarketParams {
            loanToken: market.address(self.debt),
            collateralToken: market.address(self.collateral),
            oracle: self.oracle,
            irm: Address::ZERO,
            lltv: U256::from(LLTV),
        }
    }

    /// Lets Morpho and the vault lend this token too.
    pub(crate) fn endow(&self, market: &mut Market, token: TokenId) {
        let token = market.address(token);
        for lender in [self.morpho, self.vault] {
            market.fund(token, lender, 1 << 90);
        }
    }

    /// The borrower's shares of debt in Morpho's market.
    pub(crate) fn shares(&self, market: &mut Market) -> u128 {
        let id = alloy::primitives::keccak256(self.params(market).abi_encode());
        let call = Morpho::positionCall { id, user: BORROWER };
        market.chain.read(self.morpho, &call).expect("a view").borrowed
    }

    fn borrow_of_morpho(&self, market: &mut Market) {
        // Its first slot is its owner.
        market.chain.set_slot(self.morpho, U256::ZERO, OWNER.into_word().into());
        let params = self.params(market);
        let (to, empty) = (self.morpho, Bytes::new());
        let assets = U256::from(1_000 * DEBT);
        for (from, call) in [
            (OWNER, Morpho::enableIrmCall { irm: Address::ZERO }.abi_encode()),
            (OWNER, Morpho::enableLltvCall { lltv: params.lltv }.abi_encode()),
            (OWNER, Morpho::createMarketCall { market: params.clone() }.abi_encode()),
            (
                SUPPLIER,
                Morpho::supplyCall {
                    market: params.clone(),
                    assets,
                    shares: U256::ZERO,
                    onBehalf: SUPPLIER,
                    data: empty.clone(),
                }
                .abi_encode(),
            ),
            (
                BORROWER,
                Morpho::supplyCollateralCall {
                    market: params.clone(),
                    assets: U256::from(COLLATERAL),
                    onBehalf: BORROWER,
                    data: empty,
                }
                .abi_encode(),
            ),
            (
                BORROWER,
                Morpho::borrowCall {
                    market: params,
                    assets: U256::from(DEBT),
                    shares: U256::ZERO,
                    onBehalf: BORROWER,
                    receiver: BORROWER,
                }
                .abi_encode(),
            ),
        ] {
            market.chain.send(from, to, call).lands();
        }
    }

    fn borrow_of_comet(&self, market: &mut Market) {
        let [debt, collateral] = [self.debt, self.collateral].map(|token| market.address(token));
        let supply =
            |asset, amount| Comet::supplyCall { asset, amount: U256::from(amount) }.abi_encode();
        for (from, call) in [
            (OWNER, Comet::initializeStorageCall {}.abi_encode()),
            (SUPPLIER, supply(debt, 1_000 * DEBT)),
            (BORROWER, supply(collateral, COLLATERAL)),
            (BORROWER, Comet::withdrawCall { asset: debt, amount: U256::from(DEBT) }.abi_encode()),
        ] {
            market.chain.send(from, self.comet, call).lands();
        }
    }

    fn borrow_of_aave(&self, market: &mut Market) {
        let [debt, collateral] = [self.debt, self.collateral].map(|token| market.address(token));
        let supply = |asset, amount, who| {
            let amount = U256::from(amount);
            Aave::supplyCall { asset, amount, onBehalf: who, code: 0 }.abi_encode()
        };
        for (from, call) in [
            (SUPPLIER, supply(debt, 1_000 * DEBT, SUPPLIER)),
            (SUPPLIER, supply(collateral, 1_000 * COLLATERAL, SUPPLIER)),
            (BORROWER, supply(collateral, COLLATERAL, BORROWER)),
            (
                BORROWER,
                Aave::borrowCall {
                    asset: debt,
                    amount: U256::from(DEBT),
                    mode: U256::from(2),
                    code: 0,
                    onBehalf: BORROWER,
                }
                .abi_encode(),
            ),
        ] {
            market.chain.send(from, self.aave, call).lands();
        }
    }

    /// A pool of Aave's with two reserves; its address.
    fn deploy_aave(&self, market: &mut Market) -> Address {
        let mut libraries: Vec<(&str, Address)> = vec![];
        for name in AAVE_LIBRARIES {
            let file = format!("protocol/libraries/logic/{name}");
            let library = market.chain.deploy(aave_code(&file, &libraries), &[]);
            libraries.push((name, library));
        }
        let mut make = |name: &str, arguments: &[u8]| {
            market.chain.deploy(aave_code(name, &libraries), arguments)
        };
        let provider = ("Gannet", OWNER).abi_encode_params();
        let provider = make("protocol/configuration/PoolAddressesProvider", &provider);
        let of_provider = provider.abi_encode();
        let pool = make("protocol/pool/Pool", &of_provider);
        let configurator = make("protocol/pool/PoolConfigurator", &[]);
        admin(market, provider, &AaveSetup::setACLAdminCall { admin: OWNER });
        let manager = aave_code("protocol/configuration/ACLManager", &libraries);
        let manager = market.chain.deploy(manager, &of_provider);
        admin(market, provider, &AaveSetup::setACLManagerCall { manager });
        admin(market, manager, &AaveSetup::addPoolAdminCall { admin: OWNER });
        admin(market, manager, &AaveSetup::addAssetListingAdminCall { admin: OWNER });
        admin(market, pool, &AaveSetup::initializeCall { provider });
        admin(market, configurator, &AaveSetup::initializeCall { provider });
        admin(market, provider, &AaveSetup::setPoolImplCall { pool });
        admin(market, provider, &AaveSetup::setPoolConfiguratorImplCall { configurator });
        let oracle = self.aave_oracle(market, provider);
        admin(market, provider, &AaveSetup::setPriceOracleCall { oracle });
        let pool = market.chain.read(provider, &AaveSetup::getPoolCall {}).expect("a view");
        let configurator = AaveSetup::getPoolConfiguratorCall {};
        let configurator = market.chain.read(provider, &configurator).expect("a view");
        self.list_reserves(market, [provider, pool, configurator]);
        pool
    }

    fn aave_oracle(&self, market: &mut Market, provider: Address) -> Address {
        let tokens = [self.debt, self.collateral].map(|token| market.address(token)).to_vec();
        let sources = self.feeds.to_vec();
        let (none, unit) = (Address::ZERO, U256::from(100_000_000));
        let arguments = (provider, tokens, sources, none, none, unit).abi_encode_params();
        market.chain.deploy(aave_code("misc/AaveOracle", &[]), &arguments)
    }

    /// Both tokens can be supplied, borrowed and lent in a flash.
    fn list_reserves(&self, market: &mut Market, aave: [Address; 3]) {
        let [provider, pool, configurator] = aave;
        let tokens = [self.debt, self.collateral].map(|token| market.address(token));
        let ray = |per_cent: u64| U256::from(per_cent) * U256::from(10).pow(U256::from(25));
        let rates = [45, 0, 4, 300, 7, 300, 2, 5, 20].map(ray);
        let rates = [provider.abi_encode(), rates.abi_encode()].concat();
        let code = aave_code("protocol/pool/DefaultReserveInterestRateStrategy", &[]);
        let rate_strategy = market.chain.deploy(code, &rates);
        let [a_token, stable, variable] =
            ["AToken", "StableDebtToken", "VariableDebtToken"].map(|name| {
                let code = aave_code(&format!("protocol/tokenization/{name}"), &[]);
                market.chain.deploy(code, &pool.abi_encode())
            });
        let name = || String::from("A");
        let reserve = |(underlying, decimals)| abi::Reserve {
            aToken: a_token,
            stableDebtToken: stable,
            variableDebtToken: variable,
            decimals,
            rateStrategy: rate_strategy,
            underlying,
            treasury: OWNER,
            incentives: Address::ZERO,
            aTokenName: name(),
            aTokenSymbol: name(),
            variableName: name(),
            variableSymbol: name(),
            stableName: name(),
            stableSymbol: name(),
            parameters: Bytes::new(),
        };
        let reserves = tokens.into_iter().zip([6, 18]).map(reserve).collect();
        admin(market, configurator, &AaveSetup::initReservesCall { reserves });
        for asset in tokens {
            let [ltv, threshold, bonus, fee] = [8_000, 8_250, 10_500, 1_000].map(U256::from);
            let risk = AaveSetup::configureReserveAsCollateralCall { asset, ltv, threshold, bonus };
            admin(market, configurator, &risk);
            admin(market, configurator, &AaveSetup::setReserveBorrowingCall { asset, isOn: true });
            let lends = AaveSetup::setReserveFlashLoaningCall { asset, isOn: true };
            admin(market, configurator, &lends);
            admin(market, configurator, &AaveSetup::setLiquidationProtocolFeeCall { asset, fee });
        }
        let premium = AaveSetup::updateFlashloanPremiumTotalCall { premium: PREMIUM };
        admin(market, configurator, &premium);
    }
}

/// Aave's libraries, those that others need before them.
const AAVE_LIBRARIES: [&str; 8] = [
    "SupplyLogic",
    "BorrowLogic",
    "LiquidationLogic",
    "EModeLogic",
    "BridgeLogic",
    "PoolLogic",
    "ConfiguratorLogic",
    "FlashLoanLogic",
];

fn admin(market: &mut Market, to: Address, call: &impl SolCall) {
    market.chain.send(OWNER, to, call.abi_encode()).lands();
}

fn of_comet<C: SolCall>(market: &mut Market, call: &C) -> C::Return {
    market.chain.read(COMET, call).expect("a view")
}

/// The feed of the collateral that is used.
fn collateral_feed(market: &mut Market) -> Address {
    let (_, assets) = read_market(&mut market.chain, COMET);
    assets.iter().find(|asset| asset.token == WETH).expect("it is listed").feed
}

/// Creation code of one of Aave's contracts, with its libraries' addresses in it.
fn aave_code(name: &str, libraries: &[(&str, Address)]) -> Vec<u8> {
    let file = name.rsplit('/').next().expect("a name");
    let folder = "scripts/chain/node_modules/@aave/core-v3/artifacts/contracts";
    let path = format!("{}/../{folder}/{name}.sol/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error} (run scripts/chain/install)"));
    let json: Value = serde_json::from_str(&text).expect("an artifact is JSON");
    let mut code = json["bytecode"].as_str().expect("an artifact has bytecode").to_owned();
    let files = json["linkReferences"].as_object().expect("an object").values();
    for (library, places) in files.filter_map(Value::as_object).flatten() {
        let (_, address) =
            libraries.iter().find(|(name, _)| name == library).expect("it is deployed before");
        for place in places.as_array().expect("a list") {
            let start = place["start"].as_u64().and_then(|start| usize::try_from(start).ok());
            let start = start.expect("a small number");
            let digits = 2 + 2 * start..2 + 2 * (start + 20);
            code.replace_range(digits, &hex::encode(address));
        }
    }
    hex::decode(code).expect("hexadecimal digits")
}
