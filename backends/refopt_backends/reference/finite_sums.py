"""Steps of methods for averages of components, in words of the Array-API standard.

`form` describes components whose differences are linear,
``F_i(u) - F_i(v) = D_i (u - v) + mu (u - v)``:

    ("rows", rows (n, d), split, (c11, c12, c21, c22))
        D_i z = (a (c11 s + c12 t), b (c21 s + c22 t)), s = a'z[:split], t = b'z[split:],
        where row i is (a, b), cut at `split`
    ("columns", columns (d, d), places (n, s))
        D_i z = n sum_c z_c columns[c, :] over the places c of i

`prox` is () for none or (weights, lower, upper), each (d,), for the map
clip(soft(v, step * weights), lower, upper). Factors of indices are None for ones.
"""

from refopt_backends._home import namespace_of

_LOOK = 10  # steps after which loops look whether numbers are on their way to overflow


def anchored_prox_step(anchor, u, g, lam, eta, prox):
    """J(lam anchor + (1 - lam) u - eta g) with the resolvent J of `prox`."""
    return _prox(lam * anchor + (1.0 - lam) * u - eta * g, eta, prox)


def combine_rows(rows, index, factors):
    """sum_k factors_k rows[index_k]."""
    return factors @ namespace_of(rows).take(rows, index, axis=0)


def batch_rows_diff(form, z, index, factors):
    """The mean of factors_k D_i z over the indices i of a batch."""
    xp = namespace_of(z)
    if form[0] == "rows":
        _, rows, split, (c11, c12, c21, c22) = form
        rows = xp.take(rows, index, axis=0)
        s, t = rows[:, :split] @ z[:split], rows[:, split:] @ z[split:]
        alpha, beta = c11 * s + c12 * t, c21 * s + c22 * t
        if factors is not None:
            alpha, beta = alpha * factors, beta * factors
        return xp.concat([alpha @ rows[:, :split], beta @ rows[:, split:]]) / index.shape[0]
    _, columns, places = form
    chosen = xp.take(places, index, axis=0)
    flat = xp.reshape(chosen, (-1,))
    parts = xp.reshape(xp.take(z, flat), chosen.shape)
    if factors is not None:
        parts = parts * factors[:, None]
    scale = places.shape[0] / index.shape[0]
    return scale * (xp.reshape(parts, (-1,)) @ xp.take(columns, flat, axis=0))


def component_mean(fun, u, index, factors):
    """The mean of factors_k F_i(u), where fun(u, i, out) writes F_i(u) into out."""
    xp = namespace_of(u)
    total, out = xp.zeros_like(u), xp.zeros_like(u)
    for k in range(index.shape[0]):
        fun(u, int(index[k]), out)
        total = total + (out if factors is None else factors[k] * out)
    return total / index.shape[0]


def svrg_rows_steps(form, mu, w, g, u, eta, mix, prox, index, factors):
    """u <- J(mix u + (1 - mix) w - eta (g + F_i(u) - F_i(w))) for each index i in turn."""
    for k in range(index.shape[0]):
        if k % _LOOK == 0 and not _moderate(u):
            break
        z = u - w
        step = g + batch_rows_diff(form, z, *_one(index, factors, k)) + mu * z
        u = _prox(w + mix * z - eta * step, eta, prox)
    return u


def vr_eg_rows_steps(form, mu, w, g, u, eta, mix, prox, index, factors):
    """The same with the component at h = J(mix u + (1 - mix) w - eta g) instead of at u."""
    for k in range(index.shape[0]):
        if k % _LOOK == 0 and not _moderate(u):
            break
        start = w + mix * (u - w)
        z = _prox(start - eta * g, eta, prox) - w
        step = g + batch_rows_diff(form, z, *_one(index, factors, k)) + mu * z
        u = _prox(start - eta * step, eta, prox)
    return u


def svrg_component_steps(fun, mu, w, g, u, eta, mix, prox, index, factors):
    """svrg_rows_steps for fun(u, i, out), which writes F_i(u) without mu u into out."""
    xp = namespace_of(u)
    here, there = xp.zeros_like(u), xp.zeros_like(u)
    for k in range(index.shape[0]):
        if k % _LOOK == 0 and not _moderate(u):
            break
        z = u - w
        fun(u, int(index[k]), here)
        fun(w, int(index[k]), there)
        change = here - there if factors is None else factors[k] * (here - there)
        u = _prox(w + mix * z - eta * (g + change + mu * z), eta, prox)
    return u


def page_rows_steps(form, mu, u, previous, g, anchor, lams, eta, prox, index, factors):
    """Steps of anchored PAGE with the batches that are the rows of `index`.

    g <- g + mean(F_i(u) - F_i(previous)); previous <- u; u <- the anchored step.
    """
    for k in range(index.shape[0]):
        if k % _LOOK == 0 and not _moderate(u):
            break
        z = u - previous
        batch = None if factors is None else factors[k, :]
        g = g + batch_rows_diff(form, z, index[k, :], batch) + mu * z
        previous, u = u, anchored_prox_step(anchor, u, g, float(lams[k]), eta, prox)
    return u, previous, g


def _moderate(u):
    xp = namespace_of(u)
    return u.shape[0] == 0 or float(xp.max(xp.abs(u))) < float(xp.finfo(u.dtype).max) ** 0.5


def _one(index, factors, k):
    return index[k : k + 1], None if factors is None else factors[k : k + 1]


def _prox(v, step, prox):
    if not prox:
        return v
    xp = namespace_of(v)
    weights, lower, upper = prox
    size = xp.abs(v) - step * weights
    v = xp.where(size > 0, xp.sign(v) * size, xp.zeros_like(v))
    return xp.minimum(xp.maximum(v, lower), upper)
