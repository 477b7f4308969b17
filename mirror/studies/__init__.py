"""The paper's analyses: encoders that differ in one setting."""
