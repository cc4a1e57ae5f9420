"""Where robot episodes come from: scripted experts and bags."""
