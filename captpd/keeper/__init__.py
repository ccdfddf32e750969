"""Care for what is stored: whether it is whole, copies of it that can be restored, and its size."""
