"""Runnable examples, each under 150 lines, each a test."""
