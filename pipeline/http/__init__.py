"""What every HTTP server here has in common: how it says no, and whom it answers."""
