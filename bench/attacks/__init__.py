"""The worst requests that an attacker can send, and their cost: `python -m bench.attacks`."""
