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
 * The purchase of a debt that was then repaid: { hash, symbol, repaid, left, planned, isPaid, isMoved }. `left` is what of it
 * stayed in the executor, `planned` what had stayed if the pools had paid what the plan says (null without a plan), `isPaid`
 * whether they were paid what it says, and `isMoved` whether one of them had changed since.
 */
async function readPurchase(rpc, book, { hash, block, index, liquidator, debt, repaid }, plan) {
  const { logs } = await rpc.call('eth_getTransactionReceipt', [hash]);
  const transfersOf = (token) =>
    logs
      .filter(({ address, topics }) => address.toLowerCase() === token.toLowerCase() && topics[0] === TRANSFER)
      .map(({ topics, data }) => ({ from: addressIn(topics[1]), to: addressIn(topics[2]), amount: BigInt(data) }));
  const [executor, transfers] = [liquidator.toLowerCase(), transfersOf(book.tokens[debt].address)];
  const sum = (some) => some.reduce((total, { amount }) => total + amount, 0n);
  const left = sum(transfers.filter(({ to }) => to === executor)) - sum(transfers.filter(({ from }) => from === executor));
  const purchase = { hash, symbol: debt, repaid: BigInt(repaid), left, planned: null, isPaid: false, isMoved: false };
  if (!plan) return purchase;

  // The way in ends with the debt.
  const entry = plan.legs.slice(plan.liquidation.exit_legs);
  purchase.planned = BigInt(entry.at(-1).amount_out) - BigInt(repaid);
  const [{ pool, amount_in: paid }] = entry;
  purchase.isPaid = transfersOf(plan.profit_token).some(
    ({ from, to, amount }) => from === executor && to === pool.toLowerCase() && amount === BigInt(paid),
  );
  const first = plan.last_block - VALID_BLOCKS + 1;
  const range = { fromBlock: hex(first), toBlock: hex(block), address: entry.map((leg) => leg.pool) };
  const isBefore = (log) => Number(log.blockNumber) < block || Number(log.transactionIndex) < index;
  purchase.isMoved = (await rpc.call('eth_getLogs', [range])).some(isBefore);
  return purchase;
}

const addressIn = (topic) => `0x${topic.slice(-40)}`.toLowerCase();

/**
 * A debt that is no base token is bought, a little more of it than it comes to by then, and what is left stays in the executor:
 * it is in no books. So is what a pool pays beyond the plan, where somebody has moved it in our favour. Takes both out of what
 * the chain says was gained, and returns a sentence for each token of which more is left than that explains, or which nobody owed.
 */
export function takeOutLeftovers({ book, chain, lending, isOnlyRun }) {
  lending.left = {};
  return Object.entries(book.tokens).flatMap(([symbol, { address }]) => {
    const delta = chain.deltas.get(address);
    const bought = lending.bought.filter((each) => each.symbol === symbol);
    if (BASES.includes(symbol) || (delta === 0n && bought.length === 0)) return [];
    chain.profit -= chain.worths.get(address);
    chain.deltas.set(address, 0n);
    lending.left[symbol] = String(delta);
    const told = bought.reduce((sum, { left }) => sum + left, 0n);
    return [
      ...(told === delta ? [] : [`${delta} of ${symbol} is left, where liquidations left ${told}`]),
      ...bought.flatMap((each) => faultOf(each, isOnlyRun)),
    ];
  });
}

/** What is wrong with a purchase that did not leave what was planned, which is little, or more because a pool had moved. */
function faultOf({ hash, symbol, repaid, left, planned, isPaid, isMoved }, isOnlyRun) {
  // What was sent when the bot was killed, its journal may not tell.
  if (planned === null) return isOnlyRun ? [`the journal has no plan of ${hash}`] : [];
  const isLittle = planned >= 0n && planned * LEFT_PART <= repaid;
  const isExplained = left === planned || (left > planned && isMoved);
  if (isPaid && isLittle && isExplained) return [];
  const facts = [isPaid ? 'paid as planned' : 'not paid as planned', isMoved ? 'a pool had moved' : 'no pool had moved'];
  return [`${hash} left ${left} of ${symbol} of ${repaid} that it repaid, where ${planned} was planned (${facts.join(', ')})`];
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
