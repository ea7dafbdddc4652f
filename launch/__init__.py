"""Where cells run, and what became of them."""
