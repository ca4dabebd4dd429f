"""Test on a finished run whether reported confidence tells commitment or correctness."""
