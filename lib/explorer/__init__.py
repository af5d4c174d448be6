"""Sliders that move the latents of trained networks: in a notebook, and in the page without a kernel."""
