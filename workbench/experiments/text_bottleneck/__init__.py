"""Find the step from hidden states to text at which a run's model loses what it knows."""
