"""Airspeed-velocity benchmarks: times, peak memory, iterations and accuracy of every family."""
