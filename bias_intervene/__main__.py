"""`python -m bias_intervene`: the application of `app.main`.

Input: the command line. Output: an exit status. Guarantees: a stop signal ends it with the status of a run that can be
continued, also in the seconds that the imports take.
"""

from bias_intervene.run.protocol import exit_at_stop_signals


def main() -> None:
    """Starts the application."""
    exit_at_stop_signals()
    from bias_intervene.app import main as application

    application()


if __name__ == "__main__":
    main()
