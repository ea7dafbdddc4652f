"""Plots of what one command measured, from the file that it wrote."""
