"""The dead-letter queue as a user meets it: what lies there, what would become of it now, and sending it again."""
