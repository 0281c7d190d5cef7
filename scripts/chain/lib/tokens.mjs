// What all deployments share: what tokens are worth, who is allowed how much, and for how long.

import { parseUnits } from 'ethers';

export const ETHER_USD = 3000;
export const FOREVER = 2n ** 40n; // a deadline
export const UNLIMITED = 2n ** 256n - 1n; // an allowance

/** How much of a token is worth `ether`. */
export function worth({ usd, decimals }, ether) {
  return parseUnits(((ether * ETHER_USD) / usd).toFixed(decimals), decimals);
}

/** How much of both tokens is worth `ether`, if the first is `skew` parts per 10,000 too dear. */
export function bothWorth(a, b, ether, skew) {
  return [worth(a, ether), (worth(b, ether) * BigInt(10_000 + skew)) / 10_000n];
}

/** Two things with an address, in the order in which pools keep them. */
export const inOrder = (a, b) => (BigInt(a.address) < BigInt(b.address) ? [a, b] : [b, a]);
