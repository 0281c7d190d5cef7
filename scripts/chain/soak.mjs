// `scripts/soak`: the bot flies through two nodes that fail it in every way there is, and must never trade on a state that is not
// the chain's.
//
//   devnet ─► market ─┬─► faulty node, takes logs back as geth does ─┬─► bot ─► a snapshot of all pools every 10 blocks
//      ▲              └─► faulty node, re-sends heads as anvil does ─┘                        │
//      └── reorgs ◄── plan, drawn from the seed                                compared with the chain at that block
//
// At the end the faults are over, and the books must be the chain's as in the demo.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Transaction } from 'ethers';

import { compare, readChain, readHoldings } from './audit.mjs';
import { FaultyNode, Tip } from './faulty.mjs';
import { botWallets, executorOwner } from './lib/accounts.mjs';
import { buildBot, deployExecutor, landBot, readJournal, startBot, untilTrading } from './lib/bot.mjs';
import { endChild, isGone } from './lib/child.mjs';
import { ROOT, complain, exitInOrder, number, progress, readFlags } from './lib/cli.mjs';
import { startDevnet } from './lib/devnet.mjs';
import { Random } from './lib/random.mjs';
import { hex } from './lib/rpc.mjs';
import { Watch, compareSnapshot } from './snapshot.mjs';

const USAGE = `scripts/soak: flies the bot through two nodes that fail it, and checks that it never trades on a wrong state

Connections drop, nodes fall silent, logs are lost, doubled, disordered and late, a node stays three blocks behind, two name
different heads, and the chain is reorganised 1 to 8 blocks deep. Every 10 blocks all pools are compared with the chain.

  --seconds N   length of the flight (default 600); from 300 on a silence lasts 30 s, below that 6 s
  --seed N      seed of the market and of the faults (default 1)
  --rate N      trades per second in the market (default 3)
  --json        the last line of stdout is one JSON object; progress goes to stderr
  --bot FILE    fly this binary instead of building one
  --config FILE the bot's configuration (default config.toml); the nodes and the executor are filled in
  --out DIR     where all that is written goes (default target/soak)`;

const WALLET_FUNDS = 100n * 10n ** 18n;
/** No head for so long makes the bot stale. It may take a little longer to notice. */
const SILENT_AFTER_MS = 4000;
const NOTICE_MS = 2000;
/** A node that lags stays so many blocks behind. */
const LAG = 3;
const REORG_MAX = 8;
const BLOCK_TIME_S = 1;
const SNAPSHOT_EVERY = 10;
/** How long most faults last, and how long all is well between two, in seconds. */
const FAULT_S = [3, 7];
const CALM_S = [1.5, 4];
/** After the last fault, so that all that was in flight is settled and something new is traded. */
const END_S = 15;

const flags = parseFlags();
const inOut = (name) => path.join(flags.out, name);
const files = {
  summary: inOut('summary.json'),
  snapshot: inOut('snapshot.json'),
  snapshots: inOut('snapshots.jsonl'),
  journal: inOut('journal.jsonl'),
  log: inOut('bot.log'),
  state: inOut('state'),
};
const say = progress('soak', flags.json ? process.stderr : process.stdout);
const random = new Random(flags.seed);
const running = { cargo: null, bot: null, nodes: [], devnet: null };
const end = exitInOrder(async () => {
  if (running.bot) await endChild(running.bot);
  if (running.cargo) await endChild(running.cargo);
  running.nodes.forEach((node) => node.stop());
  await running.devnet?.stop();
});

try {
  await end((await soak()) ? 0 : 1);
} catch (error) {
  complain(`soak: ${error.message}`);
  await end(1);
}

async function soak() {
  rmSync(flags.out, { recursive: true, force: true });
  mkdirSync(flags.out, { recursive: true });
  const bot = flags.bot ?? (await buildBot({ log: inOut('build.log'), started: (cargo) => (running.cargo = cargo), onCrate: () => {} }));
  const devnet = await startDevnet({ port: 0, blockTime: BLOCK_TIME_S, seed: flags.seed, rate: flags.rate, log: inOut('anvil.log'), say });
  running.devnet = devnet;
  const { book, node, market } = devnet;
  const { rpc } = node;
  const executor = await deployExecutor({ bot, config: flags.config, node, log: inOut('deploy.log') });
  for (const { address } of botWallets) await rpc.call('anvil_setBalance', [address, hex(WALLET_FUNDS)]);
  const wallets = botWallets.map(({ address }) => address);
  const holders = [...wallets, executorOwner.address, executor];
  const before = await readHoldings(rpc, book, holders, Number(await rpc.call('eth_blockNumber')));

  const tip = new Tip();
  for (const takesBack of [true, false]) running.nodes.push(await new FaultyNode({ tip, random: new Random(flags.seed + 1), takesBack }).start(node.ws));
  await rpc.subscribe('newHeads', (head) => {
    tip.see(head);
    running.nodes.forEach((faulty) => faulty.onHead());
  });
  await market.start();
  const urls = running.nodes.map(({ url }) => url);
  running.bot = startBot({ bot, config: flags.config, urls, executor, mode: 'live', files, more: settings() });
  await untilTrading(running.bot, files);
  say(`the bot flies for ${flags.seconds} s through two nodes`);

  const watch = new Watch(rpc, book, files.snapshots);
  const done = await fail({ rpc, watch, firstBlock: before.block });
  say('the faults are over');
  await sleep(END_S * 1000);
  const calm = running.nodes.flatMap(({ sent }) => sent).filter(({ at }) => at > done.endedAt).length;
  market.freeze();
  await sleep(4000);
  await watch.look();
  const summary = await landBot(running.bot, files);
  const after = await readHoldings(rpc, book, holders, Number(await rpc.call('eth_blockNumber')));
  const chain = await readChain(rpc, { book, wallets, executor, before, after });
  const journal = readJournal(files.journal);

  const problems = [...watch.problems, ...done.problems];
  problems.push(...compare({ book, chain, summary, journal, isOnlyRun: true }));
  problems.push(...(await compareSnapshot(rpc, book, JSON.parse(readFileSync(files.snapshot, 'utf8')))));
  const sent = new Set(running.nodes.flatMap((faulty) => faulty.sent).map(({ raw }) => Transaction.from(raw).hash));
  problems.push(...sentWhileStale(journal, sent));
  if (!summary.is_fresh) problems.push('the bot is stale at the end');
  if (watch.compared === 0) problems.push('no snapshot was compared');
  if (chain.landed === 0) problems.push('nothing landed');
  if (calm === 0) problems.push('the bot does not trade again after the faults');
  if (summary.nodes?.length !== 2) problems.push('the summary does not tell of two nodes');
  const report = { done, watch, summary, chain, stale: staleTimes(journal), sent: sent.size };
  for (const problem of problems) complain(`soak: FAILED: ${problem}`);
  console.log(flags.json ? JSON.stringify(toJson(report, problems)) : toTable(report, problems));
  return problems.length === 0;
}

/** A fault is what may keep the bot from trading, and not its budget: reorgs make trades revert. */
function settings() {
  const budget = ['risk.reverts_max=0', 'risk.loss_per_block_max=1 ether', 'risk.loss_per_day_max=10 ether'];
  return [`runtime.snapshots=${files.snapshots}`, `runtime.snapshot_every_blocks=${SNAPSHOT_EVERY}`, ...budget];
}

// ---------------------------------------------------------------------------------------------------------------- faults

/** One round of all faults, in an order of its own. */
function drawRound() {
  const silence = flags.seconds >= 300 ? 30 : 6;
  const some = () => random.between(...FAULT_S);
  const one = () => random.pick(running.nodes);
  const during = (what, nodes, seconds, begin, over) => ({ what, nodes, seconds, begin: () => nodes.forEach(begin), over: () => nodes.forEach(over) });
  const silent = (what, nodes) => during(what, nodes, silence, (node) => (node.isSilent = true), (node) => (node.isSilent = false));
  const logs = (kind, nodes) => during(`logs ${kind}`, nodes, some(), (node) => (node.logs = kind), (node) => (node.logs = null));
  const lag = (node) => during('a node stays behind', [node], some() + LAG, () => (node.lag = LAG), () => ((node.lag = 0), node.onHead()));
  const reorg = () => ({ what: 'reorg', depth: 1 + Math.floor(random.between(0, REORG_MAX)), seconds: 1 });
  const faults = [
    { what: 'a node drops its connections', seconds: 1, begin: () => one().disconnect() },
    { what: 'all connections drop', seconds: 1, begin: () => running.nodes.forEach((node) => node.disconnect()) },
    silent('a node is silent', [one()]),
    silent('all nodes are silent', running.nodes),
    ...['lost', 'twice', 'disordered', 'late'].flatMap((kind) => [logs(kind, [one()]), logs(kind, running.nodes)]),
    ...running.nodes.map(lag),
    ...[true, false].map((isBefore) => ({ what: 'two nodes disagree', seconds: 3, begin: () => one().announceFalseHead(isBefore) })),
    reorg(),
    reorg(),
    reorg(),
  ];
  return random.shuffle(faults);
}

/** Lets things go wrong until the time is over: { counts, depths, silences, problems, endedAt }. */
async function fail({ rpc, watch, firstBlock }) {
  const began = Date.now();
  const done = { counts: {}, depths: [], problems: [], endedAt: 0 };
  let round = [];
  while (Date.now() - began < flags.seconds * 1000) {
    if (round.length === 0) round = drawRound();
    const fault = round.pop();
    done.counts[fault.what] = (done.counts[fault.what] ?? 0) + 1;
    const start = Date.now();
    say(`${fault.what}${fault.depth ? `, up to ${fault.depth} deep` : ''}, block ${await rpc.call('eth_blockNumber').then(Number)}`);
    if (fault.depth) done.depths.push(await reorganise(rpc, fault.depth, firstBlock));
    else fault.begin();
    await watched(watch, fault.seconds);
    fault.over?.();
    if (fault.what === 'all nodes are silent') {
      const late = running.nodes.flatMap(({ sent }) => sent).filter(({ at }) => at > start + SILENT_AFTER_MS + NOTICE_MS && at < Date.now());
      if (late.length > 0) done.problems.push(`${late.length} transactions were sent while all nodes were silent`);
    }
    await watched(watch, random.between(...CALM_S));
  }
  done.endedAt = Date.now();
  return done;
}

/** Time goes by; what the bot shows meanwhile is compared. */
async function watched(watch, seconds) {
  const until = Date.now() + seconds * 1000;
  do {
    if (isGone(running.bot)) throw new Error(`the bot ended by itself, see ${files.log}`);
    await watch.look();
    await sleep(Math.max(0, Math.min(500, until - Date.now())));
  } while (Date.now() < until);
}

/**
 * Replaces up to so many of the newest blocks by empty ones; what was in them waits again, as on a real node. Their number.
 * What was there before the flight stays: nobody would give the wallets their funds again. No block is mined meanwhile, for
 * anvil may lose it.
 */
async function reorganise(rpc, wanted, firstBlock) {
  await rpc.call('evm_setIntervalMining', [0]);
  // Waits for the block that is being mined.
  await rpc.call('evm_mine');
  const tip = Number(await rpc.call('eth_blockNumber'));
  const depth = Math.min(wanted, tip - firstBlock);
  if (depth > 0) await replaceBlocks(rpc, tip, depth);
  await rpc.call('evm_setIntervalMining', [BLOCK_TIME_S]);
  return depth;
}

async function replaceBlocks(rpc, tip, depth) {
  const blocks = await Promise.all(
    Array.from({ length: depth }, (_, i) => rpc.call('eth_getBlockByNumber', [hex(tip - depth + 1 + i), false])),
  );
  const hashes = blocks.flatMap(({ transactions }) => transactions);
  const raws = await Promise.all(hashes.map((hash) => rpc.call('eth_getRawTransactionByHash', [hash]).catch(() => null)));
  await rpc.call('anvil_reorg', [depth, []]);
  running.nodes.forEach((node) => node.onLeft(new Set(blocks.map(({ hash }) => hash))));
  for (const raw of raws.filter(Boolean)) await rpc.call('eth_sendRawTransaction', [raw]).catch(() => {});
}

// ------------------------------------------------------------------------------------------------------------- judgement

/** Submissions that the journal has in a stale world, and transactions that it has not at all. */
function sentWhileStale(journal, sent) {
  let isFresh = false;
  const known = new Set();
  const problems = [];
  for (const line of journal) {
    if (line.kind === 'freshness') isFresh = line.stale.length === 0;
    if (line.kind === 'cancelling') known.add(line.by);
    if (line.kind === 'submitted') known.add(line.hash);
    if (['submitted', 'cancelling'].includes(line.kind) && !isFresh) problems.push(`${line.hash} was sent while the world was stale`);
  }
  return [...problems, ...[...sent].filter((hash) => !known.has(hash)).map((hash) => `${hash} was sent, and the journal does not know it`)];
}

/** How long the world was stale after it had been fresh, by reason, in milliseconds; and the longest time in one piece. */
function staleTimes(journal) {
  const lines = journal.filter(({ kind }) => kind === 'freshness');
  const first = lines.findIndex(({ stale }) => stale.length === 0);
  const reasons = {};
  let [all, longest, since] = [0, 0, null];
  for (const [place, { stale, at_ns: at }] of lines.entries()) {
    if (place < first) continue;
    const lasted = ((lines[place + 1]?.at_ns ?? at) - at) / 1e6;
    for (const reason of stale) reasons[reason] = (reasons[reason] ?? 0) + lasted;
    if (stale.length > 0) all += lasted;
    if (stale.length > 0 && since === null) since = at;
    if (stale.length === 0 && since !== null) [longest, since] = [Math.max(longest, (at - since) / 1e6), null];
  }
  return { all, longest, reasons };
}

function toJson({ done, watch, summary, chain, stale, sent }, problems) {
  const { compared, left, pools } = watch;
  const snapshots = { compared, left, pools };
  const { landed, reverted } = chain;
  const { counts: faults, depths: reorg_depths } = done;
  const stale_ms = { all: Math.round(stale.all), longest: Math.round(stale.longest), by_reason: rounded(stale.reasons) };
  const profit = { profit_wei: String(summary.profit_wei), chain_profit_wei: String(chain.profit) };
  return { faults, reorg_depths, snapshots, stale_ms, sent, landed, reverted, ...profit, nodes: summary.nodes, reorgs: summary.reorgs, problems };
}

const rounded = (times) => Object.fromEntries(Object.entries(times).map(([name, time]) => [name, Math.round(time)]));

function toTable({ done, watch, summary, chain, stale, sent }, problems) {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const list = (entries, show) => Object.entries(entries).map(([name, value]) => `${name} ${show(value)}`).join(', ');
  const passed = running.nodes.map(({ counts }, i) => `  node ${i + 1}: ${list(counts, String) || 'nothing was touched'}`);
  const told = (summary.nodes ?? []).map(
    ({ name, heads, heads_first: first, lag_us_p50: lag, disagreements, links_lost: lost }) =>
      `  ${name}: ${heads} heads, first with ${first}, else behind by ${((lag ?? 0) / 1000).toFixed(1)} ms; disagreed ${disagreements} times, ${lost} connections lost`,
  );
  return [
    '',
    `faults        ${list(done.counts, String)}`,
    `reorgs        depths ${done.depths.join(', ')}; the bot followed ${summary.reorgs}`,
    'what the nodes did',
    ...passed,
    'what the bot saw of them',
    ...told,
    `snapshots     ${watch.compared} compared with the chain (${watch.pools} pools), ${watch.left} of blocks that were left`,
    `stale         ${seconds(stale.all)}, at most ${seconds(stale.longest)} at a time: ${list(stale.reasons, seconds)}`,
    `trades        ${sent} sent, ${chain.landed} landed, ${chain.reverted} reverted; ${summary.profit_wei} wei by the bot's books, ${chain.profit} on the chain`,
    `verdict       ${problems.length === 0 ? 'never on a wrong state; the bot and the chain agree' : `${problems.length} problems`}`,
  ].join('\n');
}

function parseFlags() {
  const values = readFlags(USAGE, {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    bot: { type: 'string' },
    config: { type: 'string', default: `${ROOT}config.toml` },
    out: { type: 'string', default: `${ROOT}target/soak` },
  });
  try {
    return {
      ...values,
      out: path.resolve(values.out),
      seconds: number('seconds', values.seconds, { least: 1 }),
      seed: number('seed', values.seed, { least: 0, integer: true }),
      rate: number('rate', values.rate, { least: 0.001 }),
    };
  } catch (error) {
    console.error(`soak: ${error.message}`);
    process.exit(2);
  }
}
