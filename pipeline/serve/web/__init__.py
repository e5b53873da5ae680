"""What the server says over HTTP: its API, its pages, its metrics, and what its hosts tell it."""
