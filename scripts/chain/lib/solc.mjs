// Compiles Solidity with npm's solc, and remembers results by the hash of their input.
//
// The two compilers are npm aliases in package.json: 0.6.12 for Sushi's sources and a proxy of Chainlink's, 0.8.30 for the
// others. A compiler is 10 MB of JavaScript that takes a second to load, so a cached result does not even load it.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));
const OUTPUT = ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'storageLayout'];
const COMPILERS = { '0.6.12': 'solc-0612', '0.8.30': 'solc-0830' };

/**
 * Compiles `entry` (a path relative to `root`) with everything that it imports, and returns the contract `name` of `file`,
 * which is the entry if not given. `settings` are solc's own; the output selection is added here. `edit` may change a source.
 * Imports that begin with an @ are npm packages in `modules`, or in the root if that is not given.
 */
export function compile({ version, root, modules = root, entry, name, file = entry, settings, edit = (content) => content }) {
  const sources = readSources((source) => path.join(source.startsWith('@') ? modules : root, source), entry, edit);
  const input = {
    language: 'Solidity',
    sources,
    settings: { ...settings, outputSelection: { '*': { '*': OUTPUT } } },
  };
  const output = cached(sha256(version + JSON.stringify(input)), () => run(version, input));
  const contract = output.contracts[file]?.[name];
  if (!contract) throw new Error(`${file} has no contract ${name}`);
  return {
    compiler: output.compiler,
    warnings: output.warnings,
    abi: contract.abi,
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    storage: contract.storageLayout?.storage ?? [],
  };
}

export function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}

/** The entry file and all that it imports, by source name; `locate` finds a source's file. */
function readSources(locate, entry, edit) {
  const sources = {};
  const queue = [entry];
  while (queue.length > 0) {
    const source = queue.pop();
    if (sources[source]) continue;
    const content = edit(readFileSync(locate(source), 'utf8'));
    sources[source] = { content };
    for (const [, imported] of content.matchAll(/^\s*import\s+(?:[^'";]*\sfrom\s+)?['"]([^'"]+)['"]/gm)) {
      queue.push(imported.startsWith('.') ? path.posix.join(path.posix.dirname(source), imported) : imported);
    }
  }
  // Sorted, so that the cache key does not depend on the order of the walk.
  return Object.fromEntries(Object.entries(sources).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function run(version, input) {
  const solc = require(COMPILERS[version]);
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const of = (severity) => (output.errors ?? []).filter((e) => e.severity === severity).map((e) => e.formattedMessage);
  if (of('error').length > 0) throw new Error(`solc ${version}:\n${of('error').join('\n')}`);
  return { compiler: `solc ${solc.version()}`, warnings: of('warning'), contracts: output.contracts };
}

function cached(key, make) {
  const file = path.join(CACHE, `${key}.json`);
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    const value = make();
    mkdirSync(CACHE, { recursive: true });
    // Written beside and renamed: another process never reads half a file.
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(value));
    renameSync(`${file}.${process.pid}`, file);
    return value;
  }
}
