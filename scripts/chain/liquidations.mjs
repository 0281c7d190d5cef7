// What the bot liquidated, by the chain's own account.

import { readLiquidations } from './lending-audit.mjs';

/** A run of so many seconds sees prices fall far enough for both protocols. */
const ENOUGH_SECONDS = 60;
/** What profit is kept in. */
const BASES = ['WETH', 'USDC'];
/** At most one part in so many of what was repaid in a token is left of it. */
const LEFT_PART = 100_000n;

/**
 * The bot's liquidations of a run, those of others, and the borrowers whom the bot left alone because they were about to help
 * themselves: { aave, morpho, behind, others, rescued }. `behind` are those that stand right behind the oracle update which
 * caused them, in the same block.
 */
export async function readLending({ rpc, book, wallets, before, after, journal }) {
  const ours = new Set(wallets.map((address) => address.toLowerCase()));
  const all = await readLiquidations(rpc, book, before.block + 1, after.block);
  const mine = all.filter(({ sender }) => ours.has(sender.toLowerCase()));
  const of = (name) => mine.filter(({ protocol }) => protocol === name).length;
  const left = journal.filter(({ kind, reason }) => kind === 'rejected' && reason === 'rescued');
  return {
    aave: of('aave'),
    morpho: of('morpho'),
    behind: mine.filter(({ behind }) => behind !== null).length,
    others: all.length - mine.length,
    rescued: new Set(left.map(({ plan }) => plan?.liquidation?.loan)).size,
    repaid: mine.map(({ debt, repaid }) => [debt, BigInt(repaid)]),
  };
}

/**
 * A debt that is no base token is bought, a little more of it than it comes to by then, and what is left stays in the executor:
 * it is in no books. Takes it out of what the chain says was gained, and returns a sentence for each token of which too much is
 * left, or which nobody owed.
 */
export function takeOutLeftovers({ book, chain, lending }) {
  lending.left = {};
  return Object.entries(book.tokens).flatMap(([symbol, { address }]) => {
    const delta = chain.deltas.get(address);
    if (delta === 0n || BASES.includes(symbol)) return [];
    const repaid = lending.repaid.filter(([debt]) => debt === symbol).reduce((sum, [, amount]) => sum + amount, 0n);
    chain.profit -= chain.worths.get(address);
    chain.deltas.set(address, 0n);
    lending.left[symbol] = String(delta);
    const isRight = delta > 0n && delta * LEFT_PART <= repaid;
    return isRight ? [] : [`${delta} of ${symbol} is left, where ${repaid} of it was repaid`];
  });
}

/** What a run that was long enough must have: a sentence for each lack. */
export function missingLiquidations(found, seconds) {
  if (seconds < ENOUGH_SECONDS) return [];
  const wanted = [
    ['aave', 10, 'liquidations on Aave'],
    ['morpho', 5, 'liquidations on Morpho'],
    ['behind', 1, 'liquidations right behind an oracle update'],
  ];
  return wanted
    .filter(([key, least]) => found[key] < least)
    .map(([key, least, what]) => `${found[key]} ${what} in ${seconds} s, where the prices allow at least ${least}`);
}
