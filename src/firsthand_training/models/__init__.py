"""The networks of the paper, in torch: state encoder, temporal-scale Transformer, sparse attention."""
