"""Commands of `listening` that have a module of their own; pipeline/cli.py registers them."""
