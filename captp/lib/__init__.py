"""Objects and interfaces written with public names only: they have no privilege."""
