"""Stores of durable vats: tables of rows on the disk of this host."""
