"""A small world of vats whose only real part is the collector of garbage that loops through them."""
