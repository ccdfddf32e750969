"""Objects at home: queues, turns, the undo journal, fibers; it knows no session."""
