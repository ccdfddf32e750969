"""A library of books, over several modules."""
