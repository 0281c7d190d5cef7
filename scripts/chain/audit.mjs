// What the chain says that a bot did, worked out from blocks, receipts and balances alone, and where its own account differs.

import { amountIn, amountOut, readReserves } from './lib/v2.mjs';
import { TOKEN } from './lib/world.mjs';
import { hex } from './lib/rpc.mjs';

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
 * { transactions, trades, landed, reverted, cancelled, gasPaid, profit, deltas }. A transaction to anybody but the executor
 * is no trade: taking one back is a transfer to itself.
 */
export async function readChain(rpc, { book, wallets, executor, before, after }) {
  const transactions = await readTransactions(rpc, wallets, before.block + 1, after.block);
  const trades = transactions.filter(({ to }) => to === executor.toLowerCase());
  const deltas = new Map([...after.tokens].map(([token, amount]) => [token, amount - before.tokens.get(token)]));
  const reserves = await readReserves(rpc, book.pairs, hex(after.block));
  const values = [...deltas].map(([token, delta]) => exitValue(book, reserves, token, delta));
  return {
    transactions,
    trades,
    landed: trades.filter(({ ok }) => ok).length,
    reverted: trades.filter(({ ok }) => !ok).length,
    cancelled: transactions.length - trades.length,
    gasPaid: transactions.reduce((total, { gasPaid }) => total + gasPaid, 0n),
    profit: values.reduce((total, value) => total + value, after.ether - before.ether),
    deltas,
  };
}

/**
 * Where the bot's books over all its runs, and its journal, differ from the chain: a sentence each. The token amounts are
 * those of the last run, so they are compared if there was no other.
 */
export async function compare(rpc, { book, chain, summary, journal, isOnlyRun }) {
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
    const isBehind = trade.ok && (await isRightBehind(rpc, trade, outcome.target));
    if (isBehind) behindTarget += 1;
    expect(`${trade.hash} is right behind its target ${outcome.target}`, outcome.is_behind_target ?? isBehind, isBehind);
  }
  expect('backruns_behind_target', books.backruns_behind_target, behindTarget);
  return problems;
}

/** What a change of `token` is worth in ether: sold whole to the best direct pair, or bought back from the cheapest one. */
function exitValue(book, reserves, token, delta) {
  if (token === book.weth || delta === 0n) return delta;
  const quotes = book.pairs
    .filter(({ token0, token1 }) => [token0, token1].includes(token) && [token0, token1].includes(book.weth))
    .map(({ address, fee_pips }) => {
      const { [token]: ours, [book.weth]: weth } = reserves.get(address);
      return delta > 0n ? amountOut(delta, ours, weth, fee_pips) : amountIn(-delta, weth, ours, fee_pips);
    })
    .filter((quote) => quote !== null)
    .sort((a, b) => (a < b ? -1 : 1));
  if (quotes.length === 0) throw new Error(`no pair prices a change of ${delta} in ${token}`);
  return delta > 0n ? quotes.at(-1) : -quotes[0];
}

async function readTransactions(rpc, wallets, first, last) {
  const senders = new Set(wallets.map((address) => address.toLowerCase()));
  const transactions = [];
  for (let number = first; number <= last; number++) {
    const receipts = await rpc.call('eth_getBlockReceipts', [hex(number)]);
    for (const receipt of receipts) {
      if (!senders.has(receipt.from)) continue;
      transactions.push({
        hash: receipt.transactionHash,
        to: receipt.to,
        ok: receipt.status === '0x1',
        block: receipt.blockNumber,
        index: Number(receipt.transactionIndex),
        gasPaid: BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice),
      });
    }
  }
  return transactions;
}

/**
 * Whether `target` is the transaction right before `trade` in the same block. A target that reverted does not count: it
 * changed nothing, so whatever landed behind it was no backrun.
 */
async function isRightBehind(rpc, trade, target) {
  const receipt = target && (await rpc.call('eth_getTransactionReceipt', [target]));
  const isBefore = receipt?.blockNumber === trade.block && Number(receipt.transactionIndex) + 1 === trade.index;
  return isBefore && receipt.status === '0x1';
}
