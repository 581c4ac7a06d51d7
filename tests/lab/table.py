"""Promises, what was measured of them, and the table that puts one beside the other."""


class Row:
    """A promise. `limit` is the most (least: the least) that is promised, None: only told; for all
    runs, or with p95 for 95 % of them. `chance`: it need not happen in any run."""

    def __init__(self, words, unit="ms", limit=None, least=False, p95=False, chance=False):
        self.words, self.unit, self.limit, self.chance = words, unit, limit, chance
        self.least, self.p95, self.values = least, p95, []

    def is_kept(self):
        """By the worst run, or where it is promised so by the 95th percentile."""
        judged = self.percentile(0.95) if self.p95 else self.worst()
        if self.limit is None:
            return True
        return judged >= self.limit if self.least else judged <= self.limit

    def worst(self):
        return self.percentile(1)

    def percentile(self, share):
        """From the good end; what could not be measured is the worst."""
        bad = float("-inf") if self.least else float("inf")
        values = sorted((bad if value != value else value for value in self.values),
                        reverse=self.least)
        return values[min(len(values) - 1, int(share * len(values)))]


def text(value):
    return "-" if value != value or abs(value) == float("inf") else \
        f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def print_table(rows):
    """Returns how many promises were missed."""
    missed = 0
    print(f"\n{'event':<62}{'promise':>12}{'p50':>8}{'p95':>8}{'worst':>8}{'runs':>6}")
    for row in rows:
        promise = "" if row.limit is None else \
            f"{'>=' if row.least else '<='} {row.limit:g} {row.unit}".strip()
        if not row.values:
            verdict = "did not happen" if row.chance else "not measured: MISSED"
            missed += not row.chance
            print(f"{row.words:<62}{promise:>12}   {verdict}")
            continue
        verdict = "" if row.is_kept() else "  MISSED"
        missed += not row.is_kept()
        figures = "".join(f"{text(row.percentile(share)):>8}" for share in (0.5, 0.95, 1))
        print(f"{row.words:<62}{promise:>12}{figures}{len(row.values):>6}{verdict}")
    return missed
