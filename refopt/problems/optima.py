"""Optimal values of public instances, on which independent solvers agree to all digits shown."""

__all__ = [
    "LASSO_LAM_MAX",
    "LASSO_OPTIMA",
    "NONNEGATIVE_LASSO_OPTIMA",
    "TRANSPORT_OPTIMA",
]

# max D(f, g) = <a, f> + <b, g> - reg sum(P) of transport_instance(name), seed 1
TRANSPORT_OPTIMA = {
    "assign-500": -3.146871948563e-03,
    "assign-800": -4.895059257760e-03,
    "assign-1600": -6.746642552778e-03,
    "assign-800-e4000": 5.235947356354e-05,
    "digits-l2-20-45": 9.582753495640e-04,
    "digits-l2-100-205": 2.069740951049e-03,
    "digits-l2-20-45-e4000": 6.189351946176e-03,
    "digits-l1-20-45": 5.33716428704e-02,
    "digits-l1-100-205": 6.290751569709e-02,
    "digits-l2-20-45-nobg": 1.155976326191e-03,
    "digits-l1-20-45-nobg": 5.399868212532e-02,
    "cloud2-800-1e-3": 4.237347768697e-03,
    "cloud2-1600-1e-3": 1.646218678494e-03,
    "cloud2-800-1e-4": 1.481083176949e-02,
    "cloud2-800-1e-5": 1.572273157700e-02,
    "cloud50-800-1e-3": 7.10763352278e01,
    "cloud50-1600-1e-3": 6.64457519022e01,
    "cloud50-800-1e-4": 7.29797472900e01,
    "rect-600-350-1e-3": 1.168612856742e-01,
    "rect-1500-800-1e-4": 1.161948565568e-01,
}

# min 1/2 ||X w - y||^2 + lam ||w||_1 with lam = ratio * lasso_lam_max, by (name, ratio)
LASSO_OPTIMA = {
    ("correlated-500-5000-0.6@27", 0.1): 12808.6499036,
    ("correlated-500-5000-0.6@27", 0.01): 1713.61076241,
    ("correlated-400-2000-0.9@5", 0.1): 8357.78137467,
    ("correlated-400-2000-0.9@5", 0.01): 1403.50196057,
    ("dataset-a-1000-10000@0", 0.1): 4695974.36429,
    ("dataset-a-1000-10000@0", 0.01): 851562.750663,
}

# the same over w >= 0, by (name, lam)
NONNEGATIVE_LASSO_OPTIMA = {("dataset-a-1000-10000@0", 50000.0): 6794585.951291936}

# ||X' y||_inf, which tells whether NumPy's random numbers are those of the optima
LASSO_LAM_MAX = {
    "correlated-500-5000-0.6@27": 1904.03609881,
    "correlated-400-2000-0.9@5": 1423.54525023,
    "dataset-a-1000-10000@0": 268475.967276,
}
