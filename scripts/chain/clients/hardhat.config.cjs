// What hardhat.cjs runs. Nothing is compiled by Hardhat; it insists on a compiler version.

const chain = JSON.parse(process.argv[2]);

module.exports = {
  solidity: '0.8.30',
  networks: {
    hardhat: {
      chainId: chain.id,
      blockGasLimit: chain.blockGas,
      hardfork: 'cancun',
      mining: { auto: false, interval: 0, mempool: { order: 'priority' } },
      accounts: { mnemonic: chain.mnemonic, count: chain.accounts, accountsBalance: `${chain.balanceEther}${'0'.repeat(18)}` },
    },
  },
};
