"""A module's tests are in the file of its name, in the folder of its folder."""
