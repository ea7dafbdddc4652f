"""A generated dataset whose difficulty in time is set by dials."""
