// Compiles abi/Executor.sol into abi/Executor.json, the artifact that `gannet deploy` and the tests embed.
// With --check nothing is written: the exit code says whether the committed artifact is what the source compiles to.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { compile, sha256 } from './lib/solc.mjs';

const ABI = fileURLToPath(new URL('../../abi/', import.meta.url));
const ARTIFACT = `${ABI}Executor.json`;

// Deployed once, called thousands of times: optimise for calls. Via IR costs compile time only, and saves gas per call.
// Without the metadata hash the bytecode does not change when a comment does.
const SETTINGS = {
  optimizer: { enabled: true, runs: 1_000_000 },
  viaIR: true,
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

const { values: flags } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

const source = readFileSync(`${ABI}Executor.sol`, 'utf8');
const { compiler, warnings, abi, bytecode, deployedBytecode } = compile({
  version: '0.8.30',
  root: ABI,
  entry: 'Executor.sol',
  name: 'Executor',
  settings: SETTINGS,
});
for (const warning of warnings) console.error(warning);

const artifact = {
  contractName: 'Executor',
  compiler,
  settings: SETTINGS,
  sourceHash: `sha256:${sha256(source)}`,
  abi,
  bytecode,
  deployedBytecode,
};
const text = `${JSON.stringify(artifact, null, 2)}\n`;

if (!flags.check) {
  writeFileSync(ARTIFACT, text);
  console.log(`abi/Executor.json: ${(deployedBytecode.length - 2) / 2} bytes of code, ${compiler}`);
} else if (committed() === text) {
  console.log('abi/Executor.json is what abi/Executor.sol compiles to');
} else {
  console.error('abi/Executor.json is not what abi/Executor.sol compiles to: run scripts/compile-executor and commit the result');
  process.exit(1);
}

function committed() {
  try {
    return readFileSync(ARTIFACT, 'utf8');
  } catch {
    return '';
  }
}
