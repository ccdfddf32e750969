"""The captpd command."""
