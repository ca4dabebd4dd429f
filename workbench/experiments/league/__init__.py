"""All recipes compared over seeds and domains, each against the same base model."""
