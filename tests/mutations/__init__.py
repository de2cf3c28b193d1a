"""Faults put into the code on purpose: does tests/test_known_answers.py catch each of them?"""
