"""Optimal values of public instances, on which independent solvers agree to all digits shown."""

__all__ = ["TRANSPORT_OPTIMA"]

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
