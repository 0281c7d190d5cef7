// Price feeds on the local test chain: aggregators that take signed reports (OCR2), each behind a proxy of Chainlink's.
//
// Of the four oracles of a feed two sign each report, which is one more than may be faulty. One of the four transmits itself,
// another through a forwarder, and the other two never do.

import { AbiCoder, Interface, SigningKey, computeAddress, concat, id, keccak256, parseUnits, toBeHex, zeroPadBytes } from 'ethers';

import { deployer, transmitter } from './accounts.mjs';
import { feedProxy, own } from './contracts.mjs';

const DECIMALS = 8;
/** A feed answers nothing beyond a thousandth and a thousand times of what it starts with. */
const BOUND = 1000n;
const FAULTY = 1;
const NOBODY = `0x${'0'.repeat(40)}`;
const SIGNERS = [0, 1, 2, 3].map((index) => new SigningKey(id(`gannet feed signer ${index}`)));
const SILENT = [0, 1].map((index) => computeAddress(id(`gannet feed transmitter ${index}`)));
/** Which oracle made which observation. */
const OBSERVERS = '0x00010203';
const JUELS_PER_FEE_COIN = 10n ** 16n;

const CONTRACTS = { feed: own('PriceFeed'), forwarder: own('Forwarder', 'PriceFeed.sol'), proxy: feedProxy() };
export const FEED = new Interface(CONTRACTS.feed.abi);
export const FORWARDER = new Interface(CONTRACTS.forwarder.abi);
const CODER = AbiCoder.defaultAbiCoder();

/** A price in dollars as a feed answers it. */
export const answerOf = (usd) => parseUnits(usd.toFixed(DECIMALS), DECIMALS);

/** Queues the feeds of these tokens: { forwarder, feeds by symbol }; the digests are read when they are in (`readDigests`). */
export function deployFeeds(batch, tokens, symbols) {
  const forwarder = batch.create(deployer, CONTRACTS.forwarder, [transmitter.address]);
  const signers = SIGNERS.map((key) => computeAddress(key.publicKey));
  const transmitters = [transmitter.address, forwarder, ...SILENT];
  const feeds = {};
  for (const symbol of symbols) {
    const answer = answerOf(tokens[symbol].usd);
    const name = `${symbol === 'WETH' ? 'ETH' : symbol} / USD`;
    const aggregator = batch.create(deployer, CONTRACTS.feed, [DECIMALS, answer / BOUND, answer * BOUND, name]);
    const config = [signers, transmitters, FAULTY, '0x', 1n, '0x'];
    batch.call(deployer, aggregator, FEED, 'setConfig', config, { gasLimit: 1_500_000n });
    const proxy = batch.create(deployer, CONTRACTS.proxy, [aggregator, NOBODY]);
    feeds[symbol] = { symbol, name, decimals: DECIMALS, proxy, aggregator };
  }
  return { forwarder, feeds };
}

/** A report names the configuration that it is made under. */
export async function readDigests(rpc, feeds) {
  for (const feed of Object.values(feeds)) {
    const [, , digest] = await rpc.read(feed.aggregator, FEED, 'latestConfigDetails');
    Object.assign(feed, { config_digest: digest, transmitter: transmitter.address });
  }
}

/** The arguments of `transmit` that have a feed answer this; `epoch` must be greater than that of its last report. */
export function signReport({ config_digest: digest }, epoch, answer, observed) {
  // The oracles do not quite agree, and the third of the four is the median.
  const observations = [answer - answer / 20_000n, answer - 1n, answer, answer + answer / 10_000n];
  const types = ['uint32', 'bytes32', 'int192[]', 'int192'];
  const report = CODER.encode(types, [observed, zeroPadBytes(OBSERVERS, 32), observations, JUELS_PER_FEE_COIN]);
  const context = [digest, toBeHex((BigInt(epoch) << 8n) | 1n, 32), toBeHex(0, 32)];
  const hash = keccak256(concat([keccak256(report), ...context]));
  const signatures = SIGNERS.slice(0, FAULTY + 1).map((key) => key.sign(hash));
  const parities = zeroPadBytes(concat(signatures.map(({ yParity }) => toBeHex(yParity, 1))), 32);
  return [context, report, signatures.map(({ r }) => r), signatures.map(({ s }) => s), parities];
}

/** The transaction that brings a report to its feed: { to, data }. */
export function transmission({ forwarder }, feed, report, isForwarded) {
  const data = FEED.encodeFunctionData('transmit', report);
  if (!isForwarded) return { to: feed.aggregator, data };
  return { to: forwarder, data: FORWARDER.encodeFunctionData('forward', [feed.aggregator, data]) };
}

/** The symbol of the feed that a transaction transmits to, direct or through the forwarder; null if it is no transmission. */
export function transmitsTo({ forwarder, feeds }, { to, input }) {
  const selector = FEED.getFunction('transmit').selector;
  let [target, data] = [to?.toLowerCase(), input];
  if (target === forwarder.toLowerCase() && data.startsWith(FORWARDER.getFunction('forward').selector)) {
    const forwarded = FORWARDER.decodeFunctionData('forward', data);
    [target, data] = [forwarded.to.toLowerCase(), forwarded.data];
  }
  if (!data.startsWith(selector)) return null;
  return Object.values(feeds).find(({ aggregator }) => aggregator.toLowerCase() === target)?.symbol ?? null;
}
