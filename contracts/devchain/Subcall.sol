// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Sapphire's subcall precompile, as far as the dev chain needs it
/// @notice Answers `rofl.IsAuthorizedOrigin` by a list that anyone may write to. The true one asks the runtime
/// whether the transaction's signer is an attested instance of the app.
contract Subcall {
    mapping(bytes21 appId => mapping(address origin => bool)) private _authorized;

    /// @notice Lets `origin` pass, or no longer pass, for an instance of `appId`.
    function authorize(bytes21 appId, address origin, bool authorized) external {
        _authorized[appId][origin] = authorized;
    }

    /// @dev Input `abi.encode(string method, bytes cborBody)`: it starts with an offset, that is with zeros, and so
    /// never with the selector of `authorize`.
    fallback(bytes calldata input) external returns (bytes memory) {
        (string memory method, bytes memory body) = abi.decode(input, (string, bytes));
        if (keccak256(bytes(method)) != keccak256("rofl.IsAuthorizedOrigin") || body.length != 22 || body[0] != 0x55) {
            return abi.encode(uint64(1), bytes("core"));
        }
        bytes21 appId;
        assembly {
            appId := mload(add(body, 33))
        }
        return abi.encode(uint64(0), _authorized[appId][tx.origin] ? bytes(hex"f5") : bytes(hex"f4"));
    }
}
