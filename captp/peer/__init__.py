"""One vat on the network minus I/O: where sessions and the vat meet."""
