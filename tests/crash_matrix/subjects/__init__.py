"""What the stories are about: one module for each kind of resource that a playbook is for."""
