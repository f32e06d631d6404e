"""How Chromium is started for tests."""

# The first makes it run as root, as in a container; the others keep it from looking for company on the network.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30.0  # seconds until we give up on a process or on what a page should show
