"""Text from anywhere as Parquet: found, read, repaired, sifted; and what it is like."""
