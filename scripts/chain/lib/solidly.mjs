// Pools of Solidly's shape on the local test chain, volatile and stable; the contracts are ours, in `sol/Solidly.sol`.

import { Interface, getCreate2Address, keccak256, solidityPacked } from 'ethers';

import { deployer } from './accounts.mjs';
import { own } from './contracts.mjs';
import { bothWorth, inOrder } from './tokens.mjs';

/** [token, token, is stable, value of each side in ether, by how many parts per 10,000 the first token is too dear, own fee]. */
const POOLS = [
  ['USDC', 'USDT', true, 500, 20, 0],
  ['USDC', 'DAI', true, 400, -30, 0],
  ['WETH', 'USDC', false, 900, -50, 0],
  ['WETH', 'LINK', false, 300, 70, 0],
  ['WETH', 'UNI', false, 250, -40, 20],
];
/** In parts per 10,000; the factory's own. */
const FEES = { stable: 5, volatile: 30 };
const CREATE = { gasLimit: 4_000_000n };

const CONTRACTS = {
  factory: own('SolidlyFactory', 'Solidly.sol'),
  pool: own('SolidlyPool', 'Solidly.sol'),
  router: own('SolidlyRouter', 'Solidly.sol'),
};
export const SOLIDLY_FACTORY = new Interface(CONTRACTS.factory.abi);
export const SOLIDLY_POOL = new Interface(CONTRACTS.pool.abi);
export const SOLIDLY_ROUTER = new Interface(CONTRACTS.router.abi);

const ERC20 = new Interface(['function transfer(address to, uint256 value) returns (bool)']);

/** Queues the factory and the router, and returns their part of the address book. */
export function deploySolidly(batch) {
  return {
    factory: batch.create(deployer, CONTRACTS.factory),
    init_code_hash: keccak256(CONTRACTS.pool.bytecode),
    router: batch.create(deployer, CONTRACTS.router),
  };
}

/** Queues the creation of the pools and their liquidity; their entries in the address book. */
export function addSolidlyPools({ batch, tokens, obtain }, { factory, init_code_hash: hash }) {
  return POOLS.map(([symbolA, symbolB, stable, ether, skew, ownFee]) => {
    const [a, b] = [tokens[symbolA], tokens[symbolB]];
    const [token0, token1] = inOrder(a, b).map(({ address }) => address);
    const salt = keccak256(solidityPacked(['address', 'address', 'bool'], [token0, token1, stable]));
    const address = getCreate2Address(factory, salt, hash);
    batch.call(deployer, factory, SOLIDLY_FACTORY, 'createPool', [a.address, b.address, stable], CREATE);
    if (ownFee > 0) batch.call(deployer, factory, SOLIDLY_FACTORY, 'setCustomFee', [address, ownFee]);
    for (const [token, amount] of bothWorth(a, b, ether, skew).map((amount, i) => [[a, b][i], amount])) {
      obtain(token, amount, address);
      batch.call(deployer, token.address, ERC20, 'transfer', [address, amount]);
    }
    batch.call(deployer, address, SOLIDLY_POOL, 'mint', [deployer.address], { gasLimit: 400_000n });
    const fee = ownFee > 0 ? ownFee : stable ? FEES.stable : FEES.volatile;
    return { name: `${symbolA}/${symbolB}`, address, token0, token1, stable, fee_pips: fee * 100 };
  });
}

/** The address book computes the pools' addresses and knows their fees; the factory must agree. */
export async function checkSolidly(rpc, { factory, pools }) {
  for (const { name, address, token0, token1, stable, fee_pips } of pools) {
    const actual = await rpc.read(factory, SOLIDLY_FACTORY, 'getPool', [token0, token1, stable]);
    if (actual !== address) throw new Error(`Solidly ${name} is at ${actual}, not at ${address}: wrong init code hash`);
    const fee = await rpc.read(factory, SOLIDLY_FACTORY, 'getFee', [address, stable]);
    if (Number(fee) * 100 !== fee_pips) throw new Error(`Solidly ${name} takes ${fee}, not ${fee_pips / 100}`);
  }
}

/** Reserves of all `pools` at one block, as a map from pool address to { token address: reserve }. */
export async function readSolidly(rpc, pools, block = 'latest') {
  const rows = await Promise.all(
    pools.map(async ({ address, token0, token1 }) => {
      const [reserve0, reserve1] = await rpc.read(address, SOLIDLY_POOL, 'getReserves', [], block);
      return [address, { [token0]: reserve0, [token1]: reserve1 }];
    }),
  );
  return new Map(rows);
}
