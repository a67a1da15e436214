// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Set} from "./Bytes32Set.sol";
import {RoflOrigin} from "./RoflOrigin.sol";

/// @title Ekai control plane
/// @notice Key owners store provider keys here, encrypted to the gateway, and say who may use which models with
/// them; the gateway leaves a receipt for every call that it made.
///
/// Two kinds of owner: `owner()` administers the contract (ERC-173, in two steps). Everywhere else an *owner* is an
/// address that keeps provider keys here; everything of an owner is keyed by `msg.sender`, and nobody, the
/// administrator included, can write for someone else.
///
/// Adding what is there already is a no-op without an event, so a repeated transaction does no harm. Removing what
/// isn't there reverts: most likely it is a mistyped address, and its sender must not believe that access has ended.
///
/// Pausing ends the use of keys (no ciphertext is given out, nothing can be added) and leaves everything that takes
/// access away. Receipts pass while paused: they tell of calls that were made before, and must not be lost. Whoever
/// pauses because the gateway itself can't be trusted clears its address and app id as well.
contract EkaiControlPlane {
    /// @notice Largest ciphertext in bytes. A provider key is some hundred bytes, its envelope about 130 more.
    uint256 public constant MAX_CIPHERTEXT_BYTES = 1024;

    struct Secret {
        bytes ciphertext;
        /// Goes up by one whenever the secret is set or revoked; never goes back.
        uint64 version;
        /// The gateway key that the ciphertext was encrypted to.
        uint64 roflKeyVersion;
    }

    struct RoflKey {
        bytes32 pubkey;
        bool active;
    }

    /// @notice The administrator.
    address public owner;
    /// @notice Who has been named as the next administrator and hasn't accepted yet.
    address public pendingOwner;
    /// @notice Whether the contract is paused.
    bool public paused;
    /// @notice The address that may log receipts on any chain; zero for none.
    address public gateway;
    /// @notice The ROFL app whose instances may log receipts, on Sapphire; zero for none.
    bytes21 public roflAppId;

    uint64 private _roflKeyVersion;
    mapping(uint64 version => RoflKey) private _roflKeys;
    Set private _providers;
    mapping(address owner => mapping(bytes32 providerId => Secret)) private _secrets;
    mapping(address owner => Set) private _delegates;
    mapping(address owner => mapping(address delegate => bool)) private _wasPermitted;
    mapping(address owner => mapping(bytes32 providerId => Set)) private _models;
    mapping(bytes32 requestHash => uint256 blockNumber) private _receipts;

    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event Paused(address indexed by);
    event Unpaused(address indexed by);
    event GatewayUpdated(address indexed oldGateway, address indexed newGateway);
    event RoflAppIdUpdated(bytes21 indexed oldAppId, bytes21 indexed newAppId);
    event RoflKeyUpdated(bytes pubkey, uint64 version, bool active);
    event ProviderAdded(bytes32 indexed providerId);
    event ProviderRemoved(bytes32 indexed providerId);
    event SecretSet(address indexed owner, bytes32 indexed providerId, uint64 version);
    event SecretRevoked(address indexed owner, bytes32 indexed providerId, uint64 version);
    event DelegateAdded(address indexed owner, address indexed delegate);
    event DelegateRemoved(address indexed owner, address indexed delegate);
    event ModelAllowed(address indexed owner, bytes32 indexed providerId, bytes32 indexed modelId);
    event ModelDisallowed(address indexed owner, bytes32 indexed providerId, bytes32 indexed modelId);
    event ReceiptLogged(
        bytes32 indexed requestHash,
        address indexed owner,
        address indexed delegate,
        bytes32 providerId,
        bytes32 modelId,
        uint32 promptTokens,
        uint32 completionTokens,
        uint64 roflKeyVersion,
        uint64 secretVersion,
        uint64 timestamp
    );

    /// @notice The caller isn't the one whom this function is for.
    error NotAuthorized();
    /// @notice Nothing can be added while the contract is paused.
    error ContractPaused();
    /// @notice An address is zero where it must not be.
    error ZeroAddress();
    /// @notice An id is zero where it must not be.
    error ZeroId();
    /// @notice The provider isn't registered.
    error UnknownProvider(bytes32 providerId);
    /// @notice An X25519 public key has 32 bytes, not all of them zero.
    error InvalidRoflKey();
    /// @notice There is no gateway key of this version.
    error UnknownRoflKey(uint64 version);
    /// @notice No gateway key is active, so there is nothing that a secret could be encrypted to.
    error NoActiveRoflKey();
    /// @notice A secret needs a ciphertext.
    error EmptyCiphertext();
    /// @notice The ciphertext has more than `MAX_CIPHERTEXT_BYTES`.
    error CiphertextTooLarge(uint256 size);
    /// @notice The caller has no secret for this provider.
    error SecretNotFound(bytes32 providerId);
    /// @notice The caller hasn't permitted this delegate.
    error DelegateNotFound(address delegate);
    /// @notice The caller hasn't allowed this model.
    error ModelNotFound(bytes32 providerId, bytes32 modelId);
    /// @notice The delegate has never been permitted by the owner, so it can't have made a call at the owner's cost.
    error DelegateNeverPermitted(address owner, address delegate);
    /// @notice There is a receipt with this hash already.
    error ReceiptAlreadyLogged(bytes32 requestHash);

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotAuthorized();
        _;
    }

    modifier whenNotPaused() {
        if (paused) revert ContractPaused();
        _;
    }

    /// @param initialOwner the first administrator
    constructor(address initialOwner) {
        if (initialOwner == address(0)) revert ZeroAddress();
        owner = initialOwner;
        emit OwnershipTransferred(address(0), initialOwner);
    }

    // Administration

    /// @notice Names the next administrator, who takes over by `acceptOwnership`; zero takes the offer back.
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(owner, newOwner);
    }

    /// @notice Makes the caller the administrator, if it has been named.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotAuthorized();
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        delete pendingOwner;
    }

    /// @notice Ends the use of keys until `unpause`.
    function pause() external onlyOwner {
        if (paused) return;
        paused = true;
        emit Paused(msg.sender);
    }

    /// @notice Ends a pause.
    function unpause() external onlyOwner {
        if (!paused) return;
        paused = false;
        emit Unpaused(msg.sender);
    }

    /// @notice Sets the address that may log receipts; zero for none.
    /// @dev It must be an account of the gateway alone. Never a contract that anyone can call through, such as
    /// Multicall3: everybody could log receipts.
    function setGateway(address newGateway) external onlyOwner {
        emit GatewayUpdated(gateway, newGateway);
        gateway = newGateway;
    }

    /// @notice Sets the ROFL app whose instances may log receipts; zero for none.
    function setRoflAppId(bytes21 newAppId) external onlyOwner {
        emit RoflAppIdUpdated(roflAppId, newAppId);
        roflAppId = newAppId;
    }

    /// @notice Registers the gateway's X25519 public key, which secrets are encrypted to.
    /// @dev Another key than the current one gets the next version. The current key keeps its version, so this
    /// switches it on and off. Older keys keep their state: secrets that were encrypted to them stay readable until
    /// their owners have encrypted anew and `setRoflKeyActive` ends them.
    function setRoflKey(bytes calldata pubkey, bool active) external onlyOwner {
        if (pubkey.length != 32 || bytes32(pubkey) == 0) revert InvalidRoflKey();
        if (_roflKeyVersion == 0 || _roflKeys[_roflKeyVersion].pubkey != bytes32(pubkey)) {
            ++_roflKeyVersion;
            _roflKeys[_roflKeyVersion].pubkey = bytes32(pubkey);
        }
        _roflKeys[_roflKeyVersion].active = active;
        emit RoflKeyUpdated(pubkey, _roflKeyVersion, active);
    }

    /// @notice Switches a gateway key, old or current, on or off. Secrets encrypted to a key that is off are not
    /// readable.
    function setRoflKeyActive(uint64 version, bool active) external onlyOwner {
        RoflKey storage key = _roflKeys[version];
        if (key.pubkey == 0) revert UnknownRoflKey(version);
        key.active = active;
        emit RoflKeyUpdated(abi.encodePacked(key.pubkey), version, active);
    }

    /// @notice Registers a provider: `keccak256` of its name in capitals.
    function addProvider(bytes32 providerId) external onlyOwner {
        if (providerId == 0) revert ZeroId();
        if (_providers.add(providerId)) emit ProviderAdded(providerId);
    }

    /// @notice Removes a provider. Its secrets aren't readable and its models not permitted until it is added again;
    /// receipts of calls already made still pass.
    function removeProvider(bytes32 providerId) external onlyOwner {
        if (!_providers.remove(providerId)) revert UnknownProvider(providerId);
        emit ProviderRemoved(providerId);
    }

    // Owners of keys

    /// @notice Stores the caller's key for a provider, encrypted to the current gateway key.
    /// @param ciphertext the CBOR envelope, at most `MAX_CIPHERTEXT_BYTES`
    function setSecret(bytes32 providerId, bytes calldata ciphertext) external whenNotPaused {
        _requireProvider(providerId);
        if (!_roflKeys[_roflKeyVersion].active) revert NoActiveRoflKey();
        if (ciphertext.length == 0) revert EmptyCiphertext();
        if (ciphertext.length > MAX_CIPHERTEXT_BYTES) revert CiphertextTooLarge(ciphertext.length);
        Secret storage secret = _secrets[msg.sender][providerId];
        secret.ciphertext = ciphertext;
        secret.roflKeyVersion = _roflKeyVersion;
        emit SecretSet(msg.sender, providerId, ++secret.version);
    }

    /// @notice Deletes the caller's key for a provider.
    function revokeSecret(bytes32 providerId) external {
        Secret storage secret = _secrets[msg.sender][providerId];
        if (secret.ciphertext.length == 0) revert SecretNotFound(providerId);
        delete secret.ciphertext;
        emit SecretRevoked(msg.sender, providerId, ++secret.version);
    }

    /// @notice Lets `delegate` make calls at the caller's cost, with the models that the caller allows.
    function addDelegate(address delegate) external whenNotPaused {
        if (delegate == address(0)) revert ZeroAddress();
        if (!_delegates[msg.sender].add(_word(delegate))) return;
        _wasPermitted[msg.sender][delegate] = true;
        emit DelegateAdded(msg.sender, delegate);
    }

    /// @notice Takes the permission back: the very next call of `delegate` is refused.
    function removeDelegate(address delegate) external {
        if (!_delegates[msg.sender].remove(_word(delegate))) revert DelegateNotFound(delegate);
        emit DelegateRemoved(msg.sender, delegate);
    }

    /// @notice Allows a model of a provider, to the caller and all its delegates.
    function addAllowedModel(bytes32 providerId, bytes32 modelId) external whenNotPaused {
        _requireProvider(providerId);
        if (modelId == 0) revert ZeroId();
        if (_models[msg.sender][providerId].add(modelId)) emit ModelAllowed(msg.sender, providerId, modelId);
    }

    /// @notice Disallows a model.
    function removeAllowedModel(bytes32 providerId, bytes32 modelId) external {
        if (!_models[msg.sender][providerId].remove(modelId)) revert ModelNotFound(providerId, modelId);
        emit ModelDisallowed(msg.sender, providerId, modelId);
    }

    // The gateway

    /// @notice Records one call: who made it, at whose cost, with which model, how many tokens.
    /// @dev Passes for the gateway's address and, when an app id is set, for transactions that an instance of that
    /// ROFL app signed (also through Multicall3).
    ///
    /// A hash is accepted once. The delegate must be the owner or must have been permitted at some time: one that was
    /// removed after its call was made doesn't take the receipt with it. There is no deadline, since an outage
    /// between a call and its receipt may be long. For the same reason neither a pause nor a removed provider stands
    /// in the way.
    ///
    /// The versions in the event are those on record when the receipt arrives; for a secret that was replaced or
    /// revoked between call and receipt they are one later than those that were used.
    function logReceipt(
        bytes32 requestHash,
        address owner,
        address delegate,
        bytes32 providerId,
        bytes32 modelId,
        uint32 promptTokens,
        uint32 completionTokens
    ) external {
        _requireGateway();
        if (owner == address(0)) revert ZeroAddress();
        if (delegate != owner && !_wasPermitted[owner][delegate]) revert DelegateNeverPermitted(owner, delegate);
        if (_receipts[requestHash] != 0) revert ReceiptAlreadyLogged(requestHash);
        _receipts[requestHash] = block.number;
        Secret storage secret = _secrets[owner][providerId];
        emit ReceiptLogged(
            requestHash,
            owner,
            delegate,
            providerId,
            modelId,
            promptTokens,
            completionTokens,
            secret.roflKeyVersion,
            secret.version,
            uint64(block.timestamp)
        );
    }

    // What the gateway asks before a call

    /// @notice Whether the contract is paused.
    function isPaused() external view returns (bool) {
        return paused;
    }

    /// @notice Whether `delegate` may make calls at the cost of `owner`. An owner may always use its own keys.
    function isDelegatePermitted(address owner, address delegate) external view returns (bool) {
        if (owner == address(0)) return false;
        return delegate == owner || _delegates[owner].contains(_word(delegate));
    }

    /// @notice Whether `owner` has allowed this model. No model is allowed unless it was added by name: a provider
    /// for which none was added has none. False as well while the provider isn't registered.
    function isModelPermitted(address owner, bytes32 providerId, bytes32 modelId) external view returns (bool) {
        return _providers.contains(providerId) && _models[owner][providerId].contains(modelId);
    }

    /// @notice The encrypted key of `owner` for a provider.
    /// @return ciphertext the envelope; empty unless `exists`
    /// @return secretVersion how often the secret has been set or revoked
    /// @return exists whether there is a secret that may be used now: not while the contract is paused, the provider
    /// isn't registered, or the gateway key that it was encrypted to is switched off
    /// @return roflKeyVersion the gateway key that the stored secret was encrypted to, even if it may not be used
    /// now; 0 when no secret is stored
    function getSecretCiphertext(
        address owner,
        bytes32 providerId
    ) external view returns (bytes memory ciphertext, uint64 secretVersion, bool exists, uint64 roflKeyVersion) {
        Secret storage secret = _secrets[owner][providerId];
        secretVersion = secret.version;
        if (secret.ciphertext.length == 0) return (ciphertext, secretVersion, false, 0);
        roflKeyVersion = secret.roflKeyVersion;
        exists = !paused && _providers.contains(providerId) && _roflKeys[roflKeyVersion].active;
        if (exists) ciphertext = secret.ciphertext;
    }

    // Look-ups for people and tools

    /// @notice The current gateway key; empty and version 0 when none was registered.
    function getRoflKey() external view returns (bytes memory pubkey, uint64 version, bool active) {
        version = _roflKeyVersion;
        if (version != 0) (pubkey, active) = roflKeyAt(version);
    }

    /// @notice The gateway key of a version.
    function roflKeyAt(uint64 version) public view returns (bytes memory pubkey, bool active) {
        RoflKey storage key = _roflKeys[version];
        if (key.pubkey == 0) revert UnknownRoflKey(version);
        return (abi.encodePacked(key.pubkey), key.active);
    }

    /// @notice Whether a provider is registered.
    function isValidProvider(bytes32 providerId) external view returns (bool) {
        return _providers.contains(providerId);
    }

    /// @notice All registered providers, in no order.
    function providers() external view returns (bytes32[] memory) {
        return _providers.items;
    }

    /// @notice The delegates that `owner` permits now, in no order. The owner itself isn't listed.
    function delegatesOf(address owner) external view returns (address[] memory delegates) {
        bytes32[] storage items = _delegates[owner].items;
        delegates = new address[](items.length);
        for (uint256 i = 0; i < delegates.length; ++i) delegates[i] = address(uint160(uint256(items[i])));
    }

    /// @notice How many delegates `owner` permits now.
    function delegateCount(address owner) external view returns (uint32) {
        return uint32(_delegates[owner].items.length);
    }

    /// @notice The models of a provider that `owner` has allowed, in no order.
    function modelsOf(address owner, bytes32 providerId) external view returns (bytes32[] memory) {
        return _models[owner][providerId].items;
    }

    /// @notice How many models of a provider `owner` has allowed.
    function modelCount(address owner, bytes32 providerId) external view returns (uint32) {
        return uint32(_models[owner][providerId].items.length);
    }

    /// @notice The block in which the receipt of this hash was logged; 0 when there is none.
    /// @dev With it the event is found without a search, and a doubtful receipt isn't sent twice.
    function receiptBlock(bytes32 requestHash) external view returns (uint256) {
        return _receipts[requestHash];
    }

    function _requireGateway() private view {
        if (msg.sender == gateway) return;
        if (roflAppId == 0) revert NotAuthorized();
        RoflOrigin.ensure(roflAppId);
    }

    function _requireProvider(bytes32 providerId) private view {
        if (!_providers.contains(providerId)) revert UnknownProvider(providerId);
    }

    function _word(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
