"""The daemon: hosts vats and named objects, and is itself controlled by a capability."""
