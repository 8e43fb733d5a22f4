"""A progress bar that is a callback."""


class ProgressBar:
    """Show an iteration as it goes; pass it as ``callback`` to any solver.

    Displays the iteration number and every figure of the intermediate result:
    the objective, the stopping measure, the current regularisation. Needs
    tqdm, the extra ``progress``.

    Parameters
    ----------
    total : int, optional
        Number of iterations that fills the bar, as the solver's ``maxiter``.
        Without it the bar counts.
    **options
        Further arguments of `tqdm.tqdm`, such as ``desc``, ``file``, ``leave``
        or ``disable``.

    Raises
    ------
    ImportError
        tqdm is not installed.

    Notes
    -----
    One bar serves one run after another: it starts anew when the iteration
    number falls. It is finished by `close`, at the end of a ``with`` block, or
    when it is garbage.

    Examples
    --------
    >>> import refopt
    >>> C = [[0.0, 1.0], [1.0, 0.0]]
    >>> with refopt.ProgressBar(disable=True) as bar:
    ...     refopt.sinkhorn_newton(C, reg=0.1, callback=bar).success
    True
    """

    def __init__(self, total=None, **options):
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError(
                "ProgressBar needs tqdm, which is not installed; pip install 'refopt[progress]'"
            ) from error
        self._bar = tqdm(total=total, **{"unit": "it"} | options)

    def __call__(self, intermediate_result):
        """Show one iteration.

        Parameters
        ----------
        intermediate_result : OptimizeResult
            With ``nit``; its other real numbers are displayed.
        """
        bar = self._bar
        if bar.disable:
            return
        if intermediate_result.nit < bar.n:
            bar.reset()
        figures = {k: v for k, v in intermediate_result.items() if isinstance(v, float)}
        bar.set_postfix({k: f"{v:.3g}" for k, v in figures.items()}, refresh=False)
        bar.update(intermediate_result.nit - bar.n)

    def close(self):
        """Finish the bar; calling it twice does no harm."""
        self._bar.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
