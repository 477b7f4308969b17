"""Thin Prefect tasks around `mirror`, module for module."""

from tasks.environment import set_defaults

set_defaults()
