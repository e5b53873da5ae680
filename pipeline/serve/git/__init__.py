"""Git, by its command: a mirror of each watched repository, checkouts of it, signatures, and what is pushed."""
