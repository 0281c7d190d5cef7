// Compiles a published source of Aerodrome's pool for the engine's tests, in the two forms that are deployed: creation code
// and the slots of its variables, by form. What it writes stays in node_modules: the source's licence is not ours.

import { writeFileSync } from 'node:fs';

import { compile } from './lib/solc.mjs';

const ROOT = new URL('solidly/node_modules/', import.meta.url).pathname;
const ENTRY = 'sphere-mezo-solidity-files/domains/aerodrome/contracts/Pool.sol';
/** Aerodrome's pool asks `_k`, which takes decimals out a second time, where Velodrome's later one asks `_f`. */
const FORMS = {
  aerodrome: (source) => source,
  velodrome: (source) => source.replace('_k(x0, y + 1)', '_f(x0, y + 1)'),
};
const SETTINGS = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'cancun' };

const artifact = {};
for (const [form, edit] of Object.entries(FORMS)) {
  const { bytecode, storage } = compile({ version: '0.8.30', root: ROOT, entry: ENTRY, name: 'Pool', settings: SETTINGS, edit });
  const slots = Object.fromEntries(storage.map(({ label, slot, offset }) => [label, { slot: Number(slot), offset }]));
  artifact[form] = { bytecode, slots };
}
if (artifact.aerodrome.bytecode === artifact.velodrome.bytecode) throw new Error('the two forms are one');
writeFileSync(`${ROOT}pools.json`, JSON.stringify(artifact));
