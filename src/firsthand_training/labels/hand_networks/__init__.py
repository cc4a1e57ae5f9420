"""Networks that find hands and their 21 keypoints, rebuilt as ONNX graphs from packages that carry their weights.

packages.py       where the weights come from, checked against known hashes
onnx_nodes.py     TensorFlow's layout and operations, said in ONNX
from_tflite.py, from_tfjs.py   one file of weights to one graph each
prepare.py        all of it, once, into the cache
regions.py        the turned squares that pictures are cut into
palms.py, ssd.py, yolo.py      pictures to candidates
landmarks.py      a region of a picture to a hand
"""
