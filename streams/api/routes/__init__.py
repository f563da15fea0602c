"""One module per subject; each is thin: a question to a read model."""
