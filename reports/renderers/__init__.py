"""A table as Markdown, LaTeX, CSV, HTML or for the terminal: one file of markup each."""
