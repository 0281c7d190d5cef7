// `node scripts/chain/replay.mjs`: a devnet is recorded, the recording is served again, and both must look the same to whoever
// asks: the raw answers, and what ethers makes of them.
//
//   devnet and market ─► gannet record ─► questions to anvil ─► gannet replay ─► the same questions ─► the same answers
//                   └─► heads, logs, pending ─────────────────────────────────► the same, in the same order

import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Interface, JsonRpcProvider, Wallet, id } from 'ethers';

import { endChild, isGone, spawnGuarded } from './lib/child.mjs';
import { ROOT, complain, exitInOrder, number, progress, readFlags } from './lib/cli.mjs';
import { startDevnet } from './lib/devnet.mjs';
import { freePort, startNode } from './lib/node.mjs';
import { Rpc, hex } from './lib/rpc.mjs';

const USAGE = `node scripts/chain/replay.mjs: records a devnet, serves the recording, and compares both

  --bot FILE     the binary (required)
  --seconds N    how long is recorded (default 10)
  --seed N       seed of the market (default 1)
  --out DIR      where all that is written goes (default target/replay)`;

/** How many times as fast as it was recorded. */
const SPEED = 25;
const PATIENCE_MS = 30_000;
const VIEWS = new Interface([
  'function token0() view returns (address)',
  'function token1() view returns (address)',
  'function factory() view returns (address)',
  'function getReserves() view returns (uint256, uint256, uint256)',
  'function fee() view returns (uint24)',
  'function tickSpacing() view returns (int24)',
  'function liquidity() view returns (uint128)',
  'function tickBitmap(int16) view returns (uint256)',
  'function stable() view returns (bool)',
  'function decimals() view returns (uint8)',
  'function allPairsLength() view returns (uint256)',
]);
/** A pool's reserves were written. */
const SYNCS = ['Sync(uint112,uint112)', 'Sync(uint256,uint256)'].map(id);
/** A pool was made. */
const CREATIONS = [
  'PairCreated(address,address,address,uint256)',
  'PoolCreated(address,address,uint24,int24,address)',
  'PoolCreated(address,address,bool,address,uint256)',
].map(id);
/** Code of the error that says what a recording lacks. */
const MISSING = -32001;

const values = readFlags(USAGE, {
  bot: { type: 'string' },
  seconds: { type: 'string', default: '10' },
  seed: { type: 'string', default: '1' },
  out: { type: 'string', default: `${ROOT}target/replay` },
});
if (!values.bot) {
  console.error(USAGE);
  process.exit(2);
}
const [seconds, seed] = [number('seconds', values.seconds, { least: 3 }), number('seed', values.seed, { least: 0, integer: true })];
const out = path.resolve(values.out);
const inOut = (name) => path.join(out, name);
const say = progress('replay');
const problems = [];
const running = { bot: null, devnet: null, replay: null };
const end = exitInOrder(async () => {
  if (running.bot) await endChild(running.bot);
  running.replay?.rpc?.close();
  await running.replay?.stop();
  await running.devnet?.stop();
});
try {
  await compare();
  for (const problem of problems) complain(`replay: FAILED: ${problem}`);
  await end(problems.length === 0 ? 0 : 1);
} catch (error) {
  complain(`replay: ${error.stack}`);
  await end(1);
}

async function compare() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const devnet = await startDevnet({ port: 0, blockTime: 1, seed, rate: 4, log: inOut('anvil.log'), say });
  running.devnet = devnet;
  const { book, node, market } = devnet;
  await market.start();
  const heard = await listen(node.ws);
  await record(node, async () => {
    await sleep(seconds * 1000);
    market.freeze();
    const frozen = Number(await node.rpc.call('eth_blockNumber'));
    await until(async () => Number(await node.rpc.call('eth_blockNumber')) >= frozen + 3);
  });
  const { segments } = JSON.parse(readFileSync(inOut('recording/manifest.json'), 'utf8'));
  if (segments.length !== 1) throw new Error(`the recording has ${segments.length} runs of blocks`);
  const [{ first_block: first, last_block: last }] = segments;
  say(`blocks ${first} to ${last} are recorded`);

  const port = await freePort(0);
  const args = ['replay', inOut('recording'), '--listen', `127.0.0.1:${port}`, '--speed', String(SPEED)];
  const replay = await startNode({ command: values.bot, args, options: {}, port, log: inOut('replay.log') });
  running.replay = replay;
  const start = Number(await replay.rpc.call('eth_blockNumber'));
  if (start !== first) problems.push(`it begins at block ${start} instead of ${first}`);
  if ((await replay.rpc.call('eth_getBlockByNumber', [hex(last), false])) !== null) problems.push('a block is there before its time');
  const again = await listen(replay.ws);
  await until(() => Number(again.heads.at(-1)?.number) >= last);
  await sleep(200);
  compareNews(heard, again, { first, last });

  const questions = await ask(node.rpc, book, { first, last });
  say(`${questions.length} questions`);
  let [same, missing] = [0, 0];
  for (const { method, params, mayMiss, exclude } of questions) {
    const [wanted, found] = [await answer(node.rpc, method, params), await answer(replay.rpc, method, params)];
    if (mayMiss && found.code === MISSING) missing += 1;
    else if (isDeepStrictEqual(without(wanted.result, exclude), without(found.result, exclude)) && wanted.result !== undefined) same += 1;
    else problems.push(`${method} ${JSON.stringify(params)}: ${difference(wanted, found)}`);
    if (problems.length > 20) break;
  }
  say(`${same} answers are the same, ${missing} are missing and said to be`);
  const [by, answered] = [await ethers(node.http, { first, last }), await ethers(replay.http, { first, last })];
  if (!isDeepStrictEqual(by, answered)) {
    const place = by.findIndex((one, at) => !isDeepStrictEqual(one, answered[at]));
    problems.push(`ethers sees another ${by[place][0]}: ${difference({ result: by[place] }, { result: answered[place] })}`);
  } else say(`${by.length} things that ethers sees are the same`);
  await atEdges(replay, { first, last });
  heard.rpc.close();
  again.rpc.close();
}

/** Has the bot record the devnet while `meanwhile` goes on. */
async function record(node, meanwhile) {
  const log = openSync(inOut('bot.log'), 'w');
  const settings = [`node.url=${node.ws}`, 'runtime.pin=false', `runtime.state_dir=${inOut('state')}`, 'runtime.drain_s=1'];
  const args = ['record', '--out', inOut('recording'), '--config', `${ROOT}config.toml`, ...settings.flatMap((one) => ['--set', one])];
  const bot = spawnGuarded(values.bot, args, { stdio: ['ignore', log, log] });
  running.bot = bot;
  await until(() => {
    if (isGone(bot)) throw new Error(`the bot ended by itself, see ${inOut('bot.log')}`);
    return readOr(inOut('recording/manifest.json')) !== '';
  });
  say('the bot records');
  await meanwhile();
  if (!(await endChild(bot, PATIENCE_MS)) || bot.exitCode !== 0) throw new Error(`the bot ended with ${bot.exitCode}`);
}

/** Collects what a node tells. */
async function listen(url) {
  const rpc = await Rpc.open(url);
  const heard = { rpc, heads: [], logs: [], pending: [] };
  await rpc.subscribe('newPendingTransactions', (hash) => heard.pending.push(hash));
  await rpc.subscribe('logs', (log) => heard.logs.push(log));
  await rpc.subscribe('newHeads', (head) => heard.heads.push(head));
  return heard;
}

function compareNews(heard, again, { first, last }) {
  // It stands at the first block when it begins, so that one is not announced.
  const within = ({ number }) => Number(number) > first && Number(number) <= last;
  const logWithin = ({ blockNumber }) => within({ number: blockNumber });
  const seen = new Set(again.pending);
  for (const [name, wanted, found] of [
    ['heads', heard.heads.filter(within), again.heads],
    ['logs', heard.logs.filter(logWithin), again.logs],
    ['pending transactions', heard.pending.filter((hash) => seen.has(hash)), again.pending],
  ]) {
    const place = found.findIndex((one, at) => !isDeepStrictEqual(one, wanted[at]));
    if (found.length === 0 || wanted.length !== found.length || place >= 0) {
      const at = Math.max(place, 0);
      const what = `${found.length} ${name} instead of ${wanted.length}`;
      problems.push(`${what}; number ${at}: ${difference({ result: wanted[at] }, { result: found[at] })}`);
    } else say(`${found.length} ${name} came again, in the same order`);
  }
}

/** Everything that is asked of both. */
async function ask(rpc, book, { first, last }) {
  const questions = [];
  const add = (method, params, more = {}) => questions.push({ method, params, ...more });
  add('eth_chainId', []);
  add('net_version', []);
  add('eth_syncing', []);
  const anvils = { exclude: ['blockTimestamp'] }; // anvil adds it to receipts, as a JSON number and not in hexadecimal digits
  const [senders, addresses, topics, written] = [new Set(), new Set(), new Set(), new Set()];
  for (let at = first; at <= last; at += 1) {
    const block = await rpc.call('eth_getBlockByNumber', [hex(at), true]);
    for (const isFull of [true, false]) {
      add('eth_getBlockByNumber', [hex(at), isFull]);
      add('eth_getBlockByHash', [block.hash, isFull]);
    }
    add('eth_getBlockReceipts', [hex(at)], anvils);
    add('eth_getBlockReceipts', [block.hash], anvils);
    add('eth_getLogs', [{ blockHash: block.hash }]);
    add('eth_getLogs', [{ fromBlock: hex(at), toBlock: hex(at) }]);
    for (const { hash, from } of block.transactions) {
      add('eth_getTransactionByHash', [hash]);
      add('eth_getTransactionReceipt', [hash], anvils);
      add('eth_getTransactionCount', [from, hex(at)]);
      senders.add(from);
    }
    for (const log of await rpc.call('eth_getLogs', [{ blockHash: block.hash }])) {
      addresses.add(log.address);
      topics.add(log.topics[0]);
      if (at > first && SYNCS.includes(log.topics[0])) written.add(log.address.toLowerCase());
    }
    views(book, hex(at), add, written);
  }
  for (const from of senders) add('eth_getTransactionCount', [from, hex(last)]);
  const range = { fromBlock: hex(first), toBlock: hex(last) };
  const [some, kinds] = [[...addresses], [...topics]];
  add('eth_getLogs', [range]);
  for (const address of some) add('eth_getLogs', [{ ...range, address }]);
  for (const topic of kinds) add('eth_getLogs', [{ ...range, topics: [topic] }]);
  add('eth_getLogs', [{ ...range, address: some.slice(0, 3), topics: [kinds.slice(0, 2)] }]);
  add('eth_getLogs', [{ ...range, topics: [null, null] }]);
  add('eth_getLogs', [{ ...range, topics: [[], [`0x${'00'.repeat(31)}01`]] }]);
  // What a bot asks of the time before, when it starts.
  add('eth_getBlockByNumber', ['0x0', false]);
  const factories = [...book.factories.map(({ address }) => address), book.v3.factory, book.solidly.factory];
  add('eth_getLogs', [{ fromBlock: '0x0', toBlock: hex(last), address: factories, topics: [CREATIONS] }]);
  for (const { address } of book.factories)
    for (const at of [first, last])
      add('eth_call', [{ to: address, data: VIEWS.encodeFunctionData('allPairsLength') }, hex(at)]);
  const nowhere = `0x${'11'.repeat(32)}`;
  for (const method of ['eth_getTransactionByHash', 'eth_getTransactionReceipt']) add(method, [nowhere]);
  add('eth_getBlockByHash', [nowhere, false]);
  return questions;
}

/** What pools and tokens answer at a block. When a pool was last written is known from its first log in the recording on. */
function views(book, at, add, written) {
  const call = (to, name, args = [], more = {}) =>
    add('eth_call', [{ to, data: VIEWS.encodeFunctionData(name, args) }, at], more);
  const pairs = [...book.pairs, ...book.solidly.pools];
  for (const { address } of pairs) {
    for (const name of ['token0', 'token1']) call(address, name);
    call(address, 'getReserves', [], { mayMiss: !written.has(address.toLowerCase()) });
  }
  for (const { address } of book.solidly.pools) call(address, 'stable');
  for (const { address } of book.v3.pools) {
    for (const name of ['token0', 'token1', 'factory', 'fee', 'tickSpacing', 'liquidity']) call(address, name);
    for (const word of [-2, -1, 0, 1]) call(address, 'tickBitmap', [word]);
  }
  for (const { address } of Object.values(book.tokens)) call(address, 'decimals');
}

/** What ethers makes of a node's blocks, transactions, receipts and logs. */
async function ethers(url, { first, last }) {
  const provider = new JsonRpcProvider(url, undefined, { staticNetwork: false });
  const seen = [['network', (await provider.getNetwork()).toJSON()]];
  for (let at = first; at <= last; at += 1) {
    const block = await provider.getBlock(at, true);
    seen.push(['block', block.toJSON()]);
    for (const transaction of block.prefetchedTransactions) {
      seen.push(['transaction', transaction.toJSON()]);
      seen.push(['receipt', (await provider.getTransactionReceipt(transaction.hash)).toJSON()]);
    }
    seen.push(['logs', (await provider.getLogs({ blockHash: block.hash })).map((log) => log.toJSON())]);
  }
  provider.destroy();
  return seen;
}

/** What a chain has and the recording has not; and what is sent to it. */
async function atEdges({ rpc }, { first, last }) {
  const future = await rpc.call('eth_getBlockByNumber', [hex(last + 1), false]);
  if (future !== null) problems.push(`a block behind the last: ${JSON.stringify(future)}`);
  for (const [method, params] of [
    ['eth_getBlockByNumber', [hex(first - 1), false]],
    ['eth_getLogs', [{ fromBlock: '0x0', toBlock: hex(last) }]],
    ['eth_getBalance', [`0x${'ab'.repeat(20)}`, 'latest']],
    ['eth_call', [{ to: `0x${'ab'.repeat(20)}`, data: '0x12345678' }, 'latest']],
  ]) {
    const { code } = await answer(rpc, method, params);
    if (code !== MISSING) problems.push(`${method} ${JSON.stringify(params)}: ${code} instead of ${MISSING}`);
  }
  const fees = { gasLimit: 21_000, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n, chainId: 31337, type: 2, nonce: 0 };
  const raw = await Wallet.createRandom().signTransaction({ to: `0x${'ab'.repeat(20)}`, ...fees });
  const hash = await rpc.call('eth_sendRawTransaction', [raw]);
  const pending = await rpc.call('eth_getTransactionByHash', [hash]);
  if (pending?.hash !== hash || pending.blockNumber !== null) problems.push(`what was sent is ${JSON.stringify(pending)}`);
  if ((await rpc.call('eth_getTransactionReceipt', [hash])) !== null) problems.push('what was sent has a receipt');
}

async function answer(rpc, method, params) {
  try {
    return { result: await rpc.call(method, params) };
  } catch (error) {
    return { error: error.message, code: error.code };
  }
}

/** A value without these keys on its top two levels of objects. */
function without(value, keys = []) {
  if (keys.length === 0) return value;
  if (Array.isArray(value)) return value.map((one) => without(one, keys));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/** The first place in which two values differ. */
function difference(wanted, found, at = '') {
  const isObject = (value) => value !== null && typeof value === 'object';
  if (!isObject(wanted) || !isObject(found)) return `${at || 'it'} is ${show(found)} instead of ${show(wanted)}`;
  const keys = [...new Set([...Object.keys(wanted), ...Object.keys(found)])];
  const key = keys.find((one) => !isDeepStrictEqual(wanted[one], found[one]));
  return difference(wanted[key], found[key], `${at}.${key}`);
}

function show(value) {
  return String(JSON.stringify(value)).slice(0, 160);
}

async function until(isSo) {
  const start = performance.now();
  while (!(await isSo())) {
    if (performance.now() - start > PATIENCE_MS) throw new Error('waited in vain');
    await sleep(50);
  }
}

function readOr(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
