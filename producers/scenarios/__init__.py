"""What happens in a simulated stretch of listening: scenario files, their model, clock, and the demand that follows."""
