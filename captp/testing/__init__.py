"""Checks that other people's parts of captp can run: what each must keep, tried in order."""

from captp.testing.leaks import find_leaks
from captp.testing.store import check_store
from captp.testing.trial import StoreCheckFailed

__all__ = ["StoreCheckFailed", "check_store", "find_leaks"]
