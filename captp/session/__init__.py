"""One connection with one peer: handshake, four tables, counts; it knows no other session."""
