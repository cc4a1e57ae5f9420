"""One interface, several bodies: mock here, MuJoCo in simulation/, the real H1-2 next."""
