"""Text as training data, and where the data sets are."""
