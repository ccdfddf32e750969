"""Sockets behind two small protocols, Netlayer and Conduit; they carry bytes and prove keys."""
