"""Topics read and written directly, without Faust and without a group: for commands and for the API."""
