"""The paper's tables in simulation: which policies, on which data, over which trials; one resumable plan each."""
