"""From the world of machines to the landing zone; nothing here knows of money or a scheduler."""
