"""What is checked: the forms in which a rule comes, its arguments, its structure."""
