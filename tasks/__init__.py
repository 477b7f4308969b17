"""Thin Prefect tasks around `mirror`."""

from tasks.environment import set_defaults

set_defaults()
