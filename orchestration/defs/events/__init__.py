"""What other systems are told: events and their deliveries."""
