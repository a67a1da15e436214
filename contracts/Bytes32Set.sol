// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title A set of words that can be listed
/// @notice Sapphire's RPC answers `eth_getLogs` for 100 rounds at a time, so lists can't be rebuilt from events there.
struct Set {
    bytes32[] items;
    /// Place in `items`, counted from 1; 0 is "not there".
    mapping(bytes32 => uint256) place;
}

using {contains, add, remove} for Set global;

/// Whether `item` is in the set.
function contains(Set storage self, bytes32 item) view returns (bool) {
    return self.place[item] != 0;
}

/// Adds `item`; false when it was there already.
function add(Set storage self, bytes32 item) returns (bool) {
    if (self.contains(item)) return false;
    self.items.push(item);
    self.place[item] = self.items.length;
    return true;
}

/// Removes `item` (the last one takes its place, so order isn't kept); false when it wasn't there.
function remove(Set storage self, bytes32 item) returns (bool) {
    uint256 place = self.place[item];
    if (place == 0) return false;
    bytes32 last = self.items[self.items.length - 1];
    self.items[place - 1] = last;
    self.place[last] = place;
    self.items.pop();
    delete self.place[item];
    return true;
}
