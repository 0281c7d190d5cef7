// Lending on the local test chain: price feeds, Aave V3 and Morpho Blue over them, and those who borrowed there.
//
//   feeds, a little above their start ─► Aave, Morpho, what there is to borrow ─► borrowers ─► feeds at their start
//
// Aave lends less than what it liquidates at, so borrowers that are close to the edge can only be made by a price that falls.

import { Interface } from 'ethers';

import { deployer, liquidator, transmitter } from './accounts.mjs';
import { AAVE_SYMBOLS, borrowFromAave, deployAave, fundAave } from './aave.mjs';
import { described, drawBorrowers } from './borrowers.mjs';
import { FEED, answerOf, deployFeeds, readDigests, signReport } from './feeds.mjs';
import { borrowFromMorpho, deployMorpho } from './morpho.mjs';
import { hex } from './rpc.mjs';
import { worth } from './tokens.mjs';

/** By how much a price is above its start while there is borrowed. */
const ABOVE = { WETH: 1.06, WBTC: 1.12, DAI: 1.04, USDC: 1 };
/** Of each token, for the liquidator of the self-check. */
const PURSE_ETHER = 2000;
const BORROWER_WEI = 10n * 10n ** 18n;
const ERC20 = new Interface(['function transfer(address to, uint256 value) returns (bool)']);
const TRANSMIT = { gasLimit: 400_000n };

/**
 * Deploys all of it with the batch that deployed the world, and returns the `lending` part of the address book. It comes after the
 * world, so none of the world's addresses depends on it.
 */
export async function deployLending({ rpc, batch, tokens, obtain }, seed) {
  const uses = { rpc, batch, tokens, obtain };
  const block = Number(await rpc.call('eth_blockNumber')) + 1;
  const { forwarder, feeds } = deployFeeds(batch, tokens, AAVE_SYMBOLS);
  await batch.settle();
  await readDigests(rpc, feeds);
  await transmitAll(uses, feeds, 1, (symbol) => ABOVE[symbol]);

  const aave = await deployAave(uses, feeds);
  fundAave(uses, aave);
  const morpho = deployMorpho(uses, feeds);
  const borrowers = drawBorrowers(seed, tokens, morpho.markets);
  await Promise.all(borrowers.map(({ wallet }) => rpc.call('anvil_setBalance', [wallet.address, hex(BORROWER_WEI)])));
  for (const borrower of borrowers) {
    if (borrower.protocol === 'aave') borrowFromAave(uses, aave, borrower);
    else borrowFromMorpho(uses, morpho, morpho.markets.find(({ name }) => name === borrower.market), borrower);
  }
  for (const symbol of AAVE_SYMBOLS) give(uses, symbol, worth(tokens[symbol], PURSE_ETHER), liquidator);
  await batch.settle();
  await transmitAll(uses, feeds, 2, () => 1);
  return { block, forwarder, feeds, aave, morpho, borrowers: borrowers.map(described) };
}

/** The deployer obtains it for the wallet's own address, and hands it over. */
function give({ batch, tokens, obtain }, symbol, amount, { address }) {
  obtain(tokens[symbol], amount, address);
  batch.call(deployer, tokens[symbol].address, ERC20, 'transfer', [address, amount]);
}

async function transmitAll({ rpc, batch, tokens }, feeds, epoch, factor) {
  const { timestamp } = await rpc.call('eth_getBlockByNumber', ['latest', false]);
  for (const [symbol, feed] of Object.entries(feeds)) {
    const report = signReport(feed, epoch, answerOf(tokens[symbol].usd * factor(symbol)), BigInt(timestamp));
    batch.call(transmitter, feed.aggregator, FEED, 'transmit', report, TRANSMIT);
  }
  await batch.settle();
}
