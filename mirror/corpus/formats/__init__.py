"""Registered file formats, one or more in a module."""
