"""The benchmark of captp beside a bare RPC, run as ``python -m tests.bench``; ratios are asserted."""
