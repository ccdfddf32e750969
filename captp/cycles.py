"""How a vat's collector of cycles works: how often it looks, how long it waits, what it grants to others."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Cycles:
    """Settings of one vat's collector; the defaults are for vats that run for days."""

    # Whether this vat looks for garbage that loops through several, and answers those who do.
    enabled: bool = True
    # Seconds between two looks at some of what peers hold.
    tick: float = 0.25
    # Seconds that an export is left alone before peers are asked about it.
    age: float = 30.0
    # The longest of the waits, in seconds, which double each time that it was found to be in use.
    backoff_max: float = 3600.0
    # Seconds that a trace may take until everybody has said what leads to what.
    deadline: float = 5.0
    # Seconds that exports may stay frozen until the outcome is known; calls that name them wait for so long.
    hold: float = 5.0
    # Seconds that they stay frozen after that, for word that may be under way already.
    linger: float = 1.0
    # Seconds that a trace waits for another that covers the same export.
    give_way: float = 2.0
    # Seconds that the name of a trace which is over is remembered, beyond its deadline.
    memory: float = 60.0
    # Seconds after which an export is forgiven that it stood still for a peer for the whole of ``hold``.
    thaw: float = 30.0
    # How many vats a question may go through, one after the other.
    hops: int = 16
    # Edges between vats that one trace may ask about.
    edges: int = 2048
    # Bytes of signed statements that one trace may make a vat keep.
    bytes: int = 1 << 20
    # Exports that are looked at in one tick.
    step: int = 256
    # Nodes of this vat's own graph that one look at it visits; what is beyond counts as in use.
    limit: int = 4000
    # Nodes after which no further look is begun in the same tick.
    nodes: int = 1500
    # Exports that one trace asks about.
    batch: int = 192
    # Traces of this vat's own at a time.
    own_traces: int = 4
    # Questions a second that one peer may ask, and how many at once after a rest.
    queries_per_s: float = 20.0
    queries_burst: float = 100.0
    # Edges a second that one peer may ask about.
    edges_per_s: float = 2000.0
    # Traces of one peer's that may be open at a time.
    traces_per_side: int = 32
    # Exports that may be frozen at a time for traces of others.
    frozen_exports: int = 1000
