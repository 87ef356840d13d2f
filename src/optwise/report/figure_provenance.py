"""How a figure was made, so that it can be made again and is not mistaken for one with other parameters."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from optwise.report.words import escape, unbroken

LONGEST = 80
"""Letters of a file's name up to which it says its parameters; above, a digest of them stands there."""


@dataclass(frozen=True)
class Origin:
    """Where a figure comes from.

    Args:
        slug: Its name.
        parameters: Every parameter it was drawn with, as text, by the name of its option.
        changed: Those that are not the published ones.
        version: Of optwise.
        torch: Version of torch.
        date: On which it was drawn, as in 2026-01-31.
    """

    slug: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    torch: str = ""
    date: str = ""

    @property
    def command(self) -> str:
        """What draws it again.

        Example:
            >>> Origin("zigzag", changed={"kappa": "20"}).command
            'optwise figures zigzag --kappa 20'
        """
        options = (f"--{name} {_quoted(text)}" for name, text in self.changed.items())
        return " ".join(["optwise figures", self.slug, *options])

    @property
    def stem(self) -> str:
        """Name of its files without a suffix: the slug alone for the published one.

        Example:
            >>> Origin("zigzag", changed={"kappa": "20", "lr": "0.1,1.9"}).stem
            'zigzag--kappa-20--lr-0.1_1.9'
        """
        told = "".join(f"--{name}-{text}" for name, text in self.changed.items())
        stem = self.slug + re.sub(r"[^\w.-]", "_", told)
        if len(stem) <= LONGEST:
            return stem
        return f"{self.slug}--{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    @property
    def settings(self) -> str:
        """Every parameter in one line.

        Example:
            >>> Origin("zigzag", {"kappa": "2,50", "steps": "50"}).settings
            'kappa=2,50 steps=50'
        """
        return " ".join(f"{name}={text}" for name, text in self.parameters.items())

    @property
    def lines(self) -> tuple[str, str]:
        """What stands below an image: versions, seed and date, and the command."""
        seed = f"seed {self.parameters['seed']}" if "seed" in self.parameters else "nothing is drawn at random"
        return f"{self._versions}, {seed}, {self.date}.", self.command

    @property
    def element(self) -> str:
        """The same as HTML, with every parameter."""
        rows = self.parameters
        facts = "".join(
            f"<dt>{escape(name)}</dt><dd><code>{escape(text)}</code>{' (changed)' if name in self.changed else ''}</dd>"
            for name, text in rows.items()
        )
        seed = "" if "seed" in rows else "; nothing is drawn at random"
        return (
            f'<p class="how">{escape(self._versions)}, {escape(self.date)}{seed}. The numbers and these parameters '
            f"stand in {escape(self.stem)}.csv. Drawn again by</p>\n"
            f"<pre class='command' tabindex='0'>{unbroken(self.command)}</pre>\n<dl>{facts}</dl>"
        )

    @property
    def _versions(self) -> str:
        return f"optwise {self.version}, torch {self.torch}"


def _quoted(text: str) -> str:
    """Text for a shell, quoted where it needs to be."""
    return text if re.fullmatch(r"[\w.,=+-]+", text) else f"'{text}'"
