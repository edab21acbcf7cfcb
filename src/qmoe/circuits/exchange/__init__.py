"""Circuits as others write them: gates by their names elsewhere, and dictionaries."""
