"""Find where between hidden state and written number what a model knows is lost, and why."""
