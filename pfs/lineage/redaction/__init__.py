"""What is secret in command lines, scripts and environments, and is replaced before anything is stored."""
