// Morpho Blue on the local test chain, compiled from a published copy of its sources, with its adaptive curve. The markets' oracles
// are ours, in `sol/MarketOracle.sol`.

import { AbiCoder, Interface, keccak256, parseUnits } from 'ethers';

import { deployer } from './accounts.mjs';
import { morphoContracts, own } from './contracts.mjs';
import { UNLIMITED } from './tokens.mjs';

/** [collateral, loan, liquidation threshold, whole loan tokens supplied]. */
const MARKETS = [
  ['WETH', 'USDC', '0.86', 3_000_000],
  ['WBTC', 'USDC', '0.86', 2_000_000],
  ['WBTC', 'WETH', '0.915', 1000],
];
const CREATE = { gasLimit: 6_000_000n };
const CALL = { gasLimit: 500_000n };
const ERC20 = new Interface(['function approve(address spender, uint256 value) returns (bool)']);
const CONTRACTS = { ...morphoContracts(), oracle: own('MarketOracle') };
export const MORPHO = new Interface(CONTRACTS.morpho.abi);

/** Queues Morpho and its markets, with what there is to borrow. Morpho's part of the address book. */
export function deployMorpho({ batch, tokens, obtain }, feeds) {
  const call = (to, name, ...args) => batch.call(deployer, to, MORPHO, name, args, CALL);
  const morpho = batch.create(deployer, CONTRACTS.morpho, [deployer.address], CREATE);
  const curve = batch.create(deployer, CONTRACTS.curve, [morpho], CREATE);
  call(morpho, 'enableIrm', curve);
  for (const lltv of new Set(MARKETS.map(([, , threshold]) => threshold))) call(morpho, 'enableLltv', parseUnits(lltv, 18));

  const markets = MARKETS.map(([collateral, loan, lltv, supplied]) => {
    const sources = [feeds[collateral].proxy, feeds[loan].proxy, tokens[collateral].address, tokens[loan].address];
    const oracle = batch.create(deployer, CONTRACTS.oracle, sources);
    const [loan_token, collateral_token] = [tokens[loan].address, tokens[collateral].address];
    const market = { loan_token, collateral_token, oracle, irm: curve, lltv: String(parseUnits(lltv, 18)) };
    call(morpho, 'createMarket', paramsOf(market));
    const amount = parseUnits(String(supplied), tokens[loan].decimals);
    obtain(tokens[loan], amount, morpho);
    call(morpho, 'supply', paramsOf(market), amount, 0n, deployer.address, '0x');
    return { name: `${collateral}/${loan}`, id: marketId(market), collateral, loan, ...market };
  });
  return { address: morpho, irm: curve, markets };
}

/** Queues a borrower's collateral, which the deployer pays, and the debt; amounts by symbol. */
export function borrowFromMorpho({ batch, tokens, obtain }, { address }, market, { wallet, collateral, debt }) {
  const [given, taken] = [collateral[market.collateral], debt[market.loan]];
  const owner = wallet.address;
  obtain(tokens[market.collateral], given, address);
  batch.call(deployer, address, MORPHO, 'supplyCollateral', [paramsOf(market), given, owner, '0x'], CALL);
  batch.call(wallet, address, MORPHO, 'borrow', [paramsOf(market), taken, 0n, owner, owner], CALL);
  batch.call(wallet, market.loan_token, ERC20, 'approve', [address, UNLIMITED]);
}

/** The call that pays back so much of a debt. */
export function repayToMorpho({ address }, market, amount, owner) {
  return { to: address, data: MORPHO.encodeFunctionData('repay', [paramsOf(market), amount, 0n, owner, '0x']) };
}

/** `MarketParams` as Morpho's functions want them. */
export function paramsOf({ loan_token, collateral_token, oracle, irm, lltv }) {
  return [loan_token, collateral_token, oracle, irm, BigInt(lltv)];
}

function marketId(market) {
  return keccak256(AbiCoder.defaultAbiCoder().encode(['address', 'address', 'address', 'address', 'uint256'], paramsOf(market)));
}
