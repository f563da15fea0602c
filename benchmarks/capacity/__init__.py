"""What the forecast of capacity is judged by: seeded series of amounts, and simpler forecasters."""
