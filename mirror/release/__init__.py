"""What speaks for an encoder or against it: gate, probe, comparison, lineage, card and report."""
