// What the pools of the devnet hold and what they pay, asked of the pools themselves. A path is { venue, hops }, and a hop
// { pool, tokenIn, tokenOut }; a venue is one factory, 'uniswap', 'sushi', 'v3' or 'solidly',
// or 'universal': from a pool of 'v3' to one of 'uniswap', or the other way.

import { SOLIDLY_POOL, readSolidly } from './solidly.mjs';
import { QUOTER, encodePath, readV3 } from './v3.mjs';
import { amountIn, amountOut, readReserves } from './v2.mjs';

const Q96 = 2n ** 96n;

/** All pools of the address book with the venue of each. */
export function allPools(book) {
  const at = (venue) => (pool) => ({ ...pool, venue });
  return [
    ...book.pairs.map((pair) => ({ ...pair, venue: pair.factory })),
    ...book.v3.pools.map(at('v3')),
    ...book.solidly.pools.map(at('solidly')),
  ];
}

/**
 * A map from pool address to { token address: reserve } at one block. Those of a V3 pool are what a pair would hold that is as
 * deep as it is at its present price.
 */
export async function readDepths(rpc, book, block = 'latest') {
  const [v2, v3, solidly] = await Promise.all([
    readReserves(rpc, book.pairs, block),
    readV3(rpc, book.v3.pools, { block }),
    readSolidly(rpc, book.solidly.pools, block),
  ]);
  const virtual = book.v3.pools.map(({ address, token0, token1 }) => {
    const { sqrtPrice, liquidity } = v3.get(address);
    return [address, { [token0]: (liquidity * Q96) / sqrtPrice, [token1]: (liquidity * sqrtPrice) / Q96 }];
  });
  return new Map([...v2, ...virtual, ...solidly]);
}

/** The tokens of a path in the order in which it goes through them. */
export const tokensOf = ({ hops }) => [hops[0].tokenIn, ...hops.map(({ tokenOut }) => tokenOut)];

/** A V3 path as the routers want it; from its end for exact output. */
export function encodeV3(path, { isReversed = false } = {}) {
  const [tokens, fees] = [tokensOf(path), path.hops.map(({ pool }) => pool.fee_pips)];
  return isReversed ? encodePath(tokens.reverse(), fees.reverse()) : encodePath(tokens, fees);
}

/** Answers for one block; `depths` are those of `readDepths`. */
export class Quotes {
  #rpc;
  #book;
  #depths;
  #block;

  constructor(rpc, book, depths, block = 'latest') {
    [this.#rpc, this.#book, this.#depths, this.#block] = [rpc, book, depths, block];
  }

  /** What a path pays for `amount`. */
  async out(path, amount) {
    if (path.venue === 'v3') return this.#quoter('quoteExactInput', path, amount);
    for (const hop of path.hops) amount = await this.#hopOut(hop, amount);
    return amount;
  }

  /** What a path asks for `amount`; null when it does not have that much. */
  async in(path, amount) {
    if (path.venue === 'v3') return this.#quoter('quoteExactOutput', path, amount).catch(() => null);
    for (const hop of path.hops.toReversed()) {
      amount = await this.#hopIn(hop, amount);
      if (amount === null) return null;
    }
    return amount;
  }

  async #hopOut({ pool, tokenIn, tokenOut }, amount) {
    if (pool.venue === 'v3') return this.#quoter('quoteExactInput', { hops: [{ pool, tokenIn, tokenOut }] }, amount);
    if (pool.venue === 'solidly') return this.#rpc.read(pool.address, SOLIDLY_POOL, 'getAmountOut', [amount, tokenIn], this.#block);
    const reserves = this.#depths.get(pool.address);
    return amountOut(amount, reserves[tokenIn], reserves[tokenOut], pool.fee_pips);
  }

  async #hopIn({ pool, tokenIn, tokenOut }, amount) {
    const reserves = this.#depths.get(pool.address);
    if (pool.venue === 'solidly') return this.#leastIn({ pool, tokenIn }, amount, reserves[tokenIn] * 100n);
    return amountIn(amount, reserves[tokenIn], reserves[tokenOut], pool.fee_pips);
  }

  /** Solidly's pools say only what they pay, so the least that pays `amount` is searched for, up to `most`. */
  async #leastIn(hop, amount, most) {
    let [low, high] = [0n, most];
    if ((await this.#hopOut(hop, most)) < amount) return null;
    while (high - low > 1n) {
      const middle = (low + high) / 2n;
      if ((await this.#hopOut(hop, middle)) >= amount) high = middle;
      else low = middle;
    }
    return high;
  }

  async #quoter(name, path, amount) {
    const encoded = encodeV3(path, { isReversed: name === 'quoteExactOutput' });
    const [quoted] = await this.#rpc.read(this.#book.v3.quoter, QUOTER, name, [encoded, amount], this.#block);
    return quoted;
  }
}
