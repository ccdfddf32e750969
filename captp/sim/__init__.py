"""Many peers, one seed, no clock: the engine under faults beside a trivially correct oracle."""
