// `scripts/demo`: the bot flies on a chain of its own for a while, and then the chain is asked whether it told the truth.
//
//   build ─► devnet ─► executor deployed ─► wallets funded ─► holdings noted
//     ─► market and bot run ─► market frozen, what is in flight settles ─► bot ends ─► holdings compared ─► all torn down
//
// With --kills the bot is killed meanwhile, and started again with the state that it left.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { compare, readChain, readHoldings } from './audit.mjs';
import { botWallets, executorOwner } from './lib/accounts.mjs';
import { buildBot, deployExecutor, fly, killBot, landBot, readJournal, startBot, untilTrading } from './lib/bot.mjs';
import { endChild, isAlive } from './lib/child.mjs';
import { ROOT, UsageError, complain, counter, exitInOrder, number, progress, readFlags, writeJson } from './lib/cli.mjs';
import { startDevnet } from './lib/devnet.mjs';
import { hex } from './lib/rpc.mjs';
import { MOMENTS, Signed, TRAP_PATIENCE_MS, drawKills } from './kills.mjs';
import { countSends, startProxy } from './proxy.mjs';
import { countLegs, missingLegs } from './legs.mjs';
import { jsonReport, tableReport } from './report.mjs';
import { compareBacktest } from './backtest.mjs';
import { VALID_BLOCKS, missingLiquidations, readLending, takeOutLeftovers } from './liquidations.mjs';
import { compareSnapshot } from './snapshot.mjs';

const USAGE = `scripts/demo: builds the bot, flies it on a local chain with a market, and checks its books against the chain

The chain has Uniswap V2, SushiSwap, Uniswap V3 and Solidly-style pools. It fails if the books differ by a wei, if the state of
any pool differs from what the bot last knew (reserves; of V3 pools price, liquidity and every tick), and, live, if none of ten
or more trades that landed went through a V3 pool, or none through pools of two kinds.

  --seconds N            how long the bot flies (default 60)
  --mode live|dry-run    live trades; dry-run has no key and sends nothing (default live)
  --kills N              ends the bot N times with SIGKILL and starts it again, at moments drawn from the seed; the books
                         of all runs together must be those of the chain (default 0, live only)
  --record DIR           records what the bot hears, and fails unless a backtest of it makes the same plans in the same
                         order (dry-run only)
  --lending              a chain with price feeds, Aave V3, Morpho Blue and borrowers too, whose prices go somewhere; the bot
                         liquidates, and it fails if a minute or more of that brings less than ten of Aave, five of Morpho or one behind its
                         update, or if more is left of a debt that was bought than planned and no pool had moved
  --json                 the last line of stdout is one JSON object; progress goes to stderr
  --seed N               seed of the market (default 1)
  --rate N               trades per second in the market (default 3)
  --config FILE          the bot's configuration (default config.toml); the node and the executor are filled in
  --bot FILE             fly this binary instead of building one
  --out DIR              where all that is written goes: logs, journal, summary (default target/demo)
  --keep                 leave the chain running at the end, until it is interrupted`;

const WALLET_FUNDS = 100n * 10n ** 18n;
/** Between the last trade of the market and the end of the bot, so that all that was in flight is settled. */
const SETTLING_BLOCKS = 3;

const flags = parseFlags();
const inOut = (name) => path.join(flags.out, name);
/** Where the bot writes in its first run, and in those after a kill. */
const filesOf = (run) => ({
  summary: inOut('summary.json'),
  snapshot: inOut('snapshot.json'),
  journal: inOut(run === 0 ? 'journal.jsonl' : `journal-${run}.jsonl`),
  log: inOut('bot.log'),
  state: inOut('state'),
});
const out = flags.json ? process.stderr : process.stdout;
const say = progress('demo', out);
const count = counter(say, out);

let hasOut = false;
const running = { cargo: null, bot: null, proxy: null, devnet: null };
const end = exitInOrder(tearDown);
try {
  const isRight = await demo();
  if (flags.keep) {
    say(`the chain stays up at ${running.devnet.book.ws} until you interrupt`);
    await new Promise(() => setInterval(() => {}, 60_000));
  }
  await end(isRight ? 0 : 1);
} catch (error) {
  complain(`demo: ${error.message}`);
  await end(1);
}

/** All of it; whether the bot's books are those of the chain. */
async function demo() {
  takeOut();
  const bot = flags.bot ?? (await build());

  const { seed, rate } = flags;
  const devnet = await startDevnet({ port: 0, blockTime: 1, seed, rate, lending: flags.lending, log: inOut('anvil.log'), say });
  running.devnet = devnet;
  const { book, node, market } = devnet;
  const { rpc } = node;
  node.onExit = (how) => {
    complain(`demo: the node ended by itself (${how})`);
    end(1);
  };

  const executor = await deployExecutor({ bot, config: flags.config, node, log: inOut('deploy.log') });
  for (const { address } of botWallets) await rpc.call('anvil_setBalance', [address, hex(WALLET_FUNDS)]);
  say(`executor deployed at ${executor}, ${botWallets.length} wallets funded`);

  const wallets = botWallets.map(({ address }) => address);
  const holders = [...wallets, executorOwner.address, executor];
  // Where the lenders and their prices are, for whoever configures a bot for them.
  writeJson(inOut('addresses.json'), book);
  const before = await readHoldings(rpc, book, holders, await nextBlocks(rpc, 1));

  await market.start();
  const signed = flags.kills > 0 ? new Signed(rpc, executor) : null;
  const isWatched = flags.mode === 'dry-run' || flags.kills > 0;
  running.proxy = isWatched ? await startProxy(node.ws, signed && ((raw) => signed.take(raw))) : null;
  const url = running.proxy?.url ?? node.ws;
  // A table turns a strategy on; this is its default.
  const settings = flags.lending ? [`strategy.liquidation.valid_blocks=${VALID_BLOCKS}`] : [];
  const more = [...(flags.record ? [`record.out=${flags.record}`] : []), ...settings];
  const start = (run) => startBot({ bot, config: flags.config, urls: [url], executor, mode: flags.mode, files: filesOf(run), more });
  running.bot = start(0);
  say(`the bot flies for ${flags.seconds} s, ${flags.mode}${flags.kills > 0 ? `, and is killed ${flags.kills} times` : ''}`);
  const kills = await flyOn({ start, signed, market });

  market.freeze();
  say('the market is frozen; what is in flight settles');
  await nextBlocks(rpc, SETTLING_BLOCKS);
  const summary = await landBot(running.bot, filesOf(kills.length));
  const after = await readHoldings(rpc, book, holders, Number(await rpc.call('eth_blockNumber')));
  const chain = await readChain(rpc, { book, wallets, executor, before, after });

  const isOnlyRun = kills.length === 0;
  const lending = flags.lending ? await readLending({ rpc, book, wallets, before, after, journal: readJournals() }) : null;
  const left = lending ? takeOutLeftovers({ book, chain, lending, isOnlyRun }) : [];
  const problems =
    flags.mode === 'live'
      ? compare({ book, chain, summary, journal: readJournals(), isOnlyRun })
      : checkDryRun(chain, running.proxy.counts);
  if (flags.record) {
    const { config, record: recording } = flags;
    problems.push(...compareBacktest({ bot, config, settings, recording, journal: readJournals() }));
  }
  if (signed) problems.push(...signed.compare(chain.transactions));
  if (lending && flags.mode === 'live') problems.push(...left, ...missingLiquidations(lending, flags.seconds));
  const legs = countLegs(chain.trades);
  if (flags.mode === 'live') problems.push(...missingLegs({ landed: chain.landed, legs }));
  const snapshot = JSON.parse(readFileSync(filesOf(kills.length).snapshot, 'utf8'));
  problems.push(...(await compareSnapshot(rpc, book, snapshot)));
  const counts = flags.mode === 'dry-run' ? running.proxy.counts : undefined;
  const context = { summary, chain, legs, lending, market: market.stats, blocks: after.block - before.block, counts, kills, signed };
  for (const problem of problems) complain(`demo: FAILED: ${problem}`);
  console.log(flags.json ? jsonReport(context) : tableReport(context, problems.length === 0));
  return problems.length === 0;
}

/** Lets the bot fly until the time is over, kills it meanwhile, and starts it again at once; what came of each kill. */
async function flyOn({ start, signed, market }) {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const flyUntil = (at, run) =>
    fly(running.bot, filesOf(run), at - elapsed(), () =>
      count(() => `${Math.round(flags.seconds - elapsed())} s left, ${standing(market)}`),
    );
  const done = [];
  const plan = drawKills(flags);
  for (const [run, { at, moment, delay_ms }] of plan.entries()) {
    if (moment === 'starting') await sleep(delay_ms);
    else await flyUntil(at, run);
    const struck = await strike(moment, signed);
    const kill = { at_s: Number(elapsed().toFixed(1)), moment: struck, trading_after_ms: null };
    running.bot = start(run + 1);
    // One that is killed while it starts never trades.
    if (plan[run + 1]?.moment !== 'starting') kill.trading_after_ms = await untilTrading(running.bot, filesOf(run + 1));
    done.push(kill);
    const then = kill.trading_after_ms === null ? 'started again' : `trading again ${kill.trading_after_ms} ms after its start`;
    say(`kill ${done.length} ${MOMENTS[struck]}, ${then}`);
  }
  await flyUntil(flags.seconds, flags.kills);
  return done;
}

/** Kills the bot in this moment, or in any if it does not come; which it was. */
async function strike(moment, signed) {
  const { bot } = running;
  let isCaught = moment === 'starting';
  if (moment === 'unsent' || moment === 'unanswered') {
    const caught = new Promise((resolve) => {
      signed.onNext = (pass) => {
        if (moment === 'unanswered') pass();
        bot.kill('SIGKILL');
        resolve(true);
      };
    });
    isCaught = await Promise.race([caught, sleep(TRAP_PATIENCE_MS, false)]);
    signed.onNext = null;
  }
  await killBot(bot);
  return isCaught ? moment : 'any';
}

/** The journals of all runs. */
function readJournals() {
  return Array.from({ length: flags.kills + 1 }, (_, run) => readJournal(filesOf(run).journal)).flat();
}

/** Empties the output directory, unless another demo that is still running has it. */
function takeOut() {
  const owner = existsSync(inOut('pid')) ? Number(readFileSync(inOut('pid'), 'utf8')) : 0;
  if (isAlive(owner)) throw new Error(`another demo (pid ${owner}) writes to ${flags.out}; choose another directory with --out`);
  rmSync(flags.out, { recursive: true, force: true });
  mkdirSync(flags.out, { recursive: true });
  writeFileSync(inOut('pid'), String(process.pid));
  hasOut = true;
}

async function build() {
  say('building the bot');
  const bot = await buildBot({
    log: inOut('build.log'),
    started: (cargo) => (running.cargo = cargo),
    onCrate: (crates) => count(() => `building the bot, crate ${crates}`),
  });
  say('the bot is built');
  return bot;
}

/** A dry-run has no key and must leave no trace. */
function checkDryRun(chain, counts) {
  const problems = [];
  if (counts.size === 0) problems.push('the bot asked the node for nothing: it did not go through the proxy');
  if (countSends(counts) > 0) problems.push(`the bot sent ${countSends(counts)} transactions in a dry-run`);
  if (chain.transactions.length > 0) problems.push(`the wallets have ${chain.transactions.length} transactions on the chain`);
  if (chain.profit !== 0n) problems.push(`the holdings changed by ${chain.profit} wei`);
  return problems;
}

function standing(market) {
  const ended = readJournals().filter(({ kind }) => kind === 'outcome');
  // What was not final when the bot was killed is told again by the next run.
  const outcomes = [...new Map(ended.map((line) => [line.hash, line])).values()];
  const of = (status) => outcomes.filter((line) => line.status === status).length;
  const trades = `block ${market.head.number}, market ${market.stats.mined} trades`;
  return flags.mode === 'live'
    ? `${trades}, bot ${of('landed')} landed, ${of('reverted')} reverted`
    : `${trades}, bot ${outcomes.length} plans scored`;
}

/** Waits until `more` blocks are mined and returns the number of the last one. */
async function nextBlocks(rpc, more) {
  const read = async () => Number(await rpc.call('eth_blockNumber'));
  const wanted = (await read()) + more;
  while ((await read()) < wanted) await sleep(50);
  return wanted;
}

async function tearDown() {
  if (running.bot) await endChild(running.bot);
  if (running.cargo) await endChild(running.cargo);
  running.proxy?.stop();
  await running.devnet?.stop();
  if (hasOut) rmSync(inOut('pid'), { force: true });
}

function parseFlags() {
  const values = readFlags(USAGE, {
    seconds: { type: 'string', default: '60' },
    mode: { type: 'string', default: 'live' },
    kills: { type: 'string', default: '0' },
    record: { type: 'string' },
    lending: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '3' },
    config: { type: 'string', default: `${ROOT}config.toml` },
    bot: { type: 'string' },
    out: { type: 'string', default: `${ROOT}target/demo` },
    keep: { type: 'boolean', default: false },
  });
  try {
    if (!['live', 'dry-run'].includes(values.mode)) throw new UsageError(`--mode ${values.mode}: live or dry-run is needed`);
    const kills = number('kills', values.kills, { least: 0, integer: true });
    if (kills > 0 && values.mode !== 'live') throw new UsageError(`--kills ${kills}: --mode live is needed`);
    if (values.record !== undefined && values.mode !== 'dry-run') throw new UsageError('--record: --mode dry-run is needed');
    return {
      ...values,
      kills,
      out: path.resolve(values.out),
      record: values.record && path.resolve(values.record),
      seconds: number('seconds', values.seconds, { least: 1 }),
      seed: number('seed', values.seed, { least: 0, integer: true }),
      rate: number('rate', values.rate, { least: 0.001 }),
    };
  } catch (error) {
    console.error(`demo: ${error.message}`);
    process.exit(2);
  }
}
