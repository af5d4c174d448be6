"""Helpers behind the notebooks: one idea per file, imports point one way (see README.md)."""
