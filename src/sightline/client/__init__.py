"""For who sends pictures, without a service: what they cost before sending, and how to make them fit.

Every figure and every sentence comes from the modules that the service uses; nothing is counted twice.
"""
