"""Modules of scripts/docs-check.py."""
