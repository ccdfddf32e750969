"""Every bound on what a peer can make us hold or do, each with the attack it stops."""

from __future__ import annotations

from attrs import frozen

KIB = 1024
MIB = 1024 * KIB


@frozen(kw_only=True)
class Limits:
    """Bounds of one vat; a session that passes one is aborted unless said otherwise."""

    # Before the peer is proved it may cost us next to nothing.
    handshake_timeout_s: float = 10.0
    handshake_bytes: int = 8 * KIB
    handshake_pending: int = 128
    handshake_pending_per_addr: int = 16
    # A length prefix must never make us reserve memory that was not sent.
    message_bytes: int = 4 * MIB
    partial_message_s: float = 30.0
    min_rate: int = 4 * KIB
    # Small bytes that unfold into large structures: nesting, empty lists, huge integers.
    depth: int = 64
    nodes: int = 100_000
    container_entries: int = 50_000
    int_digits: int = 4_096
    length_digits: int = 9
    symbol_bytes: int = 1_024
    method_bytes: int = 256
    caps_per_message: int = 256
    # Table growth by one peer.
    sessions: int = 1_000
    answers: int = 16_384
    exports: int = 100_000
    imports: int = 100_000
    promises: int = 16_384
    questions: int = 15_360  # fewer than a peer's answers, whose release comes later
    listeners_per_promise: int = 64
    listeners: int = 16_384
    pipeline_queue: int = 1_024
    pipeline_depth: int = 256
    resolution_chain: int = 1_024
    latch_queue: int = 16_384
    backlog: int = 4_096
    in_flight_bytes: int = 16 * MIB
    gc_entries: int = 4_096
    # Frozen values that a peer may name by their hash, and what they may weigh; see the extension frz1.
    frozen_values: int = 256
    frozen_bytes: int = 32 * MIB
    # Handoffs: gifts nobody withdraws, withdrawals nobody deposits for, introductions to nobody.
    gifts: int = 1_024
    gift_keep_s: float = 3_600.0
    waiting_withdrawals: int = 256
    gift_wait_s: float = 60.0
    handoff_window: int = 4_096
    introductions: int = 1_024
    # Guessing swiss numbers.
    fetch_delay_after: int = 32
    fetch_failures: int = 256
    # Bytes that wait for a slow reader, and results that nobody releases.
    send_buffer: int = 8 * MIB
    held_bytes: int = 64 * MIB
    write_stall_s: float = 30.0
    # Durable messages: those that a peer does not take, and results that it does not say it has.
    outbox_messages: int = 100_000
    outbox_bytes: int = 256 * MIB
    outbox_age_s: float = 7 * 86_400.0
    durable_peers: int = 10_000
    durable_results: int = 4_096
    # Timed calls, with all else that waits for a time.
    timers: int = 100_000
    # Functions that run outside: each is a task, or waits for a thread.
    outside_calls: int = 16_384
    # Objects of a vat with a store whose state need not be in memory.
    objects_in_memory: int = 100_000
    # One turn of our own code.
    turn_sends: int = 10_000
    # A peer's steps in one turn of ours, or calls in one delivery.
    plan_steps: int = 256
    # A method that has its object to itself while it waits for another vat's.
    launch_s: float = 60.0
    # One source of deliveries before the next one has its go.
    quantum: int = 32
    # A peer that went silent.
    ping_interval_s: float = 15.0
    ping_dead_s: float = 45.0
