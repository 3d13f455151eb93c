"""The receiver: webhooks of tools and callbacks of the payment endpoint, kept before they are answered."""
