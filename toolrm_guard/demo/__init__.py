"""The main job: an agent on an embedded model, bare and guarded, over stateful toolkits."""
