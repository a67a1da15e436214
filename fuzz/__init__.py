"""Harnesses for atheris (https://github.com/google/atheris): whatever bytes come, readers answer with a value or with their own error.

`make fuzz` runs all of them, `python -m fuzz NAME FILE` plays one input again. A harness is a plain function of bytes that needs no
fuzzer. What one has found becomes a case that can be read, in `tests/security/test_found.py`.
"""
