"""What a run runs on: devices, hosts, memory, JAX's settings, signals."""
