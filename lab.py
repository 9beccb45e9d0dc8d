"""Sets up this folder and opens the course in JupyterLab.

  python3 lab.py [--no-browser] [--port N]   open the course; Ctrl-C stops it
  python3 lab.py test [pytest arguments]     run the tests
  python3 lab.py doctor                      say what this machine has, and run a self test

Nothing outside this folder is written: packages go to .venv, your copies of the notebooks to
work, Jupyter's settings and logs to .jupyter.
"""

from __future__ import print_function

import sys

# This file must parse on every Python: an old one that meets an f-string or an annotation says
# "SyntaxError" instead of the sentence below. Hence format() and types in comments.
if sys.version_info < (3, 11):
    sys.exit(
        "This is Python {}.{}.{}, and the course needs 3.11 or newer. If you have one, run it by\n"
        "its name, such as `python3.12 lab.py` (Windows: `py -3.12 lab.py`). If not, install one\n"
        "from https://www.python.org/downloads/ first.".format(*sys.version_info[:3])
    )

import argparse
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
NOTEBOOKS = CHECKOUT / "notebooks"
WORK = CHECKOUT / "work"
JUPYTER = CHECKOUT / ".jupyter"
JUPYTER_LOG = JUPYTER / "jupyterlab.log"
VENV = CHECKOUT / ".venv"
VENV_BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
VENV_PYTHON = VENV_BIN / ("python.exe" if os.name == "nt" else "python")
SETUP_LOG = VENV / "lab-setup.log"
STAMP = VENV / "lab-stamp.json"

COMMAND = "py lab.py" if os.name == "nt" else "python3 lab.py"
HOST = "127.0.0.1"
PORTS_TRIED = 50
# By whole files: the cells of a notebook share a kernel, the tests of a lesson a JupyterLab.
IN_PARALLEL = ["-n", "auto", "--dist", "loadscope"]
SECONDS_TO_START = 90
SECONDS_TO_STOP = 10
LOG_LINES_SHOWN = 8
A_MEGABYTE = 2**20

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "microsoft-edge")
BROWSER_PLACES = (
    "/Applications/Google Chrome.app",
    "/Applications/Firefox.app",
    "/Applications/Safari.app",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files/Mozilla Firefox/firefox.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


class Problem(Exception):
    """What the reader can put right: its text is the sentence and the remedy."""


class NoNetwork(Problem):
    """Packages could not be fetched; whatever was installed before still works."""


DISK_FULL = Problem(
    "The disk is full (this folder's, or that of the temporary files).\n"
    "Free about 1 GB, then run the same command again."
)
NO_NETWORK = NoNetwork(
    "The Python packages could not be fetched: this machine reaches no package index.\n"
    "Connect it (behind a proxy: set HTTPS_PROXY), then run the same command again."
)
NOT_WRITABLE = (
    "This did not work: {}.\n"
    "Check that the folder is yours and nothing in it is in use, then run the same command again."
)

# What pip, uv and the systems below them print, in the order in which they are looked for.
INSTALL_PROBLEMS = (
    (r"No space left on device|Disk quota exceeded|not enough space on the disk", DISK_FULL),
    (
        r"after connection broken by|dns error|error sending request|getaddrinfo failed|tcp connect"
        r"|Network is unreachable|Temporary failure in name resolution|timed out",
        NO_NETWORK,
    ),
)


# --- the environment ------------------------------------------------------------------------


def set_up(extra):
    # type: (str) -> None
    """Leave a .venv that holds the project and `extra`; return at once if it does already."""
    found, wanted = stamps(extra)
    if found == wanted:
        return
    say("Setting up .venv (about a minute, once) ...")
    if not found:
        make_venv()
    # From here to the new stamp there is none: whoever is killed in between leaves a .venv that
    # the next run does not trust.
    STAMP.unlink(missing_ok=True)
    try:
        run_installer(install_command(wanted["extra"]))
    except NoNetwork:
        if found:  # Both installers fetch everything before they change anything.
            STAMP.write_text(json.dumps(found), "utf-8")
        raise
    STAMP.write_text(json.dumps(wanted), "utf-8")


def stamps(extra):
    # type: (str) -> tuple[dict[str, str], dict[str, str]]
    """Return what .venv holds ({} if it cannot be used) and what it must hold."""
    wanted = {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "checkout": str(CHECKOUT),  # The scripts of a .venv name the folder it was made in.
        "pyproject": hashlib.sha256((CHECKOUT / "pyproject.toml").read_bytes()).hexdigest(),
        "extra": extra,
    }
    try:
        found = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}, wanted
    same = isinstance(found, dict) and all(
        found.get(k) == wanted[k] for k in ("python", "checkout")
    )
    if not same or not VENV_PYTHON.exists():
        return {}, wanted
    return found, dict(wanted, extra=extra or found["extra"])


def make_venv():
    # type: () -> None
    """Make an empty .venv; a half-made one, or one of another Python, goes first."""
    uv = shutil.which("uv")
    if not uv and not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise Problem(
            "This Python cannot make a virtual environment: its ensurepip is missing.\n"
            "On Debian or Ubuntu: sudo apt install python{}.{}-venv\n"
            "Then run the same command again.".format(*sys.version_info[:2])
        )
    if VENV.exists():
        shutil.rmtree(str(VENV))
    VENV.mkdir()
    base = getattr(sys, "_base_executable", sys.executable)  # We may run from the one just removed.
    if uv:
        run_installer([uv, "venv", "--allow-existing", "--seed", "--python", base, str(VENV)])
    else:
        run_installer([base, "-m", "venv", str(VENV)])


def install_command(extra):
    # type: (str) -> list[str]
    """Return the command that installs the project, editable, with `extra`."""
    project = ["-e", ".[{}]".format(extra) if extra else "."]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", str(VENV_PYTHON)] + project
    return [str(VENV_PYTHON), "-m", "pip", "install", "--retries", "2"] + project


def run_installer(command):
    # type: (list[str]) -> None
    """Run `command` with its output in the log; raise the Problem that the output tells of."""
    caches = dict(os.environ, PIP_NO_CACHE_DIR="1", UV_NO_CACHE="1")
    with SETUP_LOG.open("ab") as log:
        begin = log.tell()  # What an earlier try has printed is no reason of this one.
        code = subprocess.call(
            command, cwd=str(CHECKOUT), env=caches, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    if code:
        raise install_problem(SETUP_LOG.read_bytes()[begin:].decode("utf-8", "replace"))


def install_problem(output):
    # type: (str) -> Problem
    """Return the Problem that made an installer print `output` and fail."""
    if shutil.disk_usage(str(CHECKOUT)).free < A_MEGABYTE:
        return DISK_FULL  # There may be no room even for the log.
    for pattern, problem in INSTALL_PROBLEMS:
        if re.search(pattern, output):
            return problem
    log = SETUP_LOG.relative_to(CHECKOUT)
    return Problem("The set-up failed. The last lines of {}:\n{}".format(log, last_lines(output)))


def private_environment():
    # type: () -> dict[str, str]
    """Return an environment in which Jupyter, IPython and caches keep to this folder."""
    return dict(
        os.environ,
        PATH=str(VENV_BIN) + os.pathsep + os.environ.get("PATH", ""),
        JUPYTER_PREFER_ENV_PATH="1",
        JUPYTER_CONFIG_DIR=str(JUPYTER / "config"),
        JUPYTER_DATA_DIR=str(JUPYTER / "data"),
        JUPYTER_RUNTIME_DIR=str(JUPYTER / "runtime"),
        JUPYTERLAB_SETTINGS_DIR=str(JUPYTER / "settings"),
        JUPYTERLAB_WORKSPACES_DIR=str(JUPYTER / "workspaces"),
        IPYTHONDIR=str(JUPYTER / "ipython"),
        XDG_CACHE_HOME=str(JUPYTER / "cache"),
    )


def run_in_venv(arguments):
    # type: (list[str]) -> int
    """Run .venv's Python here and return its exit code."""
    process = subprocess.Popen(
        [str(VENV_PYTHON)] + arguments, cwd=str(CHECKOUT), env=private_environment()
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass  # The terminal sent it to both; pytest needs its time to print a summary.


# --- the course -----------------------------------------------------------------------------


def open_course(port, browser):
    # type: (int, bool) -> int
    """Set up, give the reader their notebooks, and run JupyterLab until it is stopped."""
    set_up("")
    copy_notebooks()
    keep_news_away()
    for ending in ("SIGTERM", "SIGHUP"):  # From kill, and from a terminal that is closed.
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), signal.default_int_handler)
    first = min(notebook.name for notebook in NOTEBOOKS.glob("00_*.ipynb"))
    port, token = free_port(port), secrets.token_hex(16)
    page = "/lab/tree/" + first
    with start_jupyterlab(port, token, page, browser) as server:
        try:
            wait_until_answering(server, port, token)
            say("The course is open at http://{}:{}{}?token={}".format(HOST, port, page, token))
            say("Press Ctrl-C here to stop it. Your notebooks are in {}.".format(WORK))
            while server.poll() is None:  # On Windows, Ctrl-C does not interrupt wait().
                time.sleep(0.2)
            if server.returncode:
                raise jupyterlab_problem("JupyterLab has ended by itself.")
        except KeyboardInterrupt:
            pass
        finally:
            stop(server)
    say("\nStopped. To go on: {}".format(COMMAND))
    return 0


def copy_notebooks():
    # type: () -> None
    """Copy to work/ each notebook that is not there; one that is there is the reader's."""
    WORK.mkdir(exist_ok=True)
    for source in NOTEBOOKS.glob("*.ipynb"):
        target = WORK / source.name
        if not target.exists():
            draft = target.with_suffix(".tmp")
            draft.write_text(without_outputs(source.read_text("utf-8")), "utf-8")
            os.replace(str(draft), str(target))  # Never half a notebook, even when killed.


def without_outputs(notebook):
    # type: (str) -> str
    """Return the notebook as nobody has run it yet: JupyterLab distrusts outputs of others."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def keep_news_away():
    # type: () -> None
    """Turn JupyterLab's news pop-up off, once; afterwards the setting is the reader's."""
    extension = JUPYTER / "settings" / "@jupyterlab" / "apputils-extension"
    setting = extension / "notification.jupyterlab-settings"
    if not setting.exists():
        extension.mkdir(parents=True, exist_ok=True)
        setting.write_text('{"fetchNews": "false", "checkForUpdates": false}\n', "utf-8")


def free_port(wanted):
    # type: (int) -> int
    """Return `wanted`, or the next port that nobody listens on."""
    for port in range(wanted, wanted + PORTS_TRIED):
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            continue
        if port != wanted:
            say("Port {} is taken; using {}.".format(wanted, port))
        return port
    raise Problem(
        "The ports {} to {} are all taken. Name another one: {} --port {}".format(
            wanted, wanted + PORTS_TRIED - 1, COMMAND, wanted + 1000
        )
    )


def start_jupyterlab(port, token, page, browser):
    # type: (int, str, str, bool) -> subprocess.Popen[bytes]
    """Start JupyterLab; what it prints goes to its log."""
    arguments = [
        "--ServerApp.ip=" + HOST,
        "--ServerApp.port={}".format(port),
        "--ServerApp.port_retries=0",  # Else it moves on silently and the address we print lies.
        "--ServerApp.root_dir=" + str(WORK),
        "--ServerApp.answer_yes=True",
        "--LabApp.default_url=" + page,
        # Else the browser is sent to a file in .jupyter, which a browser from a snap may not read.
        "--ServerApp.use_redirect_file=False",
        "--LanguageServerManager.autodetect=False",  # It runs npm and rustup, which write to HOME.
    ]
    if not browser:
        arguments.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    with JUPYTER_LOG.open("wb") as log:
        return subprocess.Popen(
            [str(VENV_PYTHON), "-m", "jupyterlab"] + arguments,
            # Not as an argument: those can be read by every user of the machine.
            env=dict(private_environment(), JUPYTER_TOKEN=token),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # The terminal's Ctrl-C is for us alone. A server that gets it too, and then our
            # request to end, breaks off the shutdown of its kernels and leaves them behind.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def wait_until_answering(server, port, token):
    # type: (subprocess.Popen[bytes], int, str) -> None
    """Return when JupyterLab answers; raise a Problem when it has ended or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not answers(port, token):
        if server.poll() is not None or time.monotonic() > deadline:
            raise jupyterlab_problem("JupyterLab did not start.")
        time.sleep(0.1)


def jupyterlab_problem(what):
    # type: (str) -> Problem
    """Return a Problem that shows the end of JupyterLab's log."""
    end = last_lines(JUPYTER_LOG.read_text("utf-8", "replace"))
    log = JUPYTER_LOG.relative_to(CHECKOUT)
    return Problem("{} The last lines of {}:\n{}".format(what, log, end))


def answers(port, token):
    # type: (int, str) -> bool
    """Tell whether our server answers: another one would not know the token."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/api/status", headers={"Authorization": "token " + token})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(server):
    # type: (subprocess.Popen[bytes]) -> None
    """End JupyterLab and its kernels; a second Ctrl-C must not leave them behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server.terminate()
    try:
        server.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        server.kill()


# --- the other commands, and what is said ---------------------------------------------------


def run_tests(arguments):
    # type: (list[str]) -> int
    """Set up with what the tests need, run pytest, and return its exit code."""
    set_up("test")
    JUPYTER.mkdir(exist_ok=True)  # IPython makes its own folder only in one that is there.
    return run_in_venv(["-m", "pytest"] + IN_PARALLEL + arguments)


def doctor():
    # type: () -> int
    """Print what this machine has; run the package's own doctor if it is installed."""
    found, wanted = stamps("")
    ready = found == wanted
    for name, fact in (
        ("system", platform.platform()),
        ("Python", "{} at {}".format(platform.python_version(), sys.executable)),
        (".venv", "ready" if ready else "not set up yet: {} does it".format(COMMAND)),
        ("uv", shutil.which("uv") or "not found; not needed, makes the set-up faster"),
        ("dot", shutil.which("dot") or "not found; not needed, graphviz-pure stands in"),
        ("browser", find_browser() or "none found; open the printed address in one"),
    ):
        print("{:<9}{}".format(name, fact))
    sys.stdout.flush()
    return run_in_venv(["-m", "pfncache_lab", "doctor"]) if ready else 1


def find_browser():
    # type: () -> str | None
    """Return where a browser is, if one is where browsers usually are."""
    on_path = (shutil.which(name) for name in BROWSERS)
    in_place = (place for place in BROWSER_PLACES if os.path.exists(place))
    return next(filter(None, on_path), None) or next(in_place, None)


def last_lines(text):
    # type: (str) -> str
    """Return the end of a log, indented."""
    return "\n".join("  " + line for line in text.rstrip().splitlines()[-LOG_LINES_SHOWN:])


def say(sentence):
    # type: (str) -> None
    """Print at once, also into a pipe: what follows may take a minute."""
    print(sentence)
    sys.stdout.flush()


def port_number(text):
    # type: (str) -> int
    """Return the port that `text` names."""
    if not text.isdigit() or not 1024 <= int(text) <= 65000:
        raise argparse.ArgumentTypeError("a port is a number from 1024 to 65000")
    return int(text)


def dispatch(arguments):
    # type: (list[str]) -> int
    """Run the command that `arguments` name and return the exit code."""
    if arguments[:1] == ["test"]:
        return run_tests(arguments[1:])  # Unparsed: they are pytest's.
    parser = argparse.ArgumentParser(
        usage=COMMAND + " [test | doctor] [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", type=port_number, default=8888, help="default: 8888")
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        return doctor()
    if options.command is not None:
        raise Problem(
            "lab.py has no command {!r}; it has test and doctor. See: {} --help".format(
                options.command, COMMAND
            )
        )
    return open_course(options.port, not options.no_browser)


def main(arguments):
    # type: (list[str]) -> int
    """Run lab.py and return the exit code; what can be put right is a sentence, no traceback."""
    try:
        return dispatch(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again; it starts afresh.", file=sys.stderr)
        return 130
    except Problem as problem:
        print(problem, file=sys.stderr)
    except OSError as error:
        print(
            DISK_FULL if error.errno == errno.ENOSPC else NOT_WRITABLE.format(error),
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
