"""The development stack: `make run` starts every part of the system on this machine."""
