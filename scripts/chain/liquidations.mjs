// What the bot liquidated, by the chain's own account.

import { readLiquidations } from './lending-audit.mjs';
import { hex } from './lib/rpc.mjs';
import { TOKEN } from './lib/world.mjs';

/** A run of so many seconds sees prices fall far enough for both protocols. */
const ENOUGH_SECONDS = 60;
/** What profit is kept in. */
const BASES = ['WETH', 'USDC'];
/** Of what is bought for a debt, at most one part in so many is planned to be left. */
const LEFT_PART = 100_000n;
/** A plan may land in so many blocks after the one that it was made on: the strategy's `valid_blocks`. */
export const VALID_BLOCKS = 2;
const TRANSFER = TOKEN.getEvent('Transfer').topicHash;

/**
 * The bot's liquidations of a run, those of others, and the borrowers whom the bot left alone because they were about to help
 * themselves: { aave, morpho, behind, others, rescued, bought }. `behind` are those that stand right behind the oracle update which
 * caused them, in the same block; `bought` is what became of debts that are no base tokens.
 */
export async function readLending({ rpc, book, wallets, before, after, journal }) {
  const ours = new Set(wallets.map((address) => address.toLowerCase()));
  const all = await readLiquidations(rpc, book, before.block + 1, after.block);
  const mine = all.filter(({ sender }) => ours.has(sender.toLowerCase()));
  const of = (name) => mine.filter(({ protocol }) => protocol === name).length;
  const rescued = journal.filter(({ kind, reason }) => kind === 'rejected' && reason === 'rescued');
  const plans = new Map(journal.filter(({ kind }) => kind === 'submitted').map(({ hash, plan }) => [hash, plan]));
  const foreign = mine.filter(({ debt }) => !BASES.includes(debt));
  return {
    aave: of('aave'),
    morpho: of('morpho'),
    behind: mine.filter(({ behind }) => behind !== null).length,
    others: all.length - mine.length,
    rescued: new Set(rescued.map(({ plan }) => plan?.liquidation?.loan)).size,
    bought: await Promise.all(foreign.map((each) => readPurchase(rpc, book, each, plans.get(each.hash)))),
  };
}

/**
 * The purchase of a debt that was then repaid: { symbol, left, planned, isMoved }. `left` is what of it stayed in the executor,
 * `planned` what the plan meant to leave, and `isMoved` whether a pool that it was bought from had changed since.
 */
async function readPurchase(rpc, book, { hash, block, index, liquidator, debt, repaid }, plan) {
  const { logs } = await rpc.call('eth_getTransactionReceipt', [hash]);
  const token = book.tokens[debt].address.toLowerCase();
  const transfers = logs.filter(({ address, topics }) => address.toLowerCase() === token && topics[0] === TRANSFER);
  const isOf = (topic) => topic.endsWith(liquidator.slice(2).toLowerCase());
  const sum = (some) => some.reduce((total, { data }) => total + BigInt(data), 0n);
  const left = sum(transfers.filter(({ topics }) => isOf(topics[2]))) - sum(transfers.filter(({ topics }) => isOf(topics[1])));

  const entry = plan?.legs.slice(plan.liquidation.exit_legs) ?? [];
  const first = (plan?.last_block ?? block) - VALID_BLOCKS + 1;
  const range = { fromBlock: hex(first), toBlock: hex(block), address: entry.map(({ pool }) => pool) };
  const moves = entry.length === 0 ? [] : await rpc.call('eth_getLogs', [range]);
  const isBefore = (log) => Number(log.blockNumber) < block || Number(log.transactionIndex) < index;
  // The way in ends with the debt.
  const planned = BigInt(entry.at(-1)?.amount_out ?? 0) - BigInt(repaid);
  return { symbol: debt, repaid: BigInt(repaid), left, planned, isMoved: moves.some(isBefore) };
}

/**
 * A debt that is no base token is bought, a little more of it than it comes to by then, and what is left stays in the executor:
 * it is in no books. So is what a pool pays beyond the plan, where somebody has moved it in our favour. Takes both out of what
 * the chain says was gained, and returns a sentence for each token of which more is left than that explains, or which nobody owed.
 */
export function takeOutLeftovers({ book, chain, lending }) {
  lending.left = {};
  return Object.entries(book.tokens).flatMap(([symbol, { address }]) => {
    const delta = chain.deltas.get(address);
    const bought = lending.bought.filter((each) => each.symbol === symbol);
    if (BASES.includes(symbol) || (delta === 0n && bought.length === 0)) return [];
    chain.profit -= chain.worths.get(address);
    chain.deltas.set(address, 0n);
    lending.left[symbol] = String(delta);
    const told = bought.reduce((sum, { left }) => sum + left, 0n);
    const wrong = bought.filter((each) => !isExplained(each));
    return [
      ...(told === delta ? [] : [`${delta} of ${symbol} is left, where liquidations left ${told}`]),
      ...wrong.map(({ left, planned, repaid }) => `${left} of ${symbol} is left of ${repaid} that was repaid; ${planned} was planned`),
    ];
  });
}

/** Whether a purchase left what was planned, which is little, or more because a pool had moved. */
function isExplained({ left, planned, repaid, isMoved }) {
  const isLittle = planned >= 0n && planned * LEFT_PART <= repaid;
  return isLittle && (left === planned || (left > planned && isMoved));
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
