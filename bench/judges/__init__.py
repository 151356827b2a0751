"""What the benches can judge with."""
