"""The embedded policy model: a real language model without a server, a key or a model hub.

`weights` brings SmolLM2-135M-Instruct onto the disk, `sampler` draws schema-valid candidates from
it, `chat_model` offers that to LangChain. Import from the modules: they load torch.
"""

from importlib.util import find_spec

from toolrm_guard.errors import MissingExtraError

# All at once and before anything heavy is loaded: the conversion would miss gguf only after the
# download.
_NEEDED = ("torch", "transformers", "accelerate", "gguf", "llguidance", "filelock", "rich")
_MISSING = [package for package in _NEEDED if find_spec(package) is None]
if _MISSING:
    raise MissingExtraError(
        f"the embedded model needs {', '.join(_MISSING)}: pip install 'toolrm-guard[local]'"
    )
