"""The readable Array-API text of every kernel: what the other backends must agree with."""
