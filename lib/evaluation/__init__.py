"""What is measured on a trained network: posteriors, then information, information over training, and scores."""
