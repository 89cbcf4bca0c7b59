"""`listening doctor`: looks at everything that a run needs, and says for each finding what it means and what to do."""
