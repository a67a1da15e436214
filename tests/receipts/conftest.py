"""Loads eth_account once, past a warning that isn't ours."""

import warnings

with warnings.catch_warnings():
    # eth_account brings an old client of websockets along: https://github.com/ethereum/web3.py/issues/3713
    warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
    import eth_account  # noqa: F401
