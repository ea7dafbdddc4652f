"""Run records to tables, plots and a page."""
