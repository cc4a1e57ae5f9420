"""The policies that the paper compares with: ACT and HAT, chunking Transformers trained as a CVAE, no world model."""
