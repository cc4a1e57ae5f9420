from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

ROS = ["ros-jazzy-rclpy==7.1.6", "ros-jazzy-common-interfaces", "ros-jazzy-rmw-fastrtps-cpp"]
HEADSET = ["grpcio>=1.60", "protobuf>=4.25", "websockets>=14"]
SIM = ["mujoco>=3.3,<5"]
H1_2 = [
    "cyclonedds==0.10.2"
]  # built by requirements/cyclonedds.sh (make robot); later ones crash the robot's computers
MODELS = ["onnx>=1.17"]
TRAIN = ["torch>=2.7", "safetensors>=0.4", "tensorboard>=2.16"]
LABELS = ["pycolmap>=4.1.1,<5", "tflite>=2.18"]
DEV = [
    *HEADSET,
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "mcap-ros2-support>=0.5",
    "ros-domain-coordinator>=0.12",
    "pin-pink>=3",
    "ruff>=0.9",
    "mypy>=1.14",
    "transforms3d>=0.4.2",
    "types-PyYAML",
]


def folders(root):
    """Share every file below `root` under share/firsthand, keeping its sub-folders."""
    files = [path for path in glob(f"{root}/**/*", recursive=True) if Path(path).is_file()]
    return sorted({f"share/firsthand/{Path(path).parent}" for path in files}), files


def data_files(*roots):
    shared = [
        ("share/ament_index/resource_index/packages", ["resource/firsthand"]),
        ("share/firsthand", ["package.xml"]),
    ]
    for root in roots:
        targets, files = folders(root)
        shared += [(target, [f for f in files if f"share/firsthand/{Path(f).parent}" == target]) for target in targets]
    return shared


setup(
    name="firsthand",
    version="0.1.0",
    description="Learns two-handed dexterous skills from first-person video and runs them on a Unitree H1-2.",
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    author="The firsthand authors",
    license="Apache-2.0",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"firsthand": ["py.typed", "headset/page.html"], "firsthand_training": ["py.typed", "labels/*.npz"]},
    data_files=data_files("launch", "config", "urdf", "checkpoints", "pictures"),
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "pin>=3.4",
        "daqp>=0.7",
        "xacro>=2.0",
        "onnxruntime>=1.20",
        "opencv-python-headless>=4.9",
        "PyYAML>=6",
        "mcap>=1.5",
        "rosbags>=0.10",
        "tyro>=0.9",
        "tqdm>=4.66",
        "av>=13",
    ],
    extras_require={
        "ros": ROS,
        "sim": SIM,
        "headset": HEADSET,
        "h1_2": H1_2,
        "models": MODELS,
        "train": [*SIM, *MODELS, *TRAIN, "pyarrow>=15", "matplotlib>=3.8"],
        "cluster": ["ray>=2.40"],
        "view": ["rerun-sdk>=0.24"],
        "labels": [*MODELS, *TRAIN, *LABELS, "pyarrow>=15", "matplotlib>=3.8"],
        "evaluate": [*SIM, *MODELS, "pyarrow>=15", "matplotlib>=3.8"],
        "dev": DEV,
        "test": DEV,
    },
    entry_points={
        "console_scripts": [
            "firsthand = firsthand.command:main",
            "firsthand-lab = firsthand_training.command:main",
            "camera = firsthand.nodes.camera:main",
            "features = firsthand.nodes.features:main",
            "policy = firsthand.nodes.policy:main",
            "kinematics = firsthand.nodes.kinematics:main",
            "body = firsthand.nodes.body:main",
            "recorder = firsthand.nodes.recorder:main",
            "keys = firsthand.nodes.keys:main",
            "player = firsthand.nodes.player:main",
            "headset = firsthand.nodes.headset:main",
            "fake_headset = firsthand.nodes.fake_headset:main",
            "pedal = firsthand.nodes.pedal:main",
            "teleop = firsthand.nodes.teleop:main",
        ],
    },
    zip_safe=False,
)
