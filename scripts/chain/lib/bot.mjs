// The bot as a child process: built, its executor deployed, flown and landed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { botWallets, executorOwner } from './accounts.mjs';
import { endChild, isGone, spawnGuarded } from './child.mjs';
import { ROOT } from './cli.mjs';

/** The bot drains before it ends; this is longer than it may take. */
const DRAIN_PATIENCE_MS = 30_000;
/** What is still in flight at the end may need five blocks, and on a busy machine anvil leaves some out. */
const DRAIN_S = 25;
/** From its start to its first trade it may not take longer. */
const START_PATIENCE_MS = 30_000;

/** `cargo build --release`. What it prints goes to `log`; `onCrate` is told how many crates are compiled so far. */
export async function buildBot({ log, onCrate, started }) {
  const args = ['build', '--release', '--color', 'never'];
  const cargo = spawnGuarded('cargo', args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  started(cargo);
  const file = createWriteStream(log);
  let crates = 0;
  cargo.stderr.pipe(file);
  createInterface(cargo.stderr).on('line', (line) => {
    if (/^\s*Compiling /.test(line)) onCrate(++crates);
  });
  const [[code]] = await Promise.all([once(cargo, 'close'), once(file, 'close')]).catch((error) => {
    throw new Error(`cargo cannot be run: ${error.message}`);
  });
  if (code !== 0) throw failure('cargo build failed', log);
  return `${ROOT}target/release/gannet`;
}

/** `gannet deploy`, in a process of its own that alone has the owner's key. Returns the executor's address. */
export async function deployExecutor({ bot, config, node, log }) {
  const args = ['deploy', '--config', config, '--set', `node.url=${node.ws}`, '--json'];
  const child = spawn(bot, args, {
    env: { ...environment(), GANNET_OWNER_KEY: executorOwner.privateKey },
    stdio: ['ignore', 'pipe', openSync(log, 'w')],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) throw failure('gannet deploy failed', log);
  return JSON.parse(output).executor;
}

/**
 * `gannet run`, on one node or several. The hot keys are in its environment when it flies live, and none when it does not. `more`
 * are settings as `--set` takes them.
 */
export function startBot({ bot, config, urls, executor, mode, files, more = [] }) {
  const nodes = urls.map((url) => `{ url = "${url}", silent_after_ms = 4000 }`).join(', ');
  const node = urls.length === 1 ? `node.url=${urls[0]}` : `node=[${nodes}]`;
  const args = ['run', '--config', config, '--mode', mode, '--set', node, '--set', `executor.address=${executor}`];
  for (const setting of [`runtime.state_dir=${files.state}`, `runtime.drain_s=${DRAIN_S}`, ...more]) args.push('--set', setting);
  const keys = mode === 'live' ? Object.fromEntries(botWallets.map((wallet, i) => [`GANNET_KEY_${i + 1}`, wallet.privateKey])) : {};
  const log = openSync(files.log, 'a');
  return spawnGuarded(bot, [...args, `--json=${files.summary}`, '--journal', files.journal, '--snapshot', files.snapshot], {
    env: { ...environment(), ...keys },
    stdio: ['ignore', log, log],
  });
}

/** Asks the bot to end, waits while it drains, and returns its summary. */
export async function landBot(child, files) {
  const inTime = await endChild(child, DRAIN_PATIENCE_MS);
  if (!inTime) throw failure(`the bot did not end within ${DRAIN_PATIENCE_MS / 1000} s of SIGTERM`, files.log);
  if (child.exitCode !== 0) throw failure(`the bot ended with ${child.exitCode ?? child.signalCode}`, files.log);
  return JSON.parse(readFileSync(files.summary, 'utf8'));
}

/** Waits until a bot that was just started trades; how long that took, in milliseconds. */
export async function untilTrading(child, files) {
  const start = performance.now();
  while (!readJournal(files.journal).some(({ kind, stale }) => kind === 'freshness' && stale.length === 0)) {
    if (isGone(child)) throw failure(`the bot ended by itself (${child.exitCode ?? child.signalCode})`, files.log);
    if (performance.now() - start > START_PATIENCE_MS) throw failure('the bot does not trade', files.log);
    await sleep(10);
  }
  return Math.round(performance.now() - start);
}

/** SIGKILL. */
export async function killBot(child) {
  if (isGone(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Waits for `seconds`, calling `onTick` every second, or throws as soon as the bot ends by itself. */
export async function fly(child, files, seconds, onTick) {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await sleep(Math.min(1000, end - performance.now()));
    if (isGone(child)) throw failure(`the bot ended by itself (${child.exitCode ?? child.signalCode})`, files.log);
    onTick(Math.max(0, Math.round((end - performance.now()) / 1000)));
  }
}

/** The lines of a journal. The bot may be writing the last one. */
export function readJournal(file) {
  const lines = readOr(file, '').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** This process's environment without any key that happens to be in it. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GANNET_')));
}

/** An error that shows the end of a log. */
function failure(what, log) {
  const lines = readOr(log, '').trimEnd().split('\n').slice(-20);
  return new Error([`${what}, see ${log}:`, ...lines].join('\n    '));
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}
