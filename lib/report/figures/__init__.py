"""The figures of the paper and of the training notebooks: data in, Figure out."""
