"""What is kept and shown of a profile: copied, printed, summed up in README.md, and checked to follow."""
