"""The command line. A command is a file here with a click command named `command`; `main` finds it by looking."""
