// `scripts/devnet`: the local test chain, until it is interrupted. See README.md beside this file.

import path from 'node:path';

import { ROOT, UsageError, exitInOrder, number, progress, readFlags, writeJson } from './lib/cli.mjs';
import { startDevnet } from './lib/devnet.mjs';

const USAGE = `scripts/devnet: a local Ethereum chain with Uniswap V2 and V3, Sushi and Solidly-style pools, and a market that trades on them

  --port N         port on 127.0.0.1 for HTTP and WebSocket; 0 picks a free one (default 8545)
  --block-time S   seconds between blocks, whole; 0 mines only on evm_mine (default 1)
  --seed N         seed of the market (default 1)
  --rate N         trades per second (default 3)
  --no-market      nobody trades
  --lending        price feeds, Aave V3, Morpho Blue and their borrowers too; the market then moves prices
  --self-check S   liquidates for S seconds with funds of its own, says what came of it, and ends: 1 if it was too little
                   (implies --lending)
  --out FILE       where the address book goes (default target/devnet/addresses.json)
  --ipc FILE       listen on a Unix socket too
  --detached       keep running when the process that started this one ends

SIGINT and SIGTERM end it. SIGUSR2 freezes the market, and starts it again.`;

const flags = readFlags(USAGE, {
  port: { type: 'string', default: '8545' },
  'block-time': { type: 'string', default: '1' },
  seed: { type: 'string', default: '1' },
  rate: { type: 'string', default: '3' },
  'no-market': { type: 'boolean', default: false },
  lending: { type: 'boolean', default: false },
  'self-check': { type: 'string' },
  out: { type: 'string', default: `${ROOT}target/devnet/addresses.json` },
  ipc: { type: 'string' },
  detached: { type: 'boolean', default: false },
});

const say = progress('devnet');
let devnet = null;
let checkedFor = 0;
const end = exitInOrder(() => devnet?.stop(), { detached: flags.detached });

try {
  if (flags['self-check'] !== undefined) checkedFor = number('self-check', flags['self-check'], { least: 1 });
  if (checkedFor > 0 && (flags['no-market'] || flags['block-time'] === '0')) {
    throw new UsageError(`--self-check ${checkedFor}: a market is needed, and blocks at an interval`);
  }
  devnet = await startDevnet({
    port: number('port', flags.port, { least: 0, integer: true }),
    blockTime: number('block-time', flags['block-time'], { least: 0, integer: true }),
    seed: number('seed', flags.seed, { least: 0, integer: true }),
    rate: flags['no-market'] ? 0 : number('rate', flags.rate, { least: 0.001 }),
    lending: flags.lending || checkedFor > 0,
    log: `${path.dirname(path.resolve(flags.out))}/anvil-${process.pid}.log`,
    ipc: flags.ipc,
    say,
  });
} catch (error) {
  console.error(`devnet: ${error.message}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}

const { book, node, market } = devnet;
node.onExit = (how) => {
  console.error(`devnet: the node ended by itself (${how})`);
  end(1);
};
if (market) {
  await market.start();
  process.on('SIGUSR2', () => (market.running ? market.freeze() : market.start()));
  setInterval(() => say(report(market)), 30_000);
}
writeJson(flags.out, book);
say(`ready: ${book.ws}, address book in ${path.relative(process.cwd(), flags.out)}`);
if (checkedFor > 0) await checkItself(checkedFor);

async function checkItself(seconds) {
  const { selfCheck } = await import('./lending-check.mjs');
  const problems = await selfCheck({ rpc: node.rpc, book, market, seconds, say }).catch((error) => [error.message]);
  for (const problem of problems) console.error(`devnet: FAILED: ${problem}`);
  await end(problems.length > 0 ? 1 : 0);
}

function report({ head, stats, running }) {
  const fee = (Number(head.baseFee) / 1e9).toFixed(1);
  const trades = `${stats.mined} trades mined, ${stats.reverted} reverted, ${stats.refused + stats.lost} lost`;
  return `block ${head.number}, base fee ${fee} gwei, ${trades}${running ? '' : ', frozen'}`;
}
