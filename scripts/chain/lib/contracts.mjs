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

/** Aave V3, as it is published; `libraries` are the addresses of those that it is linked with, by name. */
export function aave(file, libraries = {}) {
  const name = file.split('/').at(-1);
  const { abi, bytecode, linkReferences } = readJson(`@aave/core-v3/artifacts/contracts/${file}.sol/${name}.json`);
  let code = bytecode;
  for (const [library, places] of Object.values(linkReferences).flatMap(Object.entries)) {
    if (!libraries[library]) throw new Error(`Aave's ${name} needs ${library}`);
    for (const { start, length } of places) {
      const [from, to] = [2 + 2 * start, 2 + 2 * (start + length)];
      code = code.slice(0, from) + libraries[library].slice(2).toLowerCase() + code.slice(to);
    }
  }
  return { name: `Aave ${name}`, abi, bytecode: code };
}

/** Chainlink's proxy of a feed, from its published source. It names a compiler of its own; one that is here does as well. */
export function feedProxy() {
  const root = `${MODULES}@chainlink/contracts/src/v0.6/`;
  const edit = (source) => source.replace('pragma solidity 0.6.6;', 'pragma solidity ^0.6.6;');
  const settings = { optimizer: { enabled: true, runs: 200 }, metadata: { bytecodeHash: 'none' } };
  const [entry, name] = ['EACAggregatorProxy.sol', 'EACAggregatorProxy'];
  return { name, ...compile({ version: '0.6.12', root, entry, name, settings, edit }) };
}

/** A published copy of Morpho Blue, and of its adaptive curve. */
export function morphoContracts() {
  const root = fileURLToPath(new URL('../solidly/node_modules/sphere-mezo-solidity-files/domains/', import.meta.url));
  const settings = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'paris', metadata: { bytecodeHash: 'none' } };
  const of = (entry, name) => ({ name, ...compile({ version: '0.8.30', root, entry, name, settings }) });
  return {
    morpho: of('morpho/contracts/Morpho.sol', 'Morpho'),
    curve: of('morphoIrm/contracts/AdaptiveCurveIrm.sol', 'AdaptiveCurveIrm'),
  };
}

/** One of ours, in `sol/`. */
export function own(name, entry = `${name}.sol`) {
  const settings = { optimizer: { enabled: true, runs: 200 }, evmVersion: 'paris', metadata: { bytecodeHash: 'none' } };
  return { name, ...compile({ version: '0.8.30', root: SOL, modules: MODULES, entry, name, settings }) };
}

const readJson = (file) => JSON.parse(readFileSync(`${MODULES}${file}`, 'utf8'));
