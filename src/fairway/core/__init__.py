"""The nouns every other layer speaks: events, capabilities, models, objectives, samplers, likelihoods."""
