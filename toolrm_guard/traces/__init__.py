"""A trace store for people: list, show, and export as a table or a page."""
