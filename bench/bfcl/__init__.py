"""What building TRBench from BFCL needs."""
