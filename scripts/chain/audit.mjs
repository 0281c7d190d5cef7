// What the chain says that a bot did, worked out from blocks, receipts and balances alone, and where its own account differs.

import { kindsOfPools, legsOf } from './legs.mjs';
import { Quotes, allPools, readDepths } from './lib/quotes.mjs';
import { hex } from './lib/rpc.mjs';
import { TOKEN } from './lib/world.mjs';

/** Ether and tokens of all `holders` together, at one block: { block, ether, tokens: Map from address to amount }. */
export async function readHoldings(rpc, book, holders, block) {
  const sum = (values) => values.reduce((total, value) => total + BigInt(value), 0n);
  const ether = sum(await Promise.all(holders.map((holder) => rpc.call('eth_getBalance', [holder, hex(block)]))));
  const tokens = new Map();
  for (const { address } of Object.values(book.tokens)) {
    const balances = holders.map((holder) => rpc.read(address, TOKEN, 'balanceOf', [holder], hex(block)));
    tokens.set(address, sum(await Promise.all(balances)));
  }
  return { block, ether, tokens };
}

/**
 * The transactions that `wallets` had in the blocks of the run, and what the holdings changed by:
 * { transactions, trades, kinds, landed, reverted, cancelled, gasPaid, profit, deltas, worths }. A transaction to anybody but the
 * executor is no trade: taking one back is a transfer to itself. `worths` are what the changes of each token are worth in ether.
 */
export async function readChain(rpc, { book, wallets, executor, before, after }) {
  const kinds = kindsOfPools(book);
  const transactions = await readTransactions(rpc, { wallets, kinds }, before.block + 1, after.block);
  const trades = transactions.filter(({ to }) => to === executor.toLowerCase());
  const deltas = new Map([...after.tokens].map(([token, amount]) => [token, amount - before.tokens.get(token)]));
  const at = hex(after.block);
  const quotes = new Quotes(rpc, book, await readDepths(rpc, book, at), at);
  const valued = [...deltas].map(async ([token, delta]) => [token, await exitValue(book, quotes, token, delta)]);
  const worths = new Map(await Promise.all(valued));
  return {
    transactions,
    trades,
    kinds,
    landed: trades.filter(({ ok }) => ok).length,
    reverted: trades.filter(({ ok }) => !ok).length,
    cancelled: transactions.length - trades.length,
    gasPaid: transactions.reduce((total, { gasPaid }) => total + gasPaid, 0n),
    profit: [...worths.values()].reduce((total, value) => total + value, after.ether - before.ether),
    deltas,
    worths,
  };
}

/**
 * Where the bot's books over all its runs, and its journal, differ from the chain: a sentence each. The token amounts are
 * those of the last run, so they are compared if there was no other. Trades that are right behind their target learn what that
 * went through: `targetLegs`.
 */
export function compare({ book, chain, summary, journal, isOnlyRun }) {
  const problems = [];
  const expect = (what, bot, onChain) => {
    if (String(bot) !== String(onChain)) problems.push(`${what}: the bot says ${bot}, the chain ${onChain}`);
  };
  const books = summary.lifetime;
  expect('landed', books.landed, chain.landed);
  expect('reverted', books.reverted, chain.reverted);
  expect('cancelled', books.cancelled, chain.cancelled);
  expect('gas_paid_wei', books.gas_paid_wei, chain.gasPaid);
  expect('profit_wei', books.profit_wei, chain.profit);
  for (const [symbol, { address }] of isOnlyRun ? Object.entries(book.tokens) : []) {
    const told = Object.entries(summary.base_token_deltas).find(([token]) => token.toLowerCase() === address.toLowerCase());
    expect(`base_token_deltas of ${symbol}`, told?.[1] ?? '0', chain.deltas.get(address));
  }

  const outcomes = new Map(journal.filter(({ kind }) => kind === 'outcome').map((line) => [line.hash, line]));
  let behindTarget = 0;
  for (const trade of chain.trades) {
    const outcome = outcomes.get(trade.hash) ?? { status: 'nothing' };
    expect(`the outcome of ${trade.hash}`, outcome.status, trade.ok ? 'landed' : 'reverted');
    const isBehind = trade.ok && isRightBehind(trade, outcome.target);
    if (isBehind) trade.targetLegs = legsOf(trade.before, chain.kinds);
    if (isBehind) behindTarget += 1;
    expect(`${trade.hash} is right behind its target ${outcome.target}`, outcome.is_behind_target ?? isBehind, isBehind);
  }
  expect('backruns_behind_target', books.backruns_behind_target, behindTarget);
  return problems;
}

/** What a change of `token` is worth in ether: sold whole to the best direct pool, or bought back from the cheapest one. */
async function exitValue(book, quotes, token, delta) {
  const { weth } = book;
  if (token === weth || delta === 0n) return delta;
  const direct = allPools(book).filter(({ token0, token1 }) => [token0, token1].includes(token) && [token0, token1].includes(weth));
  const answers = await Promise.all(
    direct.map((pool) =>
      delta > 0n
        ? quotes.out({ venue: pool.venue, hops: [{ pool, tokenIn: token, tokenOut: weth }] }, delta)
        : quotes.in({ venue: pool.venue, hops: [{ pool, tokenIn: weth, tokenOut: token }] }, -delta),
    ),
  );
  const sorted = answers.filter((quote) => quote !== null).sort((a, b) => (a < b ? -1 : 1));
  if (sorted.length === 0) throw new Error(`no pool prices a change of ${delta} in ${token}`);
  return delta > 0n ? sorted.at(-1) : -sorted[0];
}

async function readTransactions(rpc, { wallets, kinds }, first, last) {
  const senders = new Set(wallets.map((address) => address.toLowerCase()));
  const transactions = [];
  for (let number = first; number <= last; number++) {
    const receipts = await readReceipts(rpc, number);
    for (const [place, receipt] of receipts.entries()) {
      if (!senders.has(receipt.from)) continue;
      transactions.push({
        hash: receipt.transactionHash,
        to: receipt.to,
        ok: receipt.status === '0x1',
        gasPaid: BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice),
        legs: legsOf(receipt, kinds),
        before: receipts[place - 1], // in the same block
      });
    }
  }
  return transactions;
}

/** All receipts of a block. After a reorg anvil may have none of a block as a whole, but each by itself. */
async function readReceipts(rpc, number) {
  const receipts = await rpc.call('eth_getBlockReceipts', [hex(number)]);
  if (receipts) return receipts;
  const block = await rpc.call('eth_getBlockByNumber', [hex(number), false]);
  if (!block) throw new Error(`the node has lost block ${number}, so nobody can say what happened in it`);
  return Promise.all(block.transactions.map((hash) => rpc.call('eth_getTransactionReceipt', [hash])));
}

/**
 * Whether `target` is the transaction right before a trade in the same block. A target that reverted does not count: it
 * changed nothing, so whatever landed behind it was no backrun.
 */
const isRightBehind = ({ before }, target) => before?.transactionHash === target && before?.status === '0x1';
