"""A stand-in for a vLLM reward server: its protocol, a model without weights, faults on purpose.

replies   what vLLM answers, and a folder that a client can be made of
server    a real server on loopback that is slow, wrong or broken when told so
"""
