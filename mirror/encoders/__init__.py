"""A base model and what makes an encoder of it."""
