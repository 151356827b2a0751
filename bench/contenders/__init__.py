"""What `bench.overhead` compares."""
