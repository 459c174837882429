"""What a rule is checked on: shapes, examples, boundaries, and cotangents."""
