"""The trio driver: reads, runs the engine, writes; and the doors for user programs."""
