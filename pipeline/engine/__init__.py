"""What executes commands in a container: Docker, or Podman by the interface that it shares with Docker."""
