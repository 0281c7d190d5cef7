// Aave V3 on the local test chain, in the bytecode that Aave published (Pool revision 1).
//
// Its proxies and tokens are made by its own contracts, so their addresses are read once these are in: it takes three steps.

import { Interface, parseUnits } from 'ethers';

import { deployer } from './accounts.mjs';
import { aave } from './contracts.mjs';
import { UNLIMITED } from './tokens.mjs';

/** Basis points: what may be borrowed against it, from where it is liquidated, what a liquidator gets; and whole tokens supplied. */
const RESERVES = {
  WETH: { ltv: 8000, threshold: 8250, bonus: 10500, supplied: 4000 },
  WBTC: { ltv: 7500, threshold: 7800, bonus: 10650, supplied: 150 },
  USDC: { ltv: 7700, threshold: 8000, bonus: 10450, supplied: 12_000_000 },
  DAI: { ltv: 7700, threshold: 8000, bonus: 10500, supplied: 5_000_000 },
};
export const AAVE_SYMBOLS = Object.keys(RESERVES);
/** Of the bonus, to the treasury. */
const PROTOCOL_FEE = 1000;
const RESERVE_FACTOR = 1000;
const FLASH_PREMIUM = [5, 4];
export const E_MODE = { id: 1, label: 'stablecoins', ltv: 9300, threshold: 9500, bonus: 10100, symbols: ['USDC', 'DAI'] };
/** Where rates bend, and how much they are there and at the end, in 1; then the same for rates that are not used here. */
const RATES = {
  volatile: ['0.45', '0', '0.04', '3', '0.07', '3', '0.02', '0.05', '0.2'],
  stable: ['0.9', '0', '0.04', '0.6', '0.005', '0.6', '0.01', '0.08', '0.2'],
};
const VARIABLE_RATE = 2n;
const NOBODY = `0x${'0'.repeat(40)}`;
const CREATE = { gasLimit: 6_000_000n };
const LIBRARIES = ['SupplyLogic', 'BorrowLogic', 'LiquidationLogic', 'EModeLogic', 'BridgeLogic', 'PoolLogic', 'ConfiguratorLogic'];

const abi = (file) => new Interface(aave(`interfaces/${file}`).abi);
const POOL = abi('IPool');
const PROVIDER = abi('IPoolAddressesProvider');
const CONFIGURATOR = abi('IPoolConfigurator');
const ACL = abi('IACLManager');
const DATA = abi('IPoolDataProvider');
const ERC20 = new Interface(['function approve(address spender, uint256 value) returns (bool)']);
const REVISION = new Interface(['function POOL_REVISION() view returns (uint256)']);
export { POOL };

/** Deploys the market and lists the reserves, with the feeds as their prices' sources. Aave's part of the address book. */
export async function deployAave({ rpc, batch, tokens }, feeds) {
  const create = (file, args, libraries) => batch.create(deployer, aave(file, libraries), args, CREATE);
  const libraries = {};
  for (const name of LIBRARIES) libraries[name] = create(`protocol/libraries/logic/${name}`, []);
  libraries.FlashLoanLogic = create('protocol/libraries/logic/FlashLoanLogic', [], libraries);

  const provider = create('protocol/configuration/PoolAddressesProvider', ['Gannet test market', deployer.address]);
  const set = (name, ...args) => batch.call(deployer, provider, PROVIDER, name, args, { gasLimit: 2_000_000n });
  set('setACLAdmin', deployer.address);
  const acl = create('protocol/configuration/ACLManager', [provider]);
  set('setACLManager', acl);
  for (const role of ['addPoolAdmin', 'addRiskAdmin', 'addAssetListingAdmin', 'addEmergencyAdmin']) {
    batch.call(deployer, acl, ACL, role, [deployer.address]);
  }
  set('setPoolImpl', create('protocol/pool/Pool', [provider], libraries));
  set('setPoolConfiguratorImpl', create('protocol/pool/PoolConfigurator', [], libraries));
  const sources = [AAVE_SYMBOLS.map((symbol) => tokens[symbol].address), AAVE_SYMBOLS.map((symbol) => feeds[symbol].proxy)];
  const oracle = create('misc/AaveOracle', [provider, ...sources, NOBODY, NOBODY, 10n ** 8n]);
  set('setPriceOracle', oracle);
  const data = create('misc/AaveProtocolDataProvider', [provider]);
  set('setPoolDataProvider', data);
  await batch.settle();

  const pool = await rpc.read(provider, PROVIDER, 'getPool');
  const configurator = await rpc.read(provider, PROVIDER, 'getPoolConfigurator');
  listReserves({ batch, tokens, create }, { provider, pool, configurator });
  await batch.settle();
  const reserves = await readReserves(rpc, data, tokens);
  const addresses = { pool, addresses_provider: provider, configurator, oracle, data_provider: data, acl_manager: acl };
  const revision = Number(await rpc.read(pool, REVISION, 'POOL_REVISION'));
  const { ltv, threshold, bonus, ...category } = E_MODE;
  const e_mode = { ...category, ltv_bps: ltv, threshold_bps: threshold, bonus_bps: bonus };
  return { ...addresses, pool_revision: revision, flash_premium_bps: FLASH_PREMIUM[0], reserves, e_mode };
}

function listReserves({ batch, tokens, create }, { provider, pool, configurator }) {
  const token = (name) => create(`protocol/tokenization/${name}`, [pool]);
  const [supplied, stableDebt, debt] = ['AToken', 'StableDebtToken', 'VariableDebtToken'].map(token);
  const strategies = {};
  for (const [kind, rates] of Object.entries(RATES)) {
    const rays = rates.map((rate) => parseUnits(rate, 27));
    strategies[kind] = create('protocol/pool/DefaultReserveInterestRateStrategy', [provider, ...rays]);
  }
  const inputs = AAVE_SYMBOLS.map((symbol) => {
    const { address, decimals } = tokens[symbol];
    const strategy = E_MODE.symbols.includes(symbol) ? strategies.stable : strategies.volatile;
    const names = ['Aave', 'a', 'Aave Variable Debt', 'variableDebt', 'Aave Stable Debt', 'stableDebt'];
    const named = names.map((name, index) => (index % 2 === 0 ? `${name} ${symbol}` : `${name}${symbol}`));
    return [supplied, stableDebt, debt, decimals, strategy, address, deployer.address, NOBODY, ...named, '0x'];
  });
  const configure = (name, ...args) => batch.call(deployer, configurator, CONFIGURATOR, name, args);
  for (const input of inputs) batch.call(deployer, configurator, CONFIGURATOR, 'initReserves', [[input]], CREATE);
  for (const [symbol, { ltv, threshold, bonus }] of Object.entries(RESERVES)) {
    const { address } = tokens[symbol];
    configure('configureReserveAsCollateral', address, ltv, threshold, bonus);
    configure('setReserveBorrowing', address, true);
    configure('setReserveFlashLoaning', address, true);
    configure('setReserveFactor', address, RESERVE_FACTOR);
    configure('setLiquidationProtocolFee', address, PROTOCOL_FEE);
  }
  configure('updateFlashloanPremiumTotal', FLASH_PREMIUM[0]);
  configure('updateFlashloanPremiumToProtocol', FLASH_PREMIUM[1]);
  configure('setEModeCategory', E_MODE.id, E_MODE.ltv, E_MODE.threshold, E_MODE.bonus, NOBODY, E_MODE.label);
  for (const symbol of E_MODE.symbols) configure('setAssetEModeCategory', tokens[symbol].address, E_MODE.id);
}

async function readReserves(rpc, data, tokens) {
  const rows = AAVE_SYMBOLS.map(async (symbol) => {
    const { address, decimals } = tokens[symbol];
    const [supplied, , debt] = await rpc.read(data, DATA, 'getReserveTokensAddresses', [address]);
    const { ltv, threshold, bonus } = RESERVES[symbol];
    const risk = { ltv_bps: ltv, threshold_bps: threshold, bonus_bps: bonus, protocol_fee_bps: PROTOCOL_FEE };
    return [symbol, { underlying: address, decimals, a_token: supplied, variable_debt_token: debt, ...risk }];
  });
  return Object.fromEntries(await Promise.all(rows));
}

/** Queues what there is to borrow. */
export function fundAave({ batch, tokens, obtain }, { pool }) {
  for (const [symbol, { supplied }] of Object.entries(RESERVES)) {
    const amount = parseUnits(String(supplied), tokens[symbol].decimals);
    obtain(tokens[symbol], amount, pool);
    supply(batch, pool, tokens[symbol], amount, deployer.address);
  }
}

/** Queues a borrower's collateral, which the deployer pays, and the debt; amounts by symbol. */
export function borrowFromAave({ batch, tokens, obtain }, { pool }, { wallet, collateral, debt, e_mode: category }) {
  for (const [symbol, amount] of Object.entries(collateral)) {
    obtain(tokens[symbol], amount, pool);
    supply(batch, pool, tokens[symbol], amount, wallet.address);
  }
  if (category > 0) batch.call(wallet, pool, POOL, 'setUserEMode', [category], { gasLimit: 300_000n });
  for (const [symbol, amount] of Object.entries(debt)) {
    const { address } = tokens[symbol];
    batch.call(wallet, pool, POOL, 'borrow', [address, amount, VARIABLE_RATE, 0, wallet.address], { gasLimit: 700_000n });
    batch.call(wallet, address, ERC20, 'approve', [pool, UNLIMITED]);
  }
}

function supply(batch, pool, { address }, amount, owner) {
  batch.call(deployer, pool, POOL, 'supply', [address, amount, owner, 0], { gasLimit: 500_000n });
}

/** The call that pays back so much of a debt. */
export function repayToAave({ pool }, { address }, amount, owner) {
  return { to: pool, data: POOL.encodeFunctionData('repay', [address, amount, VARIABLE_RATE, owner]) };
}

/** The share of collateral that counts, in 1. */
export function aaveThreshold(symbol, category) {
  return (category > 0 ? E_MODE.threshold : RESERVES[symbol].threshold) / 10_000;
}
