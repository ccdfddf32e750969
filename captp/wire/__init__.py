"""Bytes to operations and back, in two spellings; this room knows no tables and no objects."""
