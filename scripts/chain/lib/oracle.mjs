// The prices of the local test chain: a path drawn from the seed, told to the feeds by signed transmissions, and the owners who
// pay back just before a transmission would have them liquidated.
//
//   new head ─► the path's next prices ─► repayments of those whom they would strike ─► a moment later, the transmission
//
// A transmission stays in the mempool until the next block. Its fee cap is its own, so a follower that copies it lands behind it.

import { Wallet } from 'ethers';

import { transmitter } from './accounts.mjs';
import { repayToAave } from './aave.mjs';
import { signed } from './batch.mjs';
import { healthAt } from './borrowers.mjs';
import { FEED, answerOf, signReport, transmission } from './feeds.mjs';
import { repayToMorpho } from './morpho.mjs';
import { Random } from './random.mjs';

/** Depth of the fall in log, blocks from one peak to the next, and what is added to that in each block. */
const PATHS = {
  WETH: { depth: 0.065, period: 170, noise: 0.0004 },
  WBTC: { depth: 0.1, period: 170, noise: 0.0005 },
  USDC: { depth: 0, period: 1, noise: 0.00002 },
  DAI: { depth: 0, period: 1, noise: 0.00002 },
};
/** What was added is forgotten at this rate. */
const PULL = 0.05;
/** Blocks before the fall. */
const CALM = 4;
/** [symbol, every so many blocks, in which of them]. */
const TURNS = [
  ['WETH', 3, 0],
  ['WBTC', 3, 1],
  ['USDC', 30, 2],
  ['DAI', 30, 17],
];
/** Of the transmissions, those that go through the forwarder. */
const FORWARDED_SHARE = 0.3;
const DELAY_MS = [50, 450];
/** Of the debt. A third of the collateral could then be lost before the rest is liquidated. */
const REPAID_PERCENT = 40n;
const TRANSMIT_GAS = 400_000n;
const REPAY_GAS = 500_000n;
const LOST_AFTER_BLOCKS = 8;
const GWEI = 10n ** 9n;

/** The path of all prices: the same for the same seed, whatever happens on the chain. */
export class PricePath {
  #noises;

  constructor(seed) {
    this.#noises = Object.keys(PATHS).map((symbol, index) => [symbol, new Random(seed + 100 + index), [0]]);
  }

  /** By how much a price differs from its start after so many blocks, in log. */
  log(symbol, step) {
    const { depth, period, noise } = PATHS[symbol];
    const [, random, steps] = this.#noises.find(([name]) => name === symbol);
    while (steps.length <= step) steps.push(steps.at(-1) * (1 - PULL) + noise * random.normal());
    const along = Math.max(0, step - CALM) / period;
    return (-depth * (1 - Math.cos(2 * Math.PI * along))) / 2 + steps[step];
  }
}

export class Oracle {
  stats = { transmitted: 0, forwarded: 0, reverted: 0, repaid: 0 };

  #rpc;
  #book;
  #path;
  #random;
  #chooseCap;
  #onPrice;
  #step = 0;
  #nonce = 0;
  #epochs = new Map();
  #waiting = null;
  #timer = null;
  #running = false;
  /** The last answers, as dollars. */
  #usd;
  #repaying;
  /** Hashes of repayments that are in the mempool. */
  #repayments = new Set();

  /** `chooseCap(least)` gives a fee cap that nobody else has; `onPrice(token, log)` is told what the world thinks of a token. */
  constructor({ rpc, book, seed, chooseCap, onPrice }) {
    [this.#rpc, this.#book, this.#chooseCap, this.#onPrice] = [rpc, book, chooseCap, onPrice];
    [this.#path, this.#random] = [new PricePath(seed), new Random(seed + 4)];
    this.#usd = Object.fromEntries(Object.entries(book.tokens).map(([symbol, { usd }]) => [symbol, usd]));
    this.#repaying = book.lending.borrowers.filter(({ repays }) => repays);
  }

  async sit() {
    this.#running = true;
    await this.#recount();
  }

  /** What the node lost is forgotten: the next nonce and the feeds' last epochs are asked for again. */
  async #recount() {
    this.#waiting = null;
    this.#nonce = Number(await this.#rpc.call('eth_getTransactionCount', [transmitter.address, 'latest']));
    for (const [symbol, { aggregator }] of Object.entries(this.#book.lending.feeds)) {
      const [, , epoch] = await this.#rpc.read(aggregator, FEED, 'latestConfigDigestAndEpoch');
      this.#epochs.set(symbol, Number(epoch));
    }
  }

  freeze() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** What became of the last transmission, and of repayments. */
  settle(receipts) {
    for (const { transactionHash: hash, status } of receipts) {
      const isRight = status === '0x1';
      if (this.#repayments.delete(hash)) this.stats[isRight ? 'repaid' : 'reverted'] += 1;
      if (hash !== this.#waiting?.hash) continue;
      this.stats[isRight ? 'transmitted' : 'reverted'] += 1;
      if (isRight && this.#waiting.isForwarded) this.stats.forwarded += 1;
      this.#waiting = null;
    }
  }

  async onHead(head, baseFee) {
    const block = Number(head.number);
    this.#step += 1;
    if (this.#waiting && block - this.#waiting.block >= LOST_AFTER_BLOCKS) await this.#recount();
    const turn = TURNS.find(([, every, place]) => this.#step % every === place);
    // One at a time, so that one that is late does not hold up others behind its nonce.
    if (!turn || this.#waiting) return;
    const [symbol] = turn;
    const log = this.#path.log(symbol, this.#step);
    this.#usd[symbol] = this.#book.tokens[symbol].usd * Math.exp(log);
    this.#onPrice(this.#book.tokens[symbol].address, log);

    const cap = this.#chooseCap((baseFee * BigInt(Math.round(1000 * this.#random.between(2, 3)))) / 1000n + 2n * GWEI);
    const sent = { symbol, cap, block, isForwarded: this.#random.chance(FORWARDED_SHARE), observed: BigInt(head.timestamp) };
    const delay = this.#random.between(...DELAY_MS);
    await this.#repay(cap);
    // From now on, or a head that comes first would send another with the same nonce.
    this.#waiting = { ...sent, hash: null };
    this.#timer = setTimeout(() => this.#running && this.#transmit(sent).catch(() => this.#recount().catch(() => {})), delay);
  }

  async #transmit({ symbol, cap, isForwarded, observed }) {
    const { lending } = this.#book;
    const epoch = this.#epochs.get(symbol) + 1;
    const report = signReport(lending.feeds[symbol], epoch, answerOf(this.#usd[symbol]), observed);
    const call = transmission(lending, lending.feeds[symbol], report, isForwarded);
    const fields = { type: 2, nonce: this.#nonce, ...call, gasLimit: TRANSMIT_GAS, ...fees(cap) };
    const { raw, hash } = signed(transmitter, fields);
    this.#waiting.hash = hash;
    this.#epochs.set(symbol, epoch);
    this.#nonce += 1;
    await this.#rpc.call('eth_sendRawTransaction', [raw]);
  }

  /** Whoever pays back does so when the next prices would make it too late, and pays more than the transmission. */
  async #repay(cap) {
    const { tokens } = this.#book;
    const isStruck = (borrower) => healthAt(borrower, tokens, (symbol) => this.#usd[symbol]) < 1;
    const struck = this.#repaying.filter(isStruck);
    this.#repaying = this.#repaying.filter((borrower) => !struck.includes(borrower));
    for (const borrower of struck) {
      const wallet = new Wallet(borrower.private_key);
      const nonce = Number(await this.#rpc.call('eth_getTransactionCount', [wallet.address, 'latest']));
      const price = this.#chooseCap(cap + BigInt(Math.round(this.#random.between(1, 1e9))));
      const fields = { type: 2, nonce, ...this.#repayment(borrower), gasLimit: REPAY_GAS, ...fees(price) };
      const { raw, hash } = signed(wallet, fields);
      this.#repayments.add(hash);
      await this.#rpc.call('eth_sendRawTransaction', [raw]);
    }
  }

  #repayment({ protocol, market, address, debt }) {
    const { lending, tokens } = this.#book;
    const [[symbol, owed]] = Object.entries(debt);
    const amount = (BigInt(owed) * REPAID_PERCENT) / 100n;
    if (protocol === 'aave') return repayToAave(lending.aave, tokens[symbol], amount, address);
    return repayToMorpho(lending.morpho, lending.morpho.markets.find(({ name }) => name === market), amount, address);
  }
}

const fees = (cap) => ({ maxFeePerGas: cap, maxPriorityFeePerGas: 2n * GWEI });
