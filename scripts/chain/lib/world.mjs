// What is deployed on the local test chain: WETH9, two Uniswap V2 factories with their routers, six tokens, eighteen pairs,
// then Uniswap V3 with its routers and pools, and a factory of Solidly's shape.
//
// Everything comes from account 0 in a fixed order, so every address is the same on every run and on every client; the
// committed config.toml names them. Append to these lists, never insert, or all later addresses move.

import { Interface, getCreate2Address, keccak256, solidityPacked } from 'ethers';

import * as accounts from './accounts.mjs';
import { Batch, setBaseFee } from './batch.mjs';
import { own, sushiContracts, uniswapV2 } from './contracts.mjs';
import { addSolidlyPools, checkSolidly, deploySolidly } from './solidly.mjs';
import { ETHER_USD, FOREVER, bothWorth, inOrder } from './tokens.mjs';
import { addV3Pools, checkV3, deployV3 } from './v3.mjs';

const BASE_FEE_AFTER_DEPLOYMENT = 10_000_000_000n;
const FEE_PIPS = 3000;

/** `usd` sets the price at which the pairs start, before their skew. */
const TOKENS = [
  { symbol: 'USDC', name: 'USD Coin', decimals: 6, usd: 1 },
  { symbol: 'USDT', name: 'Tether USD', decimals: 6, usd: 1 },
  { symbol: 'WBTC', name: 'Wrapped BTC', decimals: 8, usd: 60_000 },
  { symbol: 'DAI', name: 'Dai Stablecoin', decimals: 18, usd: 1 },
  { symbol: 'LINK', name: 'ChainLink Token', decimals: 18, usd: 15 },
  { symbol: 'UNI', name: 'Uniswap', decimals: 18, usd: 8 },
];
/** The tokens in which a bot may count its profit. */
const BASE_TOKENS = ['WETH', 'USDC'];

/** [factory, token, token, value of each side in ether, by how many parts per 10,000 the first token is too dear]. */
const PAIRS = [
  ['uniswap', 'WETH', 'USDC', 2000, 0],
  ['uniswap', 'WETH', 'USDT', 1200, 40],
  ['uniswap', 'WETH', 'DAI', 1000, -60],
  ['uniswap', 'WETH', 'WBTC', 1500, 30],
  ['uniswap', 'WETH', 'LINK', 500, -80],
  ['uniswap', 'WETH', 'UNI', 400, 110],
  ['uniswap', 'USDC', 'USDT', 600, 10],
  ['uniswap', 'USDC', 'DAI', 500, -15],
  ['uniswap', 'WBTC', 'USDC', 700, 90],
  ['sushi', 'WETH', 'USDC', 1200, 120],
  ['sushi', 'WETH', 'USDT', 600, -70],
  ['sushi', 'WETH', 'DAI', 700, 80],
  ['sushi', 'WETH', 'WBTC', 800, -90],
  ['sushi', 'WETH', 'LINK', 350, 100],
  ['sushi', 'WETH', 'UNI', 300, -60],
  ['sushi', 'LINK', 'USDC', 300, 130],
  ['sushi', 'UNI', 'USDT', 250, -120],
  ['sushi', 'WBTC', 'DAI', 400, -50],
];

const UNISWAP = {
  factory: uniswapV2('v2-core', 'UniswapV2Factory'),
  pair: uniswapV2('v2-core', 'UniswapV2Pair'),
  router: uniswapV2('v2-periphery', 'UniswapV2Router02'),
};
export const ROUTER = new Interface(UNISWAP.router.abi);
export const FACTORY = new Interface(UNISWAP.factory.abi);
export const PAIR = new Interface(UNISWAP.pair.abi);
export const WETH9 = new Interface(uniswapV2('v2-periphery', 'WETH9').abi);
export const TOKEN = new Interface(own('Token').abi);

/**
 * Deploys all of it on a fresh chain that mines on `evm_mine`, and returns the address book and the batch to go on with. With a
 * `lendingSeed` there is lending too.
 */
export async function deployWorld(rpc, { lendingSeed } = {}) {
  const { deployer } = accounts;
  const batch = new Batch(rpc);

  const weth = batch.create(deployer, uniswapV2('v2-periphery', 'WETH9'));
  const factories = [deployFactory(batch, 'uniswap', UNISWAP, weth), deployFactory(batch, 'sushi', sushiContracts(), weth)];
  const tokens = { WETH: { address: weth, decimals: 18, usd: ETHER_USD } };
  for (const { symbol, name, decimals, usd } of TOKENS) {
    tokens[symbol] = { address: batch.create(deployer, own('Token'), [name, symbol, decimals]), decimals, usd };
  }
  const pairs = PAIRS.map((row) => addPair(batch, factories, tokens, row));
  const busy = batch.create(deployer, own('Busy'));
  const v3 = deployV3(batch, { weth, v2: factories[0] });
  const solidly = deploySolidly(batch);
  const uses = { batch, tokens, obtain: (token, amount, spender) => obtain(batch, weth, token, amount, spender) };
  v3.pools = addV3Pools(uses, v3);
  solidly.pools = addSolidlyPools(uses, solidly);

  await batch.settle();
  await checkPairs(rpc, factories, pairs);
  await checkV3(rpc, v3);
  await checkSolidly(rpc, solidly);
  await season(rpc, batch, pairs);
  // Loaded only where it is wanted: its contracts are many, and take long to compile.
  const lends = lendingSeed === undefined ? null : await import('./lending.mjs');
  const lending = await lends?.deployLending({ rpc, ...uses }, lendingSeed);
  await setBaseFee(rpc, BASE_FEE_AFTER_DEPLOYMENT);
  const contracts = { weth, base_tokens: BASE_TOKENS, tokens, factories, pairs, busy, v3, solidly, ...(lending && { lending }) };
  return { book: { chain_id: accounts.CHAIN_ID, ...contracts, accounts: accounts.describe() }, batch };
}

function deployFactory(batch, name, { factory, pair, router }, weth) {
  const address = batch.create(accounts.deployer, factory, [accounts.deployer.address]);
  return {
    name,
    address,
    router: batch.create(accounts.deployer, router, [address, weth]),
    init_code_hash: keccak256(pair.bytecode),
    fee_pips: FEE_PIPS,
  };
}

/** Queues the pair's first liquidity, which creates it, and returns its entry in the address book. */
function addPair(batch, factories, tokens, [factoryName, symbolA, symbolB, ether, skew]) {
  const { deployer } = accounts;
  const factory = factories.find(({ name }) => name === factoryName);
  const [a, b] = [tokens[symbolA], tokens[symbolB]];
  const [amountA, amountB] = bothWorth(a, b, ether, skew);
  obtain(batch, tokens.WETH.address, a, amountA, factory.router);
  obtain(batch, tokens.WETH.address, b, amountB, factory.router);
  const liquidity = [a.address, b.address, amountA, amountB, 0n, 0n, deployer.address, FOREVER];
  batch.call(deployer, factory.router, ROUTER, 'addLiquidity', liquidity, { gasLimit: 4_000_000n });

  const [token0, token1] = inOrder(a, b).map(({ address }) => address);
  const salt = keccak256(solidityPacked(['address', 'address'], [token0, token1]));
  const address = getCreate2Address(factory.address, salt, factory.init_code_hash);
  return { name: `${symbolA}/${symbolB}`, factory: factoryName, address, token0, token1, fee_pips: FEE_PIPS };
}

/** Queues the making of so much of a token, for the deployer, and the allowance that lets `spender` take it. */
function obtain(batch, weth, { address }, amount, spender) {
  const { deployer } = accounts;
  if (address === weth) batch.call(deployer, address, WETH9, 'deposit', [], { value: amount });
  else batch.call(deployer, address, TOKEN, 'mint', [deployer.address, amount]);
  batch.call(deployer, address, TOKEN, 'approve', [spender, amount]);
}

/** The address book computes the pairs' addresses; the factories must agree. */
async function checkPairs(rpc, factories, pairs) {
  for (const { name, factory, address, token0, token1 } of pairs) {
    const owner = factories.find((f) => f.name === factory);
    const actual = await rpc.read(owner.address, FACTORY, 'getPair', [token0, token1]);
    if (actual !== address) throw new Error(`${factory} ${name} is at ${actual}, not at ${address}: wrong init code hash`);
  }
}

/** Starts the pairs' price accumulators. In a fresh pair they are zero, and its first swap would cost 34,000 gas more. */
async function season(rpc, batch, pairs) {
  await rpc.call('evm_increaseTime', [1]); // they accumulate price times elapsed seconds
  for (const { address } of pairs) batch.call(accounts.deployer, address, PAIR, 'sync');
  await batch.settle();
}
