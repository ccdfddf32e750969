"""What a durable vat keeps: its objects as rows, what a batch changed, and how it all comes back.

Rows are bytes under a key in a table. Which bytes, is decided here; where they lie, by a ``Store``.
"""
