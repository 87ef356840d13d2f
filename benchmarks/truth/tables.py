"""The rows of the truth table, counted: by form and method, by start against MINPACK, and the false claims by name."""

from collections import defaultdict

from .peers import PEERS

_HEAD = f"{'form':18}{'method':16}{'solves':>7}{'optimal':>9}{'stationary':>11}{'saddle':>8}{'converged':>11}"
_HEAD += f"{'none':>6}{'reached':>9}{'(1e-10)':>9}{'false opt':>11}{'false stat':>12}{'seconds':>9}"


def report(rows):
    """All tables as text."""
    parts = []
    for family, title in (("mgh", "Moré, Garbow and Hillstrom"), ("convex", "Random convex problems")):
        chosen = [row for row in rows if row["family"] == family]
        if chosen:
            parts.append("\n".join([title, *_counted(chosen)]))
            parts.append("\n".join(_against_minpack(chosen) if family == "mgh" else _certified(chosen)))
    parts.append("\n".join(_false_claims(rows)))
    return "\n\n".join(parts)


def _grouped(rows, *names):
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _counted(rows):
    """A line for each form and method, and one for all forms of a method; of the convex ones peers have that alone."""
    shown = [row for row in rows if row["family"] == "mgh" or row["method"] not in PEERS]
    groups = _grouped(shown, "form", "method") | {("all", *key): each for key, each in _grouped(rows, "method").items()}
    lines = [_HEAD]
    for (form, method), each in groups.items():
        optimal = sum(row["optimal"] for row in each)
        saddles = sum(bool(row.get("saddle")) for row in each)
        converged = sum(row["word"] == "converged" for row in each)
        stationary = sum(row["stationary"] for row in each) - converged
        none = len(each) - optimal - stationary - converged
        loosely = sum(row.get("reached_loosely", row["reached"]) for row in each)
        lines.append(
            f"{form:18}{method:16}{len(each):7}{optimal:9}{stationary:11}{saddles:8}{converged:11}{none:6}"
            f"{_count(each, 'reached'):9}{loosely:9}{_count(each, 'false_optimal'):11}"
            f"{_count(each, 'false_stationary'):12}{sum(row['seconds'] for row in each):9.1f}"
        )
    return lines


def _against_minpack(rows):
    """Minima reached by form and start; MINPACK has no smooth form and stands there with the sum of squares."""
    groups = _grouped(rows, "method", "form", "factor")
    ours = sorted({row["method"] for row in rows} - set(PEERS))
    lines = []
    for method in ours:
        for form in dict.fromkeys(row["form"] for row in rows):
            counts = []
            for factor in sorted({row["factor"] for row in rows}):
                theirs = groups.get(("minpack", "residual" if form == "smooth" else form, factor))
                if theirs is not None:
                    mine = groups[method, form, factor]
                    counts.append(f"x{factor}: {_count(mine, 'reached')} to {_count(theirs, 'reached')}")
            if counts:
                lines.append(f"minima reached, {method} to MINPACK, {form}: {', '.join(counts)}")
    return lines


def _certified(rows):
    """Shares by method, dtype and whatever is no peer."""
    lines = []
    for (method, dtype), each in _grouped(rows, "method", "dtype").items():
        if method not in PEERS:
            optimal, stationary = _count(each, "optimal"), _count(each, "stationary")
            lines.append(
                f"{method}, {dtype}: certified {optimal + stationary} of {len(each)} ({optimal} optimal), "
                f"within tol of the best {_count(each, 'reached')}"
            )
    return lines


def _false_claims(rows):
    """Names of the false claims that are not peers', a line for each kind, method and form."""
    lines = []
    for kind, word in (("false_optimal", "optimal"), ("false_stationary", "stationary")):
        false = [row for row in rows if row[kind] and row["method"] not in PEERS]
        claims = sum(row[word] for row in rows if row["method"] not in PEERS)
        lines.append(f"{word}, but it is not so: {len(false)} of {claims} claims")
        for (method, form), each in _grouped(false, "method", "form").items():
            names = _grouped(each, "problem")
            shown = "; ".join(f"{name}{_starts(named)}" for (name,), named in names.items())
            lines.append(f"  {method}, {form}: {shown}")
    return lines


def _starts(rows):
    return "".join(f" x{row['factor']}" for row in rows if "factor" in row)


def _count(rows, name):
    return sum(bool(row.get(name)) for row in rows)
