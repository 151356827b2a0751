"""Trainers and the making of their data; run from a checkout."""
