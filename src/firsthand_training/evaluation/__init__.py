"""How good a policy is: closed loop in lock-step, open loop on data, with intervals and pictures."""
