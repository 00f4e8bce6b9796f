"""From incidents with a known answer to a model of one's own: data set, base model, fine-tuning, quantization."""
