"""The server: Git, clocks and live services give it work, and the command line does that work."""
