"""The problems that ``python -m refopt`` solves, a module per family."""
