"""A checkpoint at run time: loading it, running its graphs, handing one action chunk over to the next."""
