"""Compare all recipes over seeds and domains, each with the same base model."""
