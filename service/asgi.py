"""What the web server imports, in each of its processes."""

import os

from billing.settings import Settings
from service.app import create_app
from service.front import Front

app = Front(create_app(Settings.load(os.environ)))
