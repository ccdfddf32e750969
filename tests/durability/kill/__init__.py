"""Kills a daemon whose vat is durable, at random instants and at named points, and looks at what is left."""
