"""`mlimg`: one function per verb. stdout has data, stderr progress; every error is shown with what to do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn, cast

import typer

from mlimg_build import __version__
from mlimg_build.errors import MlimgError, Problem

from . import builds, caches, comparison, datasets, exports, models, names, specs
from .options import Asked, print_failure
from .system_errors import system_problem

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="mlimg",
    help="One YAML spec in, a reproducible image dataset and its trained model out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
wordnet = typer.Typer(help="WordNet's nouns.", no_args_is_help=True)
app.add_typer(wordnet, name="wordnet")
app.add_typer(caches.app, name="cache")

VERBS = (
    specs.init,
    specs.check,
    specs.schema,
    specs.plan,
    specs.lint,
    names.synset,
    specs.lock,
    builds.fetch,
    builds.build,
    builds.train,
    models.evaluate,
    models.predict,
    datasets.why,
    comparison.diff,
    datasets.verify,
    datasets.info,
    datasets.report,
    exports.export,
)
INTERRUPTED = 130
# what click raises for a command line that it does not understand; newer versions of typer have their own click
USAGE = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

for verb in VERBS:
    app.command()(verb)
app.command("map")(names.map_names)
wordnet.command("compile")(specs.compile_wordnet)
wordnet.command("find")(names.find_noun)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 handled failure, 2 usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = run(sys.argv[1:])
    finally:  # all is done: an interrupt now would only change the exit code
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command line in this process, and return its exit code; failures are shown."""
    asked = Asked()
    try:
        ended = app([*arguments], prog_name="mlimg", standalone_mode=False, obj=asked)
        if ended == INTERRUPTED:  # typer turns Ctrl-C into an exit code
            raise KeyboardInterrupt
    except USAGE as error:
        error.show()
        if "--json" in arguments:  # the option may follow what was not understood
            command = error.ctx.command_path if error.ctx else "mlimg"
            hint = f"`{command} --help` shows what it takes"
            print_failure([Problem("usage", error.format_message(), hint=hint)], 2)
        return 2
    except MlimgError as error:
        return _failed(error.problems, error.exit_code, asked)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        if asked.as_json:
            print_failure([Problem("interrupted", "it was stopped")], INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout closed it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnicodeEncodeError:
        strange = [one for one in arguments if not _is_text(one)]
        if not strange:
            raise
        shown = ", ".join(one.encode("utf-8", "backslashreplace").decode() for one in strange)
        hint = "rename the file, or write the name in UTF-8 as the terminal does"
        return _failed(
            [Problem("argument-not-utf-8", f"an argument is not UTF-8: {shown}", hint=hint)], 1, asked
        )
    except (OSError, MemoryError, RuntimeError) as error:
        problem = system_problem(error)
        if problem is None:
            raise
        return _failed([problem], 1, asked)
    return ended if isinstance(ended, int) else 0


def _failed(problems: Sequence[Problem], exit_code: int, asked: Asked) -> int:
    """Show the problems to people, and on stdout to scripts that asked for JSON; return the exit code."""
    from mlimg_build import terminal

    terminal.show_problems(problems)
    if asked.as_json:
        print_failure(problems, exit_code)
    return exit_code


def _is_text(argument: str) -> bool:
    """Return whether an argument was valid UTF-8; Python keeps other bytes as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _terminated(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mlimg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One YAML spec in, a reproducible image dataset and its trained model out."""
