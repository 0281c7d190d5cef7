// `scripts/devnet --lending --self-check`: whether the market has liquidations in it, and whether they pay.
//
//   new block, or a transmission in the mempool
//     ─► whom do the contracts call liquidatable? ─► liquidated with own funds ─► what came of it is sold to the pairs
//
// It is slow and plain on purpose, and asks the contracts for everything: it shows what there is to take, not how fast.

import { setTimeout as sleep } from 'node:timers/promises';

import { Interface, formatUnits } from 'ethers';

import { POOL } from './lib/aave.mjs';
import { liquidator } from './lib/accounts.mjs';
import { signed } from './lib/batch.mjs';
import { FEED, transmitsTo } from './lib/feeds.mjs';
import { MORPHO, paramsOf } from './lib/morpho.mjs';
import { FOREVER, UNLIMITED } from './lib/tokens.mjs';
import { readReserves } from './lib/v2.mjs';
import { ROUTER } from './lib/world.mjs';
import { readLiquidations, readPositions } from './lending-audit.mjs';

const GWEI = 10n ** 9n;
const GAS = { approve: 100_000n, liquidate: 1_200_000n, sell: 500_000n };
const LEAST = { aave: 10, morpho: 5 };
/** A liquidation that is not in by then is tried again. */
const PATIENCE_BLOCKS = 4;
const LOOK_MS = 50;
const ERC20 = new Interface([
  'function approve(address spender, uint256 value) returns (bool)',
  'function balanceOf(address owner) view returns (uint256)',
]);

/** Liquidates for so many seconds, says what came of it, and returns what was wrong with it, as texts. */
export async function selfCheck({ rpc, book, market, seconds, say }) {
  const check = new Check(rpc, book);
  await check.approve();
  await check.watchMempool();
  const before = await check.holdings();
  const first = before.block;
  const end = performance.now() + 1000 * seconds;
  for (let block = first; performance.now() < end; block = await check.nextBlock(block)) await check.work(block);
  check.stop();
  market.freeze();
  // What was seized last must still be sold.
  for (let more = 0, block = await check.nextBlock(0); more < PATIENCE_BLOCKS; more++, block = await check.nextBlock(block)) {
    await check.sell(block);
  }
  const after = await check.holdings();
  const all = await readLiquidations(rpc, book, first, after.block);
  const report = await check.report({ before, after, all, stats: market.stats });
  for (const line of report.lines) say(line);
  return report.problems;
}

class Check {
  #rpc;
  #book;
  #router;
  #nonce = 0;
  #head = 0;
  #stopped = false;
  /** The block in which a borrower's liquidation was sent, by address. */
  #tried = new Map();
  /** Liquidations that were sent, whose spoils are not sold. */
  #unsold = new Set();
  stats = { sent: 0, reverted: 0, missed: 0 };

  constructor(rpc, book) {
    [this.#rpc, this.#book] = [rpc, book];
    this.#router = book.factories.find(({ name }) => name === 'uniswap').router;
  }

  async nextBlock(last) {
    for (;;) {
      const block = Number(await this.#rpc.call('eth_blockNumber'));
      if (block > last) return block;
      await sleep(LOOK_MS);
    }
  }

  async approve() {
    const { lending } = this.#book;
    this.#nonce = Number(await this.#rpc.call('eth_getTransactionCount', [liquidator.address, 'latest']));
    for (const symbol of Object.keys(lending.feeds)) {
      for (const spender of [lending.aave.pool, lending.morpho.address, this.#router]) {
        await this.#send(this.#token(symbol).address, ERC20.encodeFunctionData('approve', [spender, UNLIMITED]), GAS.approve);
      }
    }
  }

  /** Looks at everybody after each transmission that is pending, and bids what it bids, so as to land right behind it. */
  async watchMempool() {
    const onPending = async (transaction) => {
      if (this.#stopped || transmitsTo(this.#book.lending, transaction) === null) return;
      await this.#look('pending', BigInt(transaction.maxFeePerGas));
    };
    await this.#rpc.subscribe('newPendingTransactions', (transaction) => onPending(transaction).catch(() => {}), true);
  }

  stop() {
    this.#stopped = true;
  }

  /** What a block leaves to do. */
  async work(block) {
    this.#head = block;
    await this.sell(block);
    // A block that comes meanwhile may make anvil mix its state with the time of this one, in which interest has run backwards.
    await this.#look(block).catch(() => (this.stats.missed += 1));
  }

  async #look(at, cap) {
    const { positions } = await readPositions(this.#rpc, this.#book, at);
    for (const position of positions.filter((each) => each.is_liquidatable)) {
      if (this.#head - (this.#tried.get(position.user) ?? -PATIENCE_BLOCKS) < PATIENCE_BLOCKS) continue;
      this.#tried.set(position.user, this.#head);
      const { to, data } = position.protocol === 'aave' ? this.#aave(position) : this.#morpho(position);
      this.#unsold.add(await this.#send(to, data, GAS.liquidate, cap));
      this.stats.sent += 1;
    }
  }

  /** Sells what the liquidations of this and earlier blocks seized. */
  async sell(block) {
    for (const hash of [...this.#unsold]) {
      const receipt = await this.#rpc.call('eth_getTransactionReceipt', [hash]);
      if (!receipt || Number(receipt.blockNumber) > block) continue;
      this.#unsold.delete(hash);
      if (receipt.status !== '0x1') this.stats.reverted += 1;
      else await this.#sellOf(hash, Number(receipt.blockNumber));
    }
  }

  async #sellOf(hash, block) {
    const mine = (await readLiquidations(this.#rpc, this.#book, block, block)).find((each) => each.hash === hash);
    const [from, to] = [this.#token(mine.collateral).address, this.#token(mine.debt).address];
    const { weth } = this.#book;
    const paths = [[from, to], [from, weth, to]].filter((path) => new Set(path).size === path.length);
    const quotes = paths.map(async (path) => {
      const amounts = await this.#rpc.read(this.#router, ROUTER, 'getAmountsOut', [BigInt(mine.seized), path]).catch(() => [0n]);
      return { path, out: amounts.at(-1) };
    });
    const best = (await Promise.all(quotes)).reduce((one, other) => (other.out > one.out ? other : one));
    const order = [BigInt(mine.seized), 0n, best.path, liquidator.address, FOREVER];
    await this.#send(this.#router, ROUTER.encodeFunctionData('swapExactTokensForTokens', order), GAS.sell);
  }

  #aave({ user, collateral, debt }) {
    const { pool } = this.#book.lending.aave;
    const worthOf = ([symbol, amount]) => (Number(amount) / 10 ** this.#token(symbol).decimals) * this.#token(symbol).usd;
    const largest = (amounts) => Object.entries(amounts).reduce((one, other) => (worthOf(other) > worthOf(one) ? other : one))[0];
    const [seized, repaid] = [collateral, debt].map((amounts) => this.#token(largest(amounts)).address);
    return { to: pool, data: POOL.encodeFunctionData('liquidationCall', [seized, repaid, user, UNLIMITED, false]) };
  }

  #morpho({ user, market: name, borrow_shares: shares }) {
    const { address, markets } = this.#book.lending.morpho;
    const params = paramsOf(markets.find((market) => market.name === name));
    return { to: address, data: MORPHO.encodeFunctionData('liquidate', [params, user, 0n, BigInt(shares), '0x']) };
  }

  async #send(to, data, gasLimit, cap) {
    const { baseFeePerGas } = await this.#rpc.call('eth_getBlockByNumber', ['latest', false]);
    const fees = { maxFeePerGas: cap ?? BigInt(baseFeePerGas) * 2n + 3n * GWEI, maxPriorityFeePerGas: 2n * GWEI };
    const { raw, hash } = signed(liquidator, { type: 2, nonce: this.#nonce++, to, data, gasLimit, ...fees });
    await this.#rpc.call('eth_sendRawTransaction', [raw]);
    return hash;
  }

  #token(symbol) {
    return this.#book.tokens[symbol];
  }

  async #usd(symbol) {
    const feed = this.#book.lending.feeds[symbol];
    return Number(await this.#rpc.read(feed.aggregator, FEED, 'latestAnswer')) / 10 ** feed.decimals;
  }

  /** What the liquidator has now. */
  async holdings() {
    const block = Number(await this.#rpc.call('eth_blockNumber'));
    const rows = Object.keys(this.#book.lending.feeds).map(async (symbol) => [
      symbol,
      await this.#rpc.read(this.#token(symbol).address, ERC20, 'balanceOf', [liquidator.address]),
    ]);
    const wei = BigInt(await this.#rpc.call('eth_getBalance', [liquidator.address, 'latest']));
    return { block, tokens: Object.fromEntries(await Promise.all(rows)), wei };
  }

  async report({ before, after, all, stats }) {
    const mine = all.filter(({ sender }) => sender === liquidator.address.toLowerCase());
    const of = (protocol) => mine.filter((each) => each.protocol === protocol);
    let profit = 0;
    for (const [symbol, amount] of Object.entries(after.tokens)) {
      profit += Number(formatUnits(amount - before.tokens[symbol], this.#token(symbol).decimals)) * (await this.#usd(symbol));
    }
    const gas = Number(formatUnits(before.wei - after.wei, 18)) * (await this.#usd('WETH'));
    const { transmitted, forwarded, reverted, repaid } = stats.oracle;
    const spared = this.#book.lending.borrowers.filter(({ repays }) => repays);
    const struck = spared.filter(({ address }) => all.some(({ borrower }) => borrower === address));
    const lines = [
      `${after.block - before.block} blocks; ${transmitted} transmissions, ${forwarded} of them forwarded, ${reverted} reverted`,
      `${of('aave').length} Aave and ${of('morpho').length} Morpho liquidations`,
      `${this.stats.reverted} of ${this.stats.sent} liquidations reverted, ${this.stats.missed} looks failed`,
      `${profit.toFixed(2)} USD after the sales, ${gas.toFixed(2)} USD of gas, ${(profit - gas).toFixed(2)} USD net`,
      `${repaid} of ${spared.length} owners who would pay back did, ${struck.length} were liquidated`,
      `${mine.filter(({ behind }) => behind).length} right behind a transmission, ${await this.#parting()}`,
    ];
    const problems = Object.entries(LEAST)
      .filter(([protocol, least]) => of(protocol).length < least)
      .map(([protocol, least]) => `${of(protocol).length} liquidations of ${protocol}; at least ${least} are wanted`);
    if (!mine.some(({ behind }) => behind)) problems.push('no liquidation landed right behind a transmission');
    if (profit <= gas) problems.push('the liquidations did not pay');
    if (reverted > 0) problems.push(`${reverted} transmissions or repayments reverted`);
    if (struck.length > 0) problems.push(`${struck.length} owners who pay back were liquidated`);
    return { lines, problems };
  }

  /** How far the pairs' prices are from the feeds'. */
  async #parting() {
    const { pairs, tokens } = this.#book;
    const measured = pairs.filter(({ name }) => ['WETH/USDC', 'WBTC/USDC'].includes(name));
    const reserves = await readReserves(this.#rpc, measured);
    const rows = measured.map(async ({ name, factory, address }) => {
      const [symbol] = name.split('/');
      const whole = (token) => Number(formatUnits(reserves.get(address)[tokens[token].address], tokens[token].decimals));
      const percent = 100 * (whole('USDC') / whole(symbol) / (await this.#usd(symbol)) - 1);
      return `${factory} ${name} ${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %`;
    });
    return `pairs against feeds: ${(await Promise.all(rows)).join(', ')}`;
  }
}
