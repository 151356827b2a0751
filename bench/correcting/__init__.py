"""Who writes and who reviews drafts in `bench.self_correction`."""
