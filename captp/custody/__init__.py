"""Capsules: boxes of mutable data that one strand at a time may touch; they know no vat and no wire."""
