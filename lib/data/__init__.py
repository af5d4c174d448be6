"""The images as data: one file of bits, drawn or converted from an official file, and what is counted on it."""
