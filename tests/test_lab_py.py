"""lab.py: the set-up, what it says when something is missing, and JupyterLab from start to end."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
LESSON = "00_lesson.ipynb"
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "first",
            "metadata": {},
            "execution_count": 1,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["ours"]}],
            "source": "print('ours')",
        }
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}

# A .venv whose Python tells what it was asked to run, and one whose Python is the real one.
TELLS = 'echo "ran $*"; exit 7'
IS_REAL = f'exec "{sys.executable}" "$@"'


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / LESSON).write_text(json.dumps(NOTEBOOK))
    for name in ("lab.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def lab(checkout) -> ModuleType:
    """The lab.py of `checkout`, as a module."""
    spec = importlib.util.spec_from_file_location("lab_under_test", checkout / "lab.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FakeUv:
    """A uv found first on PATH; it keeps a list of what it was asked to do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.program = folder / "uv"
        self.makes_venvs_whose_python(TELLS)

    def makes_venvs_whose_python(self, does: str) -> None:
        self.does(
            f"""if [ "$1" = venv ]; then mkdir -p .venv/bin; cat >.venv/bin/python <<'END'
#!/bin/sh
{does}
END
chmod +x .venv/bin/python; fi"""
        )

    def fails(self, saying: str) -> None:
        self.does(f"cat <<'END'\n{saying}\nEND\nexit 2")

    def does(self, script: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$1" >>"$0.calls"\n{script}\n')
        self.program.chmod(0o755)

    def calls(self) -> list[str]:
        """What was asked since the last time this was asked."""
        log = self.program.with_suffix(".calls")
        words = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return words


@pytest.fixture
def uv(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("the fake uv is a shell script")
    fake = FakeUv(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.program.parent}{os.pathsep}{os.environ['PATH']}")
    return fake


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home: who writes there has left the checkout."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("JUPYTER", "IPYTHON", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def run(checkout, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "lab.py", *arguments],
        cwd=checkout,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_says(finished, *words):
    """It failed with a sentence that holds `words`, and without a traceback."""
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    for word in words:
        assert word in finished.stderr


# --- Python is too old ----------------------------------------------------------------------


def old_pythons() -> list[Path]:
    pyenv = shutil.which("pyenv")
    if not pyenv:
        return []
    root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
    pythons = Path(root, "versions").glob("*.*.*/bin/python")
    return [python for python in pythons if version_of(python) < (3, 11)]


def version_of(python: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", python.parent.parent.name)[:2])


@pytest.mark.parametrize("python", old_pythons(), ids=lambda python: python.parent.parent.name)
def test_a_real_old_python_is_told_which_version_is_needed(python):
    finished = subprocess.run([python, ROOT / "lab.py"], capture_output=True, text=True)
    assert_says(finished, f"This is Python {python.parent.parent.name}", "needs 3.11 or newer")


def test_an_old_python_is_told_which_version_is_needed():
    pretend = "import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_path('lab.py')"
    finished = subprocess.run(
        [sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True
    )
    assert_says(finished, "This is Python 3.9.18", "needs 3.11 or newer", "python3.12 lab.py")


# --- the set-up -----------------------------------------------------------------------------


def test_nothing_is_installed_twice(lab, uv, capsys):
    lab.set_up("")
    assert uv.calls() == ["venv", "pip"]
    lab.set_up("")
    assert uv.calls() == []
    assert capsys.readouterr().out == "Setting up .venv (about a minute, once) ...\n"


def test_what_the_tests_need_is_added_and_is_enough_for_the_course(lab, uv):
    lab.set_up("")
    uv.calls()
    lab.set_up("test")
    assert uv.calls() == ["pip"]
    lab.set_up("")
    assert uv.calls() == []


def test_new_dependencies_are_installed_along_with_what_the_tests_need(lab, uv, checkout):
    lab.set_up("test")
    uv.calls()
    (checkout / "pyproject.toml").write_text("[project]\n")
    lab.set_up("")
    assert uv.calls() == ["pip"]
    assert json.loads(lab.STAMP.read_text())["extra"] == "test"


def interrupted(lab):
    lab.STAMP.unlink()


def half_written(lab):
    lab.STAMP.write_text('{"python": "3.')


def without_its_python(lab):
    lab.VENV_PYTHON.unlink()
    lab.VENV_PYTHON.symlink_to("/nowhere/python3")


def moved(lab):
    lab.STAMP.write_text(json.dumps(json.loads(lab.STAMP.read_text()) | {"checkout": "/before"}))


def of_another_python(lab):
    lab.STAMP.write_text(json.dumps(json.loads(lab.STAMP.read_text()) | {"python": "3.8"}))


@pytest.mark.parametrize(
    "damage", [interrupted, half_written, without_its_python, moved, of_another_python]
)
def test_a_venv_that_cannot_be_used_is_made_again(lab, uv, damage):
    lab.set_up("")
    uv.calls()
    (lab.VENV / "left over").touch()
    damage(lab)
    lab.set_up("")
    assert uv.calls() == ["venv", "pip"]
    assert not (lab.VENV / "left over").exists()


def test_without_uv_pip_does_it(lab, monkeypatch):
    commands: list[list[str]] = []
    monkeypatch.setattr(lab.shutil, "which", lambda name: None)
    monkeypatch.setattr(lab, "run_installer", commands.append)
    lab.set_up("test")
    make, install = commands
    assert make[1:] == ["-m", "venv", str(lab.VENV)]
    assert install[0] == str(lab.VENV_PYTHON) and install[-2:] == ["-e", ".[test]"]


def test_an_interrupted_set_up_says_so_and_is_not_trusted(checkout, lab, uv):
    lab.set_up("")
    uv.does('kill -INT "$PPID"; sleep 5')
    finished = run(checkout, "test")
    assert finished.returncode == 130
    assert finished.stderr == "\nInterrupted. Run the same command again; it starts afresh.\n"
    assert not lab.STAMP.exists()


# --- what can go wrong ----------------------------------------------------------------------

PIP_OFFLINE = """WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, \
status=None)) after connection broken by 'NewConnectionError('<HTTPSConnection object>: Failed \
to establish a new connection: [Errno -3] Temporary failure in name resolution')'
ERROR: No matching distribution found for graphviz-pure<1,>=0.2"""
PIP_DISK_FULL = (
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
)
UV_OFFLINE = """error: Failed to install seed packages into virtual environment
  cause: error sending request for url
  cause: client error (Connect)
  cause: dns error"""
UV_DISK_FULL = """error: Failed to install: jedi-0.20.1-py2.py3-none-any.whl (jedi==0.20.1)
  cause: failed to copy file: No space left on device (os error 28)"""


@pytest.mark.parametrize("output", [PIP_OFFLINE, UV_OFFLINE], ids=["pip", "uv"])
def test_without_a_network_the_remedy_is_to_connect(checkout, uv, output):
    uv.fails(saying=output)
    assert_says(run(checkout), "could not be fetched", "HTTPS_PROXY", "run the same command again")


@pytest.mark.parametrize("output", [PIP_DISK_FULL, UV_DISK_FULL], ids=["pip", "uv"])
def test_on_a_full_disk_the_remedy_is_to_free_some(checkout, uv, output):
    uv.fails(saying=output)
    assert_says(run(checkout), "The disk is full", "Free about 1 GB")


def test_on_a_disk_too_full_for_a_log_the_remedy_is_the_same(lab, monkeypatch):
    monkeypatch.setattr(lab.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert lab.install_problem("") is lab.DISK_FULL


def test_any_other_failure_shows_the_end_of_the_log_and_where_it_is(checkout, uv):
    uv.fails(saying="\n".join(f"line {number}" for number in range(20)))
    finished = run(checkout)
    assert_says(finished, str(Path(".venv", "lab-setup.log")), "line 12\n", "line 19")
    assert "line 11" not in finished.stderr


def test_a_reader_who_is_offline_keeps_the_course_that_is_installed(lab, uv):
    lab.set_up("")
    uv.fails(saying=UV_OFFLINE)
    with pytest.raises(lab.NoNetwork):
        lab.set_up("test")
    uv.calls()
    lab.set_up("")
    assert uv.calls() == []


def test_without_ensurepip_the_remedy_is_debians_package(checkout, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None")
    finished = run(checkout, PYTHONPATH=str(tmp_path), PATH=str(tmp_path))
    version = "{}.{}".format(*sys.version_info[:2])
    assert_says(finished, "ensurepip is missing", f"sudo apt install python{version}-venv")


def test_a_file_in_the_way_is_named(checkout):
    (checkout / ".venv").touch()
    assert_says(run(checkout), "This did not work", ".venv", "nothing in it is in use")


def test_an_unknown_command_is_answered_with_those_there_are(checkout):
    assert_says(run(checkout, "tset"), "no command 'tset'", "test and doctor")


# --- the other commands ---------------------------------------------------------------------


def test_pytest_gets_all_arguments_and_its_exit_code_is_passed_on(checkout, uv):
    finished = run(checkout, "test", "-k", "word", "--help")
    assert finished.stdout.endswith("ran -m pytest -n auto --dist loadscope -k word --help\n")
    assert finished.returncode == 7


def test_doctor_says_how_to_set_up(checkout):
    finished = run(checkout, "doctor")
    assert ".venv    not set up yet: python3 lab.py does it" in finished.stdout
    assert finished.returncode == 1


def test_doctor_ends_with_the_doctor_of_the_package(checkout, lab, uv):
    lab.set_up("")
    finished = run(checkout, "doctor")
    assert ".venv    ready" in finished.stdout
    assert finished.stdout.endswith("ran -m pfncache_lab doctor\n")
    assert finished.returncode == 7


# --- the reader's files ---------------------------------------------------------------------


def test_the_reader_gets_notebooks_without_our_outputs(lab):
    lab.copy_notebooks()
    (cell,) = json.loads((lab.WORK / LESSON).read_text())["cells"]
    assert cell["outputs"] == [] and cell["execution_count"] is None
    assert cell["source"] == "print('ours')"
    assert [path.name for path in lab.WORK.iterdir()] == [LESSON]


def test_a_notebook_of_the_reader_is_never_overwritten(lab):
    lab.WORK.mkdir()
    (lab.WORK / LESSON).write_text("mine")
    lab.copy_notebooks()
    assert (lab.WORK / LESSON).read_text() == "mine"


def test_a_setting_of_the_reader_is_never_overwritten(lab):
    lab.keep_news_away()
    (setting,) = lab.JUPYTER.rglob("notification.jupyterlab-settings")
    assert json.loads(setting.read_text())["fetchNews"] == "false"
    setting.write_text("mine")
    lab.keep_news_away()
    assert setting.read_text() == "mine"


def test_whatever_jupyter_writes_has_its_place_in_the_checkout(lab, checkout, home):
    added = lab.private_environment().items() - os.environ.items()
    places = {name: Path(value) for name, value in added if name.endswith(("DIR", "HOME"))}
    assert places.keys() >= {"JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"}
    assert [name for name, place in places.items() if not place.is_relative_to(checkout)] == []


# --- JupyterLab -----------------------------------------------------------------------------


def test_a_port_that_is_taken_is_passed_over_aloud(lab, capsys):
    with socket.create_server((lab.HOST, 0)) as other:
        taken = other.getsockname()[1]
        free = lab.free_port(taken)
    assert free > taken
    assert capsys.readouterr().out == f"Port {taken} is taken; using {free}.\n"


def test_when_no_port_is_free_another_is_asked_for(lab, monkeypatch):
    monkeypatch.setattr(lab, "PORTS_TRIED", 1)
    with (
        socket.create_server((lab.HOST, 0)) as other,
        pytest.raises(lab.Problem, match="python3 lab.py --port"),
    ):
        lab.free_port(other.getsockname()[1])


class Stranger(BaseHTTPRequestHandler):
    """Another program's server: it wants a token of its own."""

    def do_GET(self):
        self.send_response(403)
        self.end_headers()

    def log_message(self, *message):
        pass


def test_another_server_on_the_port_is_not_taken_for_ours(lab):
    with HTTPServer((lab.HOST, 0), Stranger) as other:
        answering = threading.Thread(target=other.handle_request)
        answering.start()
        assert not lab.answers(other.server_port, "token")
        answering.join()


@pytest.mark.slow
def test_the_course_opens_runs_a_kernel_and_ends_at_ctrl_c_leaving_nothing(checkout, uv, home):
    uv.makes_venvs_whose_python(IS_REAL)
    lab = subprocess.Popen(
        [sys.executable, "lab.py", "--no-browser"],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert lab.stdout and lab.stderr
    try:
        said = [lab.stdout.readline() for _ in range(2)]
        page, token = re.findall(r"(http\S+)\?token=(\w+)", said[-1])[0]
        assert page.endswith("/lab/tree/" + LESSON)
        start_kernel(page.partition("/lab/")[0], token)
        for _impatient in range(3):
            os.killpg(lab.pid, signal.SIGINT)
            time.sleep(0.1)
        rest, errors = lab.communicate(timeout=30)
    finally:
        lab.terminate()
    assert (lab.returncode, errors) == (0, "")
    assert rest.endswith("\nStopped. To go on: python3 lab.py\n")
    # A server or a kernel that is ended cleanly removes the file that tells how to reach it.
    assert list((checkout / ".jupyter" / "runtime").glob("*.json")) == []
    assert list(home.iterdir()) == []


def start_kernel(server: str, token: str) -> None:
    request = urllib.request.Request(
        server + "/api/kernels", b"{}", {"Authorization": "token " + token}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        assert answer.status == 201


@pytest.mark.slow
def test_a_jupyterlab_that_does_not_start_shows_the_end_of_its_log(checkout, uv):
    uv.makes_venvs_whose_python(IS_REAL)
    config = checkout / ".jupyter" / "config" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True)
    config.write_text("raise SystemExit('no such luck')")
    finished = run(checkout, "--no-browser")
    assert_says(finished, "JupyterLab did not start", "jupyterlab.log", "no such luck")
