// Through which pools trades went: by the logs of their receipts, so by what the chain says.

import { allPools } from './lib/quotes.mjs';

/** What a pool of each kind logs when somebody swaps in it, once a swap. */
const SWAP_TOPICS = {
  v2: '0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822',
  v3: '0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67',
  solidly: '0xb3e2773606abfd36b5bd91394b3a54d1398336c65005baf7bf7a05efeffaf75b',
};
/** A flight that landed so many trades must have landed some of each sort: every third pool is a V3 pool. */
const ENOUGH_TRADES = 10;

/** The kind of each pool, by its address in small letters: 'v2', 'v3' or 'solidly'. */
export function kindsOfPools(book) {
  const kind = ({ venue }) => (venue in SWAP_TOPICS ? venue : 'v2');
  return new Map(allPools(book).map((pool) => [pool.address.toLowerCase(), kind(pool)]));
}

/** The kinds of the pools that a transaction swapped in, one for each swap in its order. */
export function legsOf({ logs }, kinds) {
  return logs
    .filter(({ address, topics }) => kinds.has(address) && topics[0] === SWAP_TOPICS[kinds.get(address)])
    .map(({ address }) => kinds.get(address));
}

/**
 * How many of the trades that landed went through a V3 pool, a Solidly pool, pools of two kinds or more, and how many were right
 * behind a swap in a V3 pool: { v3, solidly, mixed, behind_v3 }.
 */
export function countLegs(trades) {
  const landed = trades.filter(({ ok }) => ok);
  const count = (isCounted) => landed.filter(isCounted).length;
  return {
    v3: count(({ legs }) => legs.includes('v3')),
    solidly: count(({ legs }) => legs.includes('solidly')),
    mixed: count(({ legs }) => new Set(legs).size > 1),
    behind_v3: count(({ targetLegs }) => targetLegs?.includes('v3')),
  };
}

/** What is missing from a flight that landed enough to have all sorts: a sentence each. */
export function missingLegs({ landed, legs }) {
  if (landed < ENOUGH_TRADES) return [];
  const wanted = { v3: 'went through a V3 pool', mixed: 'went through pools of two kinds' };
  return Object.entries(wanted)
    .filter(([sort]) => legs[sort] === 0)
    .map(([, what]) => `none of the ${landed} trades that landed ${what}`);
}
