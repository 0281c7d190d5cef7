// What the commands here have in common: lines of progress, an orderly end, an address book in a file.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** A line of progress with the time since the start. */
export function progress(prefix, stream = process.stdout) {
  const started = performance.now();
  const clear = stream.isTTY ? '\x1b[2K' : ''; // a counter may stand here
  const elapsed = () => ((performance.now() - started) / 1000).toFixed(1).padStart(5);
  return (line) => stream.write(`${clear}${prefix} ${elapsed()} s  ${line}\n`);
}

/**
 * A line that is rewritten in place on a terminal, and elsewhere said every ten seconds. It is given as a function, which is
 * called only when the line is shown.
 */
export function counter(say, stream) {
  let last = performance.now();
  return (line) => {
    const every = stream.isTTY ? 200 : 10_000;
    if (performance.now() - last < every) return;
    last = performance.now();
    if (!stream.isTTY) return say(line());
    say(line());
    stream.write('\x1b[1A'); // the next line overwrites this one
  };
}

/** A line on stderr, over a counter if one stands there. */
export function complain(line) {
  process.stderr.write(`${process.stderr.isTTY ? '\x1b[2K' : ''}${line}\n`);
}

/**
 * Calls `stop` and exits, once, on SIGINT and SIGTERM and, unless `detached`, when the process that started this one is gone
 * (a test that crashed, a terminal that was closed): nothing is left running behind anybody's back.
 */
export function exitInOrder(stop, { detached = false } = {}) {
  let ending = false;
  const end = async (code) => {
    if (ending) return; // `stop` is bounded, so a second request has nothing to hurry
    ending = true;
    await stop();
    process.exit(code);
  };
  process.on('SIGINT', () => end(130));
  process.on('SIGTERM', () => end(0));
  process.on('SIGHUP', () => end(129));
  if (!detached) watchParent(() => end(0));
  return end;
}

/** Written beside and renamed, so that whoever waits for the file never reads half of it. */
export function writeJson(file, value) {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${file}.${process.pid}`, file);
}

/** The options given to a command; `--help` and what is wrong with them are answered here. */
export function readFlags(usage, options) {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h', default: false } } });
    if (!values.help) return values;
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
  console.log(usage);
  process.exit(0);
}

/** The number given for an option, or an error that says what was wrong. */
export function number(name, text, { least, integer = false }) {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < least || (integer && !Number.isInteger(value))) {
    throw new UsageError(`--${name} ${text}: ${integer ? 'a whole number' : 'a number'} of at least ${least} is needed`);
  }
  return value;
}

export class UsageError extends Error {}

function watchParent(gone) {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && gone(), 250).unref();
}
