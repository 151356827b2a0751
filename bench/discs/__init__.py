"""What `bench.latency --grid` compares: ways of scoring the same token ids with the same model."""
