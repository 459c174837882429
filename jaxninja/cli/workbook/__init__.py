"""What `jaxninja exercise` is made of: the screen, the keys, watching."""
