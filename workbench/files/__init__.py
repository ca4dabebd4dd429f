"""Files and folders safe to write, to own and to trust: atomic writes, marks, locks, seals."""
