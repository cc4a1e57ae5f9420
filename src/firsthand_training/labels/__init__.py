"""From video to episodes: metric wrists and fingertips without annotation (paper, Appendix II), a stage per file."""
