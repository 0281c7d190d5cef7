// The devnet as a library: a node, the world deployed on it, blocks at an interval, and a market that waits to be started.

import { rmSync } from 'node:fs';
import path from 'node:path';

import { Market, prepareTraders } from '../market.mjs';
import { startAnvil } from './node.mjs';
import { deployWorld } from './world.mjs';

/**
 * `blockTime` in seconds; 0 mines only on `evm_mine`. Without a `rate` there is no market; with `lending` there
 * are lending protocols, and the market moves prices. The result is
 * { book, node, market, stop }, where `book` is the address book.
 */
export async function startDevnet({ port, blockTime, seed, rate, lending = false, log, ipc, say }) {
  const node = await startAnvil({ port, log, ipc: ipc && path.resolve(ipc) });
  const stop = async () => {
    market?.freeze();
    node.rpc.close();
    await node.stop();
    if (ipc) rmSync(ipc, { force: true }); // anvil leaves its socket behind
  };
  let market = null;
  try {
    say(`anvil listens on ${node.ws} (pid ${node.pid})`);
    const { book, batch } = await deployWorld(node.rpc, { lendingSeed: lending ? seed : undefined });
    const pools = `${book.pairs.length} pairs, ${book.v3.pools.length} V3 pools, ${book.solidly.pools.length} Solidly-style pools`;
    say(`deployed ${Object.keys(book.tokens).length} tokens, ${pools}`);
    if (lending) {
      const { feeds, aave, morpho, borrowers } = book.lending;
      const what = `${Object.keys(feeds).length} feeds, ${Object.keys(aave.reserves).length} Aave reserves, ${morpho.markets.length} Morpho markets`;
      say(`deployed ${what}, ${borrowers.length} borrowers`);
    }
    if (rate > 0) {
      await prepareTraders(batch, book);
      market = new Market({ rpc: node.rpc, book, seed, rate });
      if (lending) market.follow((await import('./oracle.mjs')).Oracle);
    }
    if (blockTime > 0) await node.rpc.call('evm_setIntervalMining', [blockTime]);
    return { book: located(book, node, ipc), node, market, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The address book, with where its node is. */
export function located({ chain_id, ...rest }, node, ipc) {
  return { chain_id, ws: node.ws, http: node.http, ...(ipc && { ipc: path.resolve(ipc) }), pid: node.pid, ...rest };
}
