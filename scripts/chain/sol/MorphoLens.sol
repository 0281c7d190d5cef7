// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

struct MarketParams {
    address loanToken;
    address collateralToken;
    address oracle;
    address irm;
    uint256 lltv;
}

interface IMorpho {
    function accrueInterest(MarketParams memory params) external;
    function position(bytes32 id, address user) external view returns (uint256, uint128, uint128);
    function market(bytes32 id) external view returns (uint128, uint128, uint128, uint128, uint128, uint128);
}

interface IOracle {
    function price() external view returns (uint256);
}

/// What borrowers of a Morpho market owe at a block, interest included. It is laid over an empty address for one eth_call, in which
/// Morpho itself accrues the interest.
contract MorphoLens {
    struct Standing {
        uint256 shares;
        uint256 borrowed;
        uint256 collateral;
        uint256 maxBorrow;
    }

    function standings(IMorpho morpho, MarketParams memory params, address[] calldata users)
        external
        returns (uint256 price, Standing[] memory standing)
    {
        bytes32 id = keccak256(abi.encode(params));
        morpho.accrueInterest(params);
        price = IOracle(params.oracle).price();
        (,, uint256 assets, uint256 shares,,) = morpho.market(id);
        standing = new Standing[](users.length);
        for (uint256 i = 0; i < users.length; i++) {
            (, uint256 borrowShares, uint256 collateral) = morpho.position(id, users[i]);
            // Rounded up, over the virtual shares.
            uint256 borrowed = (borrowShares * (assets + 1) + shares + 1e6 - 1) / (shares + 1e6);
            uint256 maxBorrow = ((collateral * price) / 1e36) * params.lltv / 1e18;
            standing[i] = Standing(borrowShares, borrowed, collateral, maxBorrow);
        }
    }
}
