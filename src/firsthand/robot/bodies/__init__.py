"""One interface, several bodies: mock and the real H1-2 here, MuJoCo in simulation/."""
