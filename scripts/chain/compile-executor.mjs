// Compiles our own contracts: abi/Executor.sol and abi/Lens.sol into the artifacts beside them, which the bot and the
// tests embed. With --check nothing is written: the exit code says whether the committed artifacts are what the sources
// compile to.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { compile, sha256 } from './lib/solc.mjs';

const ABI = fileURLToPath(new URL('../../abi/', import.meta.url));

// Via IR costs compile time only, and saves gas per call. Without the metadata hash the bytecode does not change when a
// comment does.
const settings = (evmVersion, runs) => ({
  optimizer: { enabled: true, runs },
  viaIR: true,
  evmVersion,
  metadata: { bytecodeHash: 'none', appendCBOR: false },
});

const CONTRACTS = {
  // Deployed once, called thousands of times: optimised for calls.
  Executor: settings('cancun', 1_000_000),
  // Sent whole with every call, to chains of any age: small, and without the newer opcodes.
  Lens: settings('paris', 200),
  Probe: settings('paris', 200),
  Calls: settings('paris', 200),
};

const { values: flags } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

for (const [name, settings] of Object.entries(CONTRACTS)) {
  const file = `${ABI}${name}.json`;
  const source = readFileSync(`${ABI}${name}.sol`, 'utf8');
  const { compiler, warnings, abi, bytecode, deployedBytecode } = compile({
    version: '0.8.30',
    root: ABI,
    entry: `${name}.sol`,
    name,
    settings,
  });
  for (const warning of warnings) console.error(warning);
  const artifact = {
    contractName: name,
    compiler,
    settings,
    sourceHash: `sha256:${sha256(source)}`,
    abi,
    bytecode,
    deployedBytecode,
  };
  const text = `${JSON.stringify(artifact, null, 2)}\n`;
  if (!flags.check) {
    writeFileSync(file, text);
    console.log(`abi/${name}.json: ${(bytecode.length - 2) / 2} bytes of creation code, ${compiler}`);
  } else if (committed(file) === text) {
    console.log(`abi/${name}.json is what abi/${name}.sol compiles to`);
  } else {
    console.error(`abi/${name}.json is not what abi/${name}.sol compiles to: run scripts/compile-executor and commit the result`);
    process.exitCode = 1;
  }
}

function committed(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
