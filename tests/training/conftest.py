"""One thread: what is tested is small, and the same numbers come out on any machine."""

import torch

torch.set_num_threads(1)
