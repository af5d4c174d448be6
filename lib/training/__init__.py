"""From settings to a complete run. Read plain.py first: the same training as one would first write it."""
