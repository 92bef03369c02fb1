"""What several tests share: worlds of small sources, runs of builds and commands, slow definitions."""
