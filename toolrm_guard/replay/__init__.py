"""Stored reviews, judged again: what another scorer would change, and whether that is better."""
