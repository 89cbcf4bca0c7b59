"""Commands of `listening` that have a module of their own."""
