"""The collector of garbage that loops through several vats: claim, confirm, commit; see docs/explanation."""
