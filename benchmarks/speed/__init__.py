"""Frames a second, and how far a device goes."""
