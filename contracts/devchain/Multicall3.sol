// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Many calls in one, for the dev chain
/// @notice Speaks the part of Multicall3's interface that is in use: `aggregate3`, `tryAggregate`, `aggregate`.
/// Public chains have the original at 0xcA11bde05977b3631167028862bE2a173976CA11 (https://www.multicall3.com).
contract Multicall3 {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    /// @notice Makes every call; one that fails and isn't allowed to reverts them all.
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _attempt(calls[i].target, calls[i].callData, !calls[i].allowFailure);
        }
    }

    /// @notice Makes every call; with `requireSuccess` one that fails reverts them all.
    function tryAggregate(
        bool requireSuccess,
        Call[] calldata calls
    ) external payable returns (Result[] memory returnData) {
        returnData = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _attempt(calls[i].target, calls[i].callData, requireSuccess);
        }
    }

    /// @notice Makes every call, all of which must succeed, and tells the block in which it did.
    function aggregate(
        Call[] calldata calls
    ) external payable returns (uint256 blockNumber, bytes[] memory returnData) {
        blockNumber = block.number;
        returnData = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            returnData[i] = _attempt(calls[i].target, calls[i].callData, true).returnData;
        }
    }

    function _attempt(address target, bytes calldata callData, bool must) private returns (Result memory result) {
        (result.success, result.returnData) = target.call(callData);
        require(result.success || !must, "Multicall3: call failed");
    }
}
