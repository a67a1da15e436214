"""Loads web3.py once, past a warning that isn't ours."""

import warnings

with warnings.catch_warnings():
    # web3 7 still imports the old client of websockets: https://github.com/ethereum/web3.py/issues/3713
    warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
    import web3  # noqa: F401
