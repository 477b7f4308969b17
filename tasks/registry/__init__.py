"""Model registry: recorded runs, registered versions and the champion.

The only package that imports MLflow, and only inside functions, because importing it takes seconds.
"""

from tasks.registry.champion import fetch_champion
from tasks.registry.client import check_registry
from tasks.registry.registration import register
from tasks.registry.versions import fetch_model, pin_model

__all__ = ["check_registry", "fetch_champion", "fetch_model", "pin_model", "register"]
