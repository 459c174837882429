"""Makes `agree` importable from the folders below."""
