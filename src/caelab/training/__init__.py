"""Training of models: the loop ``fit``, its steps, losses, optimizers and augmentation."""
