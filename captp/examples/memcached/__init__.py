"""A memcached in front of stores of captp: ``python -m captp.examples.memcached`` runs it."""
