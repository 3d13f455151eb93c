"""The door: webhooks, callbacks, the API, the console and the command line."""
