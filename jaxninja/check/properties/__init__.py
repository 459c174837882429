"""What is checked of a rule, a property a file."""
