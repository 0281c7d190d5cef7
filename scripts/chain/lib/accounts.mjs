// The accounts of the local test chain: those of the mnemonic that every development node starts with. The keys are public
// knowledge; they are worth nothing anywhere else.

import { HDNodeWallet } from 'ethers';

export const MNEMONIC = 'test test test test test test test test test test test junk';
export const CHAIN_ID = 31337;
export const COUNT = 16;
export const BALANCE_ETHER = 1_000_000;

/** Accounts from here on borrow; the node gives them nothing, the deployment does. */
const BORROWERS_FROM = 100;

const all = Array.from({ length: COUNT }, (_, index) => HDNodeWallet.fromPhrase(MNEMONIC, '', `m/44'/60'/0'/0/${index}`));

export const deployer = all[0];
/** Owns the bot's executor contract. */
export const executorOwner = all[1];
export const traders = all.slice(2, 8);
/** Hold the hot keys of the bot: GANNET_KEY_1 to GANNET_KEY_4. */
export const botWallets = all.slice(8, 12);
/** Sends what is not a swap. */
export const bystander = all[12];
/** Adds liquidity to V3 pools, and takes it out again. */
export const provider = all[13];

/** Signs what the feeds' oracles saw, and brings it to the chain. */
export const transmitter = all[14];
/** Liquidates, to see whether there is something in it. */
export const liquidator = all[15];

/** So many accounts for the borrowers. */
export function borrowers(count) {
  const parent = HDNodeWallet.fromPhrase(MNEMONIC, '', "m/44'/60'/0'/0");
  return Array.from({ length: count }, (_, index) => parent.deriveChild(BORROWERS_FROM + index));
}

/** For the address book. */
export function describe() {
  const role = (wallet) => {
    if (wallet === deployer) return 'deployer';
    if (wallet === executorOwner) return 'executor owner';
    if (traders.includes(wallet)) return 'trader';
    if (botWallets.includes(wallet)) return 'bot wallet';
    if (wallet === bystander) return 'bystander';
    if (wallet === provider) return 'liquidity provider';
    return wallet === transmitter ? 'transmitter' : 'liquidator';
  };
  return all.map((wallet, index) => ({ index, role: role(wallet), address: wallet.address, private_key: wallet.privateKey }));
}
