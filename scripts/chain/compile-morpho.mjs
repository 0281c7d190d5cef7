// Compiles a published copy of Morpho Blue and of its adaptive curve for the engine's tests: creation code by name. The copy
// differs from @morpho-org/morpho-blue in comments and compiler versions alone. What it writes stays in node_modules: the
// sources' licences are not ours.

import { writeFileSync } from 'node:fs';

import { compile } from './lib/solc.mjs';

const ROOT = new URL('solidly/node_modules/', import.meta.url).pathname;
const DOMAINS = 'sphere-mezo-solidity-files/domains';
const CONTRACTS = {
  Morpho: `${DOMAINS}/morpho/contracts/Morpho.sol`,
  AdaptiveCurveIrm: `${DOMAINS}/morphoIrm/contracts/AdaptiveCurveIrm.sol`,
};
const SETTINGS = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'cancun', viaIR: true };

const artifact = {};
for (const [name, entry] of Object.entries(CONTRACTS)) {
  const { bytecode } = compile({ version: '0.8.30', root: ROOT, entry, name, settings: SETTINGS });
  artifact[name] = { bytecode };
}
writeFileSync(`${ROOT}morpho.json`, JSON.stringify(artifact));
