"""What the runs say, in sentences and tables: every word that depends on a result is chosen here, by tested rules."""
