"""Which events were seen before, and what becomes of each (pure)."""
