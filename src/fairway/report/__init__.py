"""Comparisons, reports, pictures and citations: everything a reader of results needs, on one page."""
