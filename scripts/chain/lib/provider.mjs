// Liquidity that comes and goes during the market's life: one account mints positions around the price of V3 pools, each at
// ticks of its own, and takes the older ones out again.

import { provider } from './accounts.mjs';
import { signed } from './batch.mjs';
import { Random } from './random.mjs';
import { FOREVER, worth } from './tokens.mjs';
import { MANAGER, V3_POOL, mintArguments, rangeAround } from './v3.mjs';

const GWEI = 10n ** 9n;
const EVERY_BLOCKS = 4;
/** So many positions stay open; then the oldest one is taken out before another is minted. */
const OPEN_MAX = 6;
const REACH_TICKS = [20, 1500];
const SIDE_ETHER = [2, 15];
const GAS = 900_000n;
const LOST_AFTER_BLOCKS = 8;
const ALL = 2n ** 128n - 1n;

export class Provider {
  stats = { minted: 0, burned: 0, reverted: 0 };

  #rpc;
  #book;
  #random;
  #nonce = 0;
  #waiting = null;
  /** Token ids of open positions, oldest first. */
  #positions = [];

  constructor(rpc, book, seed) {
    [this.#rpc, this.#book, this.#random] = [rpc, book, new Random(seed + 2)];
  }

  async sit() {
    this.#nonce = Number(await this.#rpc.call('eth_getTransactionCount', [provider.address, 'latest']));
    this.#waiting = null;
  }

  /** What became of the last transaction. */
  settle(receipts) {
    const mine = receipts.find(({ transactionHash }) => transactionHash === this.#waiting?.hash);
    if (!mine) return;
    const { burns } = this.#waiting;
    this.#waiting = null;
    if (mine.status !== '0x1') return void (this.stats.reverted += 1);
    if (burns) {
      this.#positions.shift();
      this.stats.burned += 1;
      return;
    }
    const manager = this.#book.v3.position_manager.toLowerCase();
    const events = mine.logs.filter(({ address }) => address === manager).map((log) => MANAGER.parseLog(log));
    const minted = events.find((event) => event?.name === 'IncreaseLiquidity');
    this.#positions.push(minted.args.tokenId);
    this.stats.minted += 1;
  }

  /** Every few blocks, one position more or one less. */
  async onHead(head, baseFee) {
    const block = Number(head.number);
    if (this.#waiting && block - this.#waiting.block >= LOST_AFTER_BLOCKS) await this.sit();
    if (this.#waiting || block % EVERY_BLOCKS !== 0) return;
    const burns = this.#positions.length >= OPEN_MAX;
    const data = burns ? await this.#burn(this.#positions[0]) : await this.#mint();
    const fees = { maxFeePerGas: (baseFee * 5n) / 4n + GWEI, maxPriorityFeePerGas: GWEI / 5n };
    const fields = { type: 2, nonce: this.#nonce, to: this.#book.v3.position_manager, data, gasLimit: GAS, ...fees };
    const { raw, hash } = signed(provider, fields);
    this.#waiting = { hash, block, burns };
    this.#nonce += 1;
    await this.#rpc.call('eth_sendRawTransaction', [raw]).catch(() => this.sit());
  }

  async #mint() {
    const pool = this.#random.pick(this.#book.v3.pools);
    const tick = Number((await this.#rpc.read(pool.address, V3_POOL, 'slot0'))[1]);
    const range = rangeAround(tick, Math.round(this.#random.logBetween(...REACH_TICKS)), pool.tick_spacing);
    const ether = Math.round(100 * this.#random.logBetween(...SIDE_ETHER)) / 100;
    const amounts = [pool.token0, pool.token1].map((token) => worth(this.#token(token), ether));
    return MANAGER.encodeFunctionData('mint', [mintArguments(pool, range, amounts, provider)]);
  }

  /** All of a position's liquidity, and then what it and its fees came to. */
  async #burn(id) {
    const { liquidity } = await this.#rpc.read(this.#book.v3.position_manager, MANAGER, 'positions', [id]);
    return MANAGER.encodeFunctionData('multicall', [
      [
        MANAGER.encodeFunctionData('decreaseLiquidity', [[id, liquidity, 0n, 0n, FOREVER]]),
        MANAGER.encodeFunctionData('collect', [[id, provider.address, ALL, ALL]]),
      ],
    ]);
  }

  #token(address) {
    return Object.values(this.#book.tokens).find((token) => token.address === address);
  }
}
