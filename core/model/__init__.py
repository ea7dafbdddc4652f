"""The published model: clips of frames to tracked instances."""
