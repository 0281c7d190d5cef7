// Compiles the contracts of the engine's tests, engine/tests/sol/*.sol, into contracts.json beside them: creation code by
// name. With --check nothing is written: the exit code says whether the committed file is what the sources compile to.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { compile } from './lib/solc.mjs';

const SOURCES = new URL('../../engine/tests/sol/', import.meta.url).pathname;
const ARTIFACT = `${SOURCES}contracts.json`;
const CONTRACTS = {
  'Token.sol': [
    'Token',
    'FeeToken',
    'TaxToken',
    'SilentToken',
    'StrictToken',
    'FalseToken',
    'ReentrantToken',
    'ListToken',
    'ShareToken',
    'HeavyToken',
  ],
  'Feed.sol': ['Feed', 'FeeCollector'],
  'HostileMarket.sol': ['HostileMarket', 'PreLiquidation'],
  'HostilePair.sol': ['HostilePair', 'Forger'],
  'HostileV3Pool.sol': ['HostileV3Pool'],
  'OtherPair.sol': ['OtherPair'],
  'SolidlyFactory.sol': ['SolidlyFactory'],
  'SolidlyPair.sol': ['SolidlyPair'],
  'V3Swapper.sol': ['V3Swapper'],
};

// As for the executor: no metadata, so that a change of a comment leaves the bytecode alone.
const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

const { values: flags } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

const artifact = {};
for (const [entry, names] of Object.entries(CONTRACTS)) {
  for (const name of names) {
    const { warnings, bytecode } = compile({ version: '0.8.30', root: SOURCES, entry, name, settings: SETTINGS });
    for (const warning of warnings) console.error(warning);
    artifact[name] = { bytecode };
  }
}
const text = `${JSON.stringify(artifact, null, 2)}\n`;
const committed = existsSync(ARTIFACT) ? readFileSync(ARTIFACT, 'utf8') : '';

if (!flags.check) {
  writeFileSync(ARTIFACT, text);
  console.log(`engine/tests/sol/contracts.json: ${Object.keys(artifact).length} contracts`);
} else if (committed === text) {
  console.log('engine/tests/sol/contracts.json is what its sources compile to');
} else {
  console.error('engine/tests/sol/contracts.json is not what its sources compile to: run scripts/compile-test-contracts and commit the result');
  process.exit(1);
}
