"""Layer 1: who may connect. Pure; what it cannot know it asks for."""
