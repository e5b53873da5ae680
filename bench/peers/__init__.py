"""`make bench-peers`: this project and `docker buildx bake`, on the same inputs, in one run."""
