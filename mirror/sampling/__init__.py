"""The strings to tune on."""
