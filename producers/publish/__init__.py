"""Records to the broker, ticks, and the guard that keeps two clocks out of one log."""
