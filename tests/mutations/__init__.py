"""Faults put into the code on purpose: does tests/runs/test_known_answers.py catch each of them?"""
