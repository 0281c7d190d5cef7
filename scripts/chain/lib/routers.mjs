// The routers of the devnet, and how each of their functions says that a trader wants to swap along a path.
//
// A way to swap is { name, isExactOut, takesPermit, encode }: `encode` makes { to, data, value } of { path, trader, deadline,
// wanted, least, out, most, permit }: so much in for at least so much, or so much out for at most so much.

import { AbiCoder, TypedDataEncoder } from 'ethers';

import { CHAIN_ID } from './accounts.mjs';
import { encodeV3, tokensOf } from './quotes.mjs';
import { SOLIDLY_ROUTER } from './solidly.mjs';
import { FOREVER } from './tokens.mjs';
import { PERMIT2, SWAP_ROUTER, SWAP_ROUTER_02, UNIVERSAL } from './v3.mjs';
import { ROUTER } from './world.mjs';

/** What is signed, and said to the Universal Router, to let it take a token through Permit2. */
const PERMIT = {
  PermitSingle: [
    { name: 'details', type: 'PermitDetails' },
    { name: 'spender', type: 'address' },
    { name: 'sigDeadline', type: 'uint256' },
  ],
  PermitDetails: [
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint160' },
    { name: 'expiration', type: 'uint48' },
    { name: 'nonce', type: 'uint48' },
  ],
};
const DETAILS_TYPE = 'tuple(address token, uint160 amount, uint48 expiration, uint48 nonce)';
const PERMIT_TYPE = `tuple(${DETAILS_TYPE} details, address spender, uint256 sigDeadline)`;

/** Who SwapRouter, SwapRouter02 and the Universal Router take for themselves, and the latter two for the sender. */
const ITSELF = { 'swap-router': `0x${'0'.repeat(40)}`, 'swap-router-02': `0x${'0'.repeat(39)}2`, universal: `0x${'0'.repeat(39)}2` };
const SENDER = `0x${'0'.repeat(39)}1`;
/** Instead of an amount: all that the Universal Router has of the token. */
const ALL = 2n ** 255n;
const COMMAND = { v3In: '00', v3Out: '01', v2In: '08', v2Out: '09', wrap: '0b', unwrap: '0c', permit: '0a' };

/** The ways to swap along a path, in lists: one for each router that can. */
export function waysToSwap(book, path) {
  const tokens = tokensOf(path);
  const ends = { fromWeth: tokens[0] === book.weth, toWeth: tokens.at(-1) === book.weth };
  if (path.venue === 'v3') {
    return [
      v3Ways(book.v3.swap_router, SWAP_ROUTER, 'swap-router', path, ends),
      v3Ways(book.v3.swap_router_02, SWAP_ROUTER_02, 'swap-router-02', path, ends),
      universalWays(book.v3.universal_router, 'v3', ends),
    ];
  }
  if (path.venue === 'universal') return [[mixedWay(book.v3.universal_router)]];
  if (path.venue === 'solidly') return [[solidlyWay(book.solidly.router)]];
  const ways = [v2Ways(book.factories.find(({ name }) => name === path.venue).router, ends)];
  if (path.venue === 'uniswap') ways.push(v2WaysOf02(book.v3.swap_router_02), universalWays(book.v3.universal_router, 'v2', ends));
  return ways;
}

/** A trader's signed leave for the Universal Router to take `token`, as its permit command wants it. */
export async function signPermit(rpc, { v3 }, wallet, token, deadline) {
  const { nonce } = await rpc.read(v3.permit2, PERMIT2, 'allowance', [wallet.address, token, v3.universal_router]);
  const details = { token, amount: 2n ** 160n - 1n, expiration: FOREVER, nonce };
  const permit = { details, spender: v3.universal_router, sigDeadline: deadline };
  const domain = { name: 'Permit2', chainId: CHAIN_ID, verifyingContract: v3.permit2 };
  return [permit, wallet.signingKey.sign(TypedDataEncoder.hash(domain, PERMIT, permit)).serialized];
}

/** Whom a trader allows to take tokens: every router, but Permit2 for the Universal Router. */
export function spendersOf({ factories, v3, solidly }) {
  return [...factories.map(({ router }) => router), v3.swap_router, v3.swap_router_02, v3.permit2, solidly.router];
}

/** The functions of a V2 router. */
function v2Ways(router, { fromWeth, toWeth }) {
  const names = ['swapExactTokensForTokens', 'swapTokensForExactTokens', 'swapExactTokensForTokensSupportingFeeOnTransferTokens'];
  if (fromWeth) names.push('swapExactETHForTokens', 'swapETHForExactTokens', 'swapExactETHForTokensSupportingFeeOnTransferTokens');
  if (toWeth) names.push('swapExactTokensForETH', 'swapTokensForExactETH', 'swapExactTokensForETHSupportingFeeOnTransferTokens');
  return names.map((name) => ({
    name,
    isExactOut: name.includes('ForExact'),
    encode: ({ path, trader, deadline, ...swap }) => {
      const { amounts, value } = v2Amounts(name, swap);
      return { to: router, data: ROUTER.encodeFunctionData(name, [...amounts, tokensOf(path), trader, deadline]), value };
    },
  }));
}

/** The leading arguments of a function of a V2 router, and the ether that goes with it. */
function v2Amounts(name, { wanted, least, out, most }) {
  if (name.startsWith('swapExactETH')) return { amounts: [least], value: wanted };
  if (name.startsWith('swapETHForExact')) return { amounts: [out], value: most };
  if (name.includes('ForExact')) return { amounts: [out, most], value: 0n };
  return { amounts: [wanted, least], value: 0n };
}

/** What SwapRouter02 does with V2 pairs: always within its multicall, which has the deadline. */
function v2WaysOf02(router) {
  return ['swapExactTokensForTokens', 'swapTokensForExactTokens'].map((name) => ({
    name: `swap-router-02 ${name}`,
    isExactOut: name.includes('ForExact'),
    encode: ({ path, trader, deadline, ...swap }) => {
      const call = SWAP_ROUTER_02.encodeFunctionData(name, [...v2Amounts(name, swap).amounts, tokensOf(path), trader]);
      return { to: router, data: SWAP_ROUTER_02.encodeFunctionData('multicall(uint256,bytes[])', [deadline, [call]]), value: 0n };
    },
  }));
}

/**
 * The functions of SwapRouter and SwapRouter02. Those that end in ether leave the WETH in the router and unwrap it there;
 * those that start with it and do not know how much they need get the rest back. Both need a multicall.
 */
function v3Ways(router, iface, kind, { hops }, { fromWeth, toWeth }) {
  const names = ['exactInput', 'exactOutput', ...(hops.length === 1 ? ['exactInputSingle', 'exactOutputSingle'] : [])];
  const money = [{}, ...(fromWeth ? [{ isEtherIn: true }] : []), ...(toWeth ? [{ isEtherOut: true }] : [])];
  const all = names.flatMap((name) => money.map((ends) => ({ name, ...ends })));
  return all.map(({ name, isEtherIn, isEtherOut }) => ({
    name: `${kind} ${name}${isEtherIn ? ' from ether' : ''}${isEtherOut ? ' to ether' : ''}`,
    isExactOut: name.startsWith('exactOutput'),
    encode: ({ path, trader, deadline, ...swap }) => {
      const isExactOut = name.startsWith('exactOutput');
      const receiver = isEtherOut ? ITSELF[kind] : trader;
      const calls = [iface.encodeFunctionData(name, [v3Arguments(name, kind, path, receiver, deadline, swap)])];
      if (isEtherOut) calls.push(iface.encodeFunctionData('unwrapWETH9(uint256,address)', [isExactOut ? swap.out : swap.least, trader]));
      if (isEtherIn && isExactOut) calls.push(iface.encodeFunctionData('refundETH', []));
      const value = isEtherIn ? (isExactOut ? swap.most : swap.wanted) : 0n;
      return { to: router, data: together(iface, kind, calls, deadline), value };
    },
  }));
}

/** The struct that a function of SwapRouter takes; that of SwapRouter02 has no deadline. */
function v3Arguments(name, kind, path, receiver, deadline, { wanted, least, out, most }) {
  const until = kind === 'swap-router' ? [deadline] : [];
  const isExactOut = name.startsWith('exactOutput');
  const amounts = isExactOut ? [out, most] : [wanted, least];
  if (!name.endsWith('Single')) return [encodeV3(path, { isReversed: isExactOut }), receiver, ...until, ...amounts];
  const [{ pool, tokenIn, tokenOut }] = path.hops;
  return [tokenIn, tokenOut, pool.fee_pips, receiver, ...until, ...amounts, 0n];
}

/** One call as it is, several in a multicall; SwapRouter02 has a deadline only there, so it always goes through it. */
function together(iface, kind, calls, deadline) {
  if (kind === 'swap-router-02') return iface.encodeFunctionData('multicall(uint256,bytes[])', [deadline, calls]);
  return calls.length === 1 ? calls[0] : iface.encodeFunctionData('multicall', [calls]);
}

/** One command of the Universal Router, with those that wrap before it and unwrap after it. */
function universalWays(router, kind, { fromWeth, toWeth }) {
  const money = [{}, ...(fromWeth ? [{ isEtherIn: true }] : []), ...(toWeth ? [{ isEtherOut: true }] : [])];
  const all = ['In', 'Out'].flatMap((side) => money.map((ends) => ({ side, ...ends })));
  return all.map(({ side, isEtherIn, isEtherOut }) => ({
    name: `universal ${kind} exact ${side.toLowerCase()}${isEtherIn ? ' from ether' : ''}${isEtherOut ? ' to ether' : ''}`,
    isExactOut: side === 'Out',
    takesPermit: !isEtherIn,
    encode: ({ path, trader, deadline, wanted, least, out, most, permit }) => {
      const isExactOut = side === 'Out';
      const value = isEtherIn ? (isExactOut ? most : wanted) : 0n;
      const receiver = isEtherOut ? ITSELF.universal : trader;
      const [pathType, route] =
        kind === 'v3' ? ['bytes', encodeV3(path, { isReversed: isExactOut })] : ['address[]', tokensOf(path)];
      const swap = [receiver, ...(isExactOut ? [out, most] : [wanted, least]), route, !isEtherIn];
      const steps = [[COMMAND[`${kind}${side}`], ['address', 'uint256', 'uint256', pathType, 'bool'], swap]];
      if (isEtherIn) steps.unshift([COMMAND.wrap, ['address', 'uint256'], [ITSELF.universal, value]]);
      if (permit) steps.unshift([COMMAND.permit, [PERMIT_TYPE, 'bytes'], permit]);
      // What an exact output did not need comes back as ether.
      if (isEtherIn && isExactOut) steps.push([COMMAND.unwrap, ['address', 'uint256'], [SENDER, 0n]]);
      if (isEtherOut) steps.push([COMMAND.unwrap, ['address', 'uint256'], [SENDER, isExactOut ? out : least]]);
      return { to: router, data: execute(steps, deadline), value };
    },
  }));
}

/** From a V3 pool to a V2 pair or the other way, one command each; the router holds what is in between. */
function mixedWay(router) {
  return {
    name: 'universal mixed',
    isExactOut: false,
    encode: ({ path, trader, deadline, wanted, least }) => {
      const steps = path.hops.map((hop, i) => {
        const amounts = i === 0 ? [ITSELF.universal, wanted, 0n] : [trader, ALL, least];
        const one = { hops: [hop] };
        const [kind, pathType, route] = hop.pool.venue === 'v3' ? ['v3', 'bytes', encodeV3(one)] : ['v2', 'address[]', tokensOf(one)];
        return [COMMAND[`${kind}In`], ['address', 'uint256', 'uint256', pathType, 'bool'], [...amounts, route, i === 0]];
      });
      return { to: router, data: execute(steps, deadline), value: 0n };
    },
  };
}

function execute(steps, deadline) {
  const commands = `0x${steps.map(([command]) => command).join('')}`;
  const inputs = steps.map(([, types, values]) => AbiCoder.defaultAbiCoder().encode(types, values));
  return UNIVERSAL.encodeFunctionData('execute(bytes,bytes[],uint256)', [commands, inputs, deadline]);
}

function solidlyWay(router) {
  return {
    name: 'solidly',
    isExactOut: false,
    encode: ({ path, trader, deadline, wanted, least }) => {
      const pools = path.hops.map(({ pool }) => pool.address);
      const args = [wanted, least, pools, path.hops[0].tokenIn, trader, deadline];
      return { to: router, data: SOLIDLY_ROUTER.encodeFunctionData('swapExactTokensForTokens', args), value: 0n };
    },
  };
}
