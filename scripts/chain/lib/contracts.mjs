// The contracts of the local test chain: as their authors published them on npm, or compiled from their sources or ours.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { keccak256 } from 'ethers';

import { compile } from './solc.mjs';

const MODULES = fileURLToPath(new URL('../node_modules/', import.meta.url));
const SOL = fileURLToPath(new URL('../sol/', import.meta.url));

/** Uniswap V2, as it is published. */
export function uniswapV2(npmPackage, name) {
  const artifact = readJson(`@uniswap/${npmPackage}/build/${name}.json`);
  return { name, abi: artifact.abi, bytecode: `0x${artifact.bytecode}` };
}

/** Uniswap V3 and what came later, as it is published; `file` is the path of its source, without the suffix. */
export function uniswap(npmPackage, file) {
  const name = file.split('/').at(-1);
  const { abi, bytecode } = readJson(`@uniswap/${npmPackage}/artifacts/contracts/${file}.sol/${name}.json`);
  return { name, abi, bytecode };
}

/** Its creation code is published with the address that it has on every chain. */
export function permit2() {
  const file = 'hardhat-predeploy/bin/0x000000000022D473030F116dDEE9F6B43aC78BA3';
  const bytecode = `0x${readFileSync(`${MODULES}${file}.bytecode`).toString('hex')}`;
  return { name: 'Permit2', abi: readJson(`${file}.abi`), bytecode };
}

/** Sushi published sources only. Its router finds pairs by their init code hash, so it is told that of our compiler's pair. */
export function sushiContracts() {
  const published = 'e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303';
  const sushi = (entry, name, edit) => {
    const contract = compile({
      version: '0.6.12',
      root: `${MODULES}@sushiswap/core/contracts/uniswapv2/`,
      entry,
      name,
      file: `${name}.sol`,
      settings: { optimizer: { enabled: true, runs: 200 }, metadata: { bytecodeHash: 'none' } },
      edit,
    });
    return { name: `Sushi ${name}`, ...contract };
  };
  const pair = sushi('UniswapV2Factory.sol', 'UniswapV2Pair');
  const ours = keccak256(pair.bytecode).slice(2);
  return {
    factory: sushi('UniswapV2Factory.sol', 'UniswapV2Factory'),
    pair,
    router: sushi('UniswapV2Router02.sol', 'UniswapV2Router02', (source) => source.replace(published, ours)),
  };
}

/** One of ours, in `sol/`. */
export function own(name, entry = `${name}.sol`) {
  const settings = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'paris', metadata: { bytecodeHash: 'none' } };
  return { name, ...compile({ version: '0.8.30', root: SOL, entry, name, settings }) };
}

const readJson = (file) => JSON.parse(readFileSync(`${MODULES}${file}`, 'utf8'));
