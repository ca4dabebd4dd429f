"""Map patches by layer, head, component and part of the conversation, on a finished run."""
