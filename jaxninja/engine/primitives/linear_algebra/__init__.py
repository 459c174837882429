"""VJPs of linear algebra: products, solvers, factorisations, spectra."""
