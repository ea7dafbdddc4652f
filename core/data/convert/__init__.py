"""Datasets in other formats, written as annotation files that the loader reads."""
