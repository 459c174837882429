"""What the checker finds and names, on rules broken in known ways."""
