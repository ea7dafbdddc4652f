"""Run folders to one tidy frame of figures with their protocols."""
