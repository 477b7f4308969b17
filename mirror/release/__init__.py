"""Release of an encoder: gate, smoke test, index compatibility, lineage, model card and report."""
