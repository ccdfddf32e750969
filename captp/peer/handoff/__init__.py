"""Third-party handoff: a gifter introduces a receiver to an exporter, and may leave."""
