"""``docs/reference/``: what is public, written from the code's own tables; no sentence here repeats a number."""
