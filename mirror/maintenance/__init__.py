"""Checks of the installation, and removal of unused stages."""
