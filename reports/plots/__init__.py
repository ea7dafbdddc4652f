"""Plots for papers: sized for a column, readable in grey, with the data behind each beside it."""
