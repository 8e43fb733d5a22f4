"""Two-layer ReLU networks trained through convex programs, with certificates."""
