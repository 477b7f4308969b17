"""Corpus: text from many sources, cleaned, split, filtered and stored as Parquet."""
