"""From published marts to approved and issued statements."""
