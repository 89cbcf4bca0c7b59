"""Faust that hands an agent whole fetches and starts where the log's state says: the only overrides of Faust."""
