"""From the sites' own software to the landing zone."""
