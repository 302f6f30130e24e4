"""What grayflow costs, as ratios within one run: `python -m benchmarks`. Figures and their reading: README.md."""
