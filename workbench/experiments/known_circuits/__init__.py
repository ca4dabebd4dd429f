"""Three results of the literature looked for in a model they were not found on."""
