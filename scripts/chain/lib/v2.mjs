// Uniswap V2 arithmetic, exact as the contracts do it, and the pairs' state read from a node.

import { Interface } from 'ethers';

const PAIR = new Interface(['function getReserves() view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast)']);
const PIPS = 1_000_000n;

/** What a pair pays for `amountIn`. `feePips` is in millionths: 3000 is 0.3 %. */
export function amountOut(amountIn, reserveIn, reserveOut, feePips) {
  const afterFee = amountIn * (PIPS - BigInt(feePips));
  return (afterFee * reserveOut) / (reserveIn * PIPS + afterFee);
}

/** What a pair asks for `amountOut`; null when it does not have that much. */
export function amountIn(amountOut, reserveIn, reserveOut, feePips) {
  if (amountOut >= reserveOut) return null;
  return (reserveIn * amountOut * PIPS) / ((reserveOut - amountOut) * (PIPS - BigInt(feePips))) + 1n;
}

/** Reserves of all `pairs` (entries of the address book) at one block, as a map from pair address to { token address: reserve }. */
export async function readReserves(rpc, pairs, block = 'latest') {
  const rows = await Promise.all(
    pairs.map(async (pair) => {
      const [reserve0, reserve1] = await rpc.read(pair.address, PAIR, 'getReserves', [], block);
      return [pair.address, { [pair.token0]: reserve0, [pair.token1]: reserve1 }];
    }),
  );
  return new Map(rows);
}
