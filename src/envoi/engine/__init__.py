"""The workflow engine: definitions, runner, dispatcher, journal, work tables."""
