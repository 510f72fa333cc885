"""What goes in: the models of manifests and policies, their loading, and what ships of them."""

from raicurate.corpora_manifests.load import load_manifest, load_policy
from raicurate.corpora_manifests.manifest import Corpus, Manifest
from raicurate.corpora_manifests.policy import Policy

__all__ = ["Corpus", "Manifest", "Policy", "load_manifest", "load_policy"]
