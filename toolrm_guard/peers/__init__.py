"""Our scorers in the places where other libraries ask for one; each loads its library by itself."""
