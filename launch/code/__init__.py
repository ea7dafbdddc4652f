"""The code that cells run: frozen when they are launched, so that edits do not reach them."""
