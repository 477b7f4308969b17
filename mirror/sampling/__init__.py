"""Sampling of strings and words for tuning."""
