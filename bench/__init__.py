"""Benches: does the model rank right, does guarding help, what does it cost."""
