"""`python -m cli`, where the command `taskloom` is not installed."""

from cli import main

if __name__ == "__main__":
    main(prog_name="taskloom")
