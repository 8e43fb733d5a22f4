"""The time of one cold run at the loosest tolerance that reaches each target.

Solvers of different libraries stop on different measures. Their tolerance is
lowered by tens until the outside measure falls below the target, then raised
by half a ten, and the best of three runs there is the solver's time.
"""

import multiprocessing
import time

QUICK = 2.0  # seconds below which a run is repeated
FORK = multiprocessing.get_context("fork")


def climb(run, measure, targets, levels=None, share=print):
    """Run the ladder of one solver and share what it takes to reach each target.

    Parameters
    ----------
    run : callable
        ``run(level)`` returns coefficients and a count of iterations.
    measure : callable
        ``measure(w)`` is the accuracy reached.
    targets : list of float
        In decreasing order.
    levels : (int, int), optional
        First and last negative decimal exponent. Without them the targets are
        the levels.
    share : callable
        Receives dicts ``{"target", "seconds", "level", "measure", "iterations"}``
        when a target is reached, once more when the time there has been refined,
        and after every step of the ladder ``{"best": ...}``.
    """
    waiting = list(targets)
    if levels is None:
        for target in targets:
            record = _timed(run, measure, target)
            share({"best": record["measure"]})
            if record["measure"] <= target * 1.001:
                share({"target": target, **record})
                share({"target": target, **_best_of_three(run, measure, record)})
        return
    best = float("inf")
    for exponent in range(levels[0], levels[1] + 1):
        record = _timed(run, measure, 10.0**-exponent)
        best = min(best, record["measure"])
        share({"best": best})
        while waiting and record["measure"] <= waiting[0]:
            target = waiting.pop(0)
            share({"target": target, **record})
            looser = _timed(run, measure, 10.0 ** (0.5 - exponent))
            chosen = looser if looser["measure"] <= target else record
            share({"target": target, **_best_of_three(run, measure, chosen)})
        if not waiting:
            return


def _timed(run, measure, level):
    start = time.process_time()
    w, iterations = run(level)
    seconds = time.process_time() - start
    return {
        "seconds": seconds,
        "level": level,
        "measure": measure(w),
        "iterations": iterations if isinstance(iterations, str) else int(iterations),
        "nonzeros": int((w != 0).sum()),
    }


def _best_of_three(run, measure, record):
    for _ in range(2):
        if record["seconds"] < QUICK:
            again = _timed(run, measure, record["level"])
            record = min(record, again, key=lambda entry: entry["seconds"])
    return record


def climb_in_child(make_run, measure, targets, levels, limit):
    """Run `climb` in a forked child that is stopped after ``limit`` wall-clock seconds.

    Compiled code of other libraries cannot be interrupted from within.

    Returns
    -------
    dict
        Records by target, ``"best"`` and, where the child failed, ``"failure"``.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(sender, make_run, measure, targets, levels))
    child.start()
    sender.close()
    result = collect(receiver, time.monotonic() + limit)
    child.kill()
    child.join()
    return result


def collect(receiver, deadline):
    """Gather what a climbing process sends until it ends or the deadline passes."""
    result = {}
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not receiver.poll(left):
            return result | {"failure": "time limit"}
        try:
            message = receiver.recv()
        except EOFError:
            return result
        if "target" in message:
            result[message.pop("target")] = message
        else:
            result |= message


def _child(sender, make_run, measure, targets, levels):
    try:
        climb(make_run(), measure, targets, levels, sender.send)
    except Exception as error:
        sender.send({"failure": f"{type(error).__name__}: {error}"})
    sender.close()
