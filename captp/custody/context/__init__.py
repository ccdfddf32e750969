"""Contextual capabilities: values that are bound for a block, and reached by what runs in it."""
