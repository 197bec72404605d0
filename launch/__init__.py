"""Launchers: the same command as jobs on local processes, Slurm, TPU VMs and GKE."""
