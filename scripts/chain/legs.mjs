// Through which pools trades went: by the logs of their receipts, so by what the chain says.

import { allPools } from './lib/quotes.mjs';
import { SOLIDLY_POOL } from './lib/solidly.mjs';
import { V3_POOL } from './lib/v3.mjs';
import { PAIR } from './lib/world.mjs';

/** The topic of what a pool of each kind logs when somebody swaps in it, once a swap. */
const SWAP_TOPICS = Object.fromEntries(
  Object.entries({ v2: PAIR, v3: V3_POOL, solidly: SOLIDLY_POOL }).map(([kind, iface]) => [kind, iface.getEvent('Swap').topicHash]),
);
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
