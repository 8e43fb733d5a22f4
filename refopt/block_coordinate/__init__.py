"""Block coordinate descent."""
