// Whether the pools in a bot's snapshot are what the chain has at that block: reserves, and of V3 pools price, liquidity and
// every tick.

import { existsSync, readFileSync } from 'node:fs';

import { readSolidly } from './lib/solidly.mjs';
import { hex } from './lib/rpc.mjs';
import { readReserves } from './lib/v2.mjs';
import { readV3 } from './lib/v3.mjs';

/** Every difference, a sentence each. Every pool of the address book must be there. */
export async function compareSnapshot(rpc, book, { block, hash, pools }) {
  const onChain = await rpc.call('eth_getBlockByNumber', [hex(block), false]);
  if (onChain?.hash !== hash) return [`the snapshot is of block ${block} ${hash}, which is not on the chain`];
  const told = new Map(Object.entries(pools).map(([address, state]) => [address.toLowerCase(), state]));
  const problems = [];
  for (const [address, state] of await readPools(rpc, book, hex(block))) {
    const ours = told.get(address.toLowerCase());
    const differs = ours === undefined ? 'the snapshot lacks it' : difference(ours, state);
    if (differs) problems.push(`pool ${address} at block ${block}: ${differs}`);
  }
  return problems;
}

/** Compares each snapshot that the bot writes into a file with the chain at that block. */
export class Watch {
  compared = 0;
  pools = 0;
  /** Of blocks that the chain has left since: nothing to compare with. */
  left = 0;
  problems = [];
  #rpc;
  #book;
  #file;
  #seen = 0;

  constructor(rpc, book, file) {
    [this.#rpc, this.#book, this.#file] = [rpc, book, file];
  }

  async look() {
    const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
    const lines = text.split('\n').slice(0, -1);
    for (const line of lines.slice(this.#seen)) {
      const snapshot = JSON.parse(line);
      // Asked about its newest block, anvil may answer of the next that it is making: this one's turn comes later.
      if (Number(await this.#rpc.call('eth_blockNumber')) === snapshot.block) return;
      this.#seen += 1;
      const problems = await compareSnapshot(this.#rpc, this.#book, snapshot);
      // It may also be left while it is compared.
      const block = await this.#rpc.call('eth_getBlockByNumber', [hex(snapshot.block), false]);
      if (block?.hash !== snapshot.hash) {
        this.left += 1;
        continue;
      }
      this.compared += 1;
      this.pools += Object.keys(snapshot.pools).length;
      // What it knows to be stale, it does not trade on.
      if (snapshot.stale.length === 0) this.problems.push(...problems);
    }
  }
}

/** The state of all pools at one block, in the form of a snapshot. */
async function readPools(rpc, book, block) {
  const [v2, v3, solidly] = await Promise.all([
    readReserves(rpc, book.pairs, block),
    readV3(rpc, book.v3.pools, { block, withTicks: true }),
    readSolidly(rpc, book.solidly.pools, block),
  ]);
  const reserves = ({ address, token0, token1 }, of) => [address, [token0, token1].map((token) => String(of.get(address)[token]))];
  const concentrated = ({ address }) => {
    const { sqrtPrice, tick, liquidity, ticks } = v3.get(address);
    const all = ticks.map(([index, net, gross]) => ({ index, net: String(net), gross: String(gross) }));
    return [address, { sqrt_price: String(sqrtPrice), tick, liquidity: String(liquidity), ticks: all }];
  };
  return [
    ...book.pairs.map((pool) => reserves(pool, v2)),
    ...book.solidly.pools.map((pool) => reserves(pool, solidly)),
    ...book.v3.pools.map(concentrated),
  ];
}

/** The first thing that differs, if any does: a hundred ticks are not printed. */
function difference(ours, theirs) {
  if (Array.isArray(theirs)) return said('reserves', ours, theirs);
  const { ticks, ...rest } = theirs;
  const field = Object.keys(rest).find((name) => said(name, ours[name], rest[name]));
  if (field) return said(field, ours[field], rest[field]);
  const text = ({ index, net, gross }) => `${index} net ${net} gross ${gross}`;
  const [told, read] = [ours.ticks ?? [], ticks].map((list) => list.map(text));
  const only = (some, others) => some.filter((tick) => !others.includes(tick))[0];
  return said('a tick', only(told, read), only(read, told));
}

/** What was said of something, unless it is so. */
function said(what, ours, theirs) {
  const [bot, chain] = [ours, theirs].map((value) => JSON.stringify(value) ?? 'nothing');
  return bot === chain ? null : `${what}: the bot says ${bot}, the chain ${chain}`;
}
