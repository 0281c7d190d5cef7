// Another client than anvil, with the same contracts at the same addresses: the feed is tested against how it does things.
// Ganache accepts a subscription to full pending transactions and sends hashes all the same; Hardhat refuses it.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { BALANCE_ETHER, CHAIN_ID, COUNT, MNEMONIC } from './lib/accounts.mjs';
import { ROOT, UsageError, exitInOrder, number, progress, readFlags, writeJson } from './lib/cli.mjs';
import { located } from './lib/devnet.mjs';
import { BLOCK_GAS, freePort, startNode } from './lib/node.mjs';
import { deployWorld } from './lib/world.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const USAGE = `node scripts/chain/second.mjs: the devnet's contracts on another client, without a market

  --client NAME    ganache or hardhat (default ganache)
  --port N         port on 127.0.0.1 for HTTP and WebSocket; 0 picks a free one (default 0)
  --block-time S   seconds between blocks, whole (default 1)
  --out FILE       where the address book goes (default target/devnet/NAME.json)
  --detached       keep running when the process that started this one ends

SIGINT and SIGTERM end it.`;

/** The same chain that anvil is given. */
const CHAIN = { id: CHAIN_ID, mnemonic: MNEMONIC, accounts: COUNT, balanceEther: BALANCE_ETHER, blockGas: BLOCK_GAS };

const flags = readFlags(USAGE, {
  client: { type: 'string', default: 'ganache' },
  port: { type: 'string', default: '0' },
  'block-time': { type: 'string', default: '1' },
  out: { type: 'string' },
  detached: { type: 'boolean', default: false },
});

const say = progress(flags.client);
let node = null;
const end = exitInOrder(
  async () => {
    node?.rpc.close();
    await node?.stop();
  },
  { detached: flags.detached },
);

try {
  if (!['ganache', 'hardhat'].includes(flags.client)) throw new UsageError(`--client ${flags.client}: ganache or hardhat is needed`);
  const blockTime = number('block-time', flags['block-time'], { least: 1, integer: true });
  const port = await freePort(number('port', flags.port, { least: 0, integer: true }));
  const out = flags.out ?? `${ROOT}target/devnet/${flags.client}.json`;
  execFileSync(here('install'), ['clients'], { stdio: 'inherit' });

  const log = `${path.dirname(path.resolve(out))}/${flags.client}-${process.pid}.log`;
  node = await startNode({
    command: process.execPath,
    args: [here(`clients/${flags.client}.cjs`), JSON.stringify({ ...CHAIN, port, blockTime })],
    options: { cwd: here('clients/') },
    port,
    log,
  });
  node.onExit = (how) => {
    console.error(`${flags.client}: the node ended by itself (${how}), see ${log}`);
    end(1);
  };
  say(`listens on ${node.ws} (pid ${node.pid})`);
  const { book } = await deployWorld(node.rpc);
  if (flags.client === 'hardhat') await node.rpc.call('evm_setIntervalMining', [blockTime * 1000]);
  writeJson(out, located(book, node));
  say(`ready: ${node.ws}, address book in ${path.relative(process.cwd(), out)}`);
} catch (error) {
  console.error(`${flags.client}: ${error.message}`);
  await node?.stop();
  process.exit(error instanceof UsageError ? 2 : 1);
}
