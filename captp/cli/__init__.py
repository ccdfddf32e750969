"""The captp command, one file per verb."""
