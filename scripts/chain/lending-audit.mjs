// What the chain itself says about lending: how each borrower stands at a block, and who liquidated whom, right behind what.
//
//   node scripts/chain/lending-audit.mjs [--book FILE] [--block N]       positions at a block, as JSON
//   node scripts/chain/lending-audit.mjs --liquidations [--from N --to N]   liquidations of these blocks, as JSON

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Interface } from 'ethers';

import { POOL } from './lib/aave.mjs';
import { ROOT, UsageError, number as wholeNumber, readFlags } from './lib/cli.mjs';
import { own } from './lib/contracts.mjs';
import { transmitsTo } from './lib/feeds.mjs';
import { MORPHO, paramsOf } from './lib/morpho.mjs';
import { Rpc, hex } from './lib/rpc.mjs';

const LENS_CONTRACT = own('LendingLens');
const LENS = new Interface(LENS_CONTRACT.abi);
const NOBODY = `0x${'0'.repeat(40)}`;
/** All borrowers at once. */
const LENS_GAS = '0x1c9c380';
const WAD = 10n ** 18n;
const NO_DEBT = 2n ** 256n - 1n;

/**
 * Every borrower of the address book at a block, or at 'pending', as it would be with what is in the mempool: amounts as the
 * contracts tell them, as decimal strings.
 */
export async function readPositions(rpc, { lending }, block) {
  const at = block === 'pending' ? block : hex(block);
  const { number, timestamp } = await rpc.call('eth_getBlockByNumber', [at, false]);
  const of = (protocol) => lending.borrowers.filter((borrower) => borrower.protocol === protocol);
  const aave = readAave(rpc, lending.aave, of('aave').map(({ address }) => address), at);
  const markets = lending.morpho.markets.map((market) => {
    const users = of('morpho').filter((borrower) => borrower.market === market.name);
    return readMorpho(rpc, lending.morpho, market, users.map(({ address }) => address), at);
  });
  return { block: Number(number), timestamp: Number(timestamp), positions: (await Promise.all([aave, ...markets])).flat() };
}

async function readAave(rpc, { pool, reserves }, users, at) {
  const symbols = Object.keys(reserves);
  const tokens = (kind) => symbols.map((symbol) => reserves[symbol][kind]);
  const [accounts] = await look(rpc, 'accounts', [pool, tokens('a_token'), tokens('variable_debt_token'), users], at);
  const held = (amounts) => {
    const all = symbols.map((symbol, place) => [symbol, String(amounts[place])]);
    return Object.fromEntries(all.filter(([, amount]) => amount !== '0'));
  };
  return accounts.map(({ collateral, debt, threshold, ltv, health, supplied, owed }, index) => ({
    protocol: 'aave',
    user: users[index],
    health: health === NO_DEBT ? null : String(health),
    is_liquidatable: health < WAD,
    collateral_base: String(collateral),
    debt_base: String(debt),
    threshold_bps: Number(threshold),
    ltv_bps: Number(ltv),
    collateral: held(supplied),
    debt: held(owed),
  }));
}

async function readMorpho(rpc, { address }, market, users, at) {
  const [price, standings] = await look(rpc, 'standings', [address, paramsOf(market), users], at);
  return standings.map(({ shares, borrowed, collateral, maxBorrow }, index) => ({
    protocol: 'morpho',
    user: users[index],
    market: market.name,
    market_id: market.id,
    // Morpho compares two amounts; their quotient is for people.
    health: shares === 0n ? null : String((maxBorrow * WAD) / borrowed),
    is_liquidatable: shares > 0n && maxBorrow < borrowed,
    price: String(price),
    borrow_shares: String(shares),
    borrowed: String(borrowed),
    collateral: String(collateral),
    max_borrow: String(maxBorrow),
  }));
}

/** One question to the lens, which lies over an empty address for it. */
async function look(rpc, name, args, at) {
  const code = { [NOBODY]: { code: LENS_CONTRACT.deployedBytecode } };
  const answer = await rpc.call('eth_call', [{ to: NOBODY, data: LENS.encodeFunctionData(name, args), gas: LENS_GAS }, at, code]);
  return LENS.decodeFunctionResult(name, answer);
}

/**
 * All liquidations in these blocks, in the chain's order: { block, index, hash, protocol, liquidator, sender, borrower, ... }, where
 * `behind` is the symbol of the feed that the transaction directly before it moved, and null if it moved none.
 */
export async function readLiquidations(rpc, { lending }, from, to) {
  const topics = [[POOL.getEvent('LiquidationCall').topicHash, MORPHO.getEvent('Liquidate').topicHash]];
  const address = [lending.aave.pool, lending.morpho.address];
  const logs = await rpc.call('eth_getLogs', [{ fromBlock: hex(from), toBlock: hex(to), address, topics }]);
  const blocks = new Map();
  for (const { blockNumber } of logs) {
    if (!blocks.has(blockNumber)) blocks.set(blockNumber, await readBlock(rpc, lending, blockNumber));
  }
  return logs.map((log) => {
    const index = Number(log.transactionIndex);
    const { senders, moved } = blocks.get(log.blockNumber);
    const where = { block: Number(log.blockNumber), index, hash: log.transactionHash, sender: senders[index] };
    const before = moved.slice(0, index);
    return { ...where, behind: before.at(-1) ?? null, moved_before: before.filter(Boolean), ...told(lending, log) };
  });
}

/** Who sent each transaction of a block, and which feed it moved; one that reverted moved none. */
async function readBlock(rpc, lending, block) {
  const [{ transactions }, receipts] = await Promise.all([
    rpc.call('eth_getBlockByNumber', [block, true]),
    rpc.call('eth_getBlockReceipts', [block]),
  ]);
  const moved = transactions.map((each, index) => (receipts[index].status === '0x1' ? transmitsTo(lending, each) : null));
  return { senders: transactions.map(({ from }) => from), moved };
}

function told({ aave, morpho }, log) {
  if (log.address.toLowerCase() === aave.pool.toLowerCase()) {
    const { args } = POOL.parseLog(log);
    const symbolOf = (token) => Object.keys(aave.reserves).find((symbol) => aave.reserves[symbol].underlying === token);
    return {
      protocol: 'aave',
      liquidator: args.liquidator,
      borrower: args.user,
      collateral: symbolOf(args.collateralAsset),
      debt: symbolOf(args.debtAsset),
      repaid: String(args.debtToCover),
      seized: String(args.liquidatedCollateralAmount),
    };
  }
  const { args } = MORPHO.parseLog(log);
  const market = morpho.markets.find(({ id }) => id === args.id);
  return {
    protocol: 'morpho',
    liquidator: args.caller,
    borrower: args.borrower,
    market: market?.name,
    collateral: market?.collateral,
    debt: market?.loan,
    repaid: String(args.repaidAssets),
    seized: String(args.seizedAssets),
    bad_debt: String(args.badDebtAssets),
  };
}

const USAGE = `node scripts/chain/lending-audit.mjs: what the chain says about lending, as JSON

  --book FILE      the address book of a running devnet (default target/devnet/addresses.json)
  --block N        positions at this block (default: the latest)
  --liquidations   liquidations instead of positions
  --from N, --to N   of these blocks (default: from the deployment to the latest)`;

async function main() {
  const flags = readFlags(USAGE, {
    book: { type: 'string', default: `${ROOT}target/devnet/addresses.json` },
    block: { type: 'string' },
    liquidations: { type: 'boolean', default: false },
    from: { type: 'string' },
    to: { type: 'string' },
  });
  const book = JSON.parse(readFileSync(flags.book, 'utf8'));
  if (!book.lending) throw new UsageError(`${flags.book} has no lending; start scripts/devnet with --lending`);
  const rpc = await Rpc.open(book.ws);
  const latest = Number(await rpc.call('eth_blockNumber'));
  const block = (name, text, otherwise) => (text === undefined ? otherwise : wholeNumber(name, text, { least: 0, integer: true }));
  const answer = flags.liquidations
    ? await readLiquidations(rpc, book, block('from', flags.from, book.lending.block), block('to', flags.to, latest))
    : await readPositions(rpc, book, block('block', flags.block, latest));
  rpc.close();
  console.log(JSON.stringify(answer, null, 2));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    console.error(`lending-audit: ${error.message}`);
    process.exit(error instanceof UsageError ? 2 : 1);
  });
}
