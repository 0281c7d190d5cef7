// What is deployed on the local test chain: WETH9, two Uniswap V2 factories with their routers, six tokens, eighteen pairs.
//
// Everything comes from account 0 in a fixed order, so every address is the same on every run and on every client; the
// committed config.toml names them. Append to these lists, never insert, or all later addresses move.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Interface, getCreate2Address, keccak256, parseUnits, solidityPacked } from 'ethers';

import * as accounts from './accounts.mjs';
import { Batch, setBaseFee } from './batch.mjs';
import { compile } from './solc.mjs';

const MODULES = fileURLToPath(new URL('../node_modules/', import.meta.url));
const SOL = fileURLToPath(new URL('../sol/', import.meta.url));
const BASE_FEE_AFTER_DEPLOYMENT = 10_000_000_000n;
const FEE_PIPS = 3000;
export const FOREVER = 2n ** 40n; // a deadline
export const UNLIMITED = 2n ** 256n - 1n; // an allowance

/** `usd` sets the price at which the pairs start, before their skew. */
const TOKENS = [
  { symbol: 'USDC', name: 'USD Coin', decimals: 6, usd: 1 },
  { symbol: 'USDT', name: 'Tether USD', decimals: 6, usd: 1 },
  { symbol: 'WBTC', name: 'Wrapped BTC', decimals: 8, usd: 60_000 },
  { symbol: 'DAI', name: 'Dai Stablecoin', decimals: 18, usd: 1 },
  { symbol: 'LINK', name: 'ChainLink Token', decimals: 18, usd: 15 },
  { symbol: 'UNI', name: 'Uniswap', decimals: 18, usd: 8 },
];
export const ETHER_USD = 3000;
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
  factory: uniswap('v2-core', 'UniswapV2Factory'),
  pair: uniswap('v2-core', 'UniswapV2Pair'),
  router: uniswap('v2-periphery', 'UniswapV2Router02'),
};
export const ROUTER = new Interface(UNISWAP.router.abi);
export const FACTORY = new Interface(UNISWAP.factory.abi);
export const PAIR = new Interface(UNISWAP.pair.abi);
export const WETH9 = new Interface(uniswap('v2-periphery', 'WETH9').abi);
export const TOKEN = new Interface(own('Token').abi);

/** Deploys all of it on a fresh chain that mines on `evm_mine`, and returns the address book and the batch to go on with. */
export async function deployWorld(rpc) {
  const { deployer } = accounts;
  const batch = new Batch(rpc);

  const weth = batch.create(deployer, uniswap('v2-periphery', 'WETH9'));
  const factories = [deployFactory(batch, 'uniswap', UNISWAP, weth), deployFactory(batch, 'sushi', sushiContracts(), weth)];
  const tokens = { WETH: { address: weth, decimals: 18, usd: ETHER_USD } };
  for (const { symbol, name, decimals, usd } of TOKENS) {
    tokens[symbol] = { address: batch.create(deployer, own('Token'), [name, symbol, decimals]), decimals, usd };
  }
  const pairs = PAIRS.map((row) => addPair(batch, factories, tokens, row));
  const busy = batch.create(deployer, own('Busy'));

  await batch.settle();
  await checkPairs(rpc, factories, pairs);
  await season(rpc, batch, pairs);
  await setBaseFee(rpc, BASE_FEE_AFTER_DEPLOYMENT);
  const contracts = { weth, base_tokens: BASE_TOKENS, tokens, factories, pairs, busy };
  return { book: { chain_id: accounts.CHAIN_ID, ...contracts, accounts: accounts.describe() }, batch };
}

/** How much of a token is worth `ether`. */
export function worth({ usd, decimals }, ether) {
  return parseUnits(((ether * ETHER_USD) / usd).toFixed(decimals), decimals);
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
  const [amountA, amountB] = [worth(a, ether), (worth(b, ether) * BigInt(10_000 + skew)) / 10_000n];
  for (const [symbol, { address }, amount] of [[symbolA, a, amountA], [symbolB, b, amountB]]) {
    if (symbol === 'WETH') batch.call(deployer, address, WETH9, 'deposit', [], { value: amount });
    else batch.call(deployer, address, TOKEN, 'mint', [deployer.address, amount]);
    batch.call(deployer, address, TOKEN, 'approve', [factory.router, amount]);
  }
  const liquidity = [a.address, b.address, amountA, amountB, 0n, 0n, deployer.address, FOREVER];
  batch.call(deployer, factory.router, ROUTER, 'addLiquidity', liquidity, { gasLimit: 4_000_000n });

  const [token0, token1] = [a.address, b.address].sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1));
  const salt = keccak256(solidityPacked(['address', 'address'], [token0, token1]));
  const address = getCreate2Address(factory.address, salt, factory.init_code_hash);
  return { name: `${symbolA}/${symbolB}`, factory: factoryName, address, token0, token1, fee_pips: FEE_PIPS };
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

/** Bytecode as Uniswap published it. */
function uniswap(npmPackage, name) {
  const artifact = JSON.parse(readFileSync(`${MODULES}@uniswap/${npmPackage}/build/${name}.json`, 'utf8'));
  return { name, abi: artifact.abi, bytecode: `0x${artifact.bytecode}` };
}

/** Sushi published sources only. Its router finds pairs by their init code hash, so it is told that of our compiler's pair. */
function sushiContracts() {
  const published = 'e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303';
  const sushi = (entry, name, edit) => {
    const contract = compile({
      version: '0.6.12',
      root: `${MODULES}@sushiswap/core/contracts/uniswapv2/`,
      entry,
      name,
      file: `${name}.sol`,
      settings: { optimizer: { enabled: true, runs: 200 }, metadata: { bytecodeHash: 'none' } },
      edit,
    });
    return { name: `Sushi ${name}`, ...contract };
  };
  const pair = sushi('UniswapV2Factory.sol', 'UniswapV2Pair');
  const ours = keccak256(pair.bytecode).slice(2);
  return {
    factory: sushi('UniswapV2Factory.sol', 'UniswapV2Factory'),
    pair,
    router: sushi('UniswapV2Router02.sol', 'UniswapV2Router02', (source) => source.replace(published, ours)),
  };
}

function own(name) {
  const settings = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'paris', metadata: { bytecodeHash: 'none' } };
  return { name, ...compile({ version: '0.8.30', root: SOL, entry: `${name}.sol`, name, settings }) };
}
