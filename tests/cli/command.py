"""The command line, called in this process."""

from jaxninja import cli


def run(capsys, *args):
    """(exit code, stdout, stderr) of a command run in this process."""
    try:
        code = cli.main([str(a) for a in args])
    except SystemExit as stop:  # from tyro: -h and wrong options
        code = stop.code
    out = capsys.readouterr()
    return code or 0, out.out, out.err
