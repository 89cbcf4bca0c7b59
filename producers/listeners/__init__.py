"""Who listens: people with a country and a platform, their sessions, and what they play."""
