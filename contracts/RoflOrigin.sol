// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Who sent this transaction, as Sapphire sees it
/// @notice Asks the Oasis runtime whether the transaction was signed by a live, attested instance of a ROFL app.
/// @dev The runtime is reached through the subcall precompile: input `abi.encode(string method, bytes cborBody)`,
/// output `abi.encode(uint64 status, bytes cborResult)`, status 0 for success.
/// https://docs.oasis.io/build/rofl/features/appd/#authenticated-transaction-submission
/// https://api.docs.oasis.io/sol/sapphire-contracts/contracts/Subcall.sol/library.Subcall.html
library RoflOrigin {
    address internal constant SUBCALL = 0x0100000000000000000000000000000000000103;

    /// CBOR: a byte string of 21 bytes follows.
    bytes1 private constant CBOR_BYTES21 = 0x55;
    /// CBOR `true`, one byte.
    bytes32 private constant CBOR_TRUE_HASH = keccak256(hex"f5");
    /// Shortest `abi.encode(uint64, bytes)`: status, offset, length.
    uint256 private constant SHORTEST_ANSWER = 96;

    /// @notice The transaction wasn't signed by an instance of the app that is set (or this chain has no ROFL).
    error RoflOriginNotAuthorizedForApp();

    /// @notice Reverts unless the transaction comes from an instance of `appId`.
    /// @dev The origin is checked, not `msg.sender`, so a call through Multicall3 passes. On a chain without the
    /// precompile the call succeeds with an empty answer, hence the check of its length before it is decoded.
    function ensure(bytes21 appId) internal view {
        (bool reached, bytes memory answer) = SUBCALL.staticcall(
            abi.encode("rofl.IsAuthorizedOrigin", abi.encodePacked(CBOR_BYTES21, appId))
        );
        if (!reached || answer.length < SHORTEST_ANSWER) revert RoflOriginNotAuthorizedForApp();
        (uint64 status, bytes memory result) = abi.decode(answer, (uint64, bytes));
        if (status != 0 || keccak256(result) != CBOR_TRUE_HASH) revert RoflOriginNotAuthorizedForApp();
    }
}
