"""Base models: masked language modelling, from scratch or continuing from another model."""
