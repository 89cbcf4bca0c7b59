"""What each oracle asks. None shares code with the stages that it judges."""
