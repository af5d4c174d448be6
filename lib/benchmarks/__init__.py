"""What everything costs, measured side by side; results in results/benchmarks."""
