"""Training: ``fit`` is the loop; losses, optimizers and augmentation are what it is made of."""
