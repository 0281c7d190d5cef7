// Starts and ends a node as a child process, so that none is ever left behind.

import { mkdirSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { BALANCE_ETHER, CHAIN_ID, COUNT, MNEMONIC } from './accounts.mjs';
import { endChild, spawnGuarded } from './child.mjs';
import { Rpc } from './rpc.mjs';

const ANVIL = fileURLToPath(new URL('../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil', import.meta.url));
/** What mainnet had for years; a deployment's transactions are sized for it. */
export const BLOCK_GAS = 30_000_000;
const START_TIMEOUT_MS = 30_000;

/** Starts anvil with an empty chain on which nothing is mined yet. `port` 0 picks a free one. */
export async function startAnvil({ port, log, ipc }) {
  port = await freePort(port);
  const flags = {
    '--host': '127.0.0.1',
    '--port': port,
    '--chain-id': CHAIN_ID,
    '--mnemonic': MNEMONIC,
    '--accounts': COUNT,
    '--balance': BALANCE_ETHER,
    '--gas-limit': BLOCK_GAS,
    '--order': 'fees',
    ...(ipc && { '--ipc': ipc }),
  };
  return startNode({ command: ANVIL, args: ['--quiet', '--no-mining', ...Object.entries(flags).flat().map(String)], port, log });
}

/**
 * Runs a node that will listen on `port` of loopback and waits until it answers. The result's `stop()` ends it, and
 * `onExit` is called when it ends by itself.
 */
export async function startNode({ command, args, options, port, log }) {
  mkdirSync(path.dirname(log), { recursive: true });
  const output = openSync(log, 'w');
  const child = spawnGuarded(command, args, { ...options, stdio: ['ignore', output, output] });

  const node = {
    pid: child.pid,
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    onExit: () => {},
    stop: () => {
      node.onExit = () => {};
      return endChild(child);
    },
  };
  let failed = null;
  child.on('error', (error) => (failed = error.message));
  child.on('exit', (code, signal) => {
    failed = `exit ${code ?? signal}`;
    node.onExit(failed);
  });

  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline && !failed) {
    const rpc = await Rpc.open(node.ws).catch(() => null);
    if (rpc) return Object.assign(node, { rpc });
    await sleep(25);
  }
  await endChild(child);
  throw new Error(`the node did not start: ${failed ?? 'no answer in time'}; see ${log}`);
}

/** `port` if nobody listens there, or any free port for 0. */
export function freePort(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', () => reject(new Error(`port ${port} is taken; choose another with --port`)));
    server.listen(port, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}
