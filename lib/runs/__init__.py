"""What a run is: its settings, the profiles that give them values, its directory, and where its results come from."""
