"""How fast, as ratios measured in one run on one machine. Not shipped: `python -m bench ROW`."""
