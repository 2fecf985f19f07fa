"""What scripts/docs-check.py is made of."""
