"""Plots as SVG, without any package: lines over a logarithmic or plain x axis."""

import math

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 36, 46
# Told apart also by those who see few colours; the marks differ as well.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
STYLE = ("text{font:12px sans-serif;fill:#333}.t{font-size:13px;font-weight:bold}"
         ".g{stroke:#ddd;stroke-width:1}.a{stroke:#666;stroke-width:1;fill:none}")


def short(value):
    """A tick's label: 10k instead of 10000."""
    for size, letter in [(1e6, "M"), (1e3, "k")]:
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


class Axis:
    """Where a value lies between two ends of the drawing."""

    def __init__(self, values, low, high, logarithmic, from_zero=False):
        self.low, self.high, self.logarithmic = low, high, logarithmic
        values = list(values)
        if logarithmic:
            # Zero has no logarithm: it gets a place of its own, one step before the least.
            positive = [value for value in values if value > 0] or [1]
            self.zero = min(positive) / 10 if min(values) <= 0 else None
            first, last = math.log10(self.zero or min(positive)), math.log10(max(positive))
            if from_zero:
                first, last = math.floor(first), math.ceil(last)
        else:
            self.zero = None
            first, last = 0 if from_zero else min(values), max(values)
            if from_zero:
                step = self._step(last)
                last = math.ceil(last / step) * step if last else 1
        self.first, self.last = first, last if last > first else first + 1

    @staticmethod
    def _step(span):
        raw = max(span, 1e-9) / 5
        size = 10 ** math.floor(math.log10(raw))
        return next(size * times for times in (1, 2, 5, 10) if size * times >= raw)

    def at(self, value):
        if self.logarithmic:
            value = math.log10(value) if value > 0 else self.first
        share = (value - self.first) / (self.last - self.first)
        return self.low + share * (self.high - self.low)

    def ticks(self):
        if not self.logarithmic:
            step = self._step(self.last - self.first)
            count = int((self.last - self.first) / step + 1e-9) + 1
            return [self.first + step * at for at in range(count)]
        powers = range(math.ceil(self.first - 1e-9), math.floor(self.last + 1e-9) + 1)
        ticks = [10.0 ** power for power in powers]
        return [0, *(tick for tick in ticks if tick > (self.zero or 0) * 1.5)] if self.zero else ticks


def mark(number, x, y, colour):
    """The mark of a series at a point."""
    shapes = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"',
        f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4"',
        f'<path d="M{x:.1f} {y - 4.5:.1f}L{x + 4.2:.1f} {y + 3:.1f}H{x - 4.2:.1f}Z"',
        f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 4.5-4.5 4.5-4.5-4.5Z"',
    ]
    return f'{shapes[number % len(shapes)]} fill="{colour}"/>'


def panel(title, x_title, series, offset, x_log, y_log):
    """One plot: `series` maps a name to points."""
    points = [point for line in series.values() for point in line] or [(1, 1)]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, x_log)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, y_log, from_zero=True)
    out = [f'<g transform="translate({offset} 0)">',
           f'<text class="t" x="{LEFT}" y="20">{title}</text>']
    for tick in y.ticks():
        at = y.at(tick)
        out.append(f'<path class="g" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    ticks = sorted({p[0] for p in points}) if len({p[0] for p in points}) <= 6 else x.ticks()
    for tick in ticks:
        out.append(f'<text x="{x.at(tick):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">'
                   f"{short(tick)}</text>")
    out.append(f'<path class="a" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
               f"{x_title}</text>")
    for number, line in enumerate(series.values()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x.at(px), y.at(py)) for px, py in sorted(line)]
        if not places:
            continue
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [mark(number, px, py, colour) for px, py in places]
    return [*out, "</g>"]


def draw(file, x_title, panels, x_log=True):
    """Writes plots side by side with one legend: `panels` are (title, series, logarithmic y)."""
    names = list(panels[0][1])
    width = WIDTH * len(panels)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + 26}" '
           f'viewBox="0 0 {width} {HEIGHT + 26}">', f"<style>{STYLE}</style>",
           '<rect width="100%" height="100%" fill="#fff"/>']
    for number, (title, series, y_log) in enumerate(panels):
        out += panel(title, x_title, series, number * WIDTH, x_log, y_log)
    at = LEFT
    for number, name in enumerate(names):
        out.append(mark(number, at, HEIGHT + 10, COLOURS[number % len(COLOURS)]))
        out.append(f'<text x="{at + 9}" y="{HEIGHT + 14}">{name}</text>')
        at += 34 + 7.2 * len(name)
    out.append("</svg>\n")
    file.write_text("\n".join(out))
