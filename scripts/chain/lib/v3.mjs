// Uniswap V3 on the local test chain: its factory, pools with liquidity in several ranges, and the routers that swap in them.

import { AbiCoder, Interface, getCreate2Address, keccak256, solidityPacked } from 'ethers';

import { deployer } from './accounts.mjs';
import { own, permit2, uniswap } from './contracts.mjs';
import { FOREVER, bothWorth, inOrder } from './tokens.mjs';

/** [token, token, fee in millionths, value of each side in ether, by how many parts per 10,000 the first token is too dear]. */
const POOLS = [
  ['WETH', 'USDC', 500, 150, 35],
  ['WETH', 'USDC', 3000, 100, -70],
  ['WETH', 'USDT', 3000, 80, 90],
  ['WETH', 'DAI', 500, 70, -25],
  ['WETH', 'WBTC', 3000, 90, 60],
  ['WETH', 'LINK', 10000, 60, 150],
  ['WETH', 'UNI', 3000, 50, -110],
  ['WBTC', 'USDC', 3000, 60, -40],
  ['USDC', 'USDT', 500, 60, 5],
  ['LINK', 'USDC', 10000, 40, -130],
];
const SPACINGS = { 500: 10, 3000: 60, 10000: 200 };
/** How far a range reaches from the first price, in ticks of about 1/100 per cent, and which share of the liquidity it has. */
const RANGES = [
  [Infinity, 0.4],
  [2400, 0.3],
  [600, 0.2],
  [200, 0.1],
];
const MAX_TICK = 887_272;
const CREATE = { gasLimit: 6_000_000n };
const MINT = { gasLimit: 1_500_000n };
const NOBODY = `0x${'0'.repeat(40)}`;
/** The bitmap of a pool of spacing 10 has 700 words, and it is read twice. */
const TICKS_GAS = '0x1c9c380';

const CONTRACTS = {
  factory: uniswap('v3-core', 'UniswapV3Factory'),
  pool: uniswap('v3-core', 'UniswapV3Pool'),
  manager: uniswap('v3-periphery', 'NonfungiblePositionManager'),
  quoter: uniswap('v3-periphery', 'lens/QuoterV2'),
  swapRouter: uniswap('v3-periphery', 'SwapRouter'),
  swapRouter02: uniswap('swap-router-contracts', 'SwapRouter02'),
  universal: uniswap('universal-router', 'UniversalRouter'),
  permit2: permit2(),
  ticks: own('Ticks'),
};
export const V3_FACTORY = new Interface(CONTRACTS.factory.abi);
export const V3_POOL = new Interface(CONTRACTS.pool.abi);
export const MANAGER = new Interface(CONTRACTS.manager.abi);
export const QUOTER = new Interface(CONTRACTS.quoter.abi);
export const SWAP_ROUTER = new Interface(CONTRACTS.swapRouter.abi);
export const SWAP_ROUTER_02 = new Interface(CONTRACTS.swapRouter02.abi);
export const UNIVERSAL = new Interface(CONTRACTS.universal.abi);
export const PERMIT2 = new Interface(CONTRACTS.permit2.abi);
const TICKS = new Interface(CONTRACTS.ticks.abi);

/** Queues all but the pools, and returns V3's part of the address book. */
export function deployV3(batch, { weth, v2 }) {
  const big = { gasLimit: 8_000_000n };
  const create = (contract, args) => batch.create(deployer, contract, args, big);
  const factory = create(CONTRACTS.factory, []);
  const manager = create(CONTRACTS.manager, [factory, weth, NOBODY]);
  const permit = create(CONTRACTS.permit2, []);
  const poolHash = keccak256(CONTRACTS.pool.bytecode);
  const universal = [permit, weth, v2.address, factory, v2.init_code_hash, poolHash, NOBODY, manager, NOBODY, NOBODY];
  return {
    factory,
    init_code_hash: poolHash,
    position_manager: manager,
    quoter: create(CONTRACTS.quoter, [factory, weth]),
    swap_router: create(CONTRACTS.swapRouter, [factory, weth]),
    swap_router_02: create(CONTRACTS.swapRouter02, [v2.address, factory, manager, weth]),
    permit2: permit,
    universal_router: create(CONTRACTS.universal, [universal]),
  };
}

/** Queues the creation of the pools and their first liquidity; their entries in the address book. */
export function addV3Pools({ batch, tokens, obtain }, v3) {
  return POOLS.map(([symbolA, symbolB, fee, ether, skew]) => {
    const [a, b] = [tokens[symbolA], tokens[symbolB]];
    const [amountA, amountB] = bothWorth(a, b, ether, skew);
    obtain(a, amountA, v3.position_manager);
    obtain(b, amountB, v3.position_manager);

    const [token0, token1] = inOrder(a, b).map(({ address }) => address);
    const [amount0, amount1] = token0 === a.address ? [amountA, amountB] : [amountB, amountA];
    const start = [token0, token1, fee, squareRoot((amount1 << 192n) / amount0)];
    batch.call(deployer, v3.position_manager, MANAGER, 'createAndInitializePoolIfNecessary', start, CREATE);

    const pool = { name: `${symbolA}/${symbolB}`, address: poolAddress(v3, token0, token1, fee), token0, token1, fee_pips: fee };
    const spaced = { ...pool, tick_spacing: SPACINGS[fee] };
    const tick = Math.floor(Math.log(Number(amount1) / Number(amount0)) / Math.log(1.0001));
    for (const [reach, share] of RANGES) {
      const part = (amount) => (amount * BigInt(share * 100)) / 100n;
      const mint = mintArguments(spaced, rangeAround(tick, reach, spaced.tick_spacing), [part(amount0), part(amount1)], deployer);
      batch.call(deployer, v3.position_manager, MANAGER, 'mint', [mint], MINT);
    }
    return spaced;
  });
}

/** The argument of the position manager's `mint`. */
export function mintArguments({ token0, token1, fee_pips }, [lower, upper], [amount0, amount1], owner) {
  return [token0, token1, fee_pips, lower, upper, amount0, amount1, 0n, 0n, owner.address, FOREVER];
}

/** From `reach` ticks below to `reach` ticks above, at ticks that a pool of this spacing has: at least one each way. */
export function rangeAround(tick, reach, spacing) {
  const end = Math.floor(MAX_TICK / spacing) * spacing;
  const step = Math.max(reach, spacing);
  const lower = Math.floor((tick - step) / spacing) * spacing;
  const upper = Math.ceil((tick + step) / spacing) * spacing;
  return [Math.max(lower, -end), Math.min(upper, end)];
}

/** The address book computes the pools' addresses; the factory must agree. */
export async function checkV3(rpc, { factory, pools }) {
  for (const { name, address, token0, token1, fee_pips } of pools) {
    const actual = await rpc.read(factory, V3_FACTORY, 'getPool', [token0, token1, fee_pips]);
    if (actual !== address) throw new Error(`V3 ${name} is at ${actual}, not at ${address}: wrong init code hash`);
  }
}

/** A path of V3 swaps as its routers want it: token, fee, token, and so on. */
export function encodePath(tokens, fees) {
  const types = tokens.flatMap((_, i) => (i === 0 ? ['address'] : ['uint24', 'address']));
  return solidityPacked(types, tokens.flatMap((token, i) => (i === 0 ? [token] : [fees[i - 1], token])));
}

/**
 * The state of all `pools` at one block, as a map from pool address to { sqrtPrice, tick, liquidity }, and to
 * { ..., ticks: [[index, net, gross]] } when they are wanted.
 */
export async function readV3(rpc, pools, { block = 'latest', withTicks = false } = {}) {
  const rows = await Promise.all(
    pools.map(async (pool) => {
      const [[sqrtPrice, tick], liquidity] = await Promise.all([
        rpc.read(pool.address, V3_POOL, 'slot0', [], block),
        rpc.read(pool.address, V3_POOL, 'liquidity', [], block),
      ]);
      const state = { sqrtPrice, tick: Number(tick), liquidity };
      return [pool.address, withTicks ? { ...state, ticks: await readTicks(rpc, pool, block) } : state];
    }),
  );
  return new Map(rows);
}

/** Its whole bitmap and all its ticks at once, by code that is laid over an empty address for the call. */
async function readTicks(rpc, { address, tick_spacing: spacing }, block) {
  const code = { [NOBODY]: { code: CONTRACTS.ticks.deployedBytecode } };
  const data = TICKS.encodeFunctionData('all', [address, spacing]);
  const answer = await rpc.call('eth_call', [{ to: NOBODY, data, gas: TICKS_GAS }, block, code]);
  const [index, net, gross] = TICKS.decodeFunctionResult('all', answer);
  return index.map((tick, place) => [Number(tick), net[place], gross[place]]);
}

function poolAddress({ factory, init_code_hash: hash }, token0, token1, fee) {
  const key = AbiCoder.defaultAbiCoder().encode(['address', 'address', 'uint24'], [token0, token1, fee]);
  return getCreate2Address(factory, keccak256(key), hash);
}

/** The whole part of a square root. */
function squareRoot(value) {
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
