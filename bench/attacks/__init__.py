"""What strangers may send at worst, and what it costs: `python -m bench.attacks`."""
