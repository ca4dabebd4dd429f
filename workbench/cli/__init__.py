"""Provide the command line: each command is one call into the library, and all that it prints."""
