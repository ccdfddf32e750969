"""The control plane as an object."""
