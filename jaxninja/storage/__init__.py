"""What is kept on disk: whole files, checkpoints, the folder of a run."""
